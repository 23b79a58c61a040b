//! The whole engine against a Redis of its own: commands in, replies and events out, over restarts
//! of either.

#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use engine::config::{Config, Overrides};
use engine::counters::Counters;
use engine::error::EngineError;
use engine::pipeline::{self, Conditions};
use engine::stop::Stop;
use protocol::fixture::LISTING_TOML;
use protocol::{
    AccountId, Action, AssetId, Command, Event, Frame, GatewayId, Lots, MarketId, OrderKind,
    Origin, Outcome, Place, Price, Refusal, SelfTradePrevention, Sequence, Side, Target,
    TimeInForce, Transfer, TransferId, Units, keys,
};
use redis::{Client, Connection};
use service::{ExchangeFile, Ops};
use xtask::private_servers::Server;
use xtask::scratch::Scratch;

const DEADLINE: Duration = Duration::from_secs(30);
const GATEWAY: GatewayId = GatewayId(7);
const USDC: AssetId = AssetId(1);
const SOL: AssetId = AssetId(2);
const SOL_USDC: MarketId = MarketId(1);
const BTC_USDC: MarketId = MarketId(2);

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
struct World {
    scratch: Scratch,
    redis: Server,
    gateway_sequence: AtomicU64,
}

impl World {
    fn new() -> World {
        let scratch = Scratch::new("engine").unwrap();
        fs::write(scratch.path().join("exchange.toml"), [EXCHANGE, LISTING_TOML].concat()).unwrap();
        let redis = Server::redis("engine").unwrap();
        World { scratch, redis, gateway_sequence: AtomicU64::new(0) }
    }

    fn connect(&self) -> Connection {
        let client = Client::open(self.redis.url.as_str()).unwrap();
        let connection = client.get_connection().unwrap();
        connection.set_read_timeout(Some(DEADLINE)).unwrap();
        connection
    }

    /// An empty Redis takes the place of the one there was.
    fn replace_redis(&mut self) {
        self.redis.kill().unwrap();
        fs::remove_dir_all(self.redis.data()).unwrap();
        fs::create_dir(self.redis.data()).unwrap();
        self.redis.restart().unwrap();
    }

    fn engine(&self) -> Running {
        let folder = self.scratch.path();
        let file = ExchangeFile::load(&folder.join("exchange.toml")).unwrap();
        let overrides = Overrides { data_dir: Some(folder.join("data")), ops_listen: None };
        let mut config = Config::of(&file, overrides, 2).unwrap();
        config.redis_url.clone_from(&self.redis.url);
        let counters = Arc::new(Counters::new(config.ingress_threads, config.shards));
        let stop = Stop::default();
        let wish = stop.clone();
        let conditions = Conditions::of(ops());
        let thread = thread::spawn(move || pipeline::run(config, counters, conditions, wish));
        Running { stop, thread }
    }

    fn command(&self, action: Action) -> Command {
        let sequence = self.gateway_sequence.fetch_add(1, Ordering::Relaxed) + 1;
        Command { origin: Origin { gateway: GATEWAY, epoch: 1, sequence }, time_us: 0, action }
    }

    fn send(&self, connection: &mut Connection, action: Action) -> u64 {
        let command = self.command(action);
        let stream = match command.market() {
            MarketId::ACCOUNTS => keys::ACCOUNTS,
            SOL_USDC => "SOL_USDC",
            _ => "BTC_USDC",
        };
        let record = command.encode();
        let mut add = redis::cmd("XADD");
        add.arg(keys::orders(stream)).arg("*").arg(keys::COMMAND_FIELD).arg(&record[..]);
        add.exec(connection).unwrap();
        command.origin.sequence
    }
}

struct Running {
    stop: Stop,
    thread: JoinHandle<Result<(), EngineError>>,
}

impl Running {
    fn drain(self) {
        self.stop.wish();
        self.thread.join().unwrap().unwrap();
    }
}

/// The process has one endpoint, however many engines it tests.
fn ops() -> &'static Ops {
    static OPS: OnceLock<Ops> = OnceLock::new();
    OPS.get_or_init(|| Ops::start("127.0.0.1:0".parse().unwrap(), || ()).unwrap())
}

fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "not in time: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Reply frames as a gateway hears them, by the sender's sequence.
struct Replies {
    thread: JoinHandle<BTreeMap<u64, Outcome>>,
    done: Stop,
}

impl Replies {
    /// Listens until `count` commands are answered.
    fn listen(world: &World, count: usize) -> Replies {
        let mut connection = world.connect();
        let done = Stop::default();
        let (ready, inner) = (Stop::default(), done.clone());
        let subscribed = ready.clone();
        let thread = thread::spawn(move || {
            let mut outcomes = BTreeMap::new();
            let mut channel = connection.as_pubsub();
            channel.subscribe(keys::replies(GATEWAY)).unwrap();
            subscribed.wish();
            while outcomes.len() < count {
                let message = channel.get_message().unwrap();
                for (origin, frame) in frames(message.get_payload_bytes()) {
                    outcomes.insert(origin, frame);
                }
            }
            inner.wish();
            outcomes
        });
        assert!(ready.sleep(DEADLINE));
        Replies { thread, done }
    }

    fn all(self) -> BTreeMap<u64, Outcome> {
        assert!(self.done.sleep(DEADLINE), "replies are missing");
        self.thread.join().unwrap()
    }
}

fn frames(bytes: &[u8]) -> Vec<(u64, Outcome)> {
    let frames = Frame::each_of(bytes).map(Result::unwrap);
    frames.map(|frame| (frame.command.origin.sequence, frame.header.outcome)).collect()
}

/// The frames of an event queue, checked to be chained and to stand under their sequences.
fn events(connection: &mut Connection, stream: &str) -> Vec<Vec<u8>> {
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

fn account(id: u32) -> AccountId {
    AccountId::new(id).unwrap()
}

fn deposit(id: u32, asset: AssetId, units: u64) -> Action {
    let transfer = u128::from(id) << 64 | u128::from(asset.0);
    let (account, id) = (account(id), TransferId(transfer));
    Action::Deposit(Transfer { account, asset, units: Units(units), id })
}

fn place(market: MarketId, owner: u32, side: Side, ticks: u64, lots: u64) -> Action {
    Action::Place(Place {
        market,
        account: account(owner),
        side,
        kind: OrderKind::Limit {
            price: Price::from_ticks(ticks).unwrap(),
            lots: Lots(lots),
            post_only: false,
        },
        time_in_force: TimeInForce::GoodTillCancelled,
        self_trade_prevention: SelfTradePrevention::RejectTaker,
        client_id: None,
        valid_until_us: 0,
    })
}

/// Two accounts with plenty of everything.
fn fund(world: &World, connection: &mut Connection) {
    let replies = Replies::listen(world, 6);
    for _ in 0..2 {
        world.send(connection, Action::CreateAccount);
    }
    for (owner, asset) in [(1, USDC), (1, SOL), (2, USDC), (2, SOL)] {
        world.send(connection, deposit(owner, asset, 1_000_000_000_000_000));
    }
    let outcomes = replies.all();
    assert!(outcomes.values().all(|it| !matches!(it, Outcome::Refused(_))), "{outcomes:?}");
}

#[test]
fn an_order_trades_and_everything_is_there_after_a_restart() {
    let world = World::new();
    let mut connection = world.connect();
    let engine = world.engine();
    fund(&world, &mut connection);
    let replies = Replies::listen(&world, 2);
    let maker = world.send(&mut connection, place(SOL_USDC, 1, Side::Ask, 2000, 50));
    let taker = world.send(&mut connection, place(SOL_USDC, 2, Side::Bid, 2000, 20));
    let outcomes = replies.all();
    let Outcome::Rested { order, .. } = outcomes[&maker] else { panic!("{outcomes:?}") };
    assert!(matches!(outcomes[&taker], Outcome::Filled { .. }));
    engine.drain();
    let heartbeat: Option<String> =
        redis::cmd("GET").arg(keys::HEARTBEAT).query(&mut connection).unwrap();
    assert_eq!(heartbeat, None);

    let engine = world.engine();
    eventually("a heartbeat", || {
        redis::cmd("GET").arg(keys::HEARTBEAT).query::<Option<String>>(&mut connection).unwrap()
    });
    let replies = Replies::listen(&world, 2);
    let cancel =
        Action::Cancel { market: SOL_USDC, account: account(1), target: Target::Order(order) };
    let first = world.send(&mut connection, cancel);
    let second = world.send(&mut connection, cancel);
    let outcomes = replies.all();
    assert_eq!(outcomes[&first], Outcome::Cancelled);
    assert_eq!(outcomes[&second], Outcome::Refused(Refusal::OrderNotFound));
    engine.drain();
    let found = events(&mut connection, "SOL_USDC");
    assert_eq!(found.len(), 3);
    let trade = Frame::parse(&found[1]).unwrap().trades().next().unwrap();
    assert_eq!((trade.lots, trade.maker_order), (Lots(20), order));
    let closed = Frame::parse(&found[2]).unwrap().events().next().unwrap();
    assert!(matches!(closed, Event::Closed(closed) if closed.lots_left == Lots(30)));
    assert_eq!(events(&mut connection, keys::ACCOUNTS).len(), 6);
}

/// Rings of 8 commands and 4 records, two shards, orders that trade with dozens at once.
#[test]
fn thousands_of_orders_over_two_markets_lose_and_repeat_nothing() {
    const ORDERS: u64 = 4000;
    let world = World::new();
    let mut connection = world.connect();
    let engine = world.engine();
    fund(&world, &mut connection);
    let replies = Replies::listen(&world, ORDERS as usize);
    let mut pipe = redis::pipe();
    for number in 0..ORDERS {
        let (market, stream) =
            if number % 2 == 0 { (SOL_USDC, "SOL_USDC") } else { (BTC_USDC, "BTC_USDC") };
        let sweeps = number % 200 >= 198;
        let (side, owner, lots) =
            if sweeps { (Side::Ask, 2, 99) } else { (Side::Bid, 1 + number as u32 % 2, 1) };
        let record = world.command(place(market, owner, side, 1000 + number % 7, lots)).encode();
        pipe.cmd("XADD")
            .arg(keys::orders(stream))
            .arg("*")
            .arg(keys::COMMAND_FIELD)
            .arg(&record[..]);
    }
    pipe.exec(&mut connection).unwrap();
    let outcomes = replies.all();
    assert_eq!(outcomes.len(), ORDERS as usize);
    engine.drain();
    let (sol, btc) = (events(&mut connection, "SOL_USDC"), events(&mut connection, "BTC_USDC"));
    let effective = |(_, it): &(_, &Outcome)| !matches!(it, Outcome::Refused(_));
    assert_eq!(sol.len() + btc.len(), outcomes.iter().filter(effective).count());
    assert!(sol.iter().any(|bytes| 50 < Frame::parse(bytes).unwrap().trades().count()));
    // Every number once, refused ones aside, which no queue carries.
    let mut sequences: Vec<Sequence> =
        sol.iter().chain(&btc).map(|it| Frame::parse(it).unwrap().header.sequence).collect();
    sequences.sort();
    sequences.dedup();
    assert_eq!(sequences.len(), sol.len() + btc.len());
    // The same again from the journal: recovery accepts every frame.
    world.engine().drain();
}

#[test]
fn queues_that_redis_lost_are_filled_from_the_journal() {
    let mut world = World::new();
    let mut connection = world.connect();
    let engine = world.engine();
    fund(&world, &mut connection);
    let replies = Replies::listen(&world, 1);
    world.send(&mut connection, place(SOL_USDC, 1, Side::Ask, 2000, 50));
    replies.all();
    // While the engine runs: it meets an empty Redis and goes on.
    world.replace_redis();
    let mut connection = world.connect();
    let mut replies = Replies::listen(&world, 1);
    let mut sent = Instant::now();
    world.send(&mut connection, place(SOL_USDC, 1, Side::Ask, 2001, 50));
    while !replies.done.sleep(Duration::from_millis(100)) {
        // Pub/sub drops what nobody heard; the engine may have answered before we listened again.
        assert!(sent.elapsed() < DEADLINE);
        if Duration::from_secs(3) < sent.elapsed() {
            replies = Replies::listen(&world, 1);
            world.send(&mut connection, place(SOL_USDC, 1, Side::Ask, 2001, 50));
            sent = Instant::now();
        }
    }
    replies.all();
    eventually("the accounts' queue", || {
        (events(&mut connection, keys::ACCOUNTS).len() == 6).then_some(())
    });
    eventually("the market's queue", || {
        (2 <= events(&mut connection, "SOL_USDC").len()).then_some(())
    });
    engine.drain();
    // While it does not run: it fills them at the start.
    let before = events(&mut connection, "SOL_USDC");
    redis::cmd("DEL").arg(keys::events("SOL_USDC")).exec(&mut connection).unwrap();
    let engine = world.engine();
    eventually("the market's queue", || {
        (events(&mut connection, "SOL_USDC") == before).then_some(())
    });
    engine.drain();
}

#[test]
fn a_redis_that_knows_more_than_the_journal_is_refused() {
    let world = World::new();
    let mut connection = world.connect();
    let key = keys::events("SOL_USDC");
    redis::cmd("XADD").arg(key).arg("5-0").arg("f").arg("x").exec(&mut connection).unwrap();
    let running = world.engine();
    let error = running.thread.join().unwrap().unwrap_err();
    assert!(matches!(error, EngineError::EventsAhead { emitted: Sequence(5), .. }), "{error}");
}

#[test]
fn what_is_no_command_is_skipped_and_what_is_durable_is_trimmed() {
    let world = World::new();
    let mut connection = world.connect();
    let mut add = redis::cmd("XADD");
    add.arg(keys::orders(keys::ACCOUNTS)).arg("*").arg("c").arg("no record");
    add.exec(&mut connection).unwrap();
    let stray = world.command(place(SOL_USDC, 1, Side::Ask, 2000, 50)).encode();
    let mut add = redis::cmd("XADD");
    add.arg(keys::orders("BTC_USDC")).arg("*").arg("c").arg(&stray[..]);
    add.exec(&mut connection).unwrap();
    let engine = world.engine();
    fund(&world, &mut connection);
    let replies = Replies::listen(&world, 1000);
    let ask = place(SOL_USDC, 1, Side::Ask, 2000, 1);
    let commands = (0..1000).map(|_| world.command(ask).encode());
    let mut pipe = redis::pipe();
    for record in commands {
        pipe.cmd("XADD").arg(keys::orders("SOL_USDC")).arg("*").arg("c").arg(&record[..]);
    }
    pipe.exec(&mut connection).unwrap();
    replies.all();
    eventually("trimmed to less than a node", || {
        let length: u64 =
            redis::cmd("XLEN").arg(keys::orders("SOL_USDC")).query(&mut connection).unwrap();
        (length <= 100).then_some(())
    });
    engine.drain();
    assert_eq!(events(&mut connection, "BTC_USDC").len(), 0);
}
