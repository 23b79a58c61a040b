//! What an account is told of its past: its fills, its ended orders, what came in and what left.

use scenarios::client::{Trader, id_of, limit};
use scenarios::eventually::eventually;
use scenarios::lane::Scenario;
use scenarios::world::World;
use serde_json::{Value, json};
use ureq::http::Method;

pub const SCENARIOS: &[Scenario] = &[
    ("past::fills_and_ended_orders_tell_the_same_story", fills_and_ended_orders_agree),
    ("past::a_withdrawal_is_debited_once_and_confirmed_by_itself", a_withdrawal_is_debited_once),
    ("past::pages_of_trades_tile_them", pages_of_trades_tile_them),
];

const SYMBOL: &str = "SOL_USDC";
const WITHDRAWALS: &str = "/wapi/v1/capital/withdrawals";

fn asked(trader: &Trader, path: &str, instruction: &str, parameters: &Value) -> Value {
    trader.attempt(Method::GET, path, instruction, parameters).unwrap().ok()
}

/// Waits for the sink: the rows of a list once there are so many.
fn rows(
    trader: &Trader,
    (path, instruction): (&str, &str),
    parameters: &Value,
    count: usize,
) -> Vec<Value> {
    let mut rows = Vec::new();
    eventually(path, || {
        rows.clone_from(asked(trader, path, instruction, parameters).as_array().unwrap());
        if rows.len() == count { Ok(()) } else { Err(rows.clone()) }
    });
    rows
}

/// The maker takes a lot at first, rests with the others, and is filled in two steps.
fn fills_and_ended_orders_agree(world: &mut World) {
    let maker = world.trader("past-maker", &[("SOL", "10")]);
    let taker = world.trader("past-taker", &[("USDC", "1000")]);
    taker.place(&limit(SYMBOL, "Bid", "21", "1")).ok();
    let mut ask = limit(SYMBOL, "Ask", "20.5", "3");
    ask["clientId"] = json!(4_294_967_295_u32);
    let resting = maker.place(&ask).ok();
    assert_eq!(resting["status"], "PartiallyFilled");
    taker.place(&limit(SYMBOL, "Bid", "20.5", "0.5")).ok();
    taker.place(&limit(SYMBOL, "Bid", "20.5", "1.5")).ok();

    let fills = ("/wapi/v1/history/fills", "fillHistoryQueryAll");
    let of_order =
        json!({ "orderId": id_of(&resting), "sortDirection": "Asc", "fillType": "User" });
    let told: Vec<Value> = rows(&maker, fills, &of_order, 3)
        .iter()
        .map(|fill| {
            assert_eq!((&fill["clientId"], &fill["side"]), (&json!("4294967295"), &json!("Ask")));
            assert_eq!((&fill["feeSymbol"], &fill["symbol"]), (&json!("USDC"), &json!(SYMBOL)));
            json!([fill["price"], fill["quantity"], fill["fee"], fill["isMaker"]])
        })
        .collect();
    let expected = [
        json!(["21.00", "1.00", "0.021", false]),
        json!(["20.50", "0.50", "0.0082", true]),
        json!(["20.50", "1.50", "0.0246", true]),
    ];
    assert_eq!(told, expected);

    // From the database, which knows the end of a maker by its last trade alone.
    world.settle();
    let orders = ("/wapi/v1/history/orders", "orderHistoryQueryAll");
    let ended = &rows(&maker, orders, &json!({ "symbol": SYMBOL }), 1)[0];
    assert_eq!((&ended["id"], &ended["clientId"]), (&resting["id"], &json!(4_294_967_295_u32)));
    assert_eq!((&ended["status"], &ended["executedQuantity"]), (&json!("Filled"), &json!("3.00")));
    assert_eq!(ended["executedQuoteQuantity"], "62");
    assert_eq!(rows(&taker, fills, &json!({ "symbol": SYMBOL }), 3)[2]["price"], "21.00");
    let deposits = ("/wapi/v1/capital/deposits", "depositQueryAll");
    let deposit = &rows(&maker, deposits, &json!({ "from": 0 }), 1)[0];
    assert_eq!((&deposit["symbol"], &deposit["quantity"]), (&json!("SOL"), &json!("10")));
}

fn a_withdrawal_is_debited_once(world: &mut World) {
    let trader = world.trader("past-leaver", &[("USDC", "100")]);
    let request = json!({
        "symbol": "USDC", "blockchain": "Solana", "quantity": "40.000001",
        "address": "over there", "clientId": "once",
    });
    let withdraw =
        |request: &Value| trader.attempt(Method::POST, WITHDRAWALS, "withdraw", request).unwrap();
    let first = withdraw(&request).ok();
    assert_eq!(trader.balance("USDC").0.to_string(), "59.999999", "at once");
    let limit = asked(
        &trader,
        "/api/v1/account/limits/withdrawal",
        "maxWithdrawalQuantity",
        &json!({ "symbol": "USDC" }),
    );
    assert_eq!(limit["maxWithdrawalQuantity"], "59.999999");

    eventually("confirmed", || {
        let rows = asked(&trader, WITHDRAWALS, "withdrawalQueryAll", &json!({ "id": first["id"] }));
        let (count, status) = (rows.as_array().unwrap().len(), &rows[0]["status"]);
        if count == 1 && status == "confirmed" { Ok(()) } else { Err(rows) }
    });
    assert_eq!(withdraw(&request).ok()["id"], first["id"]);
    let mut other = request.clone();
    other["address"] = json!("elsewhere");
    withdraw(&other).refused(409, "PRECONDITION_FAILED");
    other["clientId"] = json!("twice");
    other["quantity"] = json!("60");
    withdraw(&other).refused(400, "INSUFFICIENT_FUNDS");
    assert_eq!(trader.balance("USDC").0.to_string(), "59.999999");
    let rows = asked(&trader, WITHDRAWALS, "withdrawalQueryAll", &json!({}));
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    world.settle();
}

/// Several at one moment, and with whatever has traded before.
fn pages_of_trades_tile_them(world: &mut World) {
    let maker = world.trader("past-seller", &[("SOL", "10")]);
    let taker = world.trader("past-buyer", &[("USDC", "1000")]);
    for _ in 0..4 {
        for _ in 0..3 {
            maker.place(&limit(SYMBOL, "Ask", "20.5", "0.1")).ok();
        }
        taker.place(&limit(SYMBOL, "Bid", "20.5", "0.3")).ok();
    }
    world.settle();
    let page = |limit: usize, offset: usize| {
        let query = format!("symbol={SYMBOL}&limit={limit}&offset={offset}");
        let rows = world.public(&format!("/api/v1/trades/history?{query}")).ok();
        let ids = rows.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap());
        ids.collect::<Vec<_>>()
    };
    let whole = page(1000, 0);
    assert!(12 <= whole.len(), "{whole:?}");
    assert!(whole.windows(2).all(|two| two[0] == two[1] + 1), "newest first, none missing");
    for offset in 0..whole.len().min(20) {
        let expected: Vec<i64> = whole.iter().skip(offset).take(5).copied().collect();
        assert_eq!(page(5, offset), expected, "from {offset}");
    }
    assert!(page(5, 1_000_000_000_000).is_empty());
}
