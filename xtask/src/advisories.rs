//! Known flaws in the crates that `Cargo.lock` names, where this machine has a tool and a source
//! for them; elsewhere the step says that it could not look, and passes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::artifacts::cargo;
use crate::error::{Doing, Result, XtaskError};
use crate::interrupt;
use crate::process::run;
use crate::tools;

/// Where both tools fetch their advisories from.
const SOURCE: &str = "https://github.com/RustSec/advisory-db";
/// How long the source may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// A cargo plug-in and what to ask of it.
const TOOLS: [(&str, &[&str]); 2] =
    [("cargo-audit", &["audit"]), ("cargo-deny", &["deny", "check", "advisories"])];

pub fn check(root: &Path) -> Result<()> {
    if !source_answers()? {
        println!("not looked for: no advisory source is reachable ({SOURCE})");
        return Ok(());
    }
    let installed = TOOLS.iter().find(|(program, _)| tools::on_path(program).is_some());
    let Some((_, arguments)) = installed else {
        println!("not looked for: neither cargo-audit nor cargo-deny is installed");
        return Ok(());
    };
    run(cargo(root).args(*arguments))
}

fn source_answers() -> Result<bool> {
    if tools::on_path("git").is_none() {
        return Ok(false);
    }
    let mut command = Command::new("git");
    command.args(["ls-remote", "--exit-code", SOURCE, "HEAD"]).env("GIT_TERMINAL_PROMPT", "0");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().doing("run git")?;
    let until = Instant::now() + ANSWER_MAX;
    loop {
        if let Some(status) = child.try_wait().doing("wait for git")? {
            return Ok(status.success());
        }
        if interrupt::requested() || until <= Instant::now() {
            child.kill().doing("end git")?;
            child.wait().doing("wait for git")?;
            return if interrupt::requested() { Err(XtaskError::Interrupted) } else { Ok(false) };
        }
        interrupt::pause(interrupt::POLL);
    }
}
