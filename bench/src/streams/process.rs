//! What the system knows of a process: its memory, and on which cores it may run.

use std::fs;
use std::path::Path;

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::Pid;
use serde::Serialize;

use crate::error::BenchError;

/// Bytes of a page, as sockstat counts.
const PAGE: u64 = 4096;
/// Files that a bench has open beside its sockets.
const OTHER_FILES: usize = 200;

/// At one moment, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Memory {
    /// Of the process, without files.
    pub own: u64,
    /// Buffers of all TCP sockets of the system, both ends.
    pub socket_buffers: u64,
    /// What the kernel keeps of all things, among them both ends of each socket.
    pub slab: u64,
}

impl Memory {
    pub fn of(process: i32) -> Result<Memory, BenchError> {
        let status = read(&format!("/proc/{process}/status"))?;
        let sockets = read("/proc/net/sockstat")?;
        let whole = read("/proc/meminfo")?;
        Ok(Memory {
            own: number_behind(&status, "RssAnon:") * 1024,
            socket_buffers: number_behind(line(&sockets, "TCP:"), " mem ") * PAGE,
            slab: number_behind(&whole, "Slab:") * 1024,
        })
    }
}

/// All threads of the process run there alone.
pub fn keep_on(process: i32, core: usize) -> Result<(), BenchError> {
    let mut cores = CpuSet::new();
    cores.set(core).map_err(BenchError::Clock)?;
    let folder = format!("/proc/{process}/task");
    let threads = fs::read_dir(&folder).map_err(BenchError::io(Path::new(&folder)))?;
    for thread in threads {
        let name = thread.map_err(BenchError::io(Path::new(&folder)))?.file_name();
        let Some(thread) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        sched_setaffinity(Pid::from_raw(thread), &cores).map_err(BenchError::Clock)?;
    }
    Ok(())
}

/// Lets this process open so many sockets.
pub fn allow_sockets(wanted: usize) -> Result<(), BenchError> {
    let (_, allowed) = getrlimit(Resource::RLIMIT_NOFILE).map_err(BenchError::Clock)?;
    if allowed < (wanted + OTHER_FILES) as u64 {
        return Err(BenchError::OpenFiles { wanted, allowed });
    }
    setrlimit(Resource::RLIMIT_NOFILE, allowed, allowed).map_err(BenchError::Clock)
}

fn read(path: &str) -> Result<String, BenchError> {
    fs::read_to_string(path).map_err(BenchError::io(Path::new(path)))
}

fn line<'a>(text: &'a str, beginning: &str) -> &'a str {
    text.lines().find(|line| line.starts_with(beginning)).unwrap_or_default()
}

/// 0 where the name is not.
fn number_behind(text: &str, name: &str) -> u64 {
    let behind = text.split_once(name).map_or("", |(_, behind)| behind);
    behind.split_ascii_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_behind_their_names() {
        let text =
            "sockets: used 9\nTCP: inuse 5 orphan 0 tw 3 alloc 7 mem 12\nUDP: inuse 1 mem 4\n";
        assert_eq!(number_behind(line(text, "TCP:"), " mem "), 12);
        assert_eq!(number_behind("RssAnon:\t    3120 kB\n", "RssAnon:"), 3120);
        assert_eq!(number_behind("", "x"), 0);
    }

    #[test]
    fn a_running_process_has_memory() {
        let memory = Memory::of(std::process::id().cast_signed()).unwrap();
        assert!(0 < memory.own && 0 < memory.slab, "{memory:?}");
    }
}
