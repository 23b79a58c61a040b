//! Everything stopped in order and started again on the same data: nothing may be different.

use std::collections::BTreeMap;

use scenarios::audit::audit;
use scenarios::client::{Trader, id_of, limit};
use scenarios::eventually::eventually;
use scenarios::lane::Scenario;
use scenarios::world::{World, rendered};
use serde_json::Value;

pub const SCENARIOS: &[Scenario] =
    &[("persistence::a_stopped_exchange_starts_as_it_was", a_stopped_exchange_starts_as_it_was)];

const SYMBOL: &str = "ETH_USDC";

#[derive(PartialEq, Debug)]
struct Picture {
    capital: Vec<BTreeMap<String, String>>,
    orders: Vec<Vec<Value>>,
    depth: Value,
    trades: Value,
    candles: Value,
}

fn picture(world: &World, traders: &[&Trader]) -> Picture {
    let get = |path: &str| world.public(path).ok();
    Picture {
        capital: traders.iter().map(|trader| rendered(&trader.capital())).collect(),
        orders: traders.iter().map(|trader| trader.open_orders(SYMBOL)).collect(),
        depth: get("/api/v1/depth?symbol=ETH_USDC"),
        trades: get("/api/v1/trades?symbol=ETH_USDC&limit=1000"),
        candles: get("/api/v1/klines?symbol=ETH_USDC&interval=1d&startTime=0"),
    }
}

fn a_stopped_exchange_starts_as_it_was(world: &mut World) {
    let maker = world.trader("maker", &[("ETH", "100"), ("USDC", "1000")]);
    let taker = world.trader("taker", &[("USDC", "100000")]);
    for price in 30..40 {
        maker.place(&limit(SYMBOL, "Ask", &price.to_string(), "2")).ok();
        maker.place(&limit(SYMBOL, "Bid", &(price - 20).to_string(), "1")).ok();
    }
    let bought = taker.place(&limit(SYMBOL, "Bid", "32", "5")).ok();
    let last_trade = bought["fills"].as_array().unwrap().last().unwrap()["tradeId"].as_u64();
    world.settle();
    let before = picture(world, &[&maker, &taker]);
    assert_eq!(before.orders[0].len(), 18);

    world.stop_all();
    world.start_all();
    world.end(xtask::services::MM);
    eventually("the picture from before", || {
        let now = picture(world, &[&maker, &taker]);
        if now == before { Ok(()) } else { Err(Box::new((now, &before))) }
    });

    // It goes on where it was: the partly filled order first, the next trade id, a new order id.
    let bought = taker.place(&limit(SYMBOL, "Bid", "32", "1")).ok();
    assert_eq!(bought["fills"][0]["price"], "32.00");
    assert_eq!(bought["fills"][0]["tradeId"].as_u64(), last_trade.map(|id| id + 1));
    world.settle();
    let known = world.database().rows("SELECT DISTINCT order_id FROM order_events");
    let placed = maker.place(&limit(SYMBOL, "Ask", "50", "1")).ok();
    assert!(!known.contains(&vec![id_of(&placed)]), "order ids are never used again");
    maker.cancel_all(SYMBOL).ok();
    maker.place(&limit(SYMBOL, "Bid", "1", "1")).ok();
    world.settle();
    audit(world);
    maker.cancel_all(SYMBOL).ok();
}
