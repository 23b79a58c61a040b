//! A market is listed on a running exchange: every process follows, and an engine that is killed
//! has it when it comes back. On an exchange of its own.

use std::time::Duration;

use scenarios::client::{Reply, limit, market};
use scenarios::eventually::eventually;
use scenarios::lane::Apart;
use scenarios::world::World;
use serde_json::{Value, json};
use ureq::http::Method;
use xtask::http;
use xtask::services::ENGINE;
use xtask::stack::MarketMaker;

use crate::rebuilding::the_database_is_rebuilt;

pub const SCENARIOS: &[Apart] = &[Apart {
    name: "listing::a_market_is_listed_traded_halted_and_changed_while_everything_runs",
    possible: || Ok(()),
    start: || World::start("listing", MarketMaker::LeftOut),
    scenario: a_market_is_listed,
}];

const SYMBOL: &str = "ETH_BTC";

fn administer(world: &World, method: Method, path: &str, body: &Value) -> Reply {
    let admin = world.stack().admin();
    let url = format!("{}/admin/v1/{path}", world.rest_url());
    let bearer = format!("Bearer {}", admin.token);
    let body = (method != Method::GET).then_some(body);
    let within = Duration::from_secs(20);
    let headers = [("Authorization", bearer.as_str())];
    Reply::of(http::call(method, &url, &headers, body, within).unwrap(), within)
}

fn listed() -> Value {
    json!({
        "symbol": SYMBOL, "tickSize": "0.0001", "stepSize": "0.001", "makerFeeBps": "1",
        "takerFeeBps": "2", "maxMultiplier": "2", "minMultiplier": "0.5",
        "maxImpactMultiplier": "1.1",
    })
}

fn change(world: &World, body: &Value) -> Reply {
    administer(world, Method::PATCH, &format!("markets/{SYMBOL}"), body)
}

fn a_market_is_listed(world: &mut World) {
    let maker = world.trader("maker", &[("ETH", "100")]);
    let taker = world.trader("taker", &[("BTC", "100")]);
    maker.place(&limit(SYMBOL, "Ask", "0.05", "1")).refused(400, "INVALID_CLIENT_REQUEST");
    let wrong = json!({"symbol": SYMBOL, "tickSize": "0.0001", "stepSize": "0.001",
        "makerFeeBps": "1", "takerFeeBps": "2", "maxMultiplier": "0.5"});
    administer(world, Method::POST, "markets", &wrong).refused(400, "INVALID_CLIENT_REQUEST");
    let told = administer(world, Method::POST, "markets", &listed()).ok();
    assert_eq!((&told["symbol"], &told["orderBookState"]), (&json!(SYMBOL), &json!("Open")));
    // Asked again it is the same; otherwise it is another.
    administer(world, Method::POST, "markets", &listed()).ok();
    let other = json!({"symbol": SYMBOL, "tickSize": "0.001", "stepSize": "0.001",
        "makerFeeBps": "1", "takerFeeBps": "2"});
    administer(world, Method::POST, "markets", &other).refused(409, "PRECONDITION_FAILED");
    world.has_listed(SYMBOL, "0.0001", "0.001");
    let shown = world.public(&format!("/api/v1/market?symbol={SYMBOL}")).ok();
    assert_eq!(shown["filters"]["price"]["maxMultiplier"], "2");
    assert_eq!(shown["filters"]["price"]["maxImpactMultiplier"], "1.1");
    assert_eq!(shown["filters"]["price"]["minImpactMultiplier"], Value::Null);

    it_trades(world, &maker, &taker);

    change(world, &json!({"orderBookState": "Closed"})).ok();
    maker.place(&limit(SYMBOL, "Ask", "0.05", "1")).refused(400, "TRADING_PAUSED");
    maker.cancel_all(SYMBOL).refused(400, "TRADING_PAUSED");
    change(world, &json!({"orderBookState": "LimitOnly", "fees": {"takerFeeBps": "50"}})).ok();
    taker.place(&market(SYMBOL, "Bid", "1")).refused(400, "TRADING_PAUSED");
    let bid = taker.place(&limit(SYMBOL, "Bid", "0.05", "2")).ok();
    assert_eq!(bid["fills"][0]["fee"], "0.01", "50 basis points of 2 ETH");

    let life = engine_life(world);
    world.kill9(ENGINE);
    world.start_again(ENGINE);
    eventually("the gateway knows the engine's new life", || {
        let now = engine_life(world);
        if now.is_some() && now != life { Ok(()) } else { Err(format!("{now:?}")) }
    });
    eventually("the market trades again", || {
        let bid = taker.place(&limit(SYMBOL, "Bid", "0.05", "1"));
        if bid.is_ok() { Ok(bid.ok()) } else { Err(bid.code().to_owned()) }
    });
    taker.place(&market(SYMBOL, "Bid", "1")).refused(400, "TRADING_PAUSED");
    let engine = administer(world, Method::GET, "engine", &Value::Null).ok();
    let shards = engine["shards"].as_array().unwrap();
    let has_it = |shard: &Value| shard["markets"].as_array().unwrap().contains(&json!(SYMBOL));
    assert_eq!(shards.iter().filter(|shard| has_it(shard)).count(), 1, "{engine}");
    written_down(world);
    the_database_is_rebuilt(world);
}

/// As the gateway knows it; `None` while the engine is away.
fn engine_life(world: &World) -> Option<String> {
    let reply = administer(world, Method::GET, "engine", &Value::Null);
    reply.is_ok().then(|| reply.ok()["life"].as_str().unwrap().to_owned())
}

/// On the streams and over REST.
fn it_trades(world: &World, maker: &scenarios::client::Trader, taker: &scenarios::client::Trader) {
    let (depth, trades) = (format!("depth.{SYMBOL}"), format!("trade.{SYMBOL}"));
    let mut socket = world.socket();
    socket.listen(&[&depth, &trades]);
    maker.place(&limit(SYMBOL, "Ask", "0.05", "10")).ok();
    maker.place(&limit(SYMBOL, "Ask", "0.08", "1")).ok();
    let bid = taker.place(&limit(SYMBOL, "Bid", "0.05", "2")).ok();
    assert_eq!(bid["fills"][0]["fee"], "0.0004", "2 basis points of 2 ETH");
    for stream in [&depth, &trades] {
        socket.until(stream, |socket| socket.data(stream).next().map(|_| ()));
    }
    let book = world.public(&format!("/api/v1/depth?symbol={SYMBOL}")).ok();
    assert_eq!(book["asks"][0], json!(["0.0500", "8.000"]), "{book}");
    // The last price is 0.05: twice that is the highest, half of it the lowest.
    maker.place(&limit(SYMBOL, "Ask", "0.1001", "1")).refused(400, "INVALID_PRICE");
    taker.place(&limit(SYMBOL, "Bid", "0.0249", "1")).refused(400, "INVALID_PRICE");
    // And the ask at 0.08 is out of a market order's reach.
    let eaten = taker.place(&market(SYMBOL, "Bid", "9")).ok();
    assert_eq!(eaten["executedQuantity"], "8.000", "{eaten}");
    maker.place(&limit(SYMBOL, "Ask", "0.05", "10")).ok();
}

/// The sink follows too: trades of the market are in the database, and so in history.
fn written_down(world: &World) {
    let statement = "SELECT count(*) FROM trades WHERE market_id NOT IN (1, 2, 3, 4)";
    world.database().eventually(statement, &[&["4"]]);
    let trades = world.public(&format!("/api/v1/trades/history?symbol={SYMBOL}")).ok();
    assert_eq!(trades.as_array().unwrap().len(), 4, "{trades}");
    let klines = format!("/api/v1/klines?symbol={SYMBOL}&interval=1d&startTime=0");
    let klines = world.public(&klines).ok();
    assert!(!klines.as_array().unwrap().is_empty(), "{klines}");
}
