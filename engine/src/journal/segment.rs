//! A segment: a file of fixed length that is filled with blocks, named after its first frame.
//!
//! ```text
//! header  0..8 magic  8..12 version  12..16 bytes of definitions  16..24 first sequence
//!         24..40 journal id  40..72 fingerprint of the definitions  72..124 zero
//!         124..128 CRC-32C of bytes 0..124
//! 128..   definitions, padded with zeros to whole records; then block after block
//! ```
//!
//! Space is reserved when the segment is made, so that a full disk is met here and not in the
//! middle of a block, and `fdatasync` has no length to write. A segment gets its name when its
//! header is on disk: a named segment is whole up to its first block.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use protocol::Sequence;

use super::block::{VERSION, word32, word64};
use super::definitions::Definitions;
use crate::error::JournalError;

const FIXED_BYTES: usize = 128;
const MAGIC: [u8; 8] = *b"XCHSEGMT";
const EXTENSION: &str = "journal";
const UNFINISHED: &str = "unfinished";

/// Tells the journals of two data directories apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JournalId(pub [u8; 16]);

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    pub journal: JournalId,
    pub first: Sequence,
    pub definitions: Definitions,
}

impl SegmentHeader {
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
        header[16..24].copy_from_slice(&self.first.0.to_le_bytes());
        header[24..40].copy_from_slice(&self.journal.0);
        header[40..72].copy_from_slice(&self.definitions.fingerprint());
        let checksum = crc32c::crc32c(&header[..124]);
        header[124..128].copy_from_slice(&checksum.to_le_bytes());
        header.extend_from_slice(text.as_bytes());
        header.resize(header.len().next_multiple_of(64), 0);
        header
    }

    /// The header at the front of a segment, and how many bytes it takes.
    pub fn decode(path: &Path, bytes: &[u8]) -> Result<(SegmentHeader, usize), JournalError> {
        let refuse = || JournalError::SegmentHeader { path: path.to_owned() };
        if bytes.len() < FIXED_BYTES || bytes[..8] != MAGIC {
            return Err(refuse());
        }
        if crc32c::crc32c(&bytes[..124]) != word32(bytes, 124) {
            return Err(refuse());
        }
        match word32(bytes, 8) {
            VERSION => (),
            found => {
                return Err(JournalError::Version { path: path.to_owned(), found, known: VERSION });
            }
        }
        let text_end = FIXED_BYTES + word32(bytes, 12) as usize;
        let text = bytes.get(FIXED_BYTES..text_end).ok_or_else(refuse)?;
        let text = std::str::from_utf8(text).map_err(|_| refuse())?;
        let definitions = Definitions::parse(text);
        if definitions.fingerprint() != bytes[40..72] {
            return Err(refuse());
        }
        let mut journal = [0; 16];
        journal.copy_from_slice(&bytes[24..40]);
        let first = Sequence(word64(bytes, 16));
        let header = SegmentHeader { journal: JournalId(journal), first, definitions };
        Ok((header, text_end.next_multiple_of(64)))
    }
}

/// A segment open for writing.
#[derive(Debug)]
pub struct Segment {
    pub path: PathBuf,
    pub file: File,
    /// Where the next block goes; the file's cursor stands there.
    pub offset: u64,
    pub bytes: u64,
}

impl Segment {
    /// Makes a segment of `bytes` bytes in `directory`, durable with its name and header.
    pub fn create(
        directory: &Path,
        header: &SegmentHeader,
        bytes: u64,
    ) -> Result<Segment, JournalError> {
        let path = path_of(directory, header.first);
        let unfinished = path.with_extension(UNFINISHED);
        let io = |action| JournalError::io(action, &unfinished);
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&unfinished)
            .map_err(io("create"))?;
        reserve(&file, bytes).map_err(io("reserve space for"))?;
        let header = header.encode();
        file.write_all(&header).map_err(io("write"))?;
        file.sync_all().map_err(io("sync"))?;
        fs::rename(&unfinished, &path).map_err(io("rename"))?;
        sync_directory(directory)?;
        Ok(Segment { path, file, offset: header.len() as u64, bytes })
    }
}

/// `00000000000000000001.journal`
fn path_of(directory: &Path, first: Sequence) -> PathBuf {
    directory.join(format!("{:020}.{EXTENSION}", first.0))
}

fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    let length = i64::try_from(bytes).map_err(|_| Errno::EFBIG)?;
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        Ok(()) => Ok(()),
        Err(Errno::EOPNOTSUPP) => {
            tracing::warn!(
                "this file system cannot reserve space: a full disk is met when writing"
            );
            file.set_len(bytes)
        }
        Err(errno) => Err(errno.into()),
    }
}

/// Makes names in `directory` durable.
pub fn sync_directory(directory: &Path) -> Result<(), JournalError> {
    let io = |action| JournalError::io(action, directory);
    File::open(directory).map_err(io("open"))?.sync_all().map_err(io("sync"))
}

/// All segments in `directory`, in order, by the first sequence in their names. What is still being
/// made has no name yet and is left out.
pub fn list(directory: &Path) -> Result<Vec<(Sequence, PathBuf)>, JournalError> {
    let io = |action| JournalError::io(action, directory);
    let mut segments = Vec::new();
    for entry in fs::read_dir(directory).map_err(io("list"))? {
        let path = entry.map_err(io("list"))?.path();
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
pub fn remove_unfinished(directory: &Path) -> Result<(), JournalError> {
    let io = |action| JournalError::io(action, directory);
    for entry in fs::read_dir(directory).map_err(io("list"))? {
        let path = entry.map_err(io("list"))?.path();
        if path.extension().is_some_and(|extension| extension == UNFINISHED) {
            fs::remove_file(&path).map_err(JournalError::io("remove", &path))?;
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
            first: Sequence(42),
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
