//! A private exchange in a folder of its own: real processes of debug binaries, ended with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use toml::Table;
use xtask::artifacts::{Profile, build_services, repository_root};
use xtask::client::{Client, now_ms};
use xtask::interrupt;
use xtask::process::{Identity, tail};
use xtask::scratch::Scratch;
use xtask::services::{self, DB_SINK, ENGINE, IO_GATEWAY, MM, WS_FANOUT};
use xtask::signing::KeyPair;
use xtask::stack::{Health, MarketMaker, Options, Stack};

use crate::channel::Channel;
use crate::client::{Reply, Trader, id_of, limit, public};
use crate::database::Database;
use crate::eventually::{PATIENCE, breathe, eventually};
use crate::listing::Listing;
use crate::small_disk::SmallDisk;
use crate::socket::Socket;

/// Around this price mm quotes SOL_USDC here.
pub const SOL_PRICE: &str = "150";
pub const BTC_PRICE: &str = "60000";

/// Everything but mm: what a scenario finds running and leaves running.
pub const SERVICES: [&str; 4] = [ENGINE, IO_GATEWAY, WS_FANOUT, DB_SINK];

pub struct World {
    stack: Option<Stack>,
    options: Options,
    listing: Listing,
    traders_made: u32,
    /// Places and cancels to see how far the database is.
    auditor: Option<Trader>,
    marks_set: u32,
    /// Behind the stack, so that the processes are gone before it is.
    disk: Option<SmallDisk>,
    /// Last, so that the processes are gone before their folder.
    scratch: Scratch,
}

/// What a scenario may change of an exchange before it starts.
pub struct Plan {
    pub config: Table,
    pub options: Options,
    /// Where the engine's data is to be, when not on the disk of everything else.
    pub disk: Option<SmallDisk>,
}

impl World {
    /// With mm known to the stack but not running, when `market_maker` says so.
    pub fn start(name: &str, market_maker: MarketMaker) -> World {
        World::start_changed(name, market_maker, |_| ())
    }

    /// The same, but for what `change` makes different.
    pub fn start_changed(
        name: &str,
        market_maker: MarketMaker,
        change: impl FnOnce(&mut Plan),
    ) -> World {
        let scratch = Scratch::new(name).unwrap();
        let var = scratch.path().join("var");
        std::fs::create_dir_all(&var).unwrap();
        let config = scratch.path().join("exchange.toml");
        let mut options = Options::for_test(var, binaries(), config.clone());
        options.market_maker = market_maker;
        let mut plan = Plan { config: configuration(), options, disk: None };
        change(&mut plan);
        std::fs::write(config, toml::to_string(&plan.config).unwrap()).unwrap();
        let mut world = World {
            stack: None,
            options: plan.options,
            listing: Listing::of(&plan.config),
            traders_made: 0,
            auditor: None,
            marks_set: 0,
            disk: plan.disk,
            scratch,
        };
        world.start_all();
        if market_maker == MarketMaker::Runs {
            world.end(MM);
        }
        world
    }

    /// Starts what [`World::stop_all`] stopped, on the same data.
    pub fn start_all(&mut self) {
        let started = Stack::start(self.options.clone());
        self.stack = Some(started.unwrap_or_else(|error| panic!("{}", error.in_full())));
    }

    /// Drains and stops every process in order.
    pub fn stop_all(&mut self) {
        let stack = self.stack.take().unwrap();
        let stopped = stack.stop(|name, ending| {
            let by_itself = ending != xtask::process::Ending::Killed;
            assert!(by_itself, "{name} had to be killed");
        });
        stopped.unwrap_or_else(|error| panic!("{}", error.in_full()));
    }

    pub fn stack(&self) -> &Stack {
        self.stack.as_ref().expect("the exchange is up")
    }

    pub fn stack_mut(&mut self) -> &mut Stack {
        self.stack.as_mut().expect("the exchange is up")
    }

    /// Where all data and logs of this exchange are.
    pub fn var(&self) -> &Path {
        &self.options.var_dir
    }

    /// The one a scenario has put the engine's data on.
    pub fn disk(&self) -> &SmallDisk {
        self.disk.as_ref().expect("a disk of the engine's own")
    }

    pub fn listing(&self) -> &Listing {
        &self.listing
    }

    /// Takes note of a market that was listed over the API.
    pub fn has_listed(&mut self, symbol: &str, tick: &str, step: &str) {
        self.listing.add(symbol, tick, step);
    }

    pub fn has_market_maker(&self) -> bool {
        self.options.market_maker == MarketMaker::Runs
    }

    pub fn rest_url(&self) -> &str {
        self.stack().rest_url()
    }

    pub fn public(&self, path: &str) -> Reply {
        public(self.rest_url(), path)
    }

    pub fn database(&self) -> Database {
        Database::at(self.stack().database_url())
    }

    pub fn redis(&self) -> redis::Connection {
        let client = redis::Client::open(self.stack().redis_url()).unwrap();
        let connection = client.get_connection_with_timeout(Duration::from_secs(5)).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        connection
    }

    pub fn channel(&self, channels: &[&str]) -> Channel {
        Channel::subscribe(self.stack().redis_url(), channels)
    }

    pub fn socket(&self) -> Socket {
        Socket::open(self.stack().ws_url())
    }

    /// A new account with a key and these funds.
    pub fn trader(&mut self, name: &str, funds: &[(&str, &str)]) -> Trader {
        self.traders_made += 1;
        let admin = self.stack().admin();
        let account = admin.create_account(name).unwrap();
        let keys = KeyPair::generate().unwrap();
        admin.register_key(&account, &keys.api_key, name).unwrap();
        for (asset, quantity) in funds {
            let transfer = format!("fund-{account}-{asset}-{}", self.traders_made);
            admin.deposit(&account, asset, quantity, &transfer).unwrap();
        }
        let client = Client { rest_url: self.rest_url().to_owned(), keys };
        Trader { name: name.to_owned(), account, client }
    }

    /// The process of this name as it runs now.
    pub fn identity(&self, name: &str) -> Identity {
        let member = self.stack().record().member(name).unwrap();
        member.identity.clone().unwrap_or_else(|| panic!("{name} was never started"))
    }

    /// While it is alive.
    pub fn pid(&self, name: &str) -> Option<i32> {
        self.stack().pid(name).unwrap()
    }

    pub fn kill9(&self, name: &str) {
        self.stack().kill9(name).unwrap();
    }

    /// Starts it and kills it this long after, ready or not.
    pub fn kill9_while_starting(&self, name: &str, after: Duration) {
        let spec = &self.stack().record().member(name).unwrap().spec;
        let process = spec.spawn().unwrap_or_else(|error| panic!("{}", error.in_full()));
        interrupt::pause(after);
        process.kill().unwrap();
    }

    pub fn start_again(&mut self, name: &str) {
        let started = self.stack_mut().start_again(name);
        started.unwrap_or_else(|error| panic!("{}", error.in_full()));
    }

    /// Asks one process to end; checks that it does so by itself and with exit code 0.
    pub fn end(&self, name: &str) {
        let process = self.identity(name);
        assert!(process.signal(Signal::SIGTERM).unwrap(), "{name} does not run");
        assert_eq!(self.until_ended(name), "exit code 0", "{name} after SIGTERM");
    }

    /// Waits until it has ended by itself; answers how.
    pub fn until_ended(&self, name: &str) -> String {
        let process = self.identity(name);
        eventually(&format!("{name} ends"), || process.reap().ok_or("still runs"))
    }

    /// Waits until the database has everything the engine had decided when this was called: a mark
    /// is set in every stream and looked for behind it.
    pub fn settle(&mut self) {
        if self.auditor.is_none() {
            let funds = [("USDC", "100000"), ("BTC", "1")];
            self.auditor = Some(self.trader("auditor", &funds));
        }
        let auditor = self.auditor.clone().unwrap();
        let marks: Vec<String> = MARKS.iter().map(|mark| set_mark(&auditor, mark)).collect();
        self.marks_set += 1;
        let account = &auditor.account;
        let transfer = format!("mark-{account}-{}", self.marks_set);
        self.stack().admin().deposit(account, "USDC", "0.000001", &transfer).unwrap();
        let orders = marks.join(", ");
        let statement = format!(
            "SELECT (SELECT count(*) FROM order_events WHERE kind = 3 AND order_id IN ({orders})),
                    (SELECT count(*) FROM transfers WHERE account_id = {account})"
        );
        let wanted = [marks.len().to_string(), (2 + self.marks_set).to_string()];
        self.until_written(&statement, &wanted);
    }

    /// Waits as long as the database comes nearer.
    fn until_written(&self, statement: &str, wanted: &[String]) {
        let database = self.database();
        let (mut reached, mut moved_at) = (String::new(), Instant::now());
        while database.rows(statement) != [wanted] {
            let position = database.value("SELECT sum(last_sequence) FROM sink_position");
            if position != reached {
                (reached, moved_at) = (position, Instant::now());
            }
            assert!(moved_at.elapsed() < PATIENCE, "the database stands still: {statement}");
            breathe();
        }
    }

    /// Fails when a service is not running and ready, or one of all logs tells of a panic.
    pub fn assert_sound(&self) {
        eventually("every service is ready", || {
            let health = self.stack().health();
            let ill = health
                .into_iter()
                .find(|(member, health)| member.spec.name != MM && *health != Health::Ready);
            match ill {
                None => Ok(()),
                Some((member, health)) => Err(format!("{} is {health:?}", member.spec.name)),
            }
        });
        self.assert_no_panic();
    }

    /// Looks at every log of this exchange, of earlier starts too.
    pub fn assert_no_panic(&self) {
        for log in self.logs() {
            let bytes = std::fs::read(&log).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            let panic = text.lines().find(|line| is_panic(line) || is_fatal(line));
            assert_eq!(panic, None, "{}", log.display());
        }
    }

    fn logs(&self) -> Vec<PathBuf> {
        let folder = self.options.var_dir.join("log");
        let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
        let mut logs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        logs.sort();
        logs
    }

    /// The end of every service's log, for whoever reads of a failure.
    pub fn report(&self) -> String {
        let of_service = |log: &&PathBuf| {
            let name = log.file_name().unwrap_or_default().to_string_lossy();
            services::ALL.iter().any(|service| name.starts_with(service))
        };
        let part = |log: &PathBuf| format!("--- {}\n{}\n", log.display(), tail(log));
        self.logs().iter().filter(of_service).map(part).collect()
    }

    /// Ends the processes and leaves the folder to whoever wants to look into it.
    pub fn abandon(self) -> PathBuf {
        let World { stack, disk, scratch, .. } = self;
        drop((stack, disk));
        let kept = scratch.path().to_path_buf();
        std::mem::forget(scratch);
        kept
    }
}

const ENGINE_SETTINGS: [(&str, i64); 4] = [
    ("segment_mib", 1),
    ("snapshot_frames", 3_000),
    ("drain_snapshot_frames_min", 100),
    ("events_queue_max", 5_000),
];

/// Market, price and quantity of an order that stands far behind every other.
const MARKS: [(&str, &str, &str); 4] = [
    ("SOL_USDC", "0.01", "0.01"),
    ("BTC_USDC", "0.1", "0.00001"),
    ("ETH_USDC", "0.01", "0.0001"),
    ("SOL_BTC", "0.0000001", "0.1"),
];

/// Places and cancels; answers the order's id.
fn set_mark(auditor: &Trader, mark: &(&str, &str, &str)) -> String {
    let (symbol, price, quantity) = mark;
    let order = eventually("an order of the auditor", || {
        let reply = auditor.try_place(&limit(symbol, "Bid", price, quantity))?;
        if reply.is_ok() { Ok(reply.body) } else { Err(reply.body.to_string()) }
    });
    let order = id_of(&order);
    auditor.cancel(&json!({"symbol": symbol, "orderId": order})).ok();
    order
}

/// As the standard library says it, or the services' logs.
fn is_panic(line: &str) -> bool {
    line.contains("panicked") || line.contains("service::logs: panic ")
}

/// PostgreSQL's own word for what a panic is here.
fn is_fatal(line: &str) -> bool {
    line.contains("PANIC:")
}

/// The repository's own configuration, with a market maker that is quick and always the same, and
/// with everything small of which there can be several: snapshots and journal files come and go
/// within a scenario, and queues reach their bounds. Prices of one scenario are far from those of
/// the next in the same market, so that no band keeps them together; the scenario of listings has
/// its own.
fn configuration() -> Table {
    let file = repository_root().join("exchange.toml");
    let mut table: Table = std::fs::read_to_string(file).unwrap().parse().unwrap();
    let engine = table["engine"].as_table_mut().unwrap();
    for (key, value) in ENGINE_SETTINGS {
        let before = engine.insert(key.to_owned(), toml::Value::Integer(value));
        assert!(before.is_some(), "exchange.toml has no {key}");
    }
    for market in table["markets"].as_array_mut().unwrap() {
        let market = market.as_table_mut().unwrap();
        for key in ["min", "max", "min_impact", "max_impact"] {
            market.remove(&format!("{key}_multiplier")).unwrap();
        }
    }
    let quotes = |symbol: &str, price: &str, smallest: &str, largest: &str| {
        let text = |value: &str| toml::Value::String(value.to_owned());
        let number = |value: i64| toml::Value::Integer(value);
        toml::Value::Table(Table::from_iter([
            ("symbol".to_owned(), text(symbol)),
            ("start_price".to_owned(), text(price)),
            ("quantity_min".to_owned(), text(smallest)),
            ("quantity_max".to_owned(), text(largest)),
            ("rate_per_s".to_owned(), number(60)),
            ("open_orders_max".to_owned(), number(40)),
        ]))
    };
    let markets = vec![
        quotes("SOL_USDC", SOL_PRICE, "0.1", "2"),
        quotes("BTC_USDC", BTC_PRICE, "0.0001", "0.01"),
    ];
    let maker = Table::from_iter([
        ("seed".to_owned(), toml::Value::Integer(7)),
        ("markets".to_owned(), toml::Value::Array(markets)),
    ]);
    table.insert("market_maker".to_owned(), toml::Value::Table(maker));
    table
}

/// Builds the services once a run of this test program; where they are up to date that is quick.
fn binaries() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        build_services(&repository_root(), Profile::Debug)
            .unwrap_or_else(|error| panic!("{}", error.in_full()))
    };
    FOLDER.get_or_init(build).clone()
}

/// A seed nobody chose, unless `EXCHANGE_TEST_SEED` names the one of a failure to repeat. Printed,
/// since a failure is of little use without it.
pub fn seed(of: &str) -> u64 {
    let chosen = std::env::var("EXCHANGE_TEST_SEED").ok();
    let seed = chosen.map(|text| text.parse().unwrap()).unwrap_or_else(now_ms);
    println!("seed of {of}: EXCHANGE_TEST_SEED={seed}");
    seed
}

/// All members of an object that are objects themselves, by name, each rendered: for comparing
/// what an exchange said before and after.
pub fn rendered(object: &Value) -> BTreeMap<String, String> {
    let members = object.as_object().unwrap().iter();
    members.map(|(name, value)| (name.clone(), value.to_string())).collect()
}
