//! An open order is changed in place: same id, its place in the queue kept only by a mere
//! reduction, its money neither lost nor held twice.

use scenarios::book_table;
use scenarios::client::{id_of, limit, with};
use scenarios::eventually::eventually;
use scenarios::lane::Scenario;
use scenarios::world::World;
use serde_json::{Value, json};

pub const SCENARIOS: &[Scenario] = &[
    ("amending::less_keeps_its_place_and_more_loses_it", the_queue),
    ("amending::holds_follow_what_is_left", holds),
    ("amending::a_new_price_may_trade_at_once", trades_at_once),
    ("amending::what_cannot_be_is_refused_and_changes_nothing", refused),
];

const SYMBOL: &str = "ETH_USDC";

fn by_id(order: &Value) -> Value {
    json!({"symbol": SYMBOL, "orderId": id_of(order)})
}

fn the_queue(world: &mut World) {
    let rest_url = world.rest_url().to_owned();
    let alice = world.trader("alice", &[("ETH", "10")]);
    let bob = world.trader("bob", &[("ETH", "10")]);
    let carol = world.trader("carol", &[("USDC", "10000")]);
    let first = alice.place(&limit(SYMBOL, "Ask", "101", "3")).ok();
    let second = bob.place(&limit(SYMBOL, "Ask", "101", "2")).ok();
    let amended = alice.amend(&with(&by_id(&first), json!({"quantity": "1"}))).ok();
    assert_eq!((&amended["id"], &amended["status"]), (&first["id"], &json!("New")));
    assert_eq!(
        (&amended["quantity"], &amended["createdAt"]),
        (&json!("1.0000"), &first["createdAt"])
    );
    book_table::play(&rest_url, SYMBOL, &[], "book | 101 x 3");
    // Alice is still first; then she wants more and is behind Bob.
    book_table::play(&rest_url, SYMBOL, &[&carol], "carol buys 0.5 @ 101 -> 0.5 @ 101");
    assert_eq!(alice.order(&by_id(&first)).ok()["executedQuantity"], "0.5000");
    alice.amend(&with(&by_id(&first), json!({"quantity": "4"}))).ok();
    book_table::play(
        &rest_url,
        SYMBOL,
        &[&carol],
        "book | 101 x 5.5
         carol buys 2 @ 101 -> 2 @ 101
         book | 101 x 3.5",
    );
    bob.order(&by_id(&second)).refused(404, "RESOURCE_NOT_FOUND");
    let left = alice.order(&by_id(&first)).ok();
    assert_eq!(
        (&left["executedQuantity"], &left["quantity"]),
        (&json!("0.5000"), &json!("4.0000"))
    );
    alice.cancel(&by_id(&first)).ok();
    let row = eventually("the amended order is one row", || {
        let rows = alice.order_history(&json!({"symbol": SYMBOL}));
        match rows.as_slice() {
            [row] => Ok(row.clone()),
            _ => Err(rows),
        }
    });
    assert_eq!((&row["status"], &row["quantity"]), (&json!("Cancelled"), &json!("4.0000")));
    assert_eq!(row["executedQuoteQuantity"], "50.5");
}

fn holds(world: &mut World) {
    let trader = world.trader("holder", &[("USDC", "1000")]);
    let placed = trader.place(&limit(SYMBOL, "Bid", "10", "10")).ok();
    let amend = |members: Value| trader.amend(&with(&by_id(&placed), members));
    trader.has("USDC", "900", "100");
    amend(json!({"price": "12"})).ok();
    trader.has("USDC", "880", "120");
    amend(json!({"quantity": "5", "price": "9"})).ok();
    trader.has("USDC", "955", "45");
    amend(json!({"quantity": "200"})).refused(400, "INSUFFICIENT_FUNDS");
    trader.has("USDC", "955", "45");
    assert_eq!(trader.order(&by_id(&placed)).ok()["quantity"], "5.0000");
    amend(json!({"quantity": "100", "price": "10"})).ok();
    trader.has("USDC", "0", "1000");
    trader.cancel(&by_id(&placed)).ok();
    trader.has("USDC", "1000", "0");
}

fn trades_at_once(world: &mut World) {
    let rest_url = world.rest_url().to_owned();
    let maker = world.trader("maker", &[("ETH", "3")]);
    let buyer = world.trader("buyer", &[("USDC", "1000")]);
    maker.place(&limit(SYMBOL, "Ask", "100", "1")).ok();
    maker.place(&limit(SYMBOL, "Ask", "101", "2")).ok();
    let placed = buyer.place(&limit(SYMBOL, "Bid", "90", "2")).ok();
    let amended = buyer.amend(&with(&by_id(&placed), json!({"price": "100"}))).ok();
    assert_eq!((&amended["id"], &amended["status"]), (&placed["id"], &json!("PartiallyFilled")));
    assert_eq!(amended["fills"].as_array().unwrap().len(), 1);
    assert_eq!(amended["executedQuoteQuantity"], "100");
    book_table::play(&rest_url, SYMBOL, &[], "book 100 x 1 | 101 x 2");
    buyer.has("USDC", "800", "100");
    let amended = buyer.amend(&with(&by_id(&placed), json!({"price": "105"}))).ok();
    assert_eq!(
        (&amended["status"], &amended["executedQuoteQuantity"]),
        (&json!("Filled"), &json!("201"))
    );
    // What 105 held and 101 did not cost is back.
    buyer.has("USDC", "799", "0");
    buyer.order(&by_id(&placed)).refused(404, "RESOURCE_NOT_FOUND");
    maker.cancel_all(SYMBOL).ok();
}

fn refused(world: &mut World) {
    let maker = world.trader("maker", &[("ETH", "2")]);
    let taker = world.trader("taker", &[("USDC", "1000")]);
    let placed =
        maker.place(&with(&limit(SYMBOL, "Ask", "100", "2"), json!({"postOnly": true}))).ok();
    taker.place(&limit(SYMBOL, "Bid", "100", "0.5")).ok();
    let bid = taker.place(&limit(SYMBOL, "Bid", "99", "1")).ok();
    let before = maker.order(&by_id(&placed)).ok();
    let amend = |members: Value| maker.amend(&with(&by_id(&placed), members));
    for (members, code) in [
        (json!({}), "INVALID_CLIENT_REQUEST"),
        (json!({"price": "99"}), "INVALID_ORDER"),
        (json!({"price": "99.001"}), "INVALID_PRICE"),
        (json!({"quantity": "0.5"}), "INVALID_QUANTITY"),
        (json!({"quantity": "0"}), "INVALID_QUANTITY"),
        (json!({"quantity": "2.1"}), "INSUFFICIENT_FUNDS"),
        (json!({"price": "101", "clientId": 1}), "INVALID_CLIENT_REQUEST"),
    ] {
        amend(members).refused(400, code);
    }
    taker.amend(&with(&by_id(&placed), json!({"price": "101"}))).refused(404, "RESOURCE_NOT_FOUND");
    assert_eq!(maker.order(&by_id(&placed)).ok(), before);
    maker.has("ETH", "0", "1.5");
    for (trader, order) in [(&maker, &placed), (&taker, &bid)] {
        trader.cancel(&by_id(order)).ok();
    }
}
