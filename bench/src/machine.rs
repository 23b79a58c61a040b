//! On what and of what the figures are: without this line they compare with nothing.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Serialize;
use tuning::topology::Topology;

use crate::error::BenchError;

/// The machine, the compiler and the source of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub is_virtual: bool,
    pub kernel: String,
    pub rustc: &'static str,
    /// With `+` where files differ from the commit; `None` outside a git checkout.
    pub commit: Option<String>,
    /// A build without optimisation: its figures mean nothing.
    pub debug_build: bool,
}

impl Machine {
    /// This machine and this build.
    pub fn read() -> Result<Machine, BenchError> {
        let topology = Topology::read(Path::new("/")).map_err(BenchError::Machine)?;
        Ok(Machine {
            cores: topology.cores().len(),
            cpu: topology.model.unwrap_or_else(|| "unknown cpu".to_owned()),
            is_virtual: topology.is_virtual,
            kernel: topology.kernel.unwrap_or_else(|| "unknown".to_owned()),
            rustc: env!("RUSTC_VERSION"),
            commit: commit(),
            debug_build: cfg!(debug_assertions),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cores = if self.cores == 1 { "core" } else { "cores" };
        let place = if self.is_virtual { ", virtual" } else { "" };
        let commit = self.commit.as_deref().unwrap_or("unknown");
        write!(out, "{}, {} {cores}{place}, Linux {}, ", self.cpu, self.cores, self.kernel)?;
        write!(out, "{}, commit {commit}", self.rustc)?;
        if self.debug_build {
            write!(out, ", DEBUG BUILD: these figures mean nothing")?;
        }
        Ok(())
    }
}

/// How busy the machine was: runnable threads, on average over a minute, before and after.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Load {
    pub before: f64,
    pub after: f64,
}

impl Load {
    pub fn read() -> Load {
        let before = load();
        Load { before, after: before }
    }

    /// The load before this, and now.
    pub fn to_now(self) -> Load {
        Load { after: load(), ..self }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "load {:.2} before, {:.2} after", self.before, self.after)
    }
}

/// 0 where the system does not tell.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or_default()
}

/// The commit of the checkout this was built from, if it is still there and has git.
fn commit() -> Option<String> {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments);
        let output = command.output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = !git(&["status", "--porcelain", "--untracked-files=no"])?.trim().is_empty();
    Some(format!("{}{}", commit.trim(), if changed { "+" } else { "" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_can_be_named() {
        let machine = Machine::read().unwrap();
        assert!(machine.rustc.starts_with("rustc "));
        assert!(machine.to_string().contains(&machine.kernel));
    }
}
