//! Writes a snapshot so that a crash at any moment leaves it whole under its name, or not at all.

use std::path::Path;

use protocol::Sequence;

use super::format::{HEAD_BYTES, Heads};
use super::{Snapshot, UNFINISHED, path_of, read};
use crate::disk::Disk;
use crate::error::SnapshotError;
use crate::journal::segment;

/// Synced at least so often: one sync of the whole file would hold up the journal's behind it.
const SYNC_BYTES: u64 = 8 << 20;

/// What writing has to mind.
#[derive(Clone, Copy)]
pub struct Care<'a> {
    /// Bytes of the disk that are not for snapshots.
    pub free_bytes_min: u64,
    /// The folder of a journal that is not synced block by block: a snapshot must not outlive the
    /// block it ends with.
    pub unsynced_journal: Option<&'a Path>,
    /// Asked now and then whether there is still time.
    pub goes_on: &'a dyn Fn() -> bool,
}

/// Writes the snapshot, durable under its name, and reads it back. After an error nothing is left
/// of it, as far as the disk lets itself be tidied.
pub fn write(
    disk: &dyn Disk,
    folder: &Path,
    snapshot: &Snapshot,
    care: &Care<'_>,
) -> Result<(), SnapshotError> {
    let path = path_of(folder, snapshot.sequence());
    let unfinished = path.with_extension(UNFINISHED);
    let named = write_unfinished(disk, &unfinished, snapshot, care).and_then(|()| {
        if let Some(journal) = care.unsynced_journal {
            sync_journal(disk, journal, snapshot.sequence())?;
        }
        disk.rename(&unfinished, &path).map_err(SnapshotError::io("rename", &unfinished))
    });
    if let Err(error) = named {
        remove_quietly(disk, &unfinished);
        return Err(error);
    }
    disk.sync_folder(folder).map_err(SnapshotError::io("sync", folder))?;
    let checked = read::verify(disk, &path);
    if checked.is_err() {
        remove_quietly(disk, &path);
    }
    checked.map(drop)
}

fn write_unfinished(
    disk: &dyn Disk,
    path: &Path,
    snapshot: &Snapshot,
    care: &Care<'_>,
) -> Result<(), SnapshotError> {
    let io = |action| SnapshotError::io(action, path);
    let folder = path.parent().unwrap_or(path);
    let free = disk.free_bytes(folder).map_err(SnapshotError::io("ask about", folder))?;
    let needed = snapshot.bytes().saturating_add(care.free_bytes_min);
    if free < needed {
        return Err(SnapshotError::Full { path: path.to_owned(), needed, free });
    }
    let mut file = disk.create(path, snapshot.bytes()).map_err(io("reserve space for"))?;
    let header = snapshot.header.encode();
    file.write_at(0, &[&header]).map_err(io("write to"))?;
    let (mut at, mut synced) = (header.len() as u64, 0);
    let mut heads = Heads::default();
    for piece in &snapshot.pieces {
        if !(care.goes_on)() {
            return Err(SnapshotError::NoTime { path: path.to_owned() });
        }
        let head = heads.next(piece).encode();
        file.write_at(at, &[&head, piece]).map_err(io("write to"))?;
        at += (HEAD_BYTES + piece.len()) as u64;
        if synced + SYNC_BYTES <= at {
            file.sync_data().map_err(io("sync"))?;
            synced = at;
        }
    }
    file.write_at(at, &[&heads.end().encode()]).map_err(io("write to"))?;
    file.sync_all().map_err(io("sync"))
}

/// Syncs the segment that holds the frame; those before it are synced when they are full.
fn sync_journal(disk: &dyn Disk, journal: &Path, sequence: Sequence) -> Result<(), SnapshotError> {
    let segments = segment::list(disk, journal)?;
    let holder = segments.iter().take_while(|(first, _)| *first <= sequence).last();
    let Some((_, path)) = holder else { return Ok(()) };
    let mut file = disk.open(path).map_err(SnapshotError::io("open", path))?;
    file.sync_data().map_err(SnapshotError::io("sync", path))
}

fn remove_quietly(disk: &dyn Disk, path: &Path) {
    if let Err(error) = disk.remove(path) {
        tracing::debug!(path = %path.display(), %error, "nothing to remove");
    }
}
