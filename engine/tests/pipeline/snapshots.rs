//! Snapshots while orders flow, starts from them, and what of the journal may go.

use engine::disk::RealDisk;
use engine::journal::segment;
use engine::{snapshot, snapshot::retention::KEPT};
use protocol::{Action, Outcome, Refusal, Sequence, Side, Target, keys};
use redis::Connection;

use crate::world::{DEADLINE, Replies, SOL_USDC, World, account, add, eventually, fund, place};

const STREAMS: [&str; 3] = [keys::ACCOUNTS, "SOL_USDC", "BTC_USDC"];

fn snapshots(world: &World) -> Vec<u64> {
    let found = snapshot::list(&RealDisk, &world.data().join("snapshots")).unwrap();
    found.into_iter().map(|(sequence, _)| sequence.0).collect()
}

fn first_frame(world: &World) -> Sequence {
    segment::list(&RealDisk, &world.data().join("journal")).unwrap()[0].0
}

/// Orders that trade a little, all answered.
fn trade(world: &World, connection: &mut Connection, orders: usize) {
    let replies = Replies::listen(world, orders);
    for number in 0..orders {
        let (side, owner) = if number % 2 == 0 { (Side::Ask, 1) } else { (Side::Bid, 2) };
        let order = place(SOL_USDC, owner, side, 2000, 5);
        add(connection, "*", &world.command(order));
    }
    assert!(replies.done.sleep(DEADLINE), "replies are missing");
}

/// What the sink says when the database has everything.
fn commit(connection: &mut Connection, sequence: u64) {
    for stream in STREAMS {
        redis::cmd("HSET").arg(keys::COMMITTED).arg(stream).arg(sequence).exec(connection).unwrap();
    }
}

#[test]
fn an_engine_starts_from_its_snapshots_when_the_first_segments_are_gone() {
    let world = World::new();
    let mut connection = world.connect();
    let engine = world.engine_with(|config| config.snapshot_frames = 1000);
    fund(&world, &mut connection);
    let replies = Replies::listen(&world, 1);
    let resting = world.send(&mut connection, place(SOL_USDC, 1, Side::Ask, 3000, 50));
    let Outcome::Rested { order, .. } = replies.outcomes()[&resting] else { panic!("it rests") };
    for _ in 0..12 {
        trade(&world, &mut connection, 1100);
    }
    eventually("three snapshots", || (snapshots(&world).len() == KEPT).then_some(()));
    // The database has nothing: the journal stays.
    assert_eq!(first_frame(&world), Sequence(1));
    let oldest = snapshots(&world)[0];
    commit(&mut connection, oldest);
    eventually("old segments to go", || (Sequence(1) < first_frame(&world)).then_some(()));
    assert!(first_frame(&world).0 <= oldest + 1);
    engine.drain();

    let engine = world.engine_with(|config| config.drain_snapshot_frames_min = 1);
    let replies = Replies::listen(&world, 2);
    let cancel =
        Action::Cancel { market: SOL_USDC, account: account(1), target: Target::Order(order) };
    let (first, second) =
        (world.send(&mut connection, cancel), world.send(&mut connection, cancel));
    let outcomes = replies.outcomes();
    assert_eq!(outcomes[&first], Outcome::Cancelled);
    assert_eq!(outcomes[&second], Outcome::Refused(Refusal::OrderNotFound));
    let before = snapshots(&world);
    engine.drain();
    let after = snapshots(&world);
    assert!(before.last() < after.last(), "no snapshot at the end: {before:?} {after:?}");
    world.engine().drain();
}
