//! The disk as journal, snapshots and recovery see it: behind a trait, so that a simulated one can
//! lose power at any call.
//!
//! What a crash leaves is the contract: bytes are there when their file was synced after they were
//! written, a name (new, changed or removed) when its folder was synced after. Everything else may
//! be there, or not, or in part.

pub mod real;
#[cfg(test)]
pub(crate) mod failing;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};

pub use real::RealDisk;

pub trait Disk: Debug + Send + Sync {
    /// Makes the folder and those above it where they are missing.
    fn create_folders(&self, folder: &Path) -> io::Result<()>;

    /// The paths of all that is in the folder, sorted.
    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>>;

    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Fills `buffer` with what stands at `offset`; returns how many bytes, fewer only at the end
    /// of the file.
    fn read_at(&self, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    fn length(&self, path: &Path) -> io::Result<u64>;

    /// Makes an empty file, or empties the one there is, and reserves `reserved_bytes` of zeros.
    /// Errors: the disk is too full for them.
    fn create(&self, path: &Path, reserved_bytes: u64) -> io::Result<Box<dyn DiskFile>>;

    /// For writing; the file is there already.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Takes the place of what is called `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in the folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// What may still be written to the file system that holds the folder.
    fn free_bytes(&self, folder: &Path) -> io::Result<u64>;
}

/// A file open for writing.
pub trait DiskFile: Debug + Send {
    /// Writes the parts one behind the other, as one write where the system takes it whole. After
    /// an error any part of it may be in the file.
    fn write_at(&mut self, offset: u64, parts: &[&[u8]]) -> io::Result<()>;

    /// Makes the content durable, and the length where it changed.
    fn sync_data(&mut self) -> io::Result<()>;

    /// Makes content and everything about the file but its name durable.
    fn sync_all(&mut self) -> io::Result<()>;

    fn length(&self) -> io::Result<u64>;
}
