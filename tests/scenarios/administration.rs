//! The administrator's surface: who may call it, and that money moves once.

use std::time::Duration;

use scenarios::client::{Reply, limit};
use scenarios::lane::Scenario;
use scenarios::world::World;
use serde_json::{Value, json};
use ureq::http::Method;
use xtask::http;

pub const SCENARIOS: &[Scenario] = &[
    ("administration::nobody_without_the_token", nobody_without_the_token),
    ("administration::a_transfer_happens_once", a_transfer_happens_once),
    ("administration::what_is_wrong_is_refused", what_is_wrong_is_refused),
    ("administration::every_call_is_written_down", every_call_is_written_down),
];

fn call(world: &World, method: Method, path: &str, token: Option<&str>, body: &Value) -> Reply {
    let url = format!("{}/admin/v1/{path}", world.rest_url());
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<(&str, &str)> =
        bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
    let body = (method != Method::GET).then_some(body);
    let within = Duration::from_secs(10);
    Reply::of(http::call(method, &url, &headers, body, within).unwrap(), within)
}

fn post(world: &World, path: &str, body: &Value) -> Reply {
    let token = world.stack().admin().token;
    call(world, Method::POST, path, Some(&token), body)
}

fn nobody_without_the_token(world: &mut World) {
    let trader = world.trader("rich", &[("USDC", "5")]);
    let deposits = format!("accounts/{}/deposits", trader.account);
    let body = json!({"asset": "USDC", "quantity": "1000000", "transferId": "stolen"});
    let token = world.stack().admin().token;
    let almost = &token[..token.len() - 1];
    for wrong in [None, Some(""), Some("x"), Some(almost)] {
        call(world, Method::POST, &deposits, wrong, &body).refused(401, "UNAUTHORIZED");
        call(world, Method::POST, "accounts", wrong, &json!({})).refused(401, "UNAUTHORIZED");
        let capital = format!("accounts/{}/capital", trader.account);
        call(world, Method::GET, &capital, wrong, &Value::Null).refused(401, "UNAUTHORIZED");
    }
    trader.has("USDC", "5", "0");
}

fn a_transfer_happens_once(world: &mut World) {
    let trader = world.trader("saver", &[]);
    let other = world.trader("other", &[]);
    let deposits = format!("accounts/{}/deposits", trader.account);
    let withdrawals = format!("accounts/{}/withdrawals", trader.account);
    let id = format!("salary-{}", trader.account);
    let body = json!({"asset": "USDC", "quantity": "12.5", "transferId": id});
    let first = post(world, &deposits, &body).ok();
    assert_eq!(post(world, &deposits, &body).ok(), first, "the first answer again");
    trader.has("USDC", "12.5", "0");
    let more = json!({"asset": "USDC", "quantity": "13", "transferId": id});
    post(world, &deposits, &more).refused(409, "PRECONDITION_FAILED");
    post(world, &withdrawals, &body).refused(409, "PRECONDITION_FAILED");
    let elsewhere = format!("accounts/{}/deposits", other.account);
    post(world, &elsewhere, &body).refused(409, "PRECONDITION_FAILED");
    trader.has("USDC", "12.5", "0");
    other.has("USDC", "0", "0");

    // What an order holds cannot be withdrawn.
    trader.place(&limit("SOL_USDC", "Bid", "1", "2.5")).ok();
    let rent = |quantity: &str| {
        let id = format!("rent-{}-{quantity}", trader.account);
        json!({"asset": "USDC", "quantity": quantity, "transferId": id})
    };
    post(world, &withdrawals, &rent("10.000001")).refused(400, "INSUFFICIENT_FUNDS");
    trader.has("USDC", "10", "2.5");
    let paid = post(world, &withdrawals, &rent("10")).ok();
    trader.has("USDC", "0", "2.5");
    assert_eq!(post(world, &withdrawals, &rent("10")).ok(), paid);
    trader.has("USDC", "0", "2.5");
    trader.cancel_all("SOL_USDC").ok();
    trader.has("USDC", "2.5", "0");
}

fn what_is_wrong_is_refused(world: &mut World) {
    let trader = world.trader("target", &[]);
    let deposits = format!("accounts/{}/deposits", trader.account);
    let body = |asset: &str, quantity: &str| {
        let id = "wrong";
        json!({"asset": asset, "quantity": quantity, "transferId": id})
    };
    post(world, &deposits, &body("DOGE", "1")).refused(400, "INVALID_ASSET");
    for quantity in ["0", "-1", "0.0000001", "99999999999999999999999999"] {
        post(world, &deposits, &body("USDC", quantity)).refused(400, "INVALID_QUANTITY");
    }
    for bad in [json!({}), json!([]), json!({"asset": "USDC", "quantity": "1"})] {
        post(world, &deposits, &bad).refused(400, "INVALID_CLIENT_REQUEST");
    }
    let unknown = "accounts/4000000000/deposits";
    post(world, unknown, &body("USDC", "1")).refused(404, "RESOURCE_NOT_FOUND");
    let keys = format!("accounts/{}/keys", trader.account);
    let bad_key = json!({"publicKey": "c2hvcnQ="});
    post(world, &keys, &bad_key).refused(400, "INVALID_CLIENT_REQUEST");
    trader.has("USDC", "0", "0");
}

fn every_call_is_written_down(world: &mut World) {
    let trader = world.trader("audited", &[("SOL", "3")]);
    let rows = world.database().rows(&format!(
        "SELECT method, status, body LIKE '%\"SOL\"%' FROM admin_audit WHERE path = '{}' ",
        format_args!("/admin/v1/accounts/{}/deposits", trader.account)
    ));
    assert_eq!(rows, [["POST", "200", "t"].map(str::to_owned)]);
}
