//! Book tickers, tickers and klines.

use protocol::{Interval, MarketId, Side};
use ws_fanout::stream_name::{Form, Kind, StreamName, Topic};

use crate::world::World;

const fn stream(kind: Kind) -> StreamName {
    StreamName::Public { topic: Topic { kind, market: MarketId(1) }, form: Form::At }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_lost_connection_the_best_prices_are_told_once() {
    let mut world = World::start().await;
    let stream = stream(Kind::BookTicker);
    world.join(stream).await;
    world.engine().change(Side::Ask, 110, 5);
    world.cut_off().await;
    let frame = world.message(stream).await;
    assert_eq!((&frame["data"]["a"], &frame["data"]["A"]), (&"1.10".into(), &"0.05".into()));
    assert_eq!((&frame["data"]["b"], &frame["data"]["u"]), (&serde_json::Value::Null, &1.into()));
    let ticker = |update: u64| {
        format!(r#"{{"stream":"bookTicker@SOL_USDC","data":{{"e":"bookTicker","u":{update}}}}}"#)
    };
    // Older than what was told.
    world.publish("bookTicker@SOL_USDC", &ticker(1)).await;
    world.publish("bookTicker@SOL_USDC", &ticker(2)).await;
    assert_eq!(world.message(stream).await["data"]["u"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn klines_break_with_the_connection_and_tickers_go_on() {
    let mut world = World::start().await;
    let (klines, ticker) = (stream(Kind::Kline(Interval::Minute1)), stream(Kind::Ticker));
    let token = world.join(klines).await;
    world.join(ticker).await;
    world.restart_redis().await;
    world.broken(klines, token).await;
    let token = world.join(klines).await;
    world.publish("ticker@SOL_USDC", r#"{"stream":"ticker@SOL_USDC","data":{"n":3}}"#).await;
    assert_eq!(world.message(ticker).await["data"]["n"], 3);
    world.engine().life = 2;
    world.tell_heads().await;
    world.broken(klines, token).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_another_stream_is_not_passed_on() {
    let mut world = World::start().await;
    let ticker = stream(Kind::Ticker);
    let token = world.join(ticker).await;
    world.publish("ticker@SOL_USDC", r#"{"stream":"ticker@BTC_USDC","data":{"n":3}}"#).await;
    world.broken(ticker, token).await;
}
