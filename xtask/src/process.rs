//! One process: started in a group of its own, found again by pid *and* start time, asked to end
//! and, when it does not, made to.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::error::{Doing, Result, XtaskError};
use crate::interrupt;
use crate::readiness::Probe;

/// Never handed down by accident: a child gets exactly those its spec names.
const SECRET_VARIABLES: [&str; 3] = ["REDIS_URL", "DATABASE_URL", "EXCHANGE_ADMIN_TOKEN"];
const TAIL_LINES: usize = 20;

/// Everything it takes to start a process, now or again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProcessSpec {
    pub name: String,
    pub program: PathBuf,
    pub args: Vec<String>,
    /// On top of what is inherited.
    pub env: BTreeMap<String, String>,
    pub cwd: PathBuf,
    /// Another user to run as, when the starter is root.
    pub user: Option<UserIds>,
    /// Takes both outputs, appended.
    pub log: PathBuf,
    pub ready: Probe,
    pub stop_by: StopBy,
    pub ops_url: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct UserIds {
    pub uid: u32,
    pub gid: u32,
}

/// Which signal means "finish what you do and end".
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum StopBy {
    Terminate,
    /// PostgreSQL takes SIGTERM as "once all clients have left".
    Interrupt,
}

impl StopBy {
    fn signal(self) -> Signal {
        match self {
            StopBy::Terminate => Signal::SIGTERM,
            StopBy::Interrupt => Signal::SIGINT,
        }
    }
}

/// A process that cannot be mistaken for a later one with the same pid.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Identity {
    pub pid: i32,
    /// Clock ticks since boot, field 22 of `/proc/<pid>/stat`.
    start_ticks: u64,
    boot: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    WasDead,
    Ended,
    /// Did not end in time, or was not to be given any.
    Killed,
}

impl ProcessSpec {
    /// Starts it in a process group of its own, so a Ctrl-C at the terminal reaches xtask alone.
    pub fn spawn(&self) -> Result<Identity> {
        let output = append_to(&self.log)?;
        let errors = output.try_clone().doing("share a log file")?;
        let mut command = Command::new(&self.program);
        for name in SECRET_VARIABLES {
            command.env_remove(name);
        }
        command.args(&self.args).envs(&self.env).current_dir(&self.cwd).process_group(0);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        if let Some(user) = self.user {
            command.uid(user.uid).gid(user.gid);
        }
        let doing = || format!("start {} ({})", self.name, self.program.display());
        let child = command.spawn().doing(doing())?;
        // Not waited for through `Child`: whoever finds it dead reaps it, see `is_alive`.
        let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
        Identity::of(pid).ok_or_else(|| XtaskError::NotReady {
            name: self.name.clone(),
            reason: "ended at once".to_owned(),
            log: self.log.display().to_string(),
            tail: tail(&self.log),
        })
    }
}

impl Identity {
    /// Of a process that is there now; a zombie still is.
    pub fn of(pid: i32) -> Option<Identity> {
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Stat::of(pid).map(|stat| Identity {
            pid,
            start_ticks: stat.start_ticks,
            boot: boot.trim().to_owned(),
        })
    }

    /// A zombie is dead, unless other threads of it still run and hold its files, ports and locks;
    /// one of our own is reaped on the way.
    pub fn is_alive(&self) -> bool {
        let running = Stat::of(self.pid)
            .is_some_and(|stat| !matches!(stat.state, 'Z' | 'X') || 1 < stat.threads);
        let alive = running && Identity::of(self.pid).as_ref() == Some(self);
        if !alive {
            self.reap();
        }
        alive
    }

    /// How it ended, when it was a child of ours that nobody had asked about yet.
    pub fn reap(&self) -> Option<String> {
        match waitpid(Pid::from_raw(self.pid), Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(_, code)) => Some(format!("exit code {code}")),
            Ok(WaitStatus::Signaled(_, signal, _)) => Some(format!("signal {signal}")),
            // Not our child, or not dead yet: there is nothing to learn.
            Ok(_) | Err(_) => None,
        }
    }

    /// Sends a signal if it is still the same process; `false` if it is gone.
    pub fn signal(&self, signal: Signal) -> Result<bool> {
        if !self.is_alive() {
            return Ok(false);
        }
        match kill(Pid::from_raw(self.pid), signal) {
            Ok(()) => Ok(true),
            Err(Errno::ESRCH) => Ok(false),
            Err(errno) => Err(std::io::Error::from(errno))
                .doing(format!("send {signal} to process {}", self.pid)),
        }
    }

    /// Waits until it is dead; `false` when it outlives the deadline or `hurry` says to stop
    /// waiting.
    pub fn wait_dead(&self, within: Duration, hurry: impl Fn() -> bool) -> bool {
        let until = Instant::now() + within;
        while self.is_alive() {
            if until <= Instant::now() || hurry() {
                return false;
            }
            thread::sleep(interrupt::POLL);
        }
        true
    }

    /// Asks it to end, waits, and kills it when it has not by then.
    pub fn stop(&self, by: StopBy, within: Duration, hurry: impl Fn() -> bool) -> Result<Ending> {
        if !self.signal(by.signal())? {
            return Ok(Ending::WasDead);
        }
        // A stopped (SIGSTOP) process would never see the other signal.
        self.signal(Signal::SIGCONT)?;
        if self.wait_dead(within, hurry) {
            return Ok(Ending::Ended);
        }
        self.kill()?;
        Ok(Ending::Killed)
    }

    /// SIGKILL, and waits until it is dead.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        if self.wait_dead(Duration::from_secs(10), || false) {
            return Ok(());
        }
        Err(XtaskError::Unable(format!("process {} survives SIGKILL", self.pid)))
    }
}

/// What `/proc/<pid>/stat` tells that matters here.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    pub command: String,
    pub state: char,
    pub parent: i32,
    pub threads: u32,
    pub start_ticks: u64,
}

impl Stat {
    pub fn of(pid: i32) -> Option<Stat> {
        Stat::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// `pid (command) state parent … start_ticks …`; the command may itself hold spaces and
    /// brackets, so fields count from the last one.
    fn parse(text: &str) -> Option<Stat> {
        let (before, after) = text.rsplit_once(')')?;
        let (_, command) = before.split_once('(')?;
        let mut fields = after.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        // State is field 3 and parent field 4; the threads are field 20, the start is field 22.
        let threads = fields.nth(15)?.parse().ok()?;
        let start_ticks = fields.nth(1)?.parse().ok()?;
        Some(Stat { command: command.to_owned(), state, parent, threads, start_ticks })
    }
}

/// Runs a tool to its end, its output where ours goes. A signal ends it early.
pub fn run(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let mut child = command.spawn().doing(format!("run `{shown}`"))?;
    let status = loop {
        if let Some(status) = child.try_wait().doing(format!("wait for `{shown}`"))? {
            break status;
        }
        if interrupt::requested() {
            let pid = i32::try_from(child.id()).unwrap_or(i32::MAX);
            if let Some(tool) = Identity::of(pid) {
                tool.stop(StopBy::Terminate, Duration::from_secs(10), || false)?;
            }
            return Err(XtaskError::Interrupted);
        }
        thread::sleep(interrupt::POLL);
    };
    interrupt::check()?;
    if status.success() {
        return Ok(());
    }
    Err(XtaskError::Command { command: shown, outcome: outcome(status) })
}

/// Runs a tool and takes what it prints on its standard output.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let done = command.stdin(Stdio::null()).output().doing(format!("run `{shown}`"))?;
    if done.status.success() {
        return Ok(String::from_utf8_lossy(&done.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&done.stderr);
    let outcome = format!("{}: {}", outcome(done.status), complaint.trim());
    Err(XtaskError::Command { command: shown, outcome })
}

/// Opens a log for appending, closed to other users: a log may name accounts.
pub fn append_to(log: &Path) -> Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(log);
    opened.doing(format!("open {}", log.display()))
}

/// The last lines of a log, for the eye.
pub fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL_LINES);
    if lines.is_empty() { "(empty)".to_owned() } else { lines[from..].join("\n") }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

fn outcome(status: ExitStatus) -> String {
    format!("failed ({status})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    pub(crate) fn shell(scratch: &Scratch, name: &str, script: &str) -> ProcessSpec {
        ProcessSpec {
            name: name.to_owned(),
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            env: BTreeMap::new(),
            cwd: scratch.path().to_path_buf(),
            user: None,
            log: scratch.path().join(format!("{name}.log")),
            ready: Probe::Alive,
            stop_by: StopBy::Terminate,
            ops_url: None,
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn fields_are_found_behind_a_command_with_brackets_and_spaces() {
        let text = "71 (a) b (c)) S 1 71 71 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 6 0 98765 9 9";
        let stat = Stat::parse(text).unwrap();
        let command = "a) b (c)".to_owned();
        let wanted = Stat { command, state: 'S', parent: 1, threads: 6, start_ticks: 98765 };
        assert_eq!(stat, wanted);
        assert_eq!(Stat::parse("71 (cut"), None);
    }

    #[test]
    fn a_process_that_heeds_the_signal_ends_and_one_that_does_not_is_killed() {
        let scratch = Scratch::new("process").unwrap();
        let polite = shell(&scratch, "polite", "exec sleep 60").spawn().unwrap();
        let ending = polite.stop(StopBy::Terminate, 5 * SECOND, || false).unwrap();
        assert_eq!(ending, Ending::Ended);
        let again = polite.stop(StopBy::Terminate, SECOND, || false).unwrap();
        assert_eq!(again, Ending::WasDead);

        let script = "trap '' TERM; echo deaf; while :; do sleep 0.05; done";
        let spec = shell(&scratch, "deaf", script);
        let deaf = spec.spawn().unwrap();
        let until = Instant::now() + 5 * SECOND;
        while !fs::read_to_string(&spec.log).unwrap().contains("deaf") {
            assert!(Instant::now() < until, "the trap was never set");
            thread::sleep(interrupt::POLL);
        }
        let ending = deaf.stop(StopBy::Terminate, SECOND / 5, || false).unwrap();
        assert_eq!(ending, Ending::Killed);
        assert!(!deaf.is_alive());
    }

    #[test]
    fn a_pid_with_another_start_time_is_another_process() {
        let scratch = Scratch::new("process").unwrap();
        let process = shell(&scratch, "sleeper", "exec sleep 60").spawn().unwrap();
        let earlier = Identity { start_ticks: process.start_ticks - 1, ..process.clone() };
        assert!(!earlier.is_alive());
        assert!(!earlier.signal(Signal::SIGKILL).unwrap());
        assert!(process.is_alive());
        process.kill().unwrap();
        assert!(!process.is_alive());
    }

    #[test]
    fn a_dead_process_can_be_asked_how_it_ended() {
        let scratch = Scratch::new("process").unwrap();
        let process = shell(&scratch, "brief", "exit 7").spawn().unwrap();
        let until = Instant::now() + 5 * SECOND;
        while Stat::of(process.pid).unwrap().state != 'Z' {
            assert!(Instant::now() < until, "it does not end");
            thread::sleep(interrupt::POLL);
        }
        assert_eq!(process.reap().unwrap(), "exit code 7");
        assert!(!process.is_alive());
    }

    #[test]
    fn a_spec_hands_down_no_secret_it_does_not_name() {
        let scratch = Scratch::new("process").unwrap();
        let mut spec = shell(&scratch, "env", "echo \"[$ONE][$DATABASE_URL]\"; sleep 60");
        spec.env.insert("ONE".to_owned(), "1".to_owned());
        let process = spec.spawn().unwrap();
        let until = Instant::now() + 5 * SECOND;
        while !tail(&spec.log).contains("[1][]") {
            assert!(Instant::now() < until, "{}", tail(&spec.log));
            thread::sleep(interrupt::POLL);
        }
        process.kill().unwrap();
    }

    #[test]
    fn a_tail_is_the_last_lines_in_order() {
        let scratch = Scratch::new("process").unwrap();
        let log = scratch.path().join("log");
        let lines: Vec<String> = (1..=50).map(|line| line.to_string()).collect();
        fs::write(&log, lines.join("\n")).unwrap();
        assert_eq!(tail(&log).lines().next(), Some("31"));
        assert_eq!(tail(&log).lines().last(), Some("50"));
        assert_eq!(tail(&scratch.path().join("none")), "(empty)");
    }

    #[test]
    fn a_tool_that_fails_is_named_with_what_it_said() {
        let failed = output(Command::new("/bin/sh").args(["-c", "echo why >&2; exit 3"]));
        let text = failed.unwrap_err().to_string();
        assert!(text.contains("/bin/sh -c") && text.contains("why"), "{text}");
        assert_eq!(output(Command::new("/bin/echo").arg("yes")).unwrap(), "yes\n");
    }
}
