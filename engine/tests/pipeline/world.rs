//! A folder, a Redis and at times an engine; who sends commands and hears replies.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use engine::config::{Config, Overrides};
use engine::counters::Counters;
use engine::error::EngineError;
use engine::pipeline::{self, Conditions};
use engine::stop::Stop;
use protocol::fixture::{self, LISTING_TOML};
use protocol::{
    AccountId, Action, AssetId, Command, Frame, GatewayId, MarketId, Origin, Outcome, Sequence,
    Side, Transfer, TransferId, Units, keys,
};
use redis::{Client, Connection};
use service::{ExchangeFile, Ops};
use xtask::private_servers::Server;
use xtask::scratch::Scratch;

pub const DEADLINE: Duration = Duration::from_secs(30);
pub const GATEWAY: GatewayId = GatewayId(7);
pub const USDC: AssetId = AssetId(1);
pub const SOL: AssetId = AssetId(2);
pub const SOL_USDC: MarketId = MarketId(1);
pub const BTC_USDC: MarketId = MarketId(2);

const EXCHANGE: &str = r#"
[redis]
url = "redis://127.0.0.1:1/"
[database]
url = "postgres://127.0.0.1:1/none"
[engine]
shards = 2
ingress_threads = 2
inbound_ring_commands = 8
outbound_ring_records = 4
segment_mib = 1
accounts_max = 1000
orders_per_market_max = 2000
"#;

/// A folder, a Redis, and at times an engine.
pub struct World {
    scratch: Scratch,
    pub redis: Server,
    gateway_sequence: AtomicU64,
}

impl World {
    pub fn new() -> World {
        let scratch = Scratch::new("engine").unwrap();
        fs::write(scratch.path().join("exchange.toml"), [EXCHANGE, LISTING_TOML].concat()).unwrap();
        let redis = Server::redis("engine").unwrap();
        World { scratch, redis, gateway_sequence: AtomicU64::new(0) }
    }

    pub fn connect(&self) -> Connection {
        let client = Client::open(self.redis.url.as_str()).unwrap();
        let connection = client.get_connection().unwrap();
        connection.set_read_timeout(Some(DEADLINE)).unwrap();
        connection
    }

    pub fn data(&self) -> PathBuf {
        self.scratch.path().join("data")
    }

    /// An empty Redis takes the place of the one there was.
    pub fn replace_redis(&mut self) {
        self.redis.kill().unwrap();
        fs::remove_dir_all(self.redis.data()).unwrap();
        fs::create_dir(self.redis.data()).unwrap();
        self.redis.restart().unwrap();
    }

    pub fn engine(&self) -> Running {
        self.engine_with(|_| ())
    }

    pub fn engine_with(&self, adjust: impl FnOnce(&mut Config)) -> Running {
        let folder = self.scratch.path();
        let file = ExchangeFile::load(&folder.join("exchange.toml")).unwrap();
        let overrides = Overrides { data_dir: Some(self.data()), ops_listen: None };
        let mut config = Config::of(&file, overrides, 2).unwrap();
        config.redis_url.clone_from(&self.redis.url);
        adjust(&mut config);
        let counters = Arc::new(Counters::new(config.ingress_threads, config.shards));
        let stop = Stop::default();
        let wish = stop.clone();
        let conditions = Conditions::of(ops());
        let thread = thread::spawn(move || pipeline::run(config, counters, conditions, wish));
        Running { stop, thread }
    }

    pub fn command(&self, action: Action) -> Command {
        let sequence = self.gateway_sequence.fetch_add(1, Ordering::Relaxed) + 1;
        Command { origin: Origin { gateway: GATEWAY, epoch: 1, sequence }, time_us: 0, action }
    }

    pub fn send(&self, connection: &mut Connection, action: Action) -> u64 {
        let command = self.command(action);
        add(connection, "*", &command);
        command.origin.sequence
    }
}

/// Puts a command on its stream under the id given.
pub fn add(connection: &mut Connection, id: &str, command: &Command) {
    let stream = match command.market() {
        MarketId::ACCOUNTS => keys::ACCOUNTS,
        SOL_USDC => "SOL_USDC",
        MarketId(9) => "SOL_BTC",
        _ => "BTC_USDC",
    };
    let record = command.encode();
    let mut add = redis::cmd("XADD");
    add.arg(keys::orders(stream)).arg(id).arg(keys::COMMAND_FIELD).arg(&record[..]);
    add.exec(connection).unwrap();
}

pub fn flush(connection: &mut Connection) {
    redis::cmd("FLUSHALL").exec(connection).unwrap();
}

pub struct Running {
    stop: Stop,
    thread: JoinHandle<Result<(), EngineError>>,
}

impl Running {
    pub fn drain(self) {
        self.stop.wish();
        self.thread.join().unwrap().unwrap();
    }

    /// Why it ended by itself.
    pub fn error(self) -> EngineError {
        self.thread.join().unwrap().unwrap_err()
    }
}

/// The process has one endpoint, however many engines it tests.
pub fn ops() -> &'static Ops {
    static OPS: OnceLock<Ops> = OnceLock::new();
    OPS.get_or_init(|| Ops::start("127.0.0.1:0".parse().unwrap(), || ()).unwrap())
}

pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "not in time: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Reply frames as a gateway hears them: the latest to each command, by the sender's sequence.
pub struct Replies {
    thread: JoinHandle<BTreeMap<u64, Reply>>,
    pub done: Stop,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reply {
    pub sequence: Sequence,
    pub outcome: Outcome,
}

impl Replies {
    /// Listens until `count` commands are answered.
    pub fn listen(world: &World, count: usize) -> Replies {
        let mut connection = world.connect();
        let done = Stop::default();
        let (ready, inner) = (Stop::default(), done.clone());
        let subscribed = ready.clone();
        let thread = thread::spawn(move || {
            let mut replies = BTreeMap::new();
            let mut channel = connection.as_pubsub();
            channel.subscribe(keys::replies(GATEWAY)).unwrap();
            subscribed.wish();
            while replies.len() < count {
                let message = channel.get_message().unwrap();
                for frame in Frame::each_of(message.get_payload_bytes()) {
                    let Frame { header, command, .. } = frame.unwrap();
                    let reply = Reply { sequence: header.sequence, outcome: header.outcome };
                    replies.insert(command.origin.sequence, reply);
                }
            }
            inner.wish();
            replies
        });
        assert!(ready.sleep(DEADLINE));
        Replies { thread, done }
    }

    pub fn all(self) -> BTreeMap<u64, Reply> {
        assert!(self.done.sleep(DEADLINE), "replies are missing");
        self.thread.join().unwrap()
    }

    pub fn outcomes(self) -> BTreeMap<u64, Outcome> {
        self.all().into_iter().map(|(origin, reply)| (origin, reply.outcome)).collect()
    }
}

/// The frames of an event queue, checked to be chained and to stand under their sequences.
pub fn events(connection: &mut Connection, stream: &str) -> Vec<Vec<u8>> {
    let mut range = redis::cmd("XRANGE");
    range.arg(keys::events(stream)).arg("-").arg("+");
    let entries: Vec<(String, Vec<Vec<u8>>)> = range.query(connection).unwrap();
    let mut previous = None;
    let mut found = Vec::new();
    for (id, mut fields) in entries {
        let bytes = fields.remove(1);
        let frame = Frame::parse(&bytes).unwrap();
        assert_eq!(id, format!("{}-0", frame.header.sequence));
        assert_eq!(frame.header.previous, previous, "at {id} of {stream}");
        assert!(frame.is_effective());
        previous = Some(frame.header.sequence);
        found.push(bytes);
    }
    found
}

pub fn account(id: u32) -> AccountId {
    AccountId::new(id).unwrap()
}

pub fn deposit(id: u32, asset: AssetId, units: u64) -> Action {
    let transfer = u128::from(id) << 64 | u128::from(asset.0);
    let (account, id) = (account(id), TransferId(transfer));
    Action::Deposit(Transfer { account, asset, units: Units(units), id })
}

pub fn place(market: MarketId, owner: u32, side: Side, ticks: u64, lots: u64) -> Action {
    Action::Place(fixture::limit(market, owner, side, ticks, lots))
}

/// Two accounts with plenty of everything.
pub fn fund(world: &World, connection: &mut Connection) {
    let replies = Replies::listen(world, 6);
    for _ in 0..2 {
        world.send(connection, Action::CreateAccount);
    }
    for (owner, asset) in [(1, USDC), (1, SOL), (2, USDC), (2, SOL)] {
        world.send(connection, deposit(owner, asset, 1_000_000_000_000_000));
    }
    let outcomes = replies.outcomes();
    assert!(outcomes.values().all(|it| !matches!(it, Outcome::Refused(_))), "{outcomes:?}");
}
