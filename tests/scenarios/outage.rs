//! A database that is away while thousands of trades happen, and then has to catch up: on an
//! exchange whose event queues are so small that most of it waits in the journal.

use ::redis::cmd;
use protocol::keys;
use scenarios::bulk::Bulk;
use scenarios::client::{limit, with};
use scenarios::eventually::{SECOND, eventually, eventually_within};
use scenarios::lane::Apart;
use scenarios::listing::Market;
use scenarios::metrics::counted;
use scenarios::prober::Prober;
use scenarios::world::World;
use serde_json::json;
use xtask::naive_candles;
use xtask::private_servers::postgres;
use xtask::services::{DB_SINK, ENGINE};
use xtask::stack::MarketMaker;

pub const SCENARIOS: &[Apart] = &[Apart {
    name: "outage::a_database_that_was_away_catches_up_to_the_last_trade",
    possible: || Ok(()),
    start: with_small_queues,
    scenario: a_database_that_was_away,
}];

/// In the suite; `EXCHANGE_OUTAGE_TRADES` says of more.
const TRADES: u64 = 20_000;
const TRADES_VARIABLE: &str = "EXCHANGE_OUTAGE_TRADES";
const TRADES_A_BID: u64 = 200;
/// Prices that the trades go through, so that candles are more than one number.
const TICKS: u64 = 400_000;
const PRICES: u64 = 7;
/// Commands that may wait for the engine, so that the order queue takes no memory to speak of.
const QUEUED_MAX: usize = 2000;
/// All event queues together; the busy one gets a half of it.
const EVENTS_MIB: u64 = 1;
/// What Redis takes besides: orders on their way, buffers of connections.
const OTHER_BYTES: u64 = 8 << 20;

fn with_small_queues() -> World {
    World::start_changed("outage", MarketMaker::LeftOut, |plan| {
        let engine = plan.config["engine"].as_table_mut().unwrap();
        let memory = i64::try_from(EVENTS_MIB).unwrap();
        engine.insert("events_memory_mib_max".to_owned(), memory.into()).unwrap();
    })
}

fn a_database_that_was_away(world: &mut World) {
    let asked = std::env::var(TRADES_VARIABLE).ok();
    let trades = asked.map_or(TRADES, |text| text.parse().expect("a number of trades"));
    let rounds = trades / TRADES_A_BID;
    let seller = world.trader("seller", &[("ETH", "1000000")]);
    let buyer = world.trader("buyer", &[("USDC", "1000000000")]);
    let probing = world.trader("prober", &[("USDC", "1000")]);
    let market = world.listing().market("ETH_USDC").clone();
    let order = limit("SOL_USDC", "Bid", "1", "1");
    let prober = Prober::start(&probing, with(&order, json!({"timeInForce": "IOC"})));
    // Some trades that the database has before.
    let mut memory = Memory::of(world);
    let mut bulk = Bulk::new(world);
    let mut trade = |memory: &mut Memory, rounds: std::ops::Range<u64>| {
        for round in rounds {
            let ticks = TICKS + round % PRICES;
            bulk.trade(&market, (&seller, &buyer), ticks, (1, TRADES_A_BID));
            eventually("the engine takes orders", || {
                memory.look();
                let queued = bulk.queued(&market).unwrap();
                if queued < QUEUED_MAX { Ok(()) } else { Err(queued) }
            });
        }
    };
    trade(&mut memory, 0..rounds / 10);
    let answered = prober.answered();
    world.kill9(postgres::NAME);
    trade(&mut memory, rounds / 10..rounds);
    until_both_hold_some(world, &market, &mut memory);
    eventually("orders are answered", || {
        let now = prober.answered();
        if answered + 50 < now { Ok(()) } else { Err(now - answered) }
    });
    eventually("the sink says that it is behind", || logged(world, "does not get nearer"));
    world.start_again(postgres::NAME);
    let wanted = i128::from(rounds * TRADES_A_BID);
    let statement = format!("SELECT count(*) FROM trades WHERE market_id = {}", market.id);
    let patience = SECOND * (60 + u32::try_from(trades / 1000).unwrap());
    eventually_within(patience, "the database has every trade", || {
        memory.look();
        let now = world.database().number(&statement);
        if now == wanted { Ok(()) } else { Err(now) }
    });
    eventually("the sink says that it has caught up", || logged(world, "has caught up"));
    let slowest = prober.stop();
    world.settle();
    candles_are_as_the_trades_say(world);
    println!(
        "{wanted} trades; slowest answer {slowest:?}; at most {} KiB more in redis, {} of events",
        memory.most_more >> 10,
        memory.most_events >> 10
    );
}

/// The queue is as full as it may get, and the journal has the rest.
fn until_both_hold_some(world: &World, market: &Market, memory: &mut Memory) {
    eventually("queue and journal hold events", || {
        memory.look();
        let queue = keys::events(&market.symbol);
        let on_queue: u64 = cmd("XLEN").arg(queue).query(&mut world.redis()).unwrap();
        let in_journal = counted(world, ENGINE, "engine_events_behind_frames");
        // The sink has noticed, too.
        let behind = counted(world, DB_SINK, "sink_lag_frames");
        let is_behind = in_journal <= behind && behind <= in_journal + on_queue + QUEUED_MAX as u64;
        if 500 < on_queue && 500 < in_journal && is_behind {
            Ok(())
        } else {
            Err((on_queue, in_journal, behind))
        }
    });
}

fn logged(world: &World, text: &str) -> Result<(), &'static str> {
    let log = world.stack().log(DB_SINK).unwrap();
    if log.contains(text) { Ok(()) } else { Err("it does not") }
}

fn candles_are_as_the_trades_say(world: &World) {
    let database = world.database();
    for resolution in 0..naive_candles::RESOLUTIONS {
        let rows = database.rows(&naive_candles::comparison(resolution));
        assert_ne!(rows[0][0], "0", "candles of resolution {resolution}");
        assert_eq!(rows[0][1], "0", "candles of resolution {resolution} that differ");
    }
}

/// What Redis takes, against what it may.
struct Memory {
    redis: ::redis::Connection,
    queues: Vec<String>,
    before: u64,
    most_more: u64,
    most_events: u64,
}

impl Memory {
    fn of(world: &World) -> Memory {
        let markets = world.listing().markets.iter().map(|market| market.symbol.as_str());
        let queues = [keys::ACCOUNTS].into_iter().chain(markets).map(keys::events).collect();
        let mut redis = world.redis();
        let before = used(&mut redis);
        Memory { redis, queues, before, most_more: 0, most_events: 0 }
    }

    /// At this moment it is within its bound.
    fn look(&mut self) {
        let mut events = 0;
        for queue in &self.queues {
            let usage = cmd("MEMORY").arg("USAGE").arg(queue).arg("SAMPLES").arg(0).clone();
            events += usage.query::<Option<u64>>(&mut self.redis).unwrap().unwrap_or(0);
        }
        let more = used(&mut self.redis).saturating_sub(self.before);
        (self.most_events, self.most_more) =
            (self.most_events.max(events), self.most_more.max(more));
        let bound = EVENTS_MIB << 20;
        assert!(events <= bound, "event queues take {events} bytes");
        assert!(more <= bound + OTHER_BYTES, "redis takes {more} bytes more than before");
    }
}

fn used(redis: &mut ::redis::Connection) -> u64 {
    let text: String = cmd("INFO").arg("memory").query(redis).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    line.trim().parse().unwrap()
}
