//! A segment: a file of fixed length that is filled with blocks, named after its first frame.
//!
//! ```text
//! header  0..8 magic  8..12 version  12..16 bytes of definitions  16..24 first sequence
//!         24..40 journal id  40..72 fingerprint of the definitions
//!         72..88 link to the block before the first  88..92 life  92..124 zero
//!         124..128 CRC-32C of bytes 0..124
//! 128..   definitions, padded with zeros to whole records; then block after block
//! ```
//!
//! Space is reserved when the segment is made, so that a full disk is met here and not in the
//! middle of a block, and `fdatasync` has no length to write. A segment gets its name when its
//! header is on disk: a named segment is whole up to its first block. It says what came before it,
//! so that reading can begin with any.

use std::fmt;
use std::path::{Path, PathBuf};

use protocol::Sequence;

use super::block::{Joint, Link, VERSION, hexadecimal, word32, word64};
use super::definitions::Definitions;
use crate::disk::{Disk, DiskFile};
use crate::error::JournalError;

pub(super) const FIXED_BYTES: usize = 128;
const MAGIC: [u8; 8] = *b"XCHSEGMT";
const EXTENSION: &str = "journal";
const UNFINISHED: &str = "unfinished";

/// Tells the journals of two data directories apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JournalId(pub [u8; 16]);

impl fmt::Display for JournalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    pub journal: JournalId,
    /// The place of its first block.
    pub joint: Joint,
    pub definitions: Definitions,
}

impl SegmentHeader {
    pub fn first(&self) -> Sequence {
        self.joint.next
    }

    /// With its definitions; the first block follows.
    pub fn encode(&self) -> Vec<u8> {
        let text = self.definitions.text();
        let Ok(length) = u32::try_from(text.len()) else {
            unreachable!("Invariant: a catalog is far below 4 GiB")
        };
        let mut header = vec![0; FIXED_BYTES];
        header[0..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&length.to_le_bytes());
        header[16..24].copy_from_slice(&self.joint.next.0.to_le_bytes());
        header[24..40].copy_from_slice(&self.journal.0);
        header[40..72].copy_from_slice(&self.definitions.fingerprint());
        header[72..88].copy_from_slice(&self.joint.link.0);
        header[88..92].copy_from_slice(&self.joint.life.to_le_bytes());
        let checksum = crc32c::crc32c(&header[..124]);
        header[124..128].copy_from_slice(&checksum.to_le_bytes());
        header.extend_from_slice(text.as_bytes());
        header.resize(header.len().next_multiple_of(64), 0);
        header
    }

    /// The header at the front of a segment, and how many bytes it takes.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<(SegmentHeader, usize), JournalError> {
        let refuse = || JournalError::SegmentHeader { path: path.to_owned() };
        let text_end = FIXED_BYTES + definitions_bytes(path, bytes)?;
        let text = bytes.get(FIXED_BYTES..text_end).ok_or_else(refuse)?;
        let text = std::str::from_utf8(text).map_err(|_| refuse())?;
        let definitions = Definitions::parse(text);
        if definitions.fingerprint() != bytes[40..72] {
            return Err(refuse());
        }
        let next = Sequence(word64(bytes, 16));
        let link = Link(sixteen(bytes, 72));
        let header = SegmentHeader {
            journal: JournalId(sixteen(bytes, 24)),
            joint: Joint { next, link, life: word32(bytes, 88) },
            definitions,
        };
        Ok((header, text_end.next_multiple_of(64)))
    }

    /// As [`SegmentHeader::decode`], reading no more of the file than the header.
    pub fn read(disk: &dyn Disk, path: &Path) -> Result<(SegmentHeader, usize), JournalError> {
        let read = |bytes: &mut Vec<u8>| {
            let count = disk.read_at(path, 0, bytes).map_err(JournalError::io("read", path))?;
            bytes.truncate(count);
            Ok(())
        };
        let mut bytes = vec![0; FIXED_BYTES];
        read(&mut bytes)?;
        let length = FIXED_BYTES + definitions_bytes(path, &bytes)?;
        bytes.resize(length, 0);
        read(&mut bytes)?;
        SegmentHeader::decode(path, &bytes)
    }
}

/// Checks the fixed part of a header; returns how long the definitions are.
fn definitions_bytes(path: &Path, bytes: &[u8]) -> Result<usize, JournalError> {
    let path = || path.to_owned();
    if bytes.len() < FIXED_BYTES
        || bytes[..8] != MAGIC
        || crc32c::crc32c(&bytes[..124]) != word32(bytes, 124)
    {
        return Err(JournalError::SegmentHeader { path: path() });
    }
    match word32(bytes, 8) {
        VERSION => Ok(word32(bytes, 12) as usize),
        found => Err(JournalError::Version { path: path(), found, known: VERSION }),
    }
}

pub(crate) fn sixteen(bytes: &[u8], at: usize) -> [u8; 16] {
    let mut sixteen = [0; 16];
    sixteen.copy_from_slice(&bytes[at..at + 16]);
    sixteen
}

/// A segment open for writing.
#[derive(Debug)]
pub struct Segment {
    pub path: PathBuf,
    pub file: Box<dyn DiskFile>,
    /// Where the next block goes.
    pub offset: u64,
    pub bytes: u64,
}

impl Segment {
    /// Makes a segment of `bytes` bytes in `directory`, durable with its name and header.
    pub fn create(
        disk: &dyn Disk,
        directory: &Path,
        header: &SegmentHeader,
        bytes: u64,
    ) -> Result<Segment, JournalError> {
        let path = path_of(directory, header.first());
        let unfinished = path.with_extension(UNFINISHED);
        let io = |action| JournalError::io(action, &unfinished);
        let mut file = disk.create(&unfinished, bytes).map_err(io("reserve space for"))?;
        let header = header.encode();
        file.write_at(0, &[&header]).map_err(io("write"))?;
        file.sync_all().map_err(io("sync"))?;
        disk.rename(&unfinished, &path).map_err(io("rename"))?;
        disk.sync_folder(directory).map_err(JournalError::io("sync", directory))?;
        Ok(Segment { path, file, offset: header.len() as u64, bytes })
    }
}

/// `00000000000000000001.journal`
pub fn path_of(directory: &Path, first: Sequence) -> PathBuf {
    directory.join(format!("{:020}.{EXTENSION}", first.0))
}

/// All segments in `directory`, in order, by the first sequence in their names. What is still being
/// made has no name yet and is left out.
pub fn list(disk: &dyn Disk, directory: &Path) -> Result<Vec<(Sequence, PathBuf)>, JournalError> {
    let mut segments = Vec::new();
    for path in disk.list(directory).map_err(JournalError::io("list", directory))? {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some(EXTENSION) => segments.push((first_of(&path)?, path)),
            Some(UNFINISHED) => (),
            _ => return Err(JournalError::SegmentHeader { path }),
        }
    }
    segments.sort();
    Ok(segments)
}

/// Removes what a crash left half made. Only when nobody writes.
pub fn remove_unfinished(disk: &dyn Disk, directory: &Path) -> Result<(), JournalError> {
    for path in disk.list(directory).map_err(JournalError::io("list", directory))? {
        if path.extension().is_some_and(|extension| extension == UNFINISHED) {
            disk.remove(&path).map_err(JournalError::io("remove", &path))?;
        }
    }
    Ok(())
}

fn first_of(path: &Path) -> Result<Sequence, JournalError> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let first = stem.filter(|stem| stem.len() == 20).and_then(|stem| stem.parse().ok());
    first.map(Sequence).ok_or_else(|| JournalError::SegmentHeader { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_what_was_written_and_sees_every_flipped_bit() {
        let header = SegmentHeader {
            journal: JournalId([7; 16]),
            joint: Joint { next: Sequence(42), link: Link([5; 16]), life: 6 },
            definitions: Definitions::parse("asset 1 USDC decimals 6\nasset 2 SOL decimals 9"),
        };
        let bytes = header.encode();
        let path = Path::new("x");
        assert_eq!(SegmentHeader::decode(path, &bytes).unwrap(), (header, bytes.len()));
        let text = header_text_bits(&bytes);
        for bit in 0..text {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(path, &bytes).is_err(), "bit {bit}");
        }
    }

    /// Bits before the padding, which says nothing.
    fn header_text_bits(bytes: &[u8]) -> usize {
        (FIXED_BYTES + word32(bytes, 12) as usize) * 8
    }
}
