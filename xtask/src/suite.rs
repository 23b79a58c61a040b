//! `cargo xtask test` and `check`: everything a machine can hold against a change, cheapest first,
//! up to the first failure. Nothing may be left running.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;

use crate::advisories;
use crate::artifacts::{self, cargo, install_web_packages, npm};
use crate::clients;
use crate::error::{Doing, Result, XtaskError};
use crate::interrupt;
use crate::process::{Identity, Stat, StopBy, run};
use crate::services;
use crate::setup::{self, has_web_client};
use crate::simulate;

/// How long a step's own children may take to end by themselves after it.
const GRACE: Duration = Duration::from_secs(3);

const ADVISORIES: &str = "advisories";

/// A name and what to run, in order.
struct Step {
    title: &'static str,
    commands: Vec<Command>,
}

/// Format, lints and structure: what takes seconds once all is built.
pub fn check() -> Result<()> {
    let root = artifacts::repository_root();
    let mut steps = static_steps(&root);
    steps.push(Step {
        title: "structure",
        commands: vec![cargo_with(&root, "test -p scenarios --test structure")],
    });
    run_steps(steps)
}

/// Everything.
pub fn test() -> Result<()> {
    let root = artifacts::repository_root();
    setup::ensure(&setup::ALL)?;
    setup::wish(&setup::FAULTS);
    clients::ensure(&root)?;
    let mut steps = static_steps(&root);
    steps.push(Step { title: ADVISORIES, commands: Vec::new() });
    // Builds the services, too, which the scenarios start. Not beside the simulation: its hooks in
    // the engine would be theirs.
    steps.push(Step {
        title: "unit, property and structure tests, scenarios",
        commands: vec![cargo_with(&root, "test --workspace --exclude simulation")],
    });
    steps.push(Step { title: "model check", commands: vec![model_check(&root)] });
    let tested = cargo_with(&root, "test -p simulation");
    steps.push(Step { title: "simulation", commands: vec![tested, simulate::of_suite(&root)] });
    if has_web_client(&root) {
        let web = root.join("web");
        let commands = ["test", "run build"].map(|line| {
            let mut command = npm(&web);
            command.args(line.split(' '));
            command
        });
        steps.push(Step { title: "web client", commands: commands.into() });
    }
    adopt_orphans()?;
    run_steps(steps)
}

/// One command that starts exchanges, held to leave none behind.
pub(crate) fn run_one(title: &'static str, mut command: Command) -> Result<()> {
    without_servers_of_the_caller(&mut command);
    adopt_orphans()?;
    run_steps(vec![Step { title, commands: vec![command] }])
}

/// They come to us instead of to init, so that none gets away.
fn adopt_orphans() -> Result<()> {
    prctl::set_child_subreaper(true).map_err(std::io::Error::from).doing("adopt orphans")
}

fn static_steps(root: &Path) -> Vec<Step> {
    vec![
        Step { title: "format", commands: vec![cargo_with(root, "fmt --all --check")] },
        Step {
            title: "lints",
            commands: vec![cargo_with(root, "clippy --workspace --all-targets -- -D warnings")],
        },
    ]
}

/// Loom replaces the atomics, so its build shares nothing with the ordinary one.
fn model_check(root: &Path) -> Command {
    let mut command = cargo_with(root, "test --release -p engine-core --test model");
    command.env("RUSTFLAGS", "--cfg loom").env("CARGO_TARGET_DIR", root.join("target/loom"));
    command
}

fn cargo_with(root: &Path, line: &str) -> Command {
    let mut command = cargo(root);
    command.args(line.split(' '));
    without_servers_of_the_caller(&mut command);
    command
}

/// Tests start servers of their own, whatever the caller's shell points at.
fn without_servers_of_the_caller(command: &mut Command) {
    command.env_remove("REDIS_URL").env_remove("DATABASE_URL").env_remove("EXCHANGE_ADMIN_TOKEN");
}

fn run_steps(steps: Vec<Step>) -> Result<()> {
    let total = steps.len();
    let mut summary = String::new();
    let mut failure = None;
    for (at, step) in steps.into_iter().enumerate() {
        if failure.is_some() {
            summary.push_str(&format!("  not run  {}\n", step.title));
            continue;
        }
        println!("\n=== {}/{total} {} ===", at + 1, step.title);
        let since = Instant::now();
        let title = step.title;
        let done = run_step(step);
        let left = refuse_leftovers();
        let done = done.and(left);
        let word = if done.is_ok() { "passed" } else { "FAILED" };
        summary.push_str(&format!("  {word}   {title} ({} s)\n", since.elapsed().as_secs()));
        failure = done.err();
    }
    println!("\n=== summary ===\n{summary}");
    failure.map_or(Ok(()), Err)
}

fn run_step(step: Step) -> Result<()> {
    match step.title {
        "web client" => install_web_packages(&artifacts::repository_root())?,
        ADVISORIES => advisories::check(&artifacts::repository_root())?,
        _ => (),
    }
    step.commands.into_iter().try_for_each(|mut command| run(&mut command))
}

/// Ends what a step has left behind; one of the exchange's own processes among it is a failure.
fn refuse_leftovers() -> Result<()> {
    let until = Instant::now() + GRACE;
    let mut left = children();
    while !left.is_empty() && Instant::now() < until && !interrupt::requested() {
        thread::sleep(interrupt::POLL);
        left = children();
    }
    let mut ours = Vec::new();
    for (command, process) in &left {
        let own = ["redis-server", "postgres"].iter().chain(&services::ALL);
        if own.into_iter().any(|name| name == command) {
            ours.push(format!("{command} (pid {})", process.pid));
        }
        process.stop(StopBy::Interrupt, GRACE, || false)?;
    }
    if ours.is_empty() {
        return Ok(());
    }
    Err(XtaskError::Unable(format!("a test left processes running: {}", ours.join(", "))))
}

/// Living children of this process by their names, adopted ones among them.
fn children() -> Vec<(String, Identity)> {
    let me = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let child = |pid: i32| {
        let stat = Stat::of(pid).filter(|stat| stat.parent == me)?;
        let identity = Identity::of(pid)?;
        identity.is_alive().then_some((stat.command, identity))
    };
    pids.filter_map(child).collect()
}
