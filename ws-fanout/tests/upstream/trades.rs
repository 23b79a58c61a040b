//! Trades: made up for as far back as the replica remembers.

use protocol::MarketId;
use ws_fanout::stream_name::{Form, Kind, StreamName, Topic};

use crate::world::World;

const TRADES: StreamName = StreamName::Public {
    topic: Topic { kind: Kind::Trade, market: MarketId(1) },
    form: Form::Dotted,
};

async fn next(world: &mut World) -> u64 {
    let frame = world.message(TRADES).await;
    assert_eq!(frame["stream"], "trade.SOL_USDC");
    frame["data"]["t"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_trades_are_told_one_by_one() {
    let mut world = World::start().await;
    (0..4).for_each(|_| drop(world.engine().trade()));
    world.join(TRADES).await;
    world.trade().await;
    assert_eq!(next(&mut world).await, 5);
    // More than one answer holds.
    (0..7).for_each(|_| drop(world.engine().trade()));
    world.trade().await;
    for expected in 6..=13 {
        assert_eq!(next(&mut world).await, expected);
    }
    world.engine().trade();
    world.tell_heads().await;
    assert_eq!(next(&mut world).await, 14);
}

#[tokio::test(flavor = "multi_thread")]
async fn trades_behind_a_lost_connection_are_told() {
    let mut world = World::start().await;
    world.join(TRADES).await;
    for round in 1..=2 {
        world.engine().trade();
        if round == 1 {
            world.cut_off().await;
        } else {
            world.restart_redis().await;
        }
        assert_eq!(next(&mut world).await, round);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trades_that_nobody_remembers_break_the_stream() {
    let mut world = World::start().await;
    let token = world.join(TRADES).await;
    world.trade().await;
    assert_eq!(next(&mut world).await, 1);
    (0..5).for_each(|_| drop(world.engine().trade()));
    world.engine().trades.drain(..4);
    world.engine().life = 2;
    world.tell_heads().await;
    world.broken(TRADES, token).await;
    world.join(TRADES).await;
    world.trade().await;
    assert_eq!(next(&mut world).await, 7);
    world.trade().await;
    assert_eq!(next(&mut world).await, 8);
}
