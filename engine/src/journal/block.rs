//! A block: the frames of one group commit behind a header.
//!
//! ```text
//! header  0..8 magic  8..12 version  12..16 bytes of frames  16..24 first sequence
//!         24..32 last sequence  32..48 link to the block before  48..52 CRC-32C of the frames
//!         52..60 zero  60..64 CRC-32C of bytes 0..60
//! ```
//!
//! The link is the first half of the SHA-256 of the header before, which covers that block's frames
//! through their checksum: a block of another journal, or of another moment, does not fit in.

use protocol::Sequence;
use sha2::{Digest, Sha256};

pub const HEADER_BYTES: usize = 64;
/// Version of block and segment format.
pub const VERSION: u32 = 1;
/// No frame record begins with its first byte, so that no part of a frame is taken for a block.
const MAGIC: [u8; 8] = *b"XCHBLOCK";

/// What a block repeats of the block before it; zero before the first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Link(pub [u8; 16]);

/// A block as found, its checksums verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Block<'a> {
    pub first: Sequence,
    pub last: Sequence,
    pub frames: &'a [u8],
    /// What it says of the block before it.
    pub previous: Link,
    /// What the block after it will say.
    pub link: Link,
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
}

impl Damage {
    /// Whether a write that was cut short can leave this behind. Whatever else is wrong was written
    /// that way.
    pub const fn may_be_torn(self) -> bool {
        matches!(self, Damage::Magic | Damage::HeaderChecksum | Damage::Length | Damage::Checksum)
    }
}

/// The header of a block with these frames, and the link the next block will carry.
pub fn header(
    first: Sequence,
    last: Sequence,
    previous: Link,
    frames: &[u8],
) -> ([u8; HEADER_BYTES], Link) {
    let Ok(length) = u32::try_from(frames.len()) else {
        unreachable!("Invariant: a block is far below 4 GiB")
    };
    let mut header = [0; HEADER_BYTES];
    header[0..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&length.to_le_bytes());
    header[16..24].copy_from_slice(&first.0.to_le_bytes());
    header[24..32].copy_from_slice(&last.0.to_le_bytes());
    header[32..48].copy_from_slice(&previous.0);
    header[48..52].copy_from_slice(&crc32c::crc32c(frames).to_le_bytes());
    let checksum = crc32c::crc32c(&header[..60]);
    header[60..64].copy_from_slice(&checksum.to_le_bytes());
    (header, link_of(&header))
}

fn link_of(header: &[u8]) -> Link {
    let digest = Sha256::digest(header);
    let mut link = [0; 16];
    link.copy_from_slice(&digest[..16]);
    Link(link)
}

/// The block at the front of `bytes`; `None` where nothing was ever written.
pub fn read(bytes: &[u8]) -> Result<Option<Block<'_>>, Damage> {
    let Some((header, rest)) = bytes.split_at_checked(HEADER_BYTES) else {
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
    let frames = rest.get(..word32(header, 12) as usize).ok_or(Damage::Length)?;
    if crc32c::crc32c(frames) != word32(header, 48) {
        return Err(Damage::Checksum);
    }
    let mut previous = [0; 16];
    previous.copy_from_slice(&header[32..48]);
    Ok(Some(Block {
        first: Sequence(word64(header, 16)),
        last: Sequence(word64(header, 24)),
        frames,
        previous: Link(previous),
        link: link_of(header),
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

pub(super) fn word32(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

pub(super) fn word64(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(frames: &[u8]) -> Vec<u8> {
        let (header, _) = header(Sequence(5), Sequence(7), Link([9; 16]), frames);
        [&header[..], frames].concat()
    }

    #[test]
    fn a_block_reads_what_was_written() {
        let bytes = written(b"three frames");
        let block = read(&bytes).unwrap().unwrap();
        assert_eq!(
            (block.first, block.last, block.frames),
            (Sequence(5), Sequence(7), &b"three frames"[..])
        );
        assert_eq!(block.previous, Link([9; 16]));
        let (_, link) = header(Sequence(5), Sequence(7), Link([9; 16]), b"three frames");
        assert_eq!(block.link, link);
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
