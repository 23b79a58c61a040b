//! Cancelling one order or all, by the exchange's id or by one's own.

use scenarios::client::{id_of, limit, with};
use scenarios::lane::Scenario;
use scenarios::world::World;
use serde_json::{Value, json};

pub const SCENARIOS: &[Scenario] = &[
    ("cancelling::a_client_id_means_the_newest_open_order", the_newest_is_meant),
    ("cancelling::what_was_executed_stays", what_was_executed_stays),
    ("cancelling::all_orders_of_one_market_and_no_other", all_of_one_market),
];

const SYMBOL: &str = "ETH_USDC";

fn the_newest_is_meant(world: &mut World) {
    let trader = world.trader("namer", &[("USDC", "1000")]);
    let other = world.trader("other", &[("USDC", "1000")]);
    let named = |price: &str| with(&limit(SYMBOL, "Bid", price, "1"), json!({"clientId": 5}));
    let first = id_of(&trader.place(&named("10")).ok());
    let second = id_of(&trader.place(&named("11")).ok());
    let foreign = id_of(&other.place(&named("12")).ok());
    let by_name = json!({"symbol": SYMBOL, "clientId": 5});
    assert_eq!(id_of(&trader.order(&by_name).ok()), second);
    assert_eq!(id_of(&trader.cancel(&by_name).ok()), second);
    assert_eq!(id_of(&trader.order(&by_name).ok()), first);
    assert_eq!(id_of(&trader.cancel(&by_name).ok()), first);
    trader.cancel(&by_name).refused(404, "RESOURCE_NOT_FOUND");
    assert_eq!(id_of(&other.cancel(&by_name).ok()), foreign);
    let both = json!({"symbol": SYMBOL, "clientId": 5, "orderId": first});
    trader.cancel(&both).refused(400, "INVALID_CLIENT_REQUEST");
}

fn what_was_executed_stays(world: &mut World) {
    let maker = world.trader("maker", &[("ETH", "5")]);
    let taker = world.trader("taker", &[("USDC", "1000")]);
    let placed = maker.place(&limit(SYMBOL, "Ask", "20", "5")).ok();
    taker.place(&limit(SYMBOL, "Bid", "20", "2")).ok();
    let which = json!({"symbol": SYMBOL, "orderId": id_of(&placed)});
    let open = maker.order(&which).ok();
    assert_eq!(
        (&open["status"], &open["executedQuantity"]),
        (&json!("PartiallyFilled"), &json!("2.0000"))
    );
    let cancelled = maker.cancel(&which).ok();
    assert_eq!(cancelled["status"], "Cancelled");
    assert_eq!(cancelled["executedQuantity"], "2.0000");
    assert_eq!(cancelled["executedQuoteQuantity"], "40");
    maker.has("ETH", "3", "0");
    // 40 less eight basis points.
    maker.has("USDC", "39.968", "0");
}

fn all_of_one_market(world: &mut World) {
    let trader = world.trader("many", &[("USDC", "10000")]);
    let mut placed: Vec<String> = (1..=30)
        .map(|price| trader.place(&limit(SYMBOL, "Bid", &price.to_string(), "1")).ok())
        .map(|order| id_of(&order))
        .collect();
    trader.place(&limit("SOL_USDC", "Bid", "1", "1")).ok();
    trader.has("USDC", "9534", "466");
    let cancelled = trader.cancel_all(SYMBOL).ok();
    let cancelled = cancelled.as_array().unwrap();
    assert!(cancelled.iter().all(|order| order["status"] == "Cancelled"));
    let mut ids: Vec<String> = cancelled.iter().map(id_of).collect();
    ids.sort();
    placed.sort();
    assert_eq!(ids, placed);
    assert_eq!(trader.open_orders(SYMBOL), Vec::<Value>::new());
    trader.has("USDC", "9999", "1");
    assert_eq!(trader.cancel_all(SYMBOL).ok(), json!([]));
    assert_eq!(trader.cancel_all("SOL_USDC").ok().as_array().unwrap().len(), 1);
    trader.has("USDC", "10000", "0");
}
