//! The bytes of a snapshot.
//!
//! ```text
//! header  0..8 magic  8..12 version  12..16 bytes of definitions  16..24 sequence
//!         24..40 journal id  40..72 fingerprint of the definitions
//!         72..88 link of the block that ends with the sequence  88..96 time of the last command
//!         96..104 bytes of the file  104..108 pieces  108..124 zero
//!         124..128 CRC-32C of bytes 0..124
//! 128..   definitions; then head and piece, head and piece; then a head without a piece: the end
//! head    0..4 bytes of the piece  4..8 its CRC-32C  8..12 its number, from 0
//!         12..16 CRC-32C of bytes 0..12
//! ```
//!
//! The head at the end bears the number of pieces, and the checksum of all their checksums.

use protocol::Sequence;

use crate::journal::block::{Link, word32, word64};
use crate::journal::definitions::Definitions;
use crate::journal::reader::Mark;
use crate::journal::segment::{JournalId, sixteen};

pub const VERSION: u32 = 3;
pub const FIXED_BYTES: usize = 128;
pub const HEAD_BYTES: usize = 16;
/// Far above what any piece has: what is longer was not written by an engine.
pub const PIECE_BYTES_MAX: usize = 64 << 20;
const MAGIC: [u8; 8] = *b"XCHSNAPS";

/// What is wrong with a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Damage {
    #[error("it does not begin as a snapshot does")]
    Magic,
    #[error("its header fails its checksum")]
    HeaderChecksum,
    #[error("it has format version {0}, this engine reads {VERSION} alone")]
    Version(u32),
    #[error("its definitions fail their checksum")]
    Definitions,
    #[error("its name says frame {named}, its header frame {found}")]
    Name { named: Sequence, found: Sequence },
    #[error("it is shorter than its header says")]
    Short,
    #[error("it is longer than its header says")]
    Long,
    #[error("the head of piece {0} fails its checksum")]
    Head(u32),
    #[error("piece {0} fails its checksum")]
    Piece(u32),
    #[error("its end does not agree with its pieces")]
    End,
}

/// What a snapshot was made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Header {
    pub mark: Mark,
    pub definitions: Definitions,
    /// Of the last command; 0 before the first.
    pub time_us: u64,
    pub pieces: u32,
    /// Of the whole file.
    pub bytes: u64,
}

impl Header {
    /// With its definitions; the first head follows.
    pub fn encode(&self) -> Vec<u8> {
        let text = self.definitions.text();
        let Ok(length) = u32::try_from(text.len()) else {
            unreachable!("Invariant: a catalog is far below 4 GiB")
        };
        let mut header = vec![0; FIXED_BYTES];
        header[0..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&length.to_le_bytes());
        header[16..24].copy_from_slice(&self.mark.sequence.0.to_le_bytes());
        header[24..40].copy_from_slice(&self.mark.journal.0);
        header[40..72].copy_from_slice(&self.definitions.fingerprint());
        header[72..88].copy_from_slice(&self.mark.link.0);
        header[88..96].copy_from_slice(&self.time_us.to_le_bytes());
        header[96..104].copy_from_slice(&self.bytes.to_le_bytes());
        header[104..108].copy_from_slice(&self.pieces.to_le_bytes());
        let checksum = crc32c::crc32c(&header[..124]);
        header[124..128].copy_from_slice(&checksum.to_le_bytes());
        header.extend_from_slice(text.as_bytes());
        header
    }

    /// How many bytes of definitions follow the fixed part, which is checked.
    pub fn definitions_bytes(fixed: &[u8]) -> Result<usize, Damage> {
        if fixed.len() < FIXED_BYTES || fixed[..8] != MAGIC {
            return Err(Damage::Magic);
        }
        if crc32c::crc32c(&fixed[..124]) != word32(fixed, 124) {
            return Err(Damage::HeaderChecksum);
        }
        match word32(fixed, 8) {
            VERSION => Ok(word32(fixed, 12) as usize),
            found => Err(Damage::Version(found)),
        }
    }

    /// `bytes`: the fixed part and the definitions.
    pub fn decode(bytes: &[u8]) -> Result<Header, Damage> {
        let end = FIXED_BYTES + Header::definitions_bytes(bytes)?;
        let text = bytes.get(FIXED_BYTES..end).ok_or(Damage::Short)?;
        let definitions =
            Definitions::parse(str::from_utf8(text).map_err(|_| Damage::Definitions)?);
        if definitions.fingerprint() != bytes[40..72] {
            return Err(Damage::Definitions);
        }
        Ok(Header {
            mark: Mark {
                journal: JournalId(sixteen(bytes, 24)),
                sequence: Sequence(word64(bytes, 16)),
                link: Link(sixteen(bytes, 72)),
            },
            definitions,
            time_us: word64(bytes, 88),
            pieces: word32(bytes, 104),
            bytes: word64(bytes, 96),
        })
    }
}

/// What stands before a piece, or at the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// 0 at the end.
    pub bytes: u32,
    pub checksum: u32,
    pub number: u32,
}

/// Tells the heads of pieces that follow each other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heads {
    number: u32,
    /// Of all pieces' checksums so far.
    checksum: u32,
}

impl Heads {
    /// The head of the piece that comes next.
    pub fn next(&mut self, piece: &[u8]) -> Head {
        let Ok(bytes) = u32::try_from(piece.len()) else {
            unreachable!("Invariant: a piece is far below 4 GiB")
        };
        let checksum = crc32c::crc32c(piece);
        let number = self.number;
        self.number += 1;
        self.checksum = crc32c::crc32c_append(self.checksum, &checksum.to_le_bytes());
        Head { bytes, checksum, number }
    }

    /// The number of the piece that comes next.
    pub fn number(&self) -> u32 {
        self.number
    }

    pub fn end(&self) -> Head {
        Head { bytes: 0, checksum: self.checksum, number: self.number }
    }
}

impl Head {
    pub fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        head[0..4].copy_from_slice(&self.bytes.to_le_bytes());
        head[4..8].copy_from_slice(&self.checksum.to_le_bytes());
        head[8..12].copy_from_slice(&self.number.to_le_bytes());
        let checksum = crc32c::crc32c(&head[..12]);
        head[12..16].copy_from_slice(&checksum.to_le_bytes());
        head
    }

    /// `None` when the checksum fails.
    pub fn decode(head: &[u8; HEAD_BYTES]) -> Option<Head> {
        let is_whole = crc32c::crc32c(&head[..12]) == word32(head, 12);
        let decoded =
            Head { bytes: word32(head, 0), checksum: word32(head, 4), number: word32(head, 8) };
        Some(decoded).filter(|_| is_whole)
    }
}
