//! Where a stack keeps its things: one folder (`var/` in a clone, a scratch folder in a test) that
//! holds data, logs, secrets and the record of what runs.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Doing, Result};

#[derive(Clone, Debug)]
pub struct Places {
    var: PathBuf,
}

impl Places {
    /// Makes the folders. `var` itself stays open to all users, for the database server may run as
    /// another one; every file with a secret is closed by itself.
    pub fn make(var: &Path) -> Result<Places> {
        for folder in [var.to_path_buf(), var.join("log"), var.join("run")] {
            fs::create_dir_all(&folder).doing(format!("make {}", folder.display()))?;
        }
        let var = var.canonicalize().doing(format!("find {}", var.display()))?;
        Ok(Places { var })
    }

    /// Of a stack that was started before; makes nothing.
    pub fn at(var: &Path) -> Places {
        Places { var: var.canonicalize().unwrap_or_else(|_| var.to_path_buf()) }
    }

    pub fn var(&self) -> &Path {
        &self.var
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.var.join("log").join(format!("{name}.log"))
    }

    pub fn engine_data(&self) -> PathBuf {
        self.var.join("engine")
    }

    pub fn redis_data(&self) -> PathBuf {
        self.var.join("redis")
    }

    /// A folder, or a link to one where the database's own user can reach it.
    pub fn postgres_data(&self) -> PathBuf {
        self.var.join("postgres")
    }

    pub fn postgres_password(&self) -> PathBuf {
        self.var.join("postgres-password")
    }

    pub fn admin_token(&self) -> PathBuf {
        self.var.join("admin-token")
    }

    pub fn accounts(&self) -> PathBuf {
        self.var.join("accounts.json")
    }

    pub fn ports(&self) -> PathBuf {
        self.var.join("ports.json")
    }

    /// What others may rely on: written when all is ready, gone when the stack is.
    pub fn stack_file(&self) -> PathBuf {
        self.var.join("stack.json")
    }

    /// What xtask itself needs to find, stop and start again what it started.
    pub fn record(&self) -> PathBuf {
        self.var.join("run").join("record.json")
    }

    pub fn lock(&self) -> PathBuf {
        self.var.join("run").join("lock")
    }
}

/// Replaces a file at once and whole, readable by its owner alone.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let write = || {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().doing(format!("write {}", path.display()))
}

/// Content of a file that need not be there.
pub fn read_if_there(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause).doing(format!("read {}", path.display())),
    }
}

/// Removes a file, a link or a whole folder; that it is not there is fine.
pub fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(cause) => Err(cause),
    };
    match removed {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(cause).doing(format!("remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_private_file_is_its_owners_alone_and_replaced_whole() {
        let scratch = Scratch::new("places").unwrap();
        let path = scratch.path().join("secret");
        write_private(&path, b"a long first content").unwrap();
        write_private(&path, b"short").unwrap();
        assert_eq!(read_if_there(&path).unwrap().unwrap(), "short");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn removing_what_is_not_there_is_no_error() {
        let scratch = Scratch::new("places").unwrap();
        remove(&scratch.path().join("never")).unwrap();
        let folder = scratch.path().join("folder");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("file"), "x").unwrap();
        remove(&folder).unwrap();
        assert!(read_if_there(&folder.join("file")).unwrap().is_none());
    }
}
