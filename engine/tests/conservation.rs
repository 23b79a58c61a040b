//! An engine whose books do not add up takes cancels only, says so, and stays that way.
//!
//! A test of its own process: it looks at the endpoint that all engines of a process share.

#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

#[path = "pipeline/world.rs"]
#[allow(dead_code, reason = "the pipeline's tests use all of it")]
mod world;

use std::io::{Read, Write};
use std::net::TcpStream;

use engine::disk::RealDisk;
use engine::snapshot::read::{Pieces, load, verify};
use engine::snapshot::write::{Care, write};
use engine::snapshot::{Snapshot, list};
use protocol::{Action, Outcome, Refusal, Side, Target, Units};
use redis::Connection;
use serde::Serialize;

use world::{Replies, SOL_USDC, USDC, World, account, eventually, fund, ops, place};

/// Puts one encoded value in the place of another that is there once.
fn replace<T: Serialize>(pieces: &mut [Vec<u8>], was: &T, is: &T) {
    let [was, is] = [was, is].map(|value| postcard::to_stdvec(value).unwrap());
    let mut places = Vec::new();
    for (piece, bytes) in pieces.iter().enumerate() {
        let windows = bytes.windows(was.len()).enumerate();
        places.extend(windows.filter(|(_, it)| *it == was).map(|(at, _)| (piece, at)));
    }
    let [(piece, at)] = places[..] else { panic!("{places:?}") };
    pieces[piece].splice(at..at + was.len(), is);
}

/// Gives account 1 some units from nowhere, and makes the sums agree.
fn tamper(world: &World) {
    const GIFT: u64 = 5;
    let folder = world.data().join("snapshots");
    let (_, path) = list(&RealDisk, &folder).unwrap().pop().unwrap();
    let header = verify(&RealDisk, &path).unwrap();
    let pieces = Pieces::open(&RealDisk, &path).unwrap();
    let mut pieces: Vec<_> = pieces.collect::<Result<_, _>>().unwrap();
    let catalog = header.definitions.catalog().unwrap();
    let replica = load(&RealDisk, &path, &catalog, &header.definitions).unwrap().replica;
    let mut balances = replica.balances_of(account(1));
    let had = balances.find(|balance| balance.asset == USDC).unwrap().available;
    let cell = |units| (account(1), USDC, units);
    replace(&mut pieces, &cell(had), &cell(Units(had.0 + GIFT)));
    let sum = replica.accounts_state().sum;
    let mut tampered = sum;
    tampered.give(account(1), USDC, Units(GIFT));
    replace(&mut pieces, &sum, &tampered);
    let snapshot = Snapshot::of_pieces(pieces, header.mark, header.definitions, header.time_us);
    let care = Care { free_bytes_min: 0, unsynced_journal: None, goes_on: &|| true };
    write(&RealDisk, &folder, &snapshot, &care).unwrap();
}

fn get(path: &str) -> String {
    let mut stream = TcpStream::connect(ops().address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn decide(world: &World, connection: &mut Connection, action: Action) -> Outcome {
    let replies = Replies::listen(world, 1);
    let sent = world.send(connection, action);
    replies.outcomes()[&sent]
}

#[test]
fn a_unit_from_nowhere_halts_trading_for_good() {
    let world = World::new();
    let mut connection = world.connect();
    let engine = world.engine_with(|config| config.drain_snapshot_frames_min = 1);
    fund(&world, &mut connection);
    let mut resting = Vec::new();
    // The bid leaves a balance that no transfer was of, for the tampering to find.
    for (side, ticks) in [(Side::Ask, 3000), (Side::Bid, 100)] {
        let order = place(SOL_USDC, 1, side, ticks, 5);
        let Outcome::Rested { order, .. } = decide(&world, &mut connection, order) else {
            panic!("it rests")
        };
        resting.push(order);
    }
    eventually("the engine to be ready", || {
        get("/readyz").contains("conservation ready").then_some(())
    });
    engine.drain();
    tamper(&world);

    let bid = |ticks| place(SOL_USDC, 2, Side::Bid, ticks, 1);
    let halted = Outcome::Refused(Refusal::CancelOnly);
    for order in resting {
        let engine = world.engine_with(|config| config.drain_snapshot_frames_min = 1);
        eventually("trading to halt", || {
            (decide(&world, &mut connection, bid(1000)) == halted).then_some(())
        });
        let cancel =
            Action::Cancel { market: SOL_USDC, account: account(1), target: Target::Order(order) };
        assert_eq!(decide(&world, &mut connection, cancel), Outcome::Cancelled);
        assert_eq!(decide(&world, &mut connection, bid(1001)), halted);
        assert!(get("/readyz").contains("conservation waiting"));
        assert!(get("/metrics").contains("engine_conservation_holds 0"));
        engine.drain();
    }
    // What does not add up is never written down as a state to start from.
    assert_eq!(list(&RealDisk, &world.data().join("snapshots")).unwrap().len(), 1);
}
