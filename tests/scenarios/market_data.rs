//! Streams and their REST counterparts, as feed consumers use them.

use scenarios::client::{Trader, limit, with};
use scenarios::depth_book::DepthBook;
use scenarios::eventually::SECOND;
use scenarios::lane::Scenario;
use scenarios::socket::Socket;
use scenarios::world::World;
use serde_json::{Value, json};

pub const SCENARIOS: &[Scenario] = &[
    ("market_data::a_book_kept_from_the_stream_is_the_book", a_kept_book_is_the_book),
    ("market_data::every_stream_under_both_names", every_stream_under_both_names),
    ("market_data::a_bad_request_spares_the_socket", a_bad_request_spares_the_socket),
    ("market_data::rest_is_never_behind_the_stream", rest_is_never_behind_the_stream),
    ("market_data::what_is_listed_is_told", what_is_listed_is_told),
];

const SYMBOL: &str = "ETH_USDC";
const DEPTH: &str = "/api/v1/depth?symbol=ETH_USDC";

fn two_traders(world: &mut World) -> [Trader; 2] {
    let funds = [("ETH", "1000"), ("USDC", "1000000")];
    ["bidder", "asker"].map(|name| world.trader(name, &funds))
}

/// Forty orders on each side, some of which trade, and what is left cancelled.
fn stir(bidder: &Trader, asker: &Trader) {
    for step in 0..40 {
        let bid = format!("{}", 100 + step % 7);
        let ask = format!("{}", 104 + step % 5);
        bidder.place(&limit(SYMBOL, "Bid", &bid, "1.5")).ok();
        asker.place(&limit(SYMBOL, "Ask", &ask, "1")).ok();
    }
}

fn clear(bidder: &Trader, asker: &Trader) {
    bidder.cancel_all(SYMBOL).ok();
    asker.cancel_all(SYMBOL).ok();
}

/// On the realtime stream and on each windowed one.
fn a_kept_book_is_the_book(world: &mut World) {
    let [bidder, asker] = two_traders(world);
    let streams =
        ["depth.ETH_USDC", "depth@ETH_USDC", "depth.200ms.ETH_USDC", "depth.1000ms.ETH_USDC"];
    let mut socket = world.socket();
    socket.listen(&streams);
    let before = DepthBook::snapshot(&world.public(DEPTH).ok());
    stir(&bidder, &asker);
    // Joining late, in the middle of it, must work as well.
    let joined = DepthBook::snapshot(&world.public(DEPTH).ok());
    assert!(before.last_update < joined.last_update);
    stir(&bidder, &asker);
    clear(&bidder, &asker);
    let after = DepthBook::snapshot(&world.public(DEPTH).ok());
    assert_eq!((after.bids.len(), after.asks.len()), (0, 0));
    for stream in streams {
        socket.until(stream, |socket| {
            let last = socket.data(stream).last()?;
            (last["u"].as_u64() == Some(after.last_update)).then_some(())
        });
        let frames: Vec<&Value> = socket.data(stream).collect();
        let follows =
            |pair: &[&Value]| pair[1]["U"].as_u64() == pair[0]["u"].as_u64().map(|last| last + 1);
        assert!(frames.windows(2).all(follows), "{stream} has a gap");
        for start in [&before, &joined] {
            let mut book = start.clone();
            frames.iter().for_each(|frame| book.apply(frame));
            assert_eq!(book, after, "{stream}");
        }
    }
    let joined_frames = socket.data("depth.1000ms.ETH_USDC").count();
    assert!(joined_frames < socket.data("depth.ETH_USDC").count(), "{joined_frames}");
}

fn every_stream_under_both_names(world: &mut World) {
    let [bidder, asker] = two_traders(world);
    let kinds = ["trade", "depth", "ticker", "bookTicker", "kline.1m", "kline.1h"];
    let names: Vec<String> = kinds
        .iter()
        .flat_map(|kind| [format!("{kind}.{SYMBOL}"), format!("{kind}@{SYMBOL}")])
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut socket = world.socket();
    socket.listen(&names);
    // Twice is once.
    socket.subscribe(&names[..2]);
    socket.fence();
    bidder.place(&limit(SYMBOL, "Bid", "90", "2")).ok();
    let sold = asker.place(&limit(SYMBOL, "Ask", "90", "1")).ok();
    let trade_id = sold["fills"][0]["tradeId"].clone();
    for name in &names {
        let event = name.split(['.', '@']).next().unwrap();
        let data = socket.until(name, |socket| socket.data(name).last().cloned());
        assert_eq!((&data["e"], &data["s"]), (&json!(event), &json!(SYMBOL)));
        assert!(data["E"].is_u64(), "{data}");
    }
    socket.until_within(5 * SECOND, "two tickers more", |socket| {
        (3 <= socket.data("ticker.ETH_USDC").count()).then_some(())
    });
    for (dotted, at) in [("trade.ETH_USDC", "trade@ETH_USDC"), ("depth.ETH_USDC", "depth@ETH_USDC")]
    {
        let all: Vec<&Value> = socket.data(dotted).collect();
        assert_eq!(all, socket.data(at).collect::<Vec<_>>(), "{dotted} and {at}");
    }
    assert_eq!(socket.data("trade.ETH_USDC").filter(|data| data["t"] == trade_id).count(), 1);
    let best = socket.data("bookTicker.ETH_USDC").last().unwrap();
    let said = ["b", "B", "a", "A"].map(|name| best[name].clone());
    assert_eq!(json!(said), json!(["90.00", "1.0000", null, null]), "{best}");
    assert!(best["u"].is_u64(), "{best}");
    let candle = socket.data("kline.1h.ETH_USDC").last().unwrap();
    assert_eq!((&candle["c"], &candle["X"]), (&json!("90.00"), &json!(false)), "{candle}");
    ended_by_name(&mut socket, &bidder);
    clear(&bidder, &asker);
}

/// UNSUBSCRIBE ends just the name it is given.
fn ended_by_name(socket: &mut Socket, bidder: &Trader) {
    socket.unsubscribe(&["depth.ETH_USDC", "trade.NOPE_NOPE"]);
    socket.fence();
    let before = socket.data("depth.ETH_USDC").count();
    let seen = socket.data("depth@ETH_USDC").count();
    bidder.place(&limit(SYMBOL, "Bid", "89", "1")).ok();
    socket.until("the change under the other name", |socket| {
        (seen < socket.data("depth@ETH_USDC").count()).then_some(())
    });
    socket.fence();
    assert_eq!(socket.data("depth.ETH_USDC").count(), before);
}

fn a_bad_request_spares_the_socket(world: &mut World) {
    let [bidder, _] = two_traders(world);
    let mut socket = world.socket();
    socket.subscribe(&["bookTicker.ETH_USDC"]);
    let requests = [
        ("not json", 4002),
        ("{}", 4002),
        ("{\"method\":\"SUBSCRIBE\"}", 4002),
        ("{\"method\":\"SUBSCRIBE\",\"params\":\"trade.ETH_USDC\"}", 4002),
        ("{\"method\":\"SUBSCRIBE\",\"params\":[7]}", 4002),
        ("{\"method\":\"subscribe\",\"params\":[\"trade.ETH_USDC\"]}", 4002),
        ("{\"method\":\"SUBSCRIBE\",\"params\":[\"nothing.ETH_USDC\"]}", 4006),
        ("{\"method\":\"SUBSCRIBE\",\"params\":[\"trade.ETH_USDC\",\"nothing\"]}", 4006),
        ("{\"method\":\"SUBSCRIBE\",\"params\":[\"depth.100ms.ETH_USDC\"]}", 4008),
        ("{\"method\":\"SUBSCRIBE\",\"params\":[\"account.orderUpdate\"]}", 4003),
    ];
    for (at, (request, code)) in requests.iter().enumerate() {
        socket.send_text(request);
        let error = socket.until(request, |socket| socket.errors().nth(at).cloned());
        assert_eq!(error["code"], *code, "{request}");
        assert!(error["message"].is_string());
    }
    // A market that does not exist is silence, and the others of the request take effect.
    socket.listen(&["trade.NOPE_NOPE", "depth.5.ETH_USDC", "depth.ETH_USDC"]);
    bidder.place(&limit(SYMBOL, "Bid", "50", "1")).ok();
    socket.until("depth and best price", |socket| {
        socket.data("depth.ETH_USDC").next().and(socket.data("bookTicker.ETH_USDC").next())?;
        Some(())
    });
    assert_eq!(socket.errors().count(), requests.len());
    assert_eq!(socket.data("trade.ETH_USDC").count(), 0, "a request refused has no effect at all");
    bidder.cancel_all(SYMBOL).ok();
}

/// What the stream has shown is in the snapshot asked for afterwards.
fn rest_is_never_behind_the_stream(world: &mut World) {
    let [bidder, asker] = two_traders(world);
    let mut socket = world.socket();
    socket.listen(&["depth.ETH_USDC"]);
    for round in 0..30 {
        let seen = socket.data("depth.ETH_USDC").count();
        let order = limit(SYMBOL, "Bid", &format!("{}", 20 + round), "1");
        bidder.place(&with(&order, json!({"clientId": round}))).ok();
        let shown = socket.until("the change", |socket| {
            socket.data("depth.ETH_USDC").nth(seen).map(|data| data["u"].as_u64().unwrap())
        });
        let snapshot = DepthBook::snapshot(&world.public(DEPTH).ok());
        assert!(shown <= snapshot.last_update, "{shown} was shown, {snapshot:?}");
    }
    let best = world.public("/api/v1/depth?symbol=ETH_USDC&limit=5").ok();
    let prices: Vec<&str> =
        best["bids"].as_array().unwrap().iter().map(|row| row[0].as_str().unwrap()).collect();
    assert_eq!(prices, ["45.00", "46.00", "47.00", "48.00", "49.00"]);
    clear(&bidder, &asker);
}

fn what_is_listed_is_told(world: &mut World) {
    assert_eq!(world.public("/api/v1/ping").ok(), "pong");
    assert!(world.public("/api/v1/time").ok().is_u64());
    assert!(world.public("//api/v1/time").ok().is_u64(), "a doubled slash is tolerated");
    assert_eq!(world.public("/api/v1/status").ok(), json!({"status": "Ok", "message": null}));
    assert_eq!(world.public("/api/v1/securities").ok(), json!([]));
    let markets = world.public("/api/v1/markets").ok();
    let symbols: Vec<&str> =
        markets.as_array().unwrap().iter().map(|row| row["symbol"].as_str().unwrap()).collect();
    assert_eq!(symbols, ["SOL_USDC", "BTC_USDC", "ETH_USDC", "SOL_BTC"]);
    let filters = &markets[1]["filters"];
    assert_eq!(filters["price"]["tickSize"], "0.1");
    assert_eq!(filters["quantity"]["stepSize"], "0.00001");
    let assets = world.public("/api/v1/assets").ok();
    for asset in assets.as_array().unwrap() {
        assert!(!asset["tokens"].as_array().unwrap().is_empty(), "{asset}");
    }
    let tickers = world.public("/api/v1/tickers").ok();
    assert_eq!(tickers.as_array().unwrap().len(), 4);
    for ticker in tickers.as_array().unwrap() {
        for name in ["firstPrice", "lastPrice", "high", "low", "volume", "quoteVolume", "trades"] {
            assert!(ticker[name].is_string(), "{name} of {ticker}");
        }
    }
    world.public("/api/v1/nothing").refused(404, "RESOURCE_NOT_FOUND");
}
