//! The engine as it is, and ways to break it: each must be found.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::disk::{Disk, DiskFile};

use crate::disk::SimDisk;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variant {
    AsItIs,
    /// Replies and events leave before their block is on disk.
    AnsweredBeforeSync,
    /// A sync that failed counts as done, and the writer goes on.
    FailedSyncsIgnored,
    /// Names of files are never made durable.
    FoldersNotSynced,
    /// Every command that comes again is new.
    NothingRecognised,
    /// After a start the event streams go on with what is new then.
    EventsNotFilled,
}

impl Variant {
    pub const BROKEN: [Variant; 5] = [
        Variant::AnsweredBeforeSync,
        Variant::FailedSyncsIgnored,
        Variant::FoldersNotSynced,
        Variant::NothingRecognised,
        Variant::EventsNotFilled,
    ];

    /// The disk as this engine uses it.
    pub fn disk(self, disk: &SimDisk) -> Arc<dyn Disk> {
        match self {
            Variant::FailedSyncsIgnored | Variant::FoldersNotSynced => {
                Arc::new(CarelessDisk { inner: disk.clone(), variant: self })
            }
            _ => Arc::new(disk.clone()),
        }
    }
}

#[derive(Debug)]
struct CarelessDisk {
    inner: SimDisk,
    variant: Variant,
}

#[derive(Debug)]
struct CarelessFile {
    inner: Box<dyn DiskFile>,
    variant: Variant,
}

impl Variant {
    fn sync(self, synced: io::Result<()>) -> io::Result<()> {
        if self == Variant::FailedSyncsIgnored { Ok(()) } else { synced }
    }

    fn file(self, inner: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(CarelessFile { inner, variant: self })
    }
}

impl Disk for CarelessDisk {
    fn create_folders(&self, folder: &Path) -> io::Result<()> {
        self.inner.create_folders(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.inner.list(folder)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.inner.read(path)
    }

    fn read_at(&self, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read_at(path, offset, buffer)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        self.inner.length(path)
    }

    fn create(&self, path: &Path, reserved_bytes: u64) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.variant.file(self.inner.create(path, reserved_bytes)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.variant.file(self.inner.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        if self.variant == Variant::FoldersNotSynced {
            return Ok(());
        }
        self.variant.sync(self.inner.sync_folder(folder))
    }

    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        self.inner.free_bytes(folder)
    }
}

impl DiskFile for CarelessFile {
    fn write_at(&mut self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        self.inner.write_at(offset, parts)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.variant.sync(self.inner.sync_data())
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.variant.sync(self.inner.sync_all())
    }

    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }
}
