//! Orders in, replies and events out, over restarts of the engine.

use protocol::{Action, Event, Frame, Lots, Outcome, Refusal, Sequence, Side, Target, keys};

use crate::world::{BTC_USDC, Replies, SOL_USDC, World, account, events, eventually, fund, place};

#[test]
fn an_order_trades_and_everything_is_there_after_a_restart() {
    let world = World::new();
    let mut connection = world.connect();
    let engine = world.engine();
    fund(&world, &mut connection);
    let replies = Replies::listen(&world, 2);
    let maker = world.send(&mut connection, place(SOL_USDC, 1, Side::Ask, 2000, 50));
    let taker = world.send(&mut connection, place(SOL_USDC, 2, Side::Bid, 2000, 20));
    let outcomes = replies.outcomes();
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
    let outcomes = replies.outcomes();
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
    let outcomes = replies.outcomes();
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
