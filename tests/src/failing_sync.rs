//! A disk on which the journal can no longer be synced: strace lets the calls of a running process
//! fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use xtask::tools;

use crate::eventually::eventually;

/// What the journal syncs with; whole files, such as snapshots, are synced with fsync.
const SYNC: &str = "fdatasync";

/// Ends with the process it watches.
#[derive(Debug)]
pub struct FailingSync {
    strace: Child,
    /// A line for each such sync of the process.
    calls: PathBuf,
}

impl FailingSync {
    pub fn possible() -> Result<(), String> {
        let strace = tools::on_path("strace").ok_or("strace is not installed")?;
        let mut command = Command::new(strace);
        command.args(["-e", "inject=fdatasync:error=EIO", "true"]);
        let done = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        if done.status.success() { Ok(()) } else { Err(format!("strace may not trace: {said}")) }
    }

    /// From the `nth` sync of the journal on, each fails with EIO.
    pub fn from_the(nth: usize, pid: i32, folder: &Path) -> FailingSync {
        let calls = folder.join(format!("strace-{pid}"));
        let said = folder.join(format!("strace-{pid}.said"));
        let errors = fs::File::create(&said).unwrap();
        let mut command = Command::new(tools::on_path("strace").unwrap());
        command.args(["-f", "-p", &pid.to_string(), "-o"]).arg(&calls);
        command.args(["-e", &format!("trace={SYNC}")]);
        command.args(["-e", &format!("inject={SYNC}:error=EIO:when={nth}+")]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        let mut strace = command.spawn().unwrap();
        eventually("strace is attached", || {
            let ended = strace.try_wait().unwrap();
            let text = fs::read_to_string(&said).unwrap();
            // The first sync may have ended the engine, and strace with it, before we look.
            if text.contains("attached") {
                return Ok(());
            }
            match ended {
                Some(status) => panic!("strace ended ({status}): {text}"),
                None => Err(text),
            }
        });
        FailingSync { strace, calls }
    }

    /// After the process has ended: how many syncs went well, and how many failed.
    pub fn calls(mut self) -> (usize, usize) {
        self.strace.wait().unwrap();
        let text = fs::read_to_string(&self.calls).unwrap();
        let ended = |line: &&str| line.contains(SYNC) && line.contains(" = ");
        let (failed, fine): (Vec<&str>, Vec<&str>) =
            text.lines().filter(ended).partition(|line| line.contains("EIO"));
        (fine.len(), failed.len())
    }
}

impl Drop for FailingSync {
    fn drop(&mut self) {
        // Already over unless a scenario has failed.
        self.strace.kill().ok();
        self.strace.wait().ok();
    }
}
