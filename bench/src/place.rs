//! Where a bench puts its files, and what that is: a figure of a disk in memory is none of a disk.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::BenchError;

/// A folder of one bench, emptied before.
#[derive(Debug)]
pub struct Place {
    path: PathBuf,
    keep: bool,
}

/// The file system a folder is on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FileSystem {
    pub folder: PathBuf,
    pub kind: String,
    pub device: String,
}

impl Place {
    /// `name` in `dir`, or beside the executable.
    pub fn make(dir: Option<&Path>, name: &str, keep: bool) -> Result<Place, BenchError> {
        let place = Place { path: path(dir, name)?, keep };
        place.empty()?;
        Ok(place)
    }

    /// As [`Place::make`], with what an earlier bench may have left there.
    pub fn find(dir: Option<&Path>, name: &str, keep: bool) -> Result<Place, BenchError> {
        let path = path(dir, name)?;
        fs::create_dir_all(&path).map_err(BenchError::io(&path))?;
        Ok(Place { path, keep })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn empty(&self) -> Result<(), BenchError> {
        let io = BenchError::io(&self.path);
        if self.path.exists() {
            fs::remove_dir_all(&self.path).map_err(&io)?;
        }
        fs::create_dir_all(&self.path).map_err(&io)
    }

    pub fn file_system(&self) -> Result<FileSystem, BenchError> {
        let folder = self.path.canonicalize().map_err(BenchError::io(&self.path))?;
        let mounts = Path::new("/proc/mounts");
        let text = fs::read_to_string(mounts).map_err(BenchError::io(mounts))?;
        let (device, kind) = holder(&text, &folder);
        Ok(FileSystem { folder, kind, device })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("{} could not be removed: {error}", self.path.display());
        }
    }
}

fn path(dir: Option<&Path>, name: &str) -> Result<PathBuf, BenchError> {
    let own = Path::new("/proc/self/exe");
    let beside = || {
        let exe = std::env::current_exe().map_err(BenchError::io(own))?;
        Ok(exe.ancestors().nth(2).unwrap_or(own).join("bench-data"))
    };
    let dir = dir.map_or_else(beside, |dir| Ok(dir.to_owned()))?;
    Ok(dir.join(name))
}

/// Device and kind of the mount that `folder` is under: the deepest of those that hold it.
fn holder(mounts: &str, folder: &Path) -> (String, String) {
    let mut found = (String::from("unknown"), String::from("unknown"));
    let mut deepest = 0;
    for line in mounts.lines() {
        let mut words = line.split(' ');
        let (Some(device), Some(point), Some(kind)) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let depth = Path::new(point).components().count();
        if folder.starts_with(point) && deepest <= depth {
            deepest = depth;
            found = (device.to_owned(), kind.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_on_the_deepest_mount_that_holds_it() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n";
        let of = |path: &str| holder(mounts, Path::new(path));
        assert_eq!(of("/tmp/x"), ("tmpfs".to_owned(), "tmpfs".to_owned()));
        assert_eq!(of("/tmpx"), ("/dev/vda".to_owned(), "ext4".to_owned()));
    }

    #[test]
    fn a_place_is_empty_before_and_gone_after() {
        let dir = std::env::temp_dir().join(format!("bench-place-{}", std::process::id()));
        fs::create_dir_all(dir.join("one/old")).unwrap();
        let place = Place::make(Some(&dir), "one", false).unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
        drop(place);
        assert!(!dir.join("one").exists());
        fs::remove_dir(&dir).unwrap();
    }
}
