//! Clients that others wrote, run as processes of their own against an exchange that is up.
//!
//! The scripts in `tests/clients/` are unittest modules. `EXCHANGE_CLIENT_TESTS` names the ones to
//! run of them, as unittest does: `ccxt_orders.Placing`.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use xtask::artifacts::repository_root;
use xtask::clients::{self, Environment};
use xtask::interrupt;
use xtask::process::append_to;

use crate::client::Trader;
use crate::world::World;

const CHOICE: &str = "EXCHANGE_CLIENT_TESTS";

/// A scenario that needs one of the Python environments.
#[derive(Clone, Copy)]
pub struct Foreign {
    pub name: &'static str,
    pub environment: Environment,
    pub scenario: fn(&mut World),
}

impl Foreign {
    /// `Err` says what this machine lacks for it.
    pub fn possible(&self) -> Result<(), String> {
        let found = self.environment.python(&repository_root());
        found.map(|_| ()).map_err(|error| error.in_full())
    }
}

/// A Python program to come, with the exchange's addresses in its environment.
pub struct Script {
    command: Command,
    log: PathBuf,
}

impl Script {
    pub fn new(world: &World, name: &str, environment: Environment) -> Script {
        let root = repository_root();
        let python = environment.python(&root).unwrap_or_else(|error| panic!("{error}"));
        let mut command = Command::new(python);
        command.current_dir(clients::scripts(&root));
        command.env("EXCHANGE_REST_URL", world.rest_url());
        command.env("EXCHANGE_WS_URL", world.stack().ws_url());
        // Nothing is to be written beside the sources, and nobody is to stand in between.
        command.env("PYTHONDONTWRITEBYTECODE", "1").env("PYTHONUNBUFFERED", "1");
        command.env("NO_PROXY", "*").env("no_proxy", "*");
        Script { command, log: world.var().join("log").join(format!("{name}.log")) }
    }

    /// Hands over the keys of an account, under the name the scripts know it by.
    pub fn account(mut self, name: &str, trader: &Trader) -> Script {
        let keys = &trader.client.keys;
        self.command.env(format!("EXCHANGE_{name}_KEY"), &keys.api_key);
        self.command.env(format!("EXCHANGE_{name}_SECRET"), &keys.api_secret);
        self
    }

    pub fn variable(mut self, name: &str, value: impl Into<OsString>) -> Script {
        self.command.env(name, value.into());
        self
    }

    /// Where it is to be started, when not among the scripts.
    pub fn folder(mut self, folder: &Path) -> Script {
        self.command.current_dir(folder);
        self
    }

    /// Runs the tests of these modules, or those that [`CHOICE`] names.
    pub fn unittest(mut self, modules: &[&str], within: Duration) {
        self.command.args(["-m", "unittest", "--verbose"]);
        match std::env::var(CHOICE) {
            Ok(chosen) => self.command.args(chosen.split_whitespace()),
            Err(_) => self.command.args(modules),
        };
        self.run(within);
    }

    /// Runs a program of `tests/clients/`.
    pub fn program(mut self, file: &str, within: Duration) {
        self.command.arg(clients::scripts(&repository_root()).join(file));
        self.run(within);
    }

    /// Fails with all that it said when it fails, or does not end in time.
    fn run(mut self, within: Duration) {
        let output = append_to(&self.log).unwrap();
        let errors = output.try_clone().unwrap();
        self.command.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let child = self.command.spawn().unwrap();
        let ended = until_ended(child, within);
        let said = String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned();
        match ended {
            Some(status) if status.success() => print!("{said}"),
            Some(status) => panic!("{status}\n{said}"),
            None => panic!("not within {within:?}\n{said}"),
        }
    }
}

/// `None`: it was not done in time, and is dead with all that it had started.
fn until_ended(mut child: Child, within: Duration) -> Option<ExitStatus> {
    let until = Instant::now() + within;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        if until <= Instant::now() || interrupt::requested() {
            killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).unwrap();
            child.wait().unwrap();
            return None;
        }
        interrupt::pause(interrupt::POLL);
    }
}
