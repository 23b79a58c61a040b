//! Placing orders: every kind, every refusal, and reading one's writes right after the answer.

use scenarios::client::{id_of, limit, market, market_by_quote, with};
use scenarios::lane::Scenario;
use scenarios::world::World;
use serde_json::{Value, json};

pub const SCENARIOS: &[Scenario] = &[
    ("placing::an_answer_has_what_clients_read", an_answer_has_what_clients_read),
    ("placing::what_is_wrong_is_refused_by_its_code", what_is_wrong_is_refused_by_its_code),
    ("placing::each_order_of_a_batch_stands_alone", each_order_of_a_batch_stands_alone),
    ("placing::a_write_is_read_back_at_once", a_write_is_read_back_at_once),
    ("placing::an_account_has_so_many_open_orders_a_market", open_orders_have_a_limit),
    ("placing::a_market_order_by_quote_spends_no_more", a_market_order_by_quote_spends_no_more),
];

const SYMBOL: &str = "ETH_USDC";

fn an_answer_has_what_clients_read(world: &mut World) {
    let trader = world.trader("reader", &[("USDC", "100000")]);
    let order = limit(SYMBOL, "Bid", "1000.50", "0.25");
    let placed = trader.place(&with(&order, json!({"clientId": 77, "postOnly": true}))).ok();
    let members = [
        ("orderType", json!("Limit")),
        ("clientId", json!(77)),
        ("symbol", json!(SYMBOL)),
        ("side", json!("Bid")),
        ("timeInForce", json!("GTC")),
        ("selfTradePrevention", json!("RejectTaker")),
        ("status", json!("New")),
        // One rendering everywhere: as many decimals as the tick and the step have.
        ("price", json!("1000.50")),
        ("quantity", json!("0.2500")),
        ("executedQuantity", json!("0.0000")),
        ("postOnly", json!(true)),
        ("fills", json!([])),
        ("triggerPrice", Value::Null),
    ];
    for (name, wanted) in members {
        assert_eq!(placed[name], wanted, "{name} of {placed}");
    }
    assert!(placed["createdAt"].is_u64(), "milliseconds: {placed}");
    assert!(placed["id"].as_str().is_some_and(|id| id.parse::<u64>().is_ok()), "{placed}");

    let open = trader.order(&json!({"symbol": SYMBOL, "clientId": "77"})).ok();
    for name in ["id", "clientId", "price", "quantity", "status", "createdAt", "postOnly"] {
        assert_eq!(open[name], placed[name], "{name}");
    }
    assert_eq!(trader.account_settings()["limitOrders"], 1);
    trader.cancel(&json!({"symbol": SYMBOL, "orderId": id_of(&placed)})).ok();
    assert_eq!(trader.account_settings()["limitOrders"], 0);
}

fn what_is_wrong_is_refused_by_its_code(world: &mut World) {
    let trader = world.trader("clumsy", &[("USDC", "1000"), ("ETH", "1")]);
    let maker = world.trader("maker", &[("ETH", "1")]);
    let order = limit(SYMBOL, "Bid", "1000", "0.1");
    let refused = |members: Value, code: &str| {
        trader.place(&with(&order, members)).refused(400, code);
    };
    refused(json!({"price": "1000.001"}), "INVALID_PRICE");
    refused(json!({"price": "0"}), "INVALID_PRICE");
    refused(json!({"price": "-1"}), "INVALID_PRICE");
    refused(json!({"price": "99999999999999999999"}), "INVALID_PRICE");
    refused(json!({"quantity": "0.10001"}), "INVALID_QUANTITY");
    refused(json!({"quantity": "0"}), "INVALID_QUANTITY");
    refused(json!({"quantity": "-0.1"}), "INVALID_QUANTITY");
    refused(json!({"quantity": "99999999999999999999"}), "INVALID_QUANTITY");
    refused(json!({"price": "1e3"}), "INVALID_CLIENT_REQUEST");
    refused(json!({"price": null}), "INVALID_CLIENT_REQUEST");
    refused(json!({"quantity": null}), "INVALID_CLIENT_REQUEST");
    refused(json!({"symbol": "NOPE_USDC"}), "INVALID_CLIENT_REQUEST");
    refused(json!({"side": "Buy"}), "INVALID_CLIENT_REQUEST");
    refused(json!({"timeInForce": "GTX"}), "INVALID_CLIENT_REQUEST");
    refused(json!({"clientId": 4_294_967_296_u64}), "INVALID_CLIENT_REQUEST");
    refused(json!({"postOnly": true, "timeInForce": "IOC"}), "INVALID_ORDER");
    refused(json!({"reduceOnly": true}), "NOT_IMPLEMENTED");
    refused(json!({"quantity": "1.0001"}), "INSUFFICIENT_FUNDS");
    refused(json!({"side": "Ask", "quantity": "1.0001"}), "INSUFFICIENT_FUNDS");
    let both = with(&market(SYMBOL, "Bid", "1"), json!({"quoteQuantity": "10"}));
    trader.place(&both).refused(400, "INVALID_CLIENT_REQUEST");

    let ask = maker.place(&limit(SYMBOL, "Ask", "1000", "0.1")).ok();
    refused(json!({"postOnly": true}), "INVALID_ORDER");
    trader.order(&json!({"symbol": SYMBOL})).refused(400, "INVALID_CLIENT_REQUEST");
    let foreign = json!({"symbol": SYMBOL, "orderId": id_of(&ask)});
    trader.order(&foreign).refused(404, "RESOURCE_NOT_FOUND");
    trader.cancel(&foreign).refused(404, "RESOURCE_NOT_FOUND");
    // An unpayable order left nothing behind: neither an order nor a hold.
    assert_eq!(trader.open_orders(SYMBOL), Vec::<Value>::new());
    trader.has("USDC", "1000", "0");
    trader.has("ETH", "1", "0");
    maker.cancel(&foreign).ok();
    maker.cancel(&foreign).refused(404, "RESOURCE_NOT_FOUND");
}

fn each_order_of_a_batch_stands_alone(world: &mut World) {
    let trader = world.trader("batcher", &[("USDC", "1000"), ("BTC", "1")]);
    let answers = trader
        .place_batch(&json!([
            limit(SYMBOL, "Bid", "100", "1"),
            limit(SYMBOL, "Bid", "100.001", "1"),
            limit("SOL_BTC", "Bid", "0.001", "1"),
            limit(SYMBOL, "Bid", "10000", "1"),
            limit(SYMBOL, "Bid", "101", "1"),
        ]))
        .ok();
    let answers = answers.as_array().unwrap();
    let said: Vec<&str> = answers
        .iter()
        .map(|answer| {
            answer["code"].as_str().unwrap_or_else(|| answer["operation"].as_str().unwrap())
        })
        .collect();
    assert_eq!(said, ["Ok", "INVALID_PRICE", "Ok", "INSUFFICIENT_FUNDS", "Ok"]);
    assert_eq!(answers[1]["operation"], "Err");
    assert!(answers[1]["message"].is_string());
    assert_eq!(trader.open_orders(SYMBOL).len(), 2);
    trader.has("USDC", "799", "201");
    trader.has("BTC", "0.999", "0.001");
    trader.place_batch(&json!([])).refused(400, "INVALID_CLIENT_REQUEST");
    trader.cancel_all(SYMBOL).ok();
    trader.cancel_all("SOL_BTC").ok();
    trader.has("USDC", "1000", "0");
    trader.has("BTC", "1", "0");
}

/// Fifty times, since a reader that only mostly sees its writes mostly passes.
fn a_write_is_read_back_at_once(world: &mut World) {
    let trader = world.trader("swift", &[("USDC", "1000")]);
    for round in 1..=50 {
        let placed = trader.place(&limit(SYMBOL, "Bid", "10", "1")).ok();
        let which = json!({"symbol": SYMBOL, "orderId": id_of(&placed)});
        match round % 4 {
            0 => assert_eq!(trader.order(&which).ok()["id"], placed["id"]),
            1 => assert_eq!(trader.open_orders(SYMBOL).len(), 1),
            2 => trader.has("USDC", "990", "10"),
            _ => assert_eq!(trader.account_settings()["limitOrders"], 1),
        }
        assert_eq!(trader.cancel(&which).ok()["status"], "Cancelled");
        match round % 3 {
            0 => trader.order(&which).refused(404, "RESOURCE_NOT_FOUND"),
            1 => assert_eq!(trader.open_orders(SYMBOL), Vec::<Value>::new()),
            _ => trader.has("USDC", "1000", "0"),
        }
    }
}

fn a_market_order_by_quote_spends_no_more(world: &mut World) {
    let maker = world.trader("maker", &[("ETH", "10"), ("USDC", "1000")]);
    let taker = world.trader("taker", &[("USDC", "100"), ("ETH", "1")]);
    maker.place(&limit(SYMBOL, "Ask", "30", "1")).ok();
    maker.place(&limit(SYMBOL, "Ask", "33", "5")).ok();
    // 30 for the first, then 2.1212 at 33 are 69.9996; a step more would cost 0.0033 more.
    let order = taker.place(&market_by_quote(SYMBOL, "Bid", "100")).ok();
    assert_eq!((&order["status"], &order["orderType"]), (&json!("Filled"), &json!("Market")));
    assert_eq!(order["executedQuantity"], "3.1212");
    assert_eq!(order["quantity"], "3.1212");
    assert_eq!(order["executedQuoteQuantity"], "99.9996");
    taker.has("USDC", "0.0004", "0");
    // 1 and 3.1212 less ten basis points of it.
    taker.has("ETH", "4.1180788", "0");
    maker.cancel_all(SYMBOL).ok();

    maker.place(&limit(SYMBOL, "Bid", "30", "1")).ok();
    let order = taker.place(&market_by_quote(SYMBOL, "Ask", "10")).ok();
    // 0.3333 at 30 are 9.999; the fee of 0.009999 comes out of it.
    assert_eq!(order["executedQuantity"], "0.3333");
    assert_eq!(order["executedQuoteQuantity"], "9.999");
    taker.has("USDC", "9.989401", "0");
    maker.cancel_all(SYMBOL).ok();

    let nobody = taker.place(&market_by_quote(SYMBOL, "Bid", "5")).ok();
    assert_eq!(nobody["status"], "Expired");
    taker.has("USDC", "9.989401", "0");
}

/// `open_orders_per_account_max` of exchange.toml.
const OPEN_ORDERS_MAX: usize = 1000;
const BATCH: usize = 20;

fn open_orders_have_a_limit(world: &mut World) {
    let trader = world.trader("hoarder", &[("USDC", "2000")]);
    let order = limit(SYMBOL, "Bid", "1", "1");
    let batch = json!(vec![order.clone(); BATCH]);
    for _ in 0..OPEN_ORDERS_MAX / BATCH {
        let answers = trader.place_batch(&batch).ok();
        let placed = answers.as_array().unwrap().iter().filter(|one| one["status"] == "New");
        assert_eq!(placed.count(), BATCH, "{answers}");
    }
    trader.place(&order).refused(400, "ORDER_LIMIT");
    let answers = trader.place_batch(&json!([order])).ok();
    assert_eq!(answers[0]["code"], "ORDER_LIMIT", "{answers}");
    trader.has("USDC", "1000", "1000");
    // Neither another market nor another account is concerned.
    trader.place(&limit("SOL_USDC", "Bid", "1", "1")).ok();
    let other = world.trader("modest", &[("USDC", "10")]);
    other.place(&order).ok();
    other.cancel_all(SYMBOL).ok();

    let open = trader.open_orders(SYMBOL);
    assert_eq!(open.len(), OPEN_ORDERS_MAX);
    trader.cancel(&json!({"symbol": SYMBOL, "orderId": id_of(&open[0])})).ok();
    trader.place(&order).ok();
    trader.place(&order).refused(400, "ORDER_LIMIT");
    trader.cancel_all(SYMBOL).ok();
    trader.cancel_all("SOL_USDC").ok();
    trader.has("USDC", "2000", "0");
}
