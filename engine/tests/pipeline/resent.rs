//! Commands that come again: from a gateway without an answer, and from a Redis that is read again.

use protocol::{Outcome, Side};

use crate::world::{BTC_USDC, Replies, Reply, SOL_USDC, World, add, events, flush, fund, place};

/// What one command is answered.
fn answer(world: &World, connection: &mut redis::Connection, command: &protocol::Command) -> Reply {
    let replies = Replies::listen(world, 1);
    add(connection, "*", command);
    replies.all()[&command.origin.sequence]
}

#[test]
fn the_answer_to_a_command_that_comes_again_is_the_first_one() {
    let world = World::new();
    let mut connection = world.connect();
    let engine = world.engine();
    fund(&world, &mut connection);
    let rests = world.command(place(SOL_USDC, 1, Side::Ask, 2000, 50));
    let refused = world.command(place(SOL_USDC, 999, Side::Ask, 2000, 50));
    let commands = [rests, refused];
    let first = commands.map(|command| answer(&world, &mut connection, &command));
    assert!(matches!(first[0].outcome, Outcome::Rested { .. }));
    assert!(matches!(first[1].outcome, Outcome::Refused(_)));
    // From memory.
    assert_eq!(commands.map(|command| answer(&world, &mut connection, &command)), first);
    engine.drain();
    // From the journal.
    let engine = world.engine();
    assert_eq!(commands.map(|command| answer(&world, &mut connection, &command)), first);
    // Many at once, of which the journal is read in its own order.
    let replies = Replies::listen(&world, 2);
    for _ in 0..100 {
        for command in &commands {
            add(&mut connection, "*", command);
        }
    }
    assert_eq!(replies.all().into_values().collect::<Vec<_>>(), first);
    engine.drain();
    assert_eq!(events(&mut connection, "SOL_USDC").len(), 1);
}

/// As after a failover to a replica that lacks the latest entries, or another Redis altogether.
#[test]
fn a_stream_that_was_replaced_is_read_from_its_beginning_and_nothing_happens_twice() {
    let mut world = World::new();
    let mut connection = world.connect();
    let engine = world.engine();
    fund(&world, &mut connection);
    let known = world.command(place(SOL_USDC, 1, Side::Ask, 2000, 50));
    let first = answer(&world, &mut connection, &known);
    engine.drain();
    // Replaced while the engine is away: one command it has carried out, one it never saw, and one
    // that came so late that its id is above all that the engine ever read.
    world.replace_redis();
    let mut connection = world.connect();
    let unknown = world.command(place(SOL_USDC, 1, Side::Ask, 2001, 50));
    add(&mut connection, "5-0", &known);
    add(&mut connection, "6-0", &unknown);
    let late = world.command(place(SOL_USDC, 1, Side::Ask, 2004, 50));
    add(&mut connection, "*", &late);
    let replies = Replies::listen(&world, 3);
    let engine = world.engine();
    let replies = replies.all();
    assert_eq!(replies[&known.origin.sequence], first);
    for command in [unknown, late] {
        assert!(matches!(replies[&command.origin.sequence].outcome, Outcome::Rested { .. }));
    }
    // Emptied while it runs, and filled under lower ids.
    flush(&mut connection);
    let another = world.command(place(SOL_USDC, 1, Side::Ask, 2002, 50));
    let replies = Replies::listen(&world, 3);
    for (id, command) in [("1-0", known), ("1-1", unknown), ("2-0", another)] {
        add(&mut connection, id, &command);
    }
    let replies = replies.all();
    assert_eq!(replies[&known.origin.sequence], first);
    assert!(matches!(replies[&another.origin.sequence].outcome, Outcome::Rested { .. }));
    // The other stream was never there again, and begins anew.
    let other = world.command(place(BTC_USDC, 1, Side::Bid, 2000, 1));
    let replies = Replies::listen(&world, 1);
    add(&mut connection, "1-0", &other);
    replies.all();
    engine.drain();
    // The next life goes on behind what was read last.
    let engine = world.engine();
    let last = world.command(place(SOL_USDC, 1, Side::Ask, 2003, 50));
    let replies = Replies::listen(&world, 1);
    add(&mut connection, "3-0", &last);
    assert!(matches!(replies.all()[&last.origin.sequence].outcome, Outcome::Rested { .. }));
    engine.drain();
    assert_eq!(events(&mut connection, "SOL_USDC").len(), 5);
    assert_eq!(events(&mut connection, "BTC_USDC").len(), 1);
}
