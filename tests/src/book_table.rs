//! Trading told as text a trader could check.
//!
//! ```text
//! alice sells 5 @ 101      -> rests
//! carol buys 7 @ 102       -> 5 @ 101, rests
//! bob sells 3 @ 101 FOK    -> 2 @ 102, expires
//! book 102 x 1 | 101 x 4
//! ```
//!
//! A line is one order and its whole outcome (fills in order, then what became of the rest:
//! `rests`, `expires`, nothing when it was filled, or `refused CODE`), or the book as it must then
//! stand, bids best first, then asks best first.

use serde_json::{Value, json};

use crate::client::{Trader, public, with};
use crate::listing::decimal;

/// Plays the lines in a market with these traders, who are named in the lines.
pub fn play(rest_url: &str, symbol: &str, traders: &[&Trader], script: &str) {
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_prefix("book") {
            Some(wanted) => {
                assert_eq!(squeezed(&book(rest_url, symbol)), squeezed(wanted), "{line}")
            }
            None => play_order(symbol, traders, line),
        }
    }
}

fn play_order(symbol: &str, traders: &[&Trader], line: &str) {
    let (said, wanted) = line.split_once("->").unwrap_or_else(|| panic!("no outcome: {line}"));
    let words: Vec<&str> = said.split_whitespace().collect();
    let [name, verb, quantity, rest @ ..] = words.as_slice() else { panic!("{line}") };
    let trader = traders.iter().find(|trader| trader.name == *name);
    let trader = trader.unwrap_or_else(|| panic!("who is {name}?"));
    let side = match *verb {
        "buys" => "Bid",
        "sells" => "Ask",
        other => panic!("what does {other} mean in {line}"),
    };
    let order = json!({"symbol": symbol, "side": side, "quantity": quantity});
    let (order, flags) = match rest {
        ["@", price, flags @ ..] => {
            (with(&order, json!({"orderType": "Limit", "price": price})), flags)
        }
        flags => (with(&order, json!({"orderType": "Market"})), flags),
    };
    let order = flags.iter().fold(order, |order, flag| with(&order, flag_members(flag)));
    assert_eq!(squeezed(&outcome(trader, &order)), squeezed(wanted), "{line}");
}

fn flag_members(flag: &str) -> Value {
    match flag {
        "IOC" | "FOK" => json!({ "timeInForce": flag }),
        "post-only" => json!({ "postOnly": true }),
        "RejectTaker" | "RejectMaker" | "RejectBoth" => json!({ "selfTradePrevention": flag }),
        other => panic!("what does {other} mean?"),
    }
}

/// Places the order and says what came of it.
fn outcome(trader: &Trader, order: &Value) -> String {
    let reply = trader.place(order);
    if !reply.is_ok() {
        return format!("refused {}", reply.code());
    }
    let order = reply.ok();
    let fills = order["fills"].as_array().unwrap().iter();
    let fill = |fill: &Value| format!("{} @ {}", plain(&fill["quantity"]), plain(&fill["price"]));
    let mut parts: Vec<String> = fills.map(fill).collect();
    match order["status"].as_str().unwrap() {
        "Filled" => (),
        "New" | "PartiallyFilled" => parts.push("rests".to_owned()),
        "Expired" => parts.push("expires".to_owned()),
        other => panic!("{other}"),
    }
    parts.join(", ")
}

/// Both sides best first.
fn book(rest_url: &str, symbol: &str) -> String {
    let depth = public(rest_url, &format!("/api/v1/depth?symbol={symbol}")).ok();
    let level = |level: &Value| format!("{} x {}", plain(&level[0]), plain(&level[1]));
    let side =
        |name: &str| -> Vec<String> { depth[name].as_array().unwrap().iter().map(level).collect() };
    let mut bids = side("bids");
    bids.reverse();
    format!("{} | {}", bids.join(", "), side("asks").join(", "))
}

/// Without zeros that a trader would not write.
fn plain(text: &Value) -> String {
    decimal(text.as_str().unwrap()).normalize().to_string()
}

fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
