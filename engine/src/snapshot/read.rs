//! Reads snapshots, piece by piece, and believes nothing that is not checked.

use std::path::{Path, PathBuf};

use engine_core::replica::{self, Replica};
use protocol::Catalog;

use super::format::{Damage, FIXED_BYTES, HEAD_BYTES, Head, Header, Heads, PIECE_BYTES_MAX};
use super::sequence_of;
use crate::disk::Disk;
use crate::error::{JournalError, SnapshotError};
use crate::journal::definitions::Definitions;

/// The pieces of one file, in order; ends after the first error.
pub struct Pieces<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    header: Header,
    heads: Heads,
    /// Where the next head stands.
    offset: u64,
    has_ended: bool,
}

impl<'a> Pieces<'a> {
    /// Reads and checks the header.
    pub fn open(disk: &'a dyn Disk, path: &Path) -> Result<Pieces<'a>, SnapshotError> {
        let io = |action| SnapshotError::io(action, path);
        let damaged = |offset: usize, damage| {
            let (path, offset) = (path.to_owned(), offset as u64);
            SnapshotError::Damaged { path, offset, damage }
        };
        let mut bytes = vec![0; FIXED_BYTES];
        let count = disk.read_at(path, 0, &mut bytes).map_err(io("read"))?;
        bytes.truncate(count);
        let length = Header::definitions_bytes(&bytes).map_err(|damage| damaged(0, damage))?;
        let found = disk.length(path).map_err(io("look at"))?;
        if found < (FIXED_BYTES + length) as u64 {
            return Err(damaged(found as usize, Damage::Short));
        }
        bytes.resize(FIXED_BYTES + length, 0);
        let count = disk.read_at(path, 0, &mut bytes).map_err(io("read"))?;
        bytes.truncate(count);
        let header = Header::decode(&bytes).map_err(|damage| damaged(FIXED_BYTES, damage))?;
        if found != header.bytes {
            let damage = if found < header.bytes { Damage::Short } else { Damage::Long };
            return Err(damaged(found as usize, damage));
        }
        let named = sequence_of(path).unwrap_or(header.mark.sequence);
        if named != header.mark.sequence {
            let found = header.mark.sequence;
            return Err(damaged(16, Damage::Name { named, found }));
        }
        let (path, offset) = (path.to_owned(), bytes.len() as u64);
        Ok(Pieces { disk, path, header, heads: Heads::default(), offset, has_ended: false })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// `None` at the end of the file.
    fn read_next(&mut self) -> Result<Option<Vec<u8>>, SnapshotError> {
        let number = self.heads.number();
        let mut bytes = [0; HEAD_BYTES];
        self.read(&mut bytes)?;
        let head = Head::decode(&bytes).ok_or_else(|| self.damaged(Damage::Head(number)))?;
        if head.bytes == 0 {
            let is_whole = head == self.heads.end() && head.number == self.header.pieces;
            self.offset += HEAD_BYTES as u64;
            return match self.offset.cmp(&self.header.bytes) {
                _ if !is_whole => Err(self.damaged(Damage::End)),
                std::cmp::Ordering::Equal => Ok(None),
                _ => Err(self.damaged(Damage::Long)),
            };
        }
        let length = head.bytes as usize;
        let left = self.header.bytes.saturating_sub(self.offset);
        if PIECE_BYTES_MAX < length || left < (HEAD_BYTES + length) as u64 {
            return Err(self.damaged(Damage::Head(number)));
        }
        self.offset += HEAD_BYTES as u64;
        let mut piece = vec![0; length];
        self.read(&mut piece)?;
        if self.heads.next(&piece) != head {
            return Err(self.damaged(Damage::Piece(number)));
        }
        self.offset += length as u64;
        Ok(Some(piece))
    }

    fn read(&self, buffer: &mut [u8]) -> Result<(), SnapshotError> {
        let count = self.disk.read_at(&self.path, self.offset, buffer);
        let count = count.map_err(SnapshotError::io("read", &self.path))?;
        if count < buffer.len() { Err(self.damaged(Damage::Short)) } else { Ok(()) }
    }

    fn damaged(&self, damage: Damage) -> SnapshotError {
        SnapshotError::Damaged { path: self.path.clone(), offset: self.offset, damage }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Result<Vec<u8>, SnapshotError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        let piece = self.read_next().transpose();
        self.has_ended = !matches!(piece, Some(Ok(_)));
        piece
    }
}

/// Checks every checksum of the file.
pub fn verify(disk: &dyn Disk, path: &Path) -> Result<Header, SnapshotError> {
    let mut pieces = Pieces::open(disk, path)?;
    pieces.try_for_each(|piece| piece.map(drop))?;
    Ok(pieces.header)
}

/// A state, put together again and checked.
#[derive(Debug)]
pub struct Loaded {
    pub header: Header,
    pub replica: Replica,
}

/// Why a piece did not become a part of the state.
enum Unread {
    File(SnapshotError),
    State(replica::SnapshotError),
}

impl From<replica::SnapshotError> for Unread {
    fn from(error: replica::SnapshotError) -> Self {
        Unread::State(error)
    }
}

/// The state at the snapshot. Errors: [`SnapshotError::is_damage`] tells whether another snapshot
/// may do better.
pub fn load(
    disk: &dyn Disk,
    path: &Path,
    catalog: &Catalog,
    definitions: &Definitions,
) -> Result<Loaded, SnapshotError> {
    let mut pieces = Pieces::open(disk, path)?;
    if let Some(found) = pieces.header().definitions.contradiction(definitions) {
        let path = path.to_owned();
        let (was, now) = (found.was, found.now);
        return Err(JournalError::Contradiction { path, was, now }.into());
    }
    let content = pieces.by_ref().map(|piece| piece.map_err(Unread::File));
    let replica = match Replica::from_pieces(catalog.clone(), content) {
        Ok(replica) => replica,
        Err(Unread::File(error)) => return Err(error),
        Err(Unread::State(cause)) => {
            return Err(SnapshotError::State { path: path.to_owned(), cause });
        }
    };
    let (named, found) = (pieces.header.mark.sequence, replica.position());
    if named != found {
        return Err(pieces.damaged(Damage::Name { named, found }));
    }
    Ok(Loaded { header: pieces.header, replica })
}
