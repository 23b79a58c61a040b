//! The machine's own disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::statvfs::statvfs;
use nix::sys::uio::pwritev;

use super::{Disk, DiskFile};

#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

#[derive(Debug)]
struct RealFile(File);

impl Disk for RealDisk {
    fn create_folders(&self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
        let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        Ok(paths)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn read_at(&self, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let file = File::open(path)?;
        let mut read = 0;
        while read < buffer.len() {
            match file.read_at(&mut buffer[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(fs::metadata(path)?.len())
    }

    fn create(&self, path: &Path, reserved_bytes: u64) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
        if 0 < reserved_bytes {
            reserve(&file, reserved_bytes)?;
        }
        Ok(Box::new(RealFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(RealFile(OpenOptions::new().write(true).open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn free_bytes(&self, folder: &Path) -> io::Result<u64> {
        let figures = statvfs(folder)?;
        Ok(figures.blocks_available().saturating_mul(figures.fragment_size()))
    }
}

impl DiskFile for RealFile {
    fn write_at(&mut self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        let write = |slices: &[IoSlice<'_>], offset: u64| {
            let offset = i64::try_from(offset).map_err(|_| Errno::EFBIG)?;
            Ok(pwritev(&self.0, slices, offset)?)
        };
        write_whole(write, offset, parts)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }
}

/// One system call where the system takes all at once, as it does but for signals and full disks.
fn write_whole(
    mut write: impl FnMut(&[IoSlice<'_>], u64) -> io::Result<usize>,
    offset: u64,
    parts: &[&[u8]],
) -> io::Result<()> {
    let mut slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
    let (mut left, mut offset) = (&mut slices[..], offset);
    // Parts without bytes would look like a file that takes none.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match write(left, offset) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => {
                IoSlice::advance_slices(&mut left, written);
                offset += written as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    let length = i64::try_from(bytes).map_err(|_| Errno::EFBIG)?;
    match fallocate(file, FallocateFlags::empty(), 0, length) {
        Ok(()) => Ok(()),
        Err(Errno::EOPNOTSUPP) => {
            tracing::warn!(
                "this file system cannot reserve space: a full disk is met when writing"
            );
            file.set_len(bytes)
        }
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::tests::Folder;

    #[test]
    fn a_write_in_pieces_is_whole() {
        for at_once in 1..=12 {
            let (mut calls, mut taken) = (0, Vec::new());
            // Takes at most so many bytes a call, and every other call is interrupted.
            let write = |parts: &[IoSlice<'_>], offset: u64| {
                calls += 1;
                if calls % 2 == 1 {
                    return Err(ErrorKind::Interrupted.into());
                }
                assert_eq!(offset, 7 + taken.len() as u64);
                let joined: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
                let count = joined.len().min(at_once);
                taken.extend_from_slice(&joined[..count]);
                Ok(count)
            };
            write_whole(write, 7, &[b"header", b"", b"frames"]).unwrap();
            assert_eq!(taken, b"headerframes");
        }
        let error = write_whole(|_, _| Ok(0), 0, &[b"header"]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WriteZero);
        write_whole(|_, _| Ok(0), 0, &[b"", b""]).unwrap();
    }

    #[test]
    fn files_are_made_filled_renamed_and_read_in_parts() {
        let folder = Folder::new();
        let (disk, inner) = (RealDisk, folder.0.join("a/b"));
        disk.create_folders(&inner).unwrap();
        let (made, named) = (inner.join("made"), inner.join("named"));
        let mut file = disk.create(&made, 100).unwrap();
        assert_eq!(file.length().unwrap(), 100);
        file.write_at(10, &[b"some", b" bytes"]).unwrap();
        file.sync_data().unwrap();
        file.sync_all().unwrap();
        disk.rename(&made, &named).unwrap();
        disk.open(&named).unwrap().write_at(10, &[b"S"]).unwrap();
        disk.sync_folder(&inner).unwrap();
        assert_eq!(disk.list(&inner).unwrap(), std::slice::from_ref(&named));
        let mut part = [0; 8];
        assert_eq!(disk.read_at(&named, 10, &mut part).unwrap(), 8);
        assert_eq!(&part, b"Some byt");
        assert_eq!(disk.read_at(&named, 97, &mut part).unwrap(), 3);
        assert_eq!(disk.read(&named).unwrap().len() as u64, disk.length(&named).unwrap());
        assert!(0 < disk.free_bytes(&inner).unwrap());
        disk.remove(&named).unwrap();
        assert_eq!(disk.open(&named).unwrap_err().kind(), ErrorKind::NotFound);
    }
}
