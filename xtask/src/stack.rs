//! A whole exchange on one machine, as processes: started in order, each waited for, stopped in
//! order. `cargo xtask up` and the scenario tests use the same one.
//!
//! redis, postgres → migrations → engine → io-gateway → ws-fanout → db-sink → accounts → mm
//!
//! A dropped stack ends at once; `stop` drains it, `detach` leaves it to itself.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::accounts::{Account, AccountBook, DEMO, MAKER, MARKET_MAKERS, Role, TAKER};
use crate::client::{Admin, Client};
use crate::error::{Doing, Result, XtaskError};
use crate::interrupt;
use crate::places::Places;
use crate::ports::Ports;
use crate::private_servers::{Durability, PrivatePostgres, PrivateRedis, postgres, redis};
use crate::process::{Ending, ProcessSpec, append_to, run, tail};
use crate::readiness::wait_ready;
use crate::record::{Member, Record};
use crate::secrets;
use crate::services::{self, Extra, Settings, Urls};

/// What to start, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// Holds data, logs and secrets: `var/` in a clone, a scratch folder in a test.
    pub var_dir: PathBuf,
    /// Where the five binaries are.
    pub binaries_dir: PathBuf,
    pub config: PathBuf,
    /// Working folder of the services.
    pub cwd: PathBuf,
    /// The built web client, when there is one.
    pub web_dir: Option<PathBuf>,
    pub redis: Server,
    pub postgres: Server,
    pub durability: Durability,
    pub market_maker: MarketMaker,
    /// More flags and variables, by service.
    pub extra: BTreeMap<String, Extra>,
    /// For each process.
    pub ready_within: Duration,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Server {
    /// One of its own.
    Private,
    /// One that runs already, by its URL.
    At(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MarketMaker {
    Runs,
    LeftOut,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum OnDrop {
    End,
    Leave,
}

/// How a process does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Health {
    Ready,
    /// Alive; the text says why it is not ready.
    NotReady(String),
    Dead,
}

#[derive(Debug)]
pub struct Stack {
    places: Places,
    record: Record,
    ready_within: Duration,
    on_drop: OnDrop,
}

/// Last started, first stopped, but for one thing: the engine ends before the sink, so that the
/// sink still writes what the engine says last.
const STOP_ORDER: [(&str, Duration); 7] = [
    (services::MM, Duration::from_secs(10)),
    (services::IO_GATEWAY, Duration::from_secs(15)),
    (services::WS_FANOUT, Duration::from_secs(10)),
    (services::ENGINE, Duration::from_secs(30)),
    (services::DB_SINK, Duration::from_secs(30)),
    (postgres::NAME, Duration::from_secs(30)),
    (redis::NAME, Duration::from_secs(15)),
];

/// Of the database server alone; see `run_member`.
const START_TRIES_MAX: usize = 3;
const SERVERS: [&str; 2] = [postgres::NAME, redis::NAME];

impl Options {
    /// For a test: private servers, no market maker, debug binaries from `binaries_dir`.
    pub fn for_test(var_dir: PathBuf, binaries_dir: PathBuf, config: PathBuf) -> Options {
        Options {
            cwd: var_dir.clone(),
            var_dir,
            binaries_dir,
            config,
            web_dir: None,
            redis: Server::Private,
            postgres: Server::Private,
            durability: Durability::Fast,
            market_maker: MarketMaker::LeftOut,
            extra: BTreeMap::new(),
            ready_within: Duration::from_secs(60),
        }
    }
}

impl Stack {
    /// Starts everything and returns when all of it is ready. On an error nothing is left running.
    pub fn start(options: Options) -> Result<Stack> {
        let mut stack = Stack::start_servers(&options)?;
        let places = stack.places.clone();
        let mut ports = Ports::load(places.ports())?;
        let urls = Urls::take(&mut ports)?;
        stack.record.rest_url = urls.rest.clone();
        stack.record.ws_url = urls.ws.clone();
        stack.record.admin_token = secrets::kept_in(&places.admin_token())?;
        let settings = Settings {
            binaries_dir: options.binaries_dir,
            config: options.config,
            cwd: options.cwd,
            web_dir: options.web_dir,
            redis_url: stack.record.redis_url.clone(),
            database_url: stack.record.database_url.clone(),
            admin_token: stack.record.admin_token.clone(),
            extra: options.extra,
        };
        stack.migrate(&settings)?;
        let ports = &mut ports;
        stack.launch(settings.engine(&places, ports)?)?;
        stack.launch(settings.io_gateway(&urls, &places, ports)?)?;
        stack.launch(settings.ws_fanout(&urls, &places, ports)?)?;
        stack.launch(settings.db_sink(&places, ports)?)?;
        stack.ensure_accounts(&DEMO)?;
        if options.market_maker == MarketMaker::Runs {
            stack.ensure_accounts(&MARKET_MAKERS)?;
            let maker = stack.account(MAKER)?.id()?.to_owned();
            let taker = stack.account(TAKER)?.id()?.to_owned();
            stack.launch(settings.mm(&maker, &taker, &places, ports)?)?;
        }
        stack.record.publish(&places)?;
        Ok(stack)
    }

    /// Redis and PostgreSQL alone, where they are to be private; for tests that start no service
    /// or start services one by one.
    pub fn start_servers(options: &Options) -> Result<Stack> {
        let places = Places::make(&options.var_dir)?;
        let mut stack = Stack {
            places,
            record: Record::default(),
            ready_within: options.ready_within,
            on_drop: OnDrop::End,
        };
        let places = stack.places.clone();
        let mut ports = Ports::load(places.ports())?;
        stack.record.redis_url = match &options.redis {
            Server::At(url) => url.clone(),
            Server::Private => {
                let redis = PrivateRedis::prepare(&places, ports.take(redis::NAME)?)?;
                stack.launch(redis.spec)?;
                redis.url
            }
        };
        stack.record.database_url = match &options.postgres {
            Server::At(url) => url.clone(),
            Server::Private => {
                let port = ports.take(postgres::NAME)?;
                let postgres = PrivatePostgres::prepare(&places, port, options.durability)?;
                stack.launch(postgres.spec)?;
                postgres.url
            }
        };
        Ok(stack)
    }

    /// A stack that somebody started earlier and may still run. Dropping it changes nothing.
    pub fn open(places: Places, ready_within: Duration) -> Result<Option<Stack>> {
        let record = Record::load(&places)?;
        let stack = |record| Stack { places, record, ready_within, on_drop: OnDrop::Leave };
        Ok(record.map(stack))
    }

    /// Starts a process, notes it, waits until it is ready.
    pub fn launch(&mut self, spec: ProcessSpec) -> Result<()> {
        interrupt::check()?;
        keep_previous_log(&spec)?;
        self.run_member(&spec)
    }

    fn run_member(&mut self, spec: &ProcessSpec) -> Result<()> {
        // What a killed database server had started holds its memory for a moment longer.
        for _ in 1..START_TRIES_MAX {
            match self.run_once(spec) {
                Err(XtaskError::NotReady { .. })
                    if spec.name == postgres::NAME
                        && !self.record.member(&spec.name)?.is_alive() =>
                {
                    interrupt::pause(Duration::from_millis(500));
                }
                other => return other,
            }
        }
        self.run_once(spec)
    }

    fn run_once(&mut self, spec: &ProcessSpec) -> Result<()> {
        let identity = spec.spawn()?;
        self.record.note(spec, Some(identity.clone()));
        if let Err(error) = self.record.save(&self.places) {
            identity.kill()?;
            return Err(error);
        }
        wait_ready(spec, &identity, self.ready_within)
    }

    fn migrate(&self, settings: &Settings) -> Result<()> {
        let log = self.places.log("migrate");
        let output = append_to(&log)?;
        let errors = output.try_clone().doing("share a log file")?;
        let mut command = Command::new(settings.binaries_dir.join(services::DB_SINK));
        command.arg("migrate").arg("--config").arg(&settings.config);
        command.current_dir(&settings.cwd).stdout(output).stderr(errors);
        command.env("DATABASE_URL", &settings.database_url);
        command.env("REDIS_URL", &settings.redis_url);
        run(&mut command).map_err(|error| match error {
            XtaskError::Command { outcome, .. } => XtaskError::NotReady {
                name: "db-sink migrate".to_owned(),
                reason: outcome,
                log: log.display().to_string(),
                tail: tail(&log),
            },
            other => other,
        })
    }

    /// Makes sure of these accounts; they then belong to the stack.
    pub fn ensure_accounts(&mut self, wanted: &[(&str, Role)]) -> Result<()> {
        let mut book = AccountBook::load(&self.places.accounts())?;
        for (label, role) in wanted {
            interrupt::check()?;
            book.ensure(&self.admin(), label, *role)?;
        }
        self.record.accounts = book.accounts().to_vec();
        self.record.save(&self.places)
    }

    pub fn places(&self) -> &Places {
        &self.places
    }

    pub fn record(&self) -> &Record {
        &self.record
    }

    pub fn rest_url(&self) -> &str {
        &self.record.rest_url
    }

    pub fn ws_url(&self) -> &str {
        &self.record.ws_url
    }

    pub fn redis_url(&self) -> &str {
        &self.record.redis_url
    }

    pub fn database_url(&self) -> &str {
        &self.record.database_url
    }

    pub fn admin(&self) -> Admin {
        Admin { rest_url: self.record.rest_url.clone(), token: self.record.admin_token.clone() }
    }

    pub fn account(&self, label: &str) -> Result<&Account> {
        self.record.accounts.iter().find(|account| account.label == label).ok_or_else(|| {
            let known: Vec<&str> =
                self.record.accounts.iter().map(|account| account.label.as_str()).collect();
            XtaskError::UnknownAccount { label: label.to_owned(), known: known.join(", ") }
        })
    }

    /// A caller that signs as this account.
    pub fn client(&self, label: &str) -> Result<Client> {
        self.account(label)?.client(self.rest_url())
    }

    /// Where `/healthz`, `/readyz` and `/metrics` of a service are.
    pub fn ops_url(&self, name: &str) -> Result<&str> {
        let member = self.record.member(name)?;
        let none = || XtaskError::Unable(format!("{name} has no operations address"));
        member.spec.ops_url.as_deref().ok_or_else(none)
    }

    pub fn pid(&self, name: &str) -> Result<Option<i32>> {
        let member = self.record.member(name)?;
        Ok(member.identity.as_ref().filter(|found| found.is_alive()).map(|found| found.pid))
    }

    /// All that this process has logged in this stack's life.
    pub fn log(&self, name: &str) -> Result<String> {
        let log = &self.record.member(name)?.spec.log;
        let bytes = fs::read(log).doing(format!("read {}", log.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// In starting order.
    pub fn health(&self) -> Vec<(&Member, Health)> {
        let health = |member: &Member| match member.is_alive() {
            false => Health::Dead,
            true => member.spec.ready.ask().map_or_else(Health::NotReady, |()| Health::Ready),
        };
        self.record.processes.iter().map(|member| (member, health(member))).collect()
    }

    /// `kill -9`, and waits until it is dead.
    pub fn kill9(&self, name: &str) -> Result<()> {
        match &self.record.member(name)?.identity {
            Some(identity) => identity.kill(),
            None => Ok(()),
        }
    }

    /// Asks one process to drain and end, and waits for that.
    pub fn stop_one(&self, name: &str, within: Duration) -> Result<Ending> {
        let member = self.record.member(name)?;
        match &member.identity {
            Some(identity) => identity.stop(member.spec.stop_by, within, || false),
            None => Ok(Ending::WasDead),
        }
    }

    /// Holds a process still (SIGSTOP), as a machine that hangs would.
    pub fn freeze(&self, name: &str) -> Result<()> {
        self.signal(name, Signal::SIGSTOP)
    }

    pub fn thaw(&self, name: &str) -> Result<()> {
        self.signal(name, Signal::SIGCONT)
    }

    fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        match &self.record.member(name)?.identity {
            Some(identity) if identity.signal(signal)? => Ok(()),
            _ => Err(XtaskError::Unable(format!("{name} does not run"))),
        }
    }

    /// Starts a dead process with the settings it had, and waits until it is ready.
    pub fn start_again(&mut self, name: &str) -> Result<()> {
        let member = self.record.member(name)?;
        if member.is_alive() {
            return Err(XtaskError::Unable(format!("{name} runs already")));
        }
        let spec = member.spec.clone();
        self.run_member(&spec)?;
        self.record.publish(&self.places)
    }

    /// The same, with other flags or variables than it had.
    pub fn start_again_with(&mut self, name: &str, extra: Extra) -> Result<()> {
        let mut spec = self.record.member(name)?.spec.clone();
        spec.args.extend(extra.args);
        spec.env.extend(extra.env);
        let identity = self.record.member(name)?.identity.clone();
        self.record.note(&spec, identity);
        self.start_again(name)
    }

    /// Drains and ends everything in order; goes on past a failure and reports the first. A second
    /// signal while it runs cuts the waiting short.
    pub fn stop(mut self, mut tell: impl FnMut(&str, Ending)) -> Result<()> {
        self.on_drop = OnDrop::Leave;
        self.record.stopping = true;
        self.record.save(&self.places)?;
        let signals = interrupt::count();
        let haste = || signals < interrupt::count();
        let mut first_failure = None;
        for (member, within) in self.in_stop_order() {
            let Some(identity) = &member.identity else { continue };
            match identity.stop(member.spec.stop_by, within, haste) {
                Ok(ending) => tell(&member.spec.name, ending),
                Err(error) => first_failure = first_failure.or(Some(error)),
            }
        }
        match first_failure {
            Some(error) => Err(error),
            None => Record::withdraw(&self.places),
        }
    }

    /// Lets everything run on by itself.
    pub fn detach(mut self) {
        self.on_drop = OnDrop::Leave;
    }

    /// What is not in the list, such as a test's own process, comes first.
    fn in_stop_order(&self) -> Vec<(&Member, Duration)> {
        let place = |member: &Member| {
            let place = STOP_ORDER.iter().position(|(name, _)| *name == member.spec.name);
            place.map(|place| place + 1).unwrap_or(0)
        };
        let mut members: Vec<&Member> = self.record.processes.iter().collect();
        members.sort_by_key(|member| place(member));
        let within = |member: &Member| match place(member) {
            0 => Duration::from_secs(10),
            place => STOP_ORDER[place - 1].1,
        };
        members.into_iter().map(|member| (member, within(member))).collect()
    }

    fn end_at_once(&self) -> Result<()> {
        for (member, within) in self.in_stop_order() {
            let Some(identity) = &member.identity else { continue };
            if SERVERS.contains(&member.spec.name.as_str()) {
                // Killed, PostgreSQL would leave shared memory behind and Redis lose a second.
                identity.stop(member.spec.stop_by, within, || false)?;
            } else {
                identity.kill()?;
            }
        }
        Record::withdraw(&self.places)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if self.on_drop == OnDrop::End
            && let Err(error) = self.end_at_once()
        {
            eprintln!("{}", error.in_full());
        }
    }
}

/// A log starts anew with each start of the stack; the one before is kept beside it.
fn keep_previous_log(spec: &ProcessSpec) -> Result<()> {
    if !spec.log.exists() {
        return Ok(());
    }
    let previous = spec.log.with_extension("previous.log");
    fs::rename(&spec.log, &previous).doing(format!("set {} aside", spec.log.display()))
}
