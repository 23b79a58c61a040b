//! What of this process is resident, and what of files is.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::error::BenchError;

/// Bytes; 0 where the system does not tell.
pub fn resident() -> u64 {
    status("VmRSS:")
}

/// The most since the last [`reset_peak`].
pub fn peak() -> u64 {
    status("VmHWM:")
}

/// Where the system does not allow it, [`peak`] is that of the process's whole life.
pub fn reset_peak() {
    if let Err(error) = fs::write("/proc/self/clear_refs", b"5") {
        eprintln!("the peak of memory is that of the whole bench: {error}");
    }
}

fn status(key: &str) -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(key));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}

/// Path and length of each file in the folder.
pub fn files(folder: &Path) -> Result<Vec<(PathBuf, u64)>, BenchError> {
    let io = BenchError::io(folder);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(&io)? {
        let path = entry.map_err(&io)?.path();
        let length = fs::metadata(&path).map_err(&io)?.len();
        files.push((path, length));
    }
    Ok(files)
}

/// Lets the system drop what it has of the files in memory.
pub fn forget_files(folder: &Path) -> Result<(), BenchError> {
    for (path, _) in files(folder)? {
        let io = BenchError::io(&path);
        let file = File::open(&path).map_err(&io)?;
        // Only what is on disk can be dropped.
        file.sync_all().map_err(&io)?;
        let advised = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        advised.map_err(|errno| io(errno.into()))?;
    }
    Ok(())
}
