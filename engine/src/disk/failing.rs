//! A disk for tests that does what it is told to do wrong: it fills up, or fails to sync.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Disk, DiskFile, RealDisk};

/// What goes wrong, to be set while the disk is in use, and what was asked of it.
#[derive(Debug)]
pub(crate) struct Faults {
    /// Bytes that may still be reserved or written.
    pub bytes_left: AtomicU64,
    pub sync_fails: AtomicBool,
    /// Successful or not.
    pub syncs: AtomicU64,
    pub writes: AtomicU64,
    /// Bytes handed out by reads.
    pub bytes_read: AtomicU64,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            bytes_left: AtomicU64::new(u64::MAX),
            sync_fails: AtomicBool::new(false),
            syncs: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
        }
    }
}

impl Faults {
    fn take(&self, bytes: u64) -> io::Result<()> {
        let take = |left: u64| left.checked_sub(bytes);
        let taken = self.bytes_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map(drop).map_err(|_| ErrorKind::StorageFull.into())
    }

    fn sync(&self) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        if self.sync_fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("the drive does not answer"));
        }
        Ok(())
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct FailingDisk {
    pub faults: Arc<Faults>,
    inner: RealDisk,
}

#[derive(Debug)]
struct FailingFile {
    faults: Arc<Faults>,
    inner: Box<dyn DiskFile>,
}

impl FailingDisk {
    fn file(&self, inner: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(FailingFile { faults: Arc::clone(&self.faults), inner })
    }
}

impl Disk for FailingDisk {
    fn create_folders(&self, folder: &Path) -> io::Result<()> {
        self.inner.create_folders(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.inner.list(folder)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let bytes = self.inner.read(path)?;
        self.faults.bytes_read.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes)
    }

    fn read_at(&self, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read_at(path, offset, buffer)?;
        self.faults.bytes_read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        self.inner.length(path)
    }

    fn create(&self, path: &Path, reserved_bytes: u64) -> io::Result<Box<dyn DiskFile>> {
        self.faults.take(reserved_bytes)?;
        Ok(self.file(self.inner.create(path, reserved_bytes)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(self.inner.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.faults.sync()?;
        self.inner.sync_folder(folder)
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.faults.bytes_left.load(Ordering::Relaxed))
    }
}

impl DiskFile for FailingFile {
    fn write_at(&mut self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        self.faults.writes.fetch_add(1, Ordering::Relaxed);
        self.faults.take(parts.iter().map(|part| part.len() as u64).sum())?;
        self.inner.write_at(offset, parts)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.faults.sync()?;
        self.inner.sync_data()
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.faults.sync()?;
        self.inner.sync_all()
    }

    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }
}
