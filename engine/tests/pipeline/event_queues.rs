//! Event queues that are full, emptied behind the engine's back, or already in the database.

use std::thread;
use std::time::Duration;

use protocol::{Frame, MarketId, Sequence, Side, keys};
use redis::Connection;

use crate::world::{
    BTC_USDC, Replies, SOL_USDC, World, add, events, eventually, flush, fund, place,
};

/// Bids that rest, in turns on the two markets.
fn place_bids(world: &World, connection: &mut Connection, count: usize) {
    let replies = Replies::listen(world, count);
    for number in 0..count {
        let market = [SOL_USDC, BTC_USDC][number % 2];
        add(connection, "*", &world.command(place(market, 1, Side::Bid, 1000, 1)));
    }
    replies.all();
}

fn length(connection: &mut Connection, stream: &str) -> usize {
    redis::cmd("XLEN").arg(keys::events(stream)).query(connection).unwrap()
}

/// Takes everything off a queue; returns the sequences.
fn take(connection: &mut Connection, stream: &str) -> Vec<u64> {
    let key = keys::events(stream);
    let mut range = redis::cmd("XRANGE");
    range.arg(&key).arg("-").arg("+");
    let entries: Vec<(String, Vec<Vec<u8>>)> = range.query(connection).unwrap();
    let parse = |(_, fields): (_, Vec<Vec<u8>>)| Frame::parse(&fields[1]).unwrap().header;
    let headers: Vec<_> = entries.into_iter().map(parse).collect();
    if let Some(last) = headers.last() {
        let mut trim = redis::cmd("XTRIM");
        trim.arg(&key).arg("MINID").arg(format!("{}-1", last.sequence));
        trim.exec(connection).unwrap();
    }
    for pair in headers.windows(2) {
        assert_eq!(pair[1].previous, Some(pair[0].sequence), "{stream}");
    }
    headers.into_iter().map(|header| header.sequence.0).collect()
}

#[test]
fn a_full_queue_waits_in_the_journal_and_orders_go_on() {
    const BIDS: usize = 800;
    const QUEUE_MAX: usize = 50;
    let world = World::new();
    let mut connection = world.connect();
    let engine = world.engine_with(|config| {
        config.events.entries_max = QUEUE_MAX as u64;
        config.egress_blocks_max = 1;
    });
    fund(&world, &mut connection);
    place_bids(&world, &mut connection, BIDS);
    for stream in ["SOL_USDC", "BTC_USDC"] {
        eventually("a full queue", || (length(&mut connection, stream) == QUEUE_MAX).then_some(()));
    }
    // One is read, the other stays full.
    let mut sol = take(&mut connection, "SOL_USDC");
    assert_eq!(sol.len(), QUEUE_MAX);
    while sol.len() < BIDS / 2 {
        eventually("more", || (0 < length(&mut connection, "SOL_USDC")).then_some(()));
        assert!(length(&mut connection, "SOL_USDC") <= QUEUE_MAX);
        sol.extend(take(&mut connection, "SOL_USDC"));
    }
    assert_eq!(length(&mut connection, "BTC_USDC"), QUEUE_MAX);
    engine.drain();
    // The next life goes on.
    let engine = world.engine_with(|config| config.events.entries_max = QUEUE_MAX as u64);
    let mut btc = Vec::new();
    while btc.len() < BIDS / 2 {
        eventually("more", || (0 < length(&mut connection, "BTC_USDC")).then_some(()));
        btc.extend(take(&mut connection, "BTC_USDC"));
    }
    engine.drain();
    assert_eq!((sol.len(), btc.len()), (BIDS / 2, BIDS / 2));
    assert!(sol.is_sorted() && btc.is_sorted());
    assert_eq!(
        take(&mut connection, "SOL_USDC").len() + take(&mut connection, "BTC_USDC").len(),
        0
    );
    assert_eq!(events(&mut connection, keys::ACCOUNTS).len(), 6);
}

#[test]
fn memory_that_is_used_up_makes_queues_wait_and_the_next_life_knows_of_it() {
    const BIDS: usize = 1200;
    const BYTES_MAX: u64 = 64 << 10;
    let world = World::new();
    let mut connection = world.connect();
    let bounded = || world.engine_with(|config| config.events.bytes_max = BYTES_MAX);
    let weight = |connection: &mut Connection| -> u64 {
        let of = |stream: &str, connection: &mut Connection| -> u64 {
            let mut usage = redis::cmd("MEMORY");
            usage.arg("USAGE").arg(keys::events(stream)).arg("SAMPLES").arg(0);
            usage.query::<Option<u64>>(connection).unwrap().unwrap_or(0)
        };
        ["SOL_USDC", "BTC_USDC", keys::ACCOUNTS].map(|stream| of(stream, connection)).iter().sum()
    };
    let engine = bounded();
    fund(&world, &mut connection);
    place_bids(&world, &mut connection, BIDS / 2);
    eventually("full queues", || (BYTES_MAX / 2 < weight(&mut connection)).then_some(()));
    engine.drain();
    let full = ["SOL_USDC", "BTC_USDC"].map(|stream| length(&mut connection, stream));
    assert!(full.iter().all(|entries| *entries < BIDS / 4), "{full:?}");
    // The next life finds entries of which it appended none.
    let engine = bounded();
    place_bids(&world, &mut connection, BIDS / 2);
    assert!(weight(&mut connection) <= BYTES_MAX);
    let mut taken = [Vec::new(), Vec::new()];
    while taken.iter().any(|taken| taken.len() < BIDS / 2) {
        eventually("more", || {
            let of = |stream| length(&mut connection, stream);
            (0 < ["SOL_USDC", "BTC_USDC"].map(of).into_iter().sum::<usize>()).then_some(())
        });
        for (stream, taken) in ["SOL_USDC", "BTC_USDC"].iter().zip(&mut taken) {
            assert!(weight(&mut connection) <= BYTES_MAX);
            taken.extend(take(&mut connection, stream));
        }
    }
    engine.drain();
    assert!(taken.iter().all(|taken| taken.len() == BIDS / 2 && taken.is_sorted()));
}

#[test]
fn what_is_flushed_while_the_engine_runs_is_filled_again() {
    let world = World::new();
    let mut connection = world.connect();
    let engine = world.engine();
    fund(&world, &mut connection);
    place_bids(&world, &mut connection, 20);
    eventually("the queue", || (events(&mut connection, "SOL_USDC").len() == 10).then_some(()));
    // Nothing else happens.
    flush(&mut connection);
    eventually("the queue again", || {
        (events(&mut connection, "SOL_USDC").len() == 10).then_some(())
    });
    // Orders flow on.
    for round in 1..=5 {
        flush(&mut connection);
        place_bids(&world, &mut connection, 20);
        for stream in ["SOL_USDC", "BTC_USDC"] {
            eventually("every frame from the first on", || {
                (events(&mut connection, stream).len() == 10 + 10 * round).then_some(())
            });
        }
    }
    eventually("the accounts", || {
        (events(&mut connection, keys::ACCOUNTS).len() == 6).then_some(())
    });
    engine.drain();
}

#[test]
fn what_the_database_has_is_not_filled_again_and_makes_room() {
    let world = World::new();
    let mut connection = world.connect();
    let engine = world.engine();
    fund(&world, &mut connection);
    place_bids(&world, &mut connection, 200);
    engine.drain();
    let all = events(&mut connection, "SOL_USDC");
    let sequence = |at: usize| Frame::parse(&all[at]).unwrap().header.sequence.0;
    flush(&mut connection);
    // An old position is told at first: the queue gets full with what nobody wants.
    let tell = |connection: &mut Connection, stream: &str, committed: u64| {
        let mut set = redis::cmd("HSET");
        set.arg(keys::COMMITTED).arg(stream).arg(committed).exec(connection).unwrap();
    };
    tell(&mut connection, "SOL_USDC", sequence(9));
    let engine = world.engine_with(|config| config.events.entries_max = 20);
    eventually("a full queue", || (length(&mut connection, "SOL_USDC") == 20).then_some(()));
    tell(&mut connection, "SOL_USDC", sequence(89));
    let expected: Vec<_> = (90..100).map(sequence).collect();
    eventually("the rest", || {
        let range: Vec<(String, Vec<Vec<u8>>)> = redis::cmd("XRANGE")
            .arg(keys::events("SOL_USDC"))
            .arg("-")
            .arg("+")
            .query(&mut connection)
            .unwrap();
        let ids: Vec<_> = range.iter().map(|(id, _)| id.clone()).collect();
        let expected: Vec<_> = expected.iter().map(|sequence| format!("{sequence}-0")).collect();
        (ids == expected).then_some(())
    });
    engine.drain();
}

/// Longer than any deadline on the way: connections are given up and made again.
#[test]
fn a_redis_that_pauses_loses_and_repeats_nothing() {
    let world = World::new();
    let mut connection = world.connect();
    let engine = world.engine_with(|config| config.egress_blocks_max = 2);
    fund(&world, &mut connection);
    let replies = Replies::listen(&world, 600);
    let mut pipe = redis::pipe();
    for number in 0..600 {
        let command = world.command(place(SOL_USDC, 1, Side::Bid, 1000 + number % 7, 1));
        let record = command.encode();
        let key = keys::orders("SOL_USDC");
        pipe.cmd("XADD").arg(key).arg("*").arg(keys::COMMAND_FIELD).arg(&record[..]).ignore();
        if number == 300 {
            pipe.cmd("CLIENT").arg("PAUSE").arg(7000).arg("ALL").ignore();
        }
    }
    pipe.exec(&mut connection).unwrap();
    replies.all();
    eventually("every event", || {
        thread::sleep(Duration::from_millis(50));
        (events(&mut connection, "SOL_USDC").len() == 600).then_some(())
    });
    engine.drain();
    let frames = events(&mut connection, "SOL_USDC");
    let is_here = |bytes: &Vec<u8>| Frame::parse(bytes).unwrap().command.market() == MarketId(1);
    assert!(frames.iter().all(is_here));
    let last = Frame::parse(&frames[599]).unwrap().header.sequence;
    assert_eq!(last, Sequence(606));
}
