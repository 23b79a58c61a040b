//! A private server that is up: for the tests of every package, in a folder that goes with it.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::{Durability, PrivatePostgres, PrivateRedis};
use crate::error::Result;
use crate::interrupt;
use crate::places::Places;
use crate::ports::free_port;
use crate::process::{Identity, ProcessSpec};
use crate::readiness::wait_ready;
use crate::scratch::Scratch;

/// How long it may take to come up, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Answers once made; ended when dropped.
#[derive(Debug)]
pub struct Server {
    pub url: String,
    spec: ProcessSpec,
    process: Identity,
    /// Dropped after the process has ended; `None` where the folder is the caller's.
    _scratch: Option<Scratch>,
}

impl Server {
    /// `name` tells the reader of /tmp whose it is.
    pub fn redis(name: &str) -> Result<Server> {
        let scratch = Scratch::new(&format!("{name}-redis"))?;
        let prepared = PrivateRedis::prepare(&Places::make(scratch.path())?, free_port()?)?;
        Server::start(prepared.spec, prepared.url, Some(scratch))
    }

    /// `name` tells the reader of /tmp whose it is.
    pub fn postgres(name: &str) -> Result<Server> {
        let scratch = Scratch::new(&format!("{name}-postgres"))?;
        let places = Places::make(scratch.path())?;
        let prepared = PrivatePostgres::prepare(&places, free_port()?, Durability::Fast)?;
        Server::start(prepared.spec, prepared.url, Some(scratch))
    }

    /// In a folder of the caller's, as durable as the ones that `up` starts.
    pub fn durable_postgres(places: &Places) -> Result<Server> {
        let prepared = PrivatePostgres::prepare(places, free_port()?, Durability::Durable)?;
        Server::start(prepared.spec, prepared.url, None)
    }

    fn start(spec: ProcessSpec, url: String, scratch: Option<Scratch>) -> Result<Server> {
        let process = up(&spec)?;
        Ok(Server { url, spec, process, _scratch: scratch })
    }

    pub fn pid(&self) -> i32 {
        self.process.pid
    }

    /// The folder of its data.
    pub fn data(&self) -> &Path {
        &self.spec.cwd
    }

    /// SIGKILL; it stays away until [`Server::restart`].
    pub fn kill(&self) -> Result<()> {
        self.process.kill()
    }

    /// After [`Server::kill`], at the same address. A killed PostgreSQL leaves processes that need
    /// a moment to notice, and does not start before.
    pub fn restart(&mut self) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match up(&self.spec) {
                Ok(process) => {
                    self.process = process;
                    return Ok(());
                }
                Err(error) if until <= Instant::now() => return Err(error),
                Err(_) => thread::sleep(interrupt::POLL),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.process.stop(self.spec.stop_by, PATIENCE, || false) {
            eprintln!("{}", error.in_full());
        }
    }
}

fn up(spec: &ProcessSpec) -> Result<Identity> {
    let process = spec.spawn()?;
    match wait_ready(spec, &process, PATIENCE) {
        Ok(()) => Ok(process),
        Err(error) => {
            process.kill()?;
            Err(error)
        }
    }
}
