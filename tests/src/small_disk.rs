//! A disk of a few mebibytes, in memory: for what happens when the disk is full.

use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use xtask::scratch::Scratch;

/// Gone with its content when dropped.
#[derive(Debug)]
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Only who may mount can have one.
    pub fn possible() -> Result<(), String> {
        let scratch = Scratch::new("may-mount").map_err(|error| error.in_full())?;
        SmallDisk::mount(scratch.path(), 1).map(drop)
    }

    /// `folder` is made when it is not there.
    pub fn mount(folder: &Path, mebibytes: u32) -> Result<SmallDisk, String> {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        mount_tmpfs(folder, mebibytes, MsFlags::empty())?;
        Ok(SmallDisk { folder: folder.to_path_buf() })
    }

    /// Makes room, as an operator would.
    pub fn resize(&self, mebibytes: u32) {
        mount_tmpfs(&self.folder, mebibytes, MsFlags::MS_REMOUNT).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Detached: whoever still has a file there open does not keep the rest of us waiting.
        if let Err(error) = umount2(&self.folder, MntFlags::MNT_DETACH) {
            eprintln!("{} stays mounted: {error}", self.folder.display());
        }
    }
}

fn mount_tmpfs(folder: &Path, mebibytes: u32, flags: MsFlags) -> Result<(), String> {
    let size = format!("size={mebibytes}m,mode=0755");
    let mounted = mount(Some("tmpfs"), folder, Some("tmpfs"), flags, Some(size.as_str()));
    mounted.map_err(|error| format!("no tmpfs can be mounted on {}: {error}", folder.display()))
}
