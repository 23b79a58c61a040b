//! Lets go of segments that nothing needs any more.

use std::path::Path;

use protocol::Sequence;

use super::segment;
use crate::disk::Disk;
use crate::error::JournalError;

/// What was removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Removed {
    pub segments: usize,
    pub bytes: u64,
}

/// Removes every segment whose frames all come before `needed`, the oldest first, but never the
/// last one. Beside the writer.
pub fn remove_before(
    disk: &dyn Disk,
    directory: &Path,
    needed: Sequence,
) -> Result<Removed, JournalError> {
    let mut removed = Removed::default();
    for pair in segment::list(disk, directory)?.windows(2) {
        let [(_, path), (first_after, _)] = pair else { continue };
        if needed < *first_after {
            break;
        }
        removed.bytes += disk.length(path).map_err(JournalError::io("look at", path))?;
        disk.remove(path).map_err(JournalError::io("remove", path))?;
        // One by one: were they to go at once, a crash could bring back an older one without those
        // after it, which looks like a segment lost.
        disk.sync_folder(directory).map_err(JournalError::io("sync", directory))?;
        removed.segments += 1;
    }
    Ok(removed)
}
