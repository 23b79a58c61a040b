//! The first trade, seen everywhere it must be seen, to the last unit.

use scenarios::client::{id_of, limit};
use scenarios::database::Database;
use scenarios::depth_book::DepthBook;
use scenarios::eventually::{SECOND, eventually};
use scenarios::lane::Scenario;
use scenarios::world::World;
use serde_json::{Value, json};
use xtask::client::now_ms;

pub const SCENARIOS: &[Scenario] = &[("first_trade::is_seen_everywhere", is_seen_everywhere)];

const SYMBOL: &str = "SOL_USDC";

/// alice sells 2 at 20.01, bob buys 1.23 of it, paying up to 20.05.
fn is_seen_everywhere(world: &mut World) {
    let alice = world.trader("alice", &[("SOL", "10")]);
    let bob = world.trader("bob", &[("USDC", "1000")]);
    let mut channel = world.channel(&["trade@SOL_USDC"]);
    let mut socket = world.socket();
    let streams = ["trade.SOL_USDC", "trade@SOL_USDC", "depth.SOL_USDC", "ticker.SOL_USDC"];
    socket.subscribe(&streams);
    socket.listen(&["kline.1m.SOL_USDC", "bookTicker.SOL_USDC"]);
    let mut book = DepthBook::snapshot(&world.public("/api/v1/depth?symbol=SOL_USDC").ok());

    let resting = alice.place(&limit(SYMBOL, "Ask", "20.01", "2")).ok();
    assert_eq!((&resting["status"], &resting["fills"]), (&json!("New"), &json!([])));
    let order = bob.place(&limit(SYMBOL, "Bid", "20.05", "1.23")).ok();
    assert_eq!(order["status"], "Filled");
    assert_eq!(order["executedQuantity"], "1.23");
    assert_eq!(order["executedQuoteQuantity"], "24.6123");
    assert_eq!(order["price"], "20.05");
    let trade_id = order["fills"][0]["tradeId"].clone();
    assert!(trade_id.is_u64(), "{order}");
    // Ten basis points of the 1.23 received.
    let fill = json!({"price": "20.01", "quantity": "1.23", "tradeId": trade_id,
        "fee": "0.00123", "feeSymbol": "SOL"});
    assert_eq!(order["fills"], json!([fill]));

    // Eight basis points of 24.6123 are 0.01968984, rounded up to the unit: 0.01969.
    alice.has("SOL", "8", "0.77");
    alice.has("USDC", "24.59261", "0");
    bob.has("SOL", "1.22877", "0");
    bob.has("USDC", "975.3877", "0");

    let (maker, taker) = (id_of(&resting), id_of(&order));
    let trade = channel.until("the trade on Redis", |heard| {
        let of_this = |(_, frame): &&(String, Value)| frame["data"]["t"] == trade_id;
        heard.iter().find(of_this).map(|(_, frame)| frame.clone())
    });
    assert_eq!(trade["stream"], "trade@SOL_USDC");
    for stream in ["trade.SOL_USDC", "trade@SOL_USDC"] {
        let data = socket.until(stream, |socket| {
            socket.data(stream).find(|data| data["t"] == trade_id).cloned()
        });
        assert_eq!(data, trade["data"], "{stream}");
    }
    let data = &trade["data"];
    let said = ["e", "s", "p", "q", "b", "a", "m"].map(|name| data[name].clone());
    let wanted = json!(["trade", SYMBOL, "20.01", "1.23", taker, maker, false]);
    assert_eq!(json!(said), wanted);
    let now_us = now_ms() * 1000;
    for time in ["E", "T"] {
        let time = data[time].as_u64().unwrap();
        assert!(now_us.abs_diff(time) < 60_000_000, "{time} is not microseconds of now");
    }

    in_the_tables(&world.database(), &trade_id, &maker, &taker);
    in_the_history(world, &trade_id);

    let rest = world.public("/api/v1/depth?symbol=SOL_USDC").ok();
    let snapshot = DepthBook::snapshot(&rest);
    socket.until("the last change of the book", |socket| {
        let last = socket.data("depth.SOL_USDC").last()?;
        (last["u"].as_u64() == Some(snapshot.last_update)).then_some(())
    });
    let frames: Vec<Value> = socket.data("depth.SOL_USDC").cloned().collect();
    frames.iter().for_each(|frame| book.apply(frame));
    assert_eq!(book, snapshot, "the stream leads from one snapshot to the next");

    let ticker = socket.until_within(3 * SECOND, "a ticker with the trade", |socket| {
        socket.data("ticker.SOL_USDC").find(|data| data["c"] == "20.01").cloned()
    });
    assert!(ticker["n"].as_u64().is_some_and(|trades| 1 <= trades), "{ticker}");
    let candle =
        socket.until("the candle", |socket| socket.data("kline.1m.SOL_USDC").last().cloned());
    assert_eq!((&candle["e"], &candle["c"]), (&json!("kline"), &json!("20.01")));
    alice.cancel_all(SYMBOL).ok();
    alice.has("SOL", "8.77", "0");
}

fn in_the_tables(database: &Database, trade_id: &Value, maker: &str, taker: &str) {
    // In ticks of 0.01, lots of 0.01 and units of 0.000001; a taker side of 0 is a bid.
    database.eventually(
        &format!(
            "SELECT price_ticks, lots, quote_units, maker_order_id, taker_order_id, taker_side
             FROM trades WHERE market_id = 1 AND trade_id = {trade_id}"
        ),
        &[&["2001", "123", "24612300", maker, taker, "0"]],
    );
    // Ascending by account: alice made it, bob took it.
    database.eventually(
        &format!(
            "SELECT is_maker, side, fee_units, order_id FROM fills
             WHERE market_id = 1 AND trade_id = {trade_id} ORDER BY account_id"
        ),
        &[&["t", "1", "19690", maker], &["f", "0", "1230000", taker]],
    );
    database.eventually(
        &format!(
            "SELECT count(*), bool_and(close_ticks = 2001) FROM klines
             WHERE market_id = 1 AND resolution = 1 AND last_trade_id = {trade_id}"
        ),
        &[&["1", "t"]],
    );
}

fn in_the_history(world: &World, trade_id: &Value) {
    let row = eventually("the trade in GET trades", || {
        let trades = world.public("/api/v1/trades?symbol=SOL_USDC").ok();
        let first = trades[0].clone();
        if first["id"] == *trade_id { Ok(first) } else { Err(trades) }
    });
    let said = ["price", "quantity", "quoteQuantity", "isBuyerMaker"].map(|name| row[name].clone());
    assert_eq!(json!(said), json!(["20.01", "1.23", "24.6123", false]));
    assert!(now_ms().abs_diff(row["timestamp"].as_u64().unwrap()) < 60_000, "{row}");

    let start = now_ms() / 1000 - 300;
    let path = format!("/api/v1/klines?symbol=SOL_USDC&interval=1m&startTime={start}");
    let candles = world.public(&path).ok();
    let last = candles.as_array().unwrap().last().expect("a candle").clone();
    assert_eq!(last["close"], "20.01");
    assert!(last["trades"].is_string() && last["volume"].is_string(), "{last}");
    let is_time = |text: &Value| text.as_str().is_some_and(|text| text.len() == 19);
    assert!(is_time(&last["start"]) && is_time(&last["end"]), "{last}");
}
