//! A block: the frames of one group commit behind a header.
//!
//! ```text
//! header  0..8 magic  8..12 version  12..16 bytes of frames  16..24 first sequence
//!         24..32 last sequence  32..48 link to the block before  48..52 CRC-32C of the frames
//!         52..56 life  56..60 zero  60..64 CRC-32C of bytes 0..60
//! ```
//!
//! The link is the first half of the SHA-256 of the header before, which covers that block's frames
//! through their checksum: a block of another journal, or of another moment, does not fit in.
//!
//! Life counts the starts of the engine on this journal, for who reads it later.

use std::fmt;

use protocol::Sequence;
use sha2::{Digest, Sha256};

pub const HEADER_BYTES: usize = 64;
/// Version of block and segment format.
pub const VERSION: u32 = 3;
/// No frame record begins with its first byte, so that no part of a frame is taken for a block.
const MAGIC: [u8; 8] = *b"XCHBLOCK";

/// What a block repeats of the block before it; zero before the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Link(pub [u8; 16]);

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hexadecimal(&self.0, f)
    }
}

pub(super) fn hexadecimal(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

/// A block's header as found, its checksum verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BlockHeader {
    pub first: Sequence,
    pub last: Sequence,
    pub life: u32,
    /// What it says of the block before it.
    pub previous: Link,
    /// What the block after it will say.
    pub link: Link,
    /// Of the frames behind it.
    pub frames_bytes: usize,
    frames_checksum: u32,
}

/// A block as found, its checksums verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block<'a> {
    pub header: BlockHeader,
    pub frames: &'a [u8],
}

/// The place behind a block, and so what the next one has to repeat.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Joint {
    /// The frame that comes next.
    pub next: Sequence,
    pub link: Link,
    pub life: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Damage {
    #[error("no block begins here, yet there are bytes")]
    Magic,
    #[error("a block header fails its checksum")]
    HeaderChecksum,
    #[error("a block is longer than its file")]
    Length,
    #[error("the frames of a block fail their checksum")]
    Checksum,
    #[error("a block has format version {0}")]
    Version(u32),
    #[error("a block does not link to the block before it")]
    Link,
    #[error("a block begins with frame {found} where {expected} comes next")]
    Sequence { expected: Sequence, found: Sequence },
    #[error("a block of the engine's start {found} follows one of start {last}")]
    Life { last: u32, found: u32 },
}

impl Damage {
    /// Whether a write that was cut short can leave this behind. Whatever else is wrong was written
    /// that way.
    pub const fn may_be_torn(self) -> bool {
        matches!(self, Damage::Magic | Damage::HeaderChecksum | Damage::Length | Damage::Checksum)
    }
}

impl Joint {
    /// Before the first frame.
    pub const BEGIN: Joint = Joint { next: Sequence(1), link: Link([0; 16]), life: 0 };

    /// The frame before; 0 before the first.
    pub fn last(&self) -> Sequence {
        Sequence(self.next.0.saturating_sub(1))
    }

    /// The header of a block with these frames up to and with `last`, and the place behind it.
    pub fn header(&self, last: Sequence, frames: &[u8]) -> ([u8; HEADER_BYTES], Joint) {
        let Ok(length) = u32::try_from(frames.len()) else {
            unreachable!("Invariant: a block is far below 4 GiB")
        };
        let mut header = [0; HEADER_BYTES];
        header[0..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&length.to_le_bytes());
        header[16..24].copy_from_slice(&self.next.0.to_le_bytes());
        header[24..32].copy_from_slice(&last.0.to_le_bytes());
        header[32..48].copy_from_slice(&self.link.0);
        header[48..52].copy_from_slice(&crc32c::crc32c(frames).to_le_bytes());
        header[52..56].copy_from_slice(&self.life.to_le_bytes());
        let checksum = crc32c::crc32c(&header[..60]);
        header[60..64].copy_from_slice(&checksum.to_le_bytes());
        let next = Sequence(last.0 + 1);
        (header, Joint { next, link: link_of(&header), life: self.life })
    }

    /// The place behind a block that must stand here.
    pub fn behind(&self, block: &BlockHeader) -> Result<Joint, Damage> {
        if block.previous != self.link {
            return Err(Damage::Link);
        }
        if block.first != self.next || block.last < block.first {
            return Err(Damage::Sequence { expected: self.next, found: block.first });
        }
        if block.life < self.life {
            return Err(Damage::Life { last: self.life, found: block.life });
        }
        Ok(block.joint())
    }
}

impl BlockHeader {
    /// The place behind the block.
    pub fn joint(&self) -> Joint {
        Joint { next: Sequence(self.last.0.saturating_add(1)), link: self.link, life: self.life }
    }
}

fn link_of(header: &[u8]) -> Link {
    let digest = Sha256::digest(header);
    let mut link = [0; 16];
    link.copy_from_slice(&digest[..16]);
    Link(link)
}

/// The block at the front of `bytes`; `None` where nothing was ever written.
pub fn read(bytes: &[u8]) -> Result<Option<Block<'_>>, Damage> {
    let Some(header) = read_header(bytes)? else { return Ok(None) };
    let frames = &bytes[HEADER_BYTES..];
    let frames = frames.get(..header.frames_bytes).ok_or(Damage::Length)?;
    if crc32c::crc32c(frames) != header.frames_checksum {
        return Err(Damage::Checksum);
    }
    Ok(Some(Block { header, frames }))
}

/// As [`read`], without a look at the frames.
pub fn read_header(bytes: &[u8]) -> Result<Option<BlockHeader>, Damage> {
    let Some((header, _)) = bytes.split_at_checked(HEADER_BYTES) else {
        // Less than a header fits between the last block and the end of the file.
        return if is_zero(bytes) { Ok(None) } else { Err(Damage::Magic) };
    };
    if is_zero(header) {
        return Ok(None);
    }
    if !has_valid_header(header) {
        let damage = if header[..8] == MAGIC { Damage::HeaderChecksum } else { Damage::Magic };
        return Err(damage);
    }
    match word32(header, 8) {
        VERSION => (),
        found => return Err(Damage::Version(found)),
    }
    let mut previous = [0; 16];
    previous.copy_from_slice(&header[32..48]);
    Ok(Some(BlockHeader {
        first: Sequence(word64(header, 16)),
        last: Sequence(word64(header, 24)),
        life: word32(header, 52),
        previous: Link(previous),
        link: link_of(header),
        frames_bytes: word32(header, 12) as usize,
        frames_checksum: word32(header, 48),
    }))
}

/// Whether `bytes` begins with a header that was written whole.
pub fn has_valid_header(bytes: &[u8]) -> bool {
    bytes.len() >= HEADER_BYTES
        && bytes[..8] == MAGIC
        && crc32c::crc32c(&bytes[..60]) == word32(bytes, 60)
}

pub fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<64>();
    words.iter().all(|word| *word == [0; 64]) && rest.iter().all(|&byte| byte == 0)
}

pub(crate) fn word32(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

pub(crate) fn word64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOINT: Joint = Joint { next: Sequence(5), link: Link([9; 16]), life: 3 };

    fn written(frames: &[u8]) -> Vec<u8> {
        let (header, _) = JOINT.header(Sequence(7), frames);
        [&header[..], frames].concat()
    }

    #[test]
    fn a_block_reads_what_was_written() {
        let bytes = written(b"three frames");
        let Block { header, frames } = read(&bytes).unwrap().unwrap();
        assert_eq!(
            (header.first, header.last, frames),
            (Sequence(5), Sequence(7), &b"three frames"[..])
        );
        assert_eq!((header.previous, header.life), (Link([9; 16]), 3));
        assert_eq!(read_header(&bytes[..HEADER_BYTES]), Ok(Some(header)));
        let (_, behind) = JOINT.header(Sequence(7), b"three frames");
        assert_eq!(JOINT.behind(&header), Ok(behind));
        assert_eq!(behind.next, Sequence(8));
    }

    #[test]
    fn a_block_that_does_not_belong_behind_another_is_seen() {
        let header = read_header(&written(b"frames")).unwrap().unwrap();
        let other = Joint { link: Link([8; 16]), ..JOINT };
        assert_eq!(other.behind(&header), Err(Damage::Link));
        let (expected, found) = (Sequence(4), Sequence(5));
        let gap = Joint { next: expected, ..JOINT };
        assert_eq!(gap.behind(&header), Err(Damage::Sequence { expected, found }));
        let later = Joint { life: 4, ..JOINT };
        assert_eq!(later.behind(&header), Err(Damage::Life { last: 4, found: 3 }));
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let whole = written(b"some frames of a block");
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn every_shortened_block_is_seen() {
        let whole = written(b"some frames of a block");
        for length in 1..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length} bytes");
        }
        assert_eq!(read(&[0; 200]), Ok(None));
    }
}
