//! The engine's folder: `journal/`, and a lock that one engine holds as long as it runs.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use crate::error::JournalError;
use crate::journal::segment;

#[derive(Debug)]
pub struct DataDir {
    pub journal: PathBuf,
    /// The system lets go of the lock when the file is closed, however the process ends.
    _lock: File,
}

impl DataDir {
    /// Makes the folder where it is missing. Errors: another engine runs on it.
    pub fn open(path: &Path) -> Result<DataDir, JournalError> {
        let journal = path.join("journal");
        fs::create_dir_all(&journal).map_err(JournalError::io("create", &journal))?;
        segment::sync_directory(path)?;
        let lock_path = path.join("lock");
        let io = |action| JournalError::io(action, &lock_path);
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&lock_path);
        let lock = lock.map_err(io("open"))?;
        match lock.try_lock() {
            Ok(()) => Ok(DataDir { journal, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(JournalError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(cause)) => Err(io("lock")(cause)),
        }
    }
}
