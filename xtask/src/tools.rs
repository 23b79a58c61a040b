//! Finds the programs of others that the stack needs, in versions that will do.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process;

/// BLMPOP came with 7.0.
const REDIS_MAJOR_MIN: u32 = 7;
const POSTGRES_MAJOR_MIN: u32 = 14;
/// What `web/package.json` asks of Node.
const NODE_MIN: (u32, u32) = (20, 19);

/// What the pinned clients in `tests/clients/` ask for, with all that a virtual environment needs.
const PYTHON_PROBE: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";

/// The server binaries of one PostgreSQL version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PostgresBinaries {
    pub folder: PathBuf,
    pub major: u32,
}

impl PostgresBinaries {
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

pub fn redis_server() -> Option<PathBuf> {
    let path = on_path("redis-server")?;
    // `Redis server v=7.0.15 sha=…`
    let said = version_of(&path, "--version")?;
    let (major, _) = version_after(&said, "v=")?;
    (REDIS_MAJOR_MIN <= major).then_some(path)
}

/// The newest version that will do, or just `major` when data of that version is there already.
pub fn postgres(major: Option<u32>) -> Option<PostgresBinaries> {
    let mut folders = Vec::new();
    // Debian keeps the servers out of PATH, a folder a version.
    if let Ok(entries) = fs::read_dir("/usr/lib/postgresql") {
        folders.extend(entries.flatten().map(|entry| entry.path().join("bin")));
    }
    let beside = on_path("postgres").and_then(|path| path.parent().map(Path::to_path_buf));
    folders.extend(beside);
    let found = folders.into_iter().filter_map(|folder| {
        let complete =
            ["postgres", "initdb", "pg_isready"].iter().all(|name| is_program(&folder.join(name)));
        // `postgres (PostgreSQL) 15.18 (Debian …)`
        let said = version_of(&folder.join("postgres"), "--version")?;
        let (major, _) = version_after(&said, "(PostgreSQL) ")?;
        complete.then_some(PostgresBinaries { folder, major })
    });
    let usable = found.filter(|found| match major {
        Some(major) => found.major == major,
        None => POSTGRES_MAJOR_MIN <= found.major,
    });
    usable.max_by_key(|found| found.major)
}

/// What is known of Node.js here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Node {
    Usable,
    Missing,
    /// The version found.
    TooOld(String),
}

pub fn node() -> Node {
    let Some(path) = on_path("node").filter(|_| on_path("npm").is_some()) else {
        return Node::Missing;
    };
    match version_of(&path, "--version") {
        None => Node::Missing,
        // `v20.20.2`
        Some(said) => match version_after(&said, "v") {
            Some(version) if NODE_MIN <= version => Node::Usable,
            _ => Node::TooOld(said.trim().to_owned()),
        },
    }
}

/// As `web/package.json` has it, for messages.
pub fn node_min() -> String {
    format!("{}.{}", NODE_MIN.0, NODE_MIN.1)
}

/// One that can make virtual environments; the first in PATH may lack a part that Debian packs
/// apart.
pub fn python() -> Option<PathBuf> {
    all_on_path("python3").find(|python| {
        process::output(Command::new(python).args(["-I", "-c", PYTHON_PROBE])).is_ok()
    })
}

pub fn c_compiler() -> Option<PathBuf> {
    on_path("cc")
}

/// What lets a process live by a false clock.
pub fn libfaketime() -> Option<PathBuf> {
    let library = "faketime/libfaketimeMT.so.1";
    let entries = fs::read_dir("/usr/lib").ok()?;
    let folders = entries.flatten().map(|entry| entry.path()).chain(["/usr/lib".into()]);
    folders.map(|folder| folder.join(library)).find(|path| path.is_file())
}

/// A program in PATH or where Debian puts what only root is thought to start.
pub fn on_path(name: &str) -> Option<PathBuf> {
    all_on_path(name).next()
}

fn all_on_path(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin"].map(PathBuf::from);
    let folders: Vec<PathBuf> = std::env::split_paths(&path).chain(more).collect();
    folders.into_iter().map(move |folder| folder.join(name)).filter(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn version_of(program: &Path, flag: &str) -> Option<String> {
    process::output(Command::new(program).arg(flag)).ok()
}

/// Major and minor version behind a mark; a missing minor is 0.
fn version_after(text: &str, mark: &str) -> Option<(u32, u32)> {
    let (_, version) = text.split_once(mark)?;
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    let mut parts = version[..end].split('.');
    let major = parts.next()?.parse().ok()?;
    Some((major, parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_programs_print_them() {
        let redis = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64";
        assert_eq!(version_after(redis, "v="), Some((7, 0)));
        let postgres = "postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)";
        assert_eq!(version_after(postgres, "(PostgreSQL) "), Some((15, 18)));
        assert_eq!(version_after("postgres (PostgreSQL) 18devel", "(PostgreSQL) "), Some((18, 0)));
        assert_eq!(version_after("v20.20.2\n", "v"), Some((20, 20)));
        assert_eq!(version_after("none", "v="), None);
    }

    #[test]
    fn a_program_that_is_not_there_is_not_found() {
        assert!(on_path("sh").is_some());
        assert_eq!(on_path("no-such-program-anywhere"), None);
        assert_eq!(postgres(Some(3)), None);
    }
}
