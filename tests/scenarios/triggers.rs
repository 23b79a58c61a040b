//! Orders that wait for the last price: taken, fired, failed, cancelled.

use scenarios::book_table;
use scenarios::client::{Trader, id_of, limit, with};
use scenarios::eventually::eventually;
use scenarios::lane::Scenario;
use scenarios::world::World;
use serde_json::{Value, json};

pub const SCENARIOS: &[Scenario] = &[
    ("triggers::a_stop_waits_unseen_and_sells_when_the_price_falls", a_stop_sells),
    ("triggers::what_fires_can_fire_the_next_and_both_are_one_order_each", a_cascade),
    ("triggers::without_funds_it_fails_when_it_fires", without_funds),
    ("triggers::waiting_orders_are_open_orders", waiting_orders_are_open),
];

const SYMBOL: &str = "ETH_USDC";

fn waiting(order: &Value, trigger: &str) -> Value {
    let quantity = order["quantity"].clone();
    let members = json!({"quantity": null, "triggerPrice": trigger, "triggerQuantity": quantity});
    with(order, members)
}

fn by_id(order: &Value) -> Value {
    json!({"symbol": SYMBOL, "orderId": id_of(order)})
}

/// Lets the last price be this.
fn trade_at(world: &mut World, price: &str) {
    let maker = world.trader("last-maker", &[("ETH", "1")]);
    let taker = world.trader("last-taker", &[("USDC", "100000")]);
    maker.place(&limit(SYMBOL, "Ask", price, "0.1")).ok();
    let taken = taker.place(&limit(SYMBOL, "Bid", price, "0.1")).ok();
    assert_eq!(taken["status"], "Filled");
}

/// The order's row among those that have ended.
fn ended(trader: &Trader, order: &Value) -> Value {
    eventually("an order has ended", || {
        let query = json!({"symbol": SYMBOL, "orderId": id_of(order)});
        let rows = trader.order_history(&query);
        rows.first().cloned().ok_or("it is not there")
    })
}

fn a_stop_sells(world: &mut World) {
    trade_at(world, "100");
    let rest_url = world.rest_url().to_owned();
    let alice = world.trader("alice", &[("ETH", "2")]);
    let bob = world.trader("bob", &[("USDC", "1000")]);
    let carol = world.trader("carol", &[("ETH", "1")]);
    let stop = waiting(&limit(SYMBOL, "Ask", "80", "2"), "95");
    let placed = alice.place(&stop).ok();
    for (name, wanted) in [
        ("status", json!("TriggerPending")),
        ("quantity", json!("2.0000")),
        ("triggerQuantity", json!("2.0000")),
        ("triggerPrice", json!("95.00")),
        ("triggeredAt", Value::Null),
    ] {
        assert_eq!(placed[name], wanted, "{name} of {placed}");
    }
    // It holds nothing and nobody sees it.
    alice.has("ETH", "2", "0");
    assert_eq!(alice.order(&by_id(&placed)).ok()["status"], "TriggerPending");
    book_table::play(
        &rest_url,
        SYMBOL,
        &[&bob, &carol],
        "bob buys 1 @ 96    -> rests
         bob buys 1 @ 95    -> rests
         bob buys 1 @ 90    -> rests
         book 96 x 1, 95 x 1, 90 x 1 |
         carol sells 1 @ 96 -> 1 @ 96
         book 95 x 1, 90 x 1 |",
    );
    alice.has("ETH", "2", "0");
    let dave = world.trader("dave", &[("ETH", "0.5")]);
    book_table::play(&rest_url, SYMBOL, &[&dave], "dave sells 0.5 @ 95 -> 0.5 @ 95");
    // The last price is 95: the rest at 95 and the bid at 90 are sold to, and half a coin rests.
    let open = eventually("the stop has fired", || {
        let order = alice.order(&by_id(&placed)).ok();
        if order["status"] == "PartiallyFilled" { Ok(order) } else { Err(order) }
    });
    assert_eq!((&open["executedQuantity"], &open["price"]), (&json!("1.5000"), &json!("80.00")));
    assert_eq!(open["triggerPrice"], "95.00");
    assert!(open["triggeredAt"].is_u64(), "{open}");
    alice.has("ETH", "0", "0.5");
    book_table::play(&rest_url, SYMBOL, &[], "book | 80 x 0.5");
    let cancelled = alice.cancel(&by_id(&placed)).ok();
    assert_eq!((&cancelled["status"], &cancelled["id"]), (&json!("Cancelled"), &placed["id"]));
    let row = ended(&alice, &placed);
    assert_eq!((&row["status"], &row["executedQuantity"]), (&json!("Cancelled"), &json!("1.5000")));
    assert_eq!(row["triggerPrice"], "95.00");
}

fn a_cascade(world: &mut World) {
    trade_at(world, "100");
    let rest_url = world.rest_url().to_owned();
    let alice = world.trader("first-stop", &[("ETH", "1")]);
    let erin = world.trader("second-stop", &[("ETH", "1")]);
    let bob = world.trader("bob", &[("USDC", "1000")]);
    let carol = world.trader("carol", &[("ETH", "1")]);
    let first = alice.place(&waiting(&limit(SYMBOL, "Ask", "70", "1"), "95")).ok();
    let second = erin.place(&waiting(&limit(SYMBOL, "Ask", "60", "1"), "90")).ok();
    book_table::play(
        &rest_url,
        SYMBOL,
        &[&bob, &carol],
        "bob buys 1 @ 95    -> rests
         bob buys 1 @ 89    -> rests
         bob buys 1 @ 70    -> rests
         carol sells 1 @ 95 -> 1 @ 95",
    );
    for (trader, order, price) in [(&alice, &first, "89"), (&erin, &second, "70")] {
        let row = ended(trader, order);
        assert_eq!((&row["status"], &row["id"]), (&json!("Filled"), &order["id"]));
        assert_eq!(row["executedQuoteQuantity"], price);
        assert!(row.get("triggeredAt").is_none(), "not in the history: {row}");
    }
    book_table::play(&rest_url, SYMBOL, &[], "book |");
}

fn without_funds(world: &mut World) {
    trade_at(world, "100");
    let alice = world.trader("poor", &[("USDC", "50")]);
    let bid = waiting(&limit(SYMBOL, "Bid", "120", "1"), "110");
    let placed = alice.place(&bid).ok();
    assert_eq!(placed["status"], "TriggerPending");
    trade_at(world, "110");
    let row = ended(&alice, &placed);
    assert_eq!(
        (&row["status"], &row["expiryReason"]),
        (&json!("TriggerFailed"), &json!("InsufficientFunds"))
    );
    alice.has("USDC", "50", "0");
    alice.order(&by_id(&placed)).refused(404, "RESOURCE_NOT_FOUND");
}

fn waiting_orders_are_open(world: &mut World) {
    trade_at(world, "100");
    let trader = world.trader("waiter", &[("USDC", "1000")]);
    let named = |order: Value| with(&order, json!({"clientId": 9}));
    let rests = trader.place(&named(limit(SYMBOL, "Bid", "50", "1"))).ok();
    let waits = trader.place(&named(waiting(&limit(SYMBOL, "Bid", "130", "1"), "120"))).ok();
    let account = trader.account_settings();
    assert_eq!((&account["limitOrders"], &account["triggerOrders"]), (&json!(1), &json!(1)));
    let by_name = json!({"symbol": SYMBOL, "clientId": 9});
    assert_eq!(id_of(&trader.order(&by_name).ok()), id_of(&waits));
    assert_eq!(trader.open_orders(SYMBOL).len(), 2);
    let cancelled = trader.cancel_kind(SYMBOL, "RestingLimitOrder").ok();
    assert_eq!(cancelled.as_array().unwrap().len(), 1);
    assert_eq!(id_of(&cancelled[0]), id_of(&rests));
    let amended = trader.amend(&with(&by_id(&waits), json!({"quantity": "2"}))).ok();
    assert_eq!(amended["status"], "TriggerPending");
    assert_eq!(
        (&amended["quantity"], &amended["triggerQuantity"]),
        (&json!("2.0000"), &json!("2.0000"))
    );
    let cancelled = trader.cancel_kind(SYMBOL, "ConditionalOrder").ok();
    assert_eq!(
        (id_of(&cancelled[0]), &cancelled[0]["status"]),
        (id_of(&waits), &json!("Cancelled"))
    );
    assert_eq!(trader.open_orders(SYMBOL), Vec::<Value>::new());
    let row = ended(&trader, &waits);
    assert_eq!((&row["status"], &row["quantity"]), (&json!("Cancelled"), &json!("2.0000")));
    for (members, code) in [
        (json!({"triggerPrice": "120"}), "INVALID_CLIENT_REQUEST"),
        (json!({"triggerPrice": "120.001", "triggerQuantity": "1"}), "INVALID_PRICE"),
        (json!({"triggerPrice": "120", "triggerQuantity": "50%"}), "INVALID_QUANTITY"),
    ] {
        trader.place(&with(&limit(SYMBOL, "Bid", "50", "1"), members)).refused(400, code);
    }
}
