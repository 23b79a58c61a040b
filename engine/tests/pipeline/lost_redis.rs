//! Redis loses something, or everything, or is another one.

use std::time::{Duration, Instant};

use engine::error::EngineError;
use protocol::{Sequence, Side, keys};

use crate::world::{DEADLINE, Replies, SOL_USDC, World, events, eventually, fund, place};

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
    let error = running.error();
    assert!(matches!(error, EngineError::EventsAhead { emitted: Sequence(5), .. }), "{error}");
}
