//! A folder for one test: gone afterwards, kept when the test failed, for its logs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Doing, Result};

static NUMBER: AtomicU32 = AtomicU32::new(0);

#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// `name` tells the reader of /tmp whose it is. All users may pass through: the database
    /// server runs as one of its own when the test runs as root.
    pub fn new(name: &str) -> Result<Scratch> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = format!("crypto-exchange-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(folder);
        // A left-over of an earlier process with this id is of no use to anybody.
        crate::places::remove(&path)?;
        fs::create_dir_all(&path).doing(format!("make {}", path.display()))?;
        Ok(Scratch { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the test failed; its files stay in {}", self.path.display());
        } else if let Err(error) = crate::places::remove(&self.path) {
            eprintln!("{}", error.in_full());
        }
    }
}
