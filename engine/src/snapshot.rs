//! Snapshots: the whole state at the end of one block of the journal, so that a start need not read
//! the journal from its first frame.
//!
//! ```text
//! replica ─▶ snapshot (pieces in memory) ─▶ keeper: unfinished file ─▶ sync ─▶ rename ─▶ sync
//!                                                   ─▶ read back ─▶ older ones may go
//!                                                              ─▶ old segments may go
//! ```
//!
//! **Invariants.** A file that bears a snapshot's name was on disk, whole, before it got it. A
//! snapshot is believed when its checksums are right, its digest worked out anew is the one engine
//! and replica had agreed on, and the journal goes on from it. What cannot be written harms nobody:
//! the state is in the journal.

pub mod format;
pub mod write;
pub mod read;
pub mod keeper;
pub mod retention;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use engine_core::replica::Replica;
use protocol::Sequence;

use crate::disk::Disk;
use crate::error::SnapshotError;
use crate::journal::definitions::Definitions;
use crate::journal::reader::Mark;
use format::{FIXED_BYTES, HEAD_BYTES, Header};

const EXTENSION: &str = "snapshot";
const UNFINISHED: &str = "unfinished";

/// A state, taken apart, not yet written.
#[derive(Clone, Debug)]
pub struct Snapshot {
    header: Header,
    pieces: Vec<Vec<u8>>,
}

impl Snapshot {
    /// Of a replica that stands at `mark`; `time_us` is of the last command.
    pub fn of(replica: &Replica, mark: Mark, definitions: Definitions, time_us: u64) -> Snapshot {
        assert_eq!(replica.position(), mark.sequence, "Invariant: a mark is where the replica is");
        let mut pieces = Vec::new();
        replica.write_pieces(&mut |piece| pieces.push(piece.to_vec()));
        Snapshot::of_pieces(pieces, mark, definitions, time_us)
    }

    /// Of what [`Replica::write_pieces`] hands out.
    pub fn of_pieces(
        pieces: Vec<Vec<u8>>,
        mark: Mark,
        definitions: Definitions,
        time_us: u64,
    ) -> Snapshot {
        let content: usize = pieces.iter().map(|piece| HEAD_BYTES + piece.len()).sum();
        let bytes = FIXED_BYTES + definitions.text().len() + content + HEAD_BYTES;
        let Ok(count) = u32::try_from(pieces.len()) else {
            unreachable!("Invariant: a piece has thousands of entries")
        };
        let header = Header { mark, definitions, time_us, pieces: count, bytes: bytes as u64 };
        Snapshot { header, pieces }
    }

    /// The last frame that is part of it.
    pub fn sequence(&self) -> Sequence {
        self.header.mark.sequence
    }

    /// Of the file.
    pub fn bytes(&self) -> u64 {
        self.header.bytes
    }
}

/// `00000000000000000001.snapshot`
pub fn path_of(folder: &Path, sequence: Sequence) -> PathBuf {
    folder.join(format!("{:020}.{EXTENSION}", sequence.0))
}

/// All snapshots in `folder`, by rising sequence as their names say. Other files are left out.
pub fn list(disk: &dyn Disk, folder: &Path) -> Result<Vec<(Sequence, PathBuf)>, SnapshotError> {
    let mut found = Vec::new();
    for path in disk.list(folder).map_err(SnapshotError::io("list", folder))? {
        match (extension(&path), sequence_of(&path)) {
            (Some(EXTENSION), Some(sequence)) => found.push((sequence, path)),
            (Some(UNFINISHED), _) => (),
            _ => tracing::warn!(path = %path.display(), "this is no snapshot; it is left alone"),
        }
    }
    found.sort();
    Ok(found)
}

/// Removes what a crash left half made. Only when nobody writes.
pub fn remove_unfinished(disk: &dyn Disk, folder: &Path) -> Result<(), SnapshotError> {
    for path in disk.list(folder).map_err(SnapshotError::io("list", folder))? {
        if extension(&path) == Some(UNFINISHED) {
            disk.remove(&path).map_err(SnapshotError::io("remove", &path))?;
        }
    }
    Ok(())
}

fn extension(path: &Path) -> Option<&str> {
    path.extension().and_then(|extension| extension.to_str())
}

fn sequence_of(path: &Path) -> Option<Sequence> {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    stem.filter(|stem| stem.len() == 20).and_then(|stem| stem.parse().ok()).map(Sequence)
}
