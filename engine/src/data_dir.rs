//! The engine's folder: `journal/`, `snapshots/`, and a lock that one engine holds as long as it
//! runs.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::disk::Disk;
use crate::error::JournalError;
use crate::journal::segment::JournalId;

/// Where everything is in a data directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Folders {
    pub journal: PathBuf,
    pub snapshots: PathBuf,
}

impl Folders {
    pub fn of(data_dir: &Path) -> Folders {
        Folders { journal: data_dir.join("journal"), snapshots: data_dir.join("snapshots") }
    }

    /// Makes the folders where they are missing, durable with their names.
    pub fn create(disk: &dyn Disk, data_dir: &Path) -> Result<Folders, JournalError> {
        let folders = Folders::of(data_dir);
        let is_missing =
            |folder: &&Path| !folder.as_os_str().is_empty() && disk.list(folder).is_err();
        let missing: Vec<_> = data_dir.ancestors().take_while(is_missing).collect();
        for folder in [&folders.journal, &folders.snapshots] {
            disk.create_folders(folder).map_err(JournalError::io("create", folder))?;
        }
        let above = missing.into_iter().filter_map(Path::parent);
        for folder in [data_dir].into_iter().chain(above) {
            let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            disk.sync_folder(here).map_err(JournalError::io("sync", here))?;
        }
        Ok(folders)
    }
}

#[derive(Debug)]
pub struct DataDir {
    pub folders: Folders,
    /// The system lets go of the lock when the file is closed, however the process ends.
    _lock: File,
}

impl DataDir {
    /// Makes the folders where they are missing. Errors: another engine runs on them.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<DataDir, JournalError> {
        let folders = Folders::create(disk, path)?;
        let lock_path = path.join("lock");
        let io = |action| JournalError::io(action, &lock_path);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&lock_path);
        let lock = lock.map_err(io("open"))?;
        match lock.try_lock() {
            Ok(()) => Ok(DataDir { folders, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(JournalError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(cause)) => Err(io("lock")(cause)),
        }
    }
}

/// A name for a new journal: differs for every one ever begun, as far as time, process and place
/// do.
pub fn fresh_journal_id(directory: &Path, now_us: u64) -> JournalId {
    let place = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let what = format!("{now_us} {} {}", std::process::id(), place.display());
    let mut id = [0; 16];
    id.copy_from_slice(&Sha256::digest(what)[..16]);
    JournalId(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use crate::disk::failing::FailingDisk;
    use crate::journal::tests::Folder;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_folder_has_one_engine_at_a_time() {
        let folder = Folder::new();
        let first = DataDir::open(&RealDisk, &folder.0).unwrap();
        let error = DataDir::open(&RealDisk, &folder.0).unwrap_err();
        assert!(matches!(error, JournalError::Locked { .. }), "{error}");
        drop(first);
        DataDir::open(&RealDisk, &folder.0).unwrap();
    }

    #[test]
    fn every_folder_that_is_made_is_durable_with_its_name() {
        let (folder, disk) = (Folder::new(), FailingDisk::default());
        let folders = Folders::create(&disk, &folder.0.join("a/b")).unwrap();
        assert!(folders.journal.is_dir() && folders.snapshots.is_dir());
        // `b`, and the folders that `b` and `a` are in.
        assert_eq!(disk.faults.syncs.swap(0, Ordering::Relaxed), 3);
        Folders::create(&disk, &folder.0.join("a/b")).unwrap();
        assert_eq!(disk.faults.syncs.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn no_two_journals_have_one_name() {
        let place = Path::new("somewhere");
        assert_ne!(fresh_journal_id(place, 1), fresh_journal_id(place, 2));
        assert_ne!(fresh_journal_id(place, 1), fresh_journal_id(Path::new("elsewhere"), 1));
    }
}
