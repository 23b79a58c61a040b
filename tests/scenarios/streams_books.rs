//! Books kept by the published procedure under some thousand orders a second, while whatever
//! carries the streams is killed again and again: every frame is proved by its checksum, and at the
//! end every book is the exchange's own.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use scenarios::book_keeper::Book;
use scenarios::client::{Trader, limit, with};
use scenarios::eventually::{SECOND, eventually, eventually_within};
use scenarios::lane::Scenario;
use scenarios::metrics::counted;
use scenarios::order_storm::Storm;
use scenarios::stream_crowd::{Plan, StreamCrowd};
use scenarios::world::{World, seed};
use serde_json::{Value, json};
use xtask::interrupt;
use xtask::private_servers::redis;
use xtask::services::{ENGINE, WS_FANOUT};

pub const SCENARIOS: &[Scenario] =
    &[("streams_books::every_frame_is_proved_whoever_is_killed", every_frame_is_proved)];

const SYMBOL: &str = "ETH_USDC";
const DEPTH: &str = "/api/v1/depth?symbol=ETH_USDC&limit=1000";
/// 2500.00, where nobody else trades.
const TICKS: u64 = 250_000;
/// How many clients each stream has.
const STREAMS: &[(&str, usize)] = &[
    ("depth.ETH_USDC", 6),
    ("depth@ETH_USDC", 5),
    ("depth.200ms.ETH_USDC", 6),
    ("depth.200ms@ETH_USDC", 1),
    ("depth.600ms@ETH_USDC", 1),
    ("depth.1000ms.ETH_USDC", 1),
    ("trade.ETH_USDC", 1),
    ("trade@ETH_USDC", 1),
];
const BOOKS: usize = 20;
/// All have joined by the time so many commands were sent.
const JOINED_BY: u64 = 6_000;
/// What is done to whatever carries the streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Blow {
    Kill(&'static [&'static str]),
    /// Redis hangs up on all who hear it, while the engine publishes on.
    HangUp,
    /// The fan-out stands still, and has everything to make up for.
    Freeze,
}

const BLOWS: &[Blow] = &[
    Blow::Kill(&[WS_FANOUT]),
    Blow::Kill(&[WS_FANOUT]),
    Blow::Kill(&[redis::NAME]),
    Blow::Kill(&[redis::NAME]),
    Blow::Kill(&[ENGINE]),
    Blow::Kill(&[ENGINE]),
    Blow::Kill(&[redis::NAME, ENGINE]),
    Blow::HangUp,
    Blow::HangUp,
    Blow::HangUp,
    Blow::Freeze,
];
const AWAY_MS_MAX: u64 = 300;
const FRAMES_MAX: usize = 6_000;

fn every_frame_is_proved(world: &mut World) {
    let mut random = StdRng::seed_from_u64(seed("kept books"));
    let market = world.listing().market(SYMBOL).clone();
    let funds = [("ETH", "100000"), ("USDC", "1000000000")];
    let traders: Vec<Trader> =
        (1..=5).map(|number| world.trader(&format!("storm {number}"), &funds)).collect();
    let [closer, stormers @ ..] = traders.as_slice() else { panic!("five traders") };
    let (first, since) = (last_update(world), Instant::now());
    let storm = Storm::start(world, &market, stormers, TICKS, random.random());
    let urls = (world.stack().ws_url(), world.rest_url());
    let crowd = StreamCrowd::start(urls, SYMBOL, plans(&mut random), storm.sent());
    moves_on(&crowd, 0);
    let (mut blows, mut has_mended) = (BLOWS.to_vec(), false);
    blows.shuffle(&mut random);
    for blow in blows {
        moves_on(&crowd, random.random_range(0..FRAMES_MAX));
        let before = crowd.closed();
        blow.strike(world, &mut random);
        moves_on(&crowd, 0);
        let after = crowd.closed();
        println!("{blow:?}: {}", crowd.report());
        has_mended |= 0 < counted(world, WS_FANOUT, "fanout_mends_total");
        let mut ended = after.iter().filter(|(code, count)| before.get(code) != Some(count));
        let only_so = ended.all(|(code, _)| blow.may_end(*code));
        assert!(only_so, "{blow:?}: {before:?} {after:?}");
    }
    assert!(has_mended, "nothing was ever missed");
    storm.stop();
    let trade = last_trade(closer);
    let elapsed = since.elapsed();
    let book = Book::of_answer(&depth(world));
    until_all_are_there(&crowd, book.last_update, trade);
    let updates = book.last_update - first;
    println!("{updates} updates in {elapsed:?}; {}", crowd.report());
    let books = crowd.stop();
    assert_eq!(books.len(), BOOKS);
    for (stream, kept) in books {
        assert_eq!(kept, book, "{stream}");
    }
    assert_eq!(last_update(world), book.last_update, "somebody else has traded");
    for trader in &traders {
        trader.cancel_all(SYMBOL).ok();
    }
}

impl Blow {
    /// Whether it may end sockets so; all else is made up for.
    fn may_end(self, code: u16) -> bool {
        let kills = |name| matches!(self, Blow::Kill(names) if names.contains(&name));
        match code {
            // The connection broke.
            0 => kills(WS_FANOUT),
            // What was missed was before the snapshot that the engine has started from.
            1013 => kills(ENGINE),
            // On a busy machine a client may lag.
            code => code == 1008,
        }
    }

    fn strike(self, world: &mut World, random: &mut StdRng) {
        // How long it lasts is drawn, nothing is waited for.
        let pause = Duration::from_millis(random.random_range(0..AWAY_MS_MAX));
        match self {
            Blow::Kill(names) => {
                names.iter().for_each(|name| world.kill9(name));
                interrupt::pause(pause);
                names.iter().for_each(|name| world.start_again(name));
            }
            Blow::HangUp => {
                let mut kill = ::redis::cmd("CLIENT");
                let () = kill.arg(&["KILL", "TYPE", "pubsub"]).query(&mut world.redis()).unwrap();
            }
            Blow::Freeze => {
                world.stack().freeze(WS_FANOUT).unwrap();
                interrupt::pause(pause);
                world.stack().thaw(WS_FANOUT).unwrap();
            }
        }
    }
}

fn plans(random: &mut StdRng) -> Vec<Plan> {
    let names = STREAMS.iter().flat_map(|(name, count)| std::iter::repeat_n(*name, *count));
    let plan = |(number, name): (usize, &str)| Plan {
        stream: name.to_owned(),
        joins_at: random.random_range(0..JOINED_BY),
        is_fenced: number % 2 == 0,
        is_fickle: number % 4 == 3,
    };
    names.enumerate().map(plan).collect()
}

/// Waits until everybody is further than now and so many frames more have come.
fn moves_on(crowd: &StreamCrowd, frames: usize) {
    let (before, wanted) = (crowd.reached(), crowd.frames() + frames);
    eventually_within(60 * SECOND, "every client hears more", || {
        crowd.assert_unhurt();
        let now = crowd.reached();
        let behind = now.iter().zip(&before).position(|(now, before)| now <= before);
        match behind {
            None if wanted <= crowd.frames() => Ok(()),
            _ => Err((behind, now, crowd.report())),
        }
    });
}

fn until_all_are_there(crowd: &StreamCrowd, update: u64, trade: u64) {
    eventually("every client is at the end", || {
        crowd.assert_unhurt();
        let (books, trades) = (vec![update; BOOKS], vec![trade; 2]);
        let found = crowd.reached();
        if found == [books, trades].concat() { Ok(()) } else { Err((found, update, trade)) }
    });
}

/// Stands behind everything that was queued; answers its trade's id.
fn last_trade(closer: &Trader) -> u64 {
    let order = with(&limit(SYMBOL, "Bid", "2600", "0.0001"), json!({"timeInForce": "IOC"}));
    let filled = eventually("a last order", || {
        let reply = closer.try_place(&order)?;
        let trade = reply.body["fills"][0]["tradeId"].clone();
        if reply.is_ok() && trade != Value::Null { Ok(trade) } else { Err(reply.body.to_string()) }
    });
    filled.as_str().map_or_else(|| filled.as_u64().unwrap(), |text| text.parse().unwrap())
}

fn depth(world: &World) -> Value {
    eventually("the book", || {
        let reply = world.public(DEPTH);
        if reply.is_ok() { Ok(reply.body) } else { Err(reply) }
    })
}

fn last_update(world: &World) -> u64 {
    Book::of_answer(&depth(world)).last_update
}
