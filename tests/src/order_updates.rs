//! What every frame of a private stream must look like, and every row of them.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde_json::Value;

use crate::listing::decimal;

const FINAL: [&str; 4] = ["Filled", "Cancelled", "Expired", "TriggerFailed"];
const OPENING: [&str; 2] = ["orderAccepted", "triggerPlaced"];

/// Events of one order, in order: `orderAccepted New`.
pub fn events_of<'f>(frames: impl Iterator<Item = &'f Value>, order: &str) -> Vec<String> {
    let events = frames.filter(|data| data["i"] == order);
    events.map(|data| format!("{} {}", text(data, "e"), text(data, "X"))).collect()
}

/// Checks every frame by itself, and that each order begins, grows and ends as promised.
pub fn check<'f>(frames: impl Iterator<Item = &'f Value>) {
    let mut orders: BTreeMap<&str, &Value> = BTreeMap::new();
    for data in frames {
        check_members(data);
        let (order, event) = (text(data, "i"), text(data, "e"));
        let Some(before) = orders.insert(order, data) else {
            assert!(OPENING.contains(&event), "begins with {data}");
            continue;
        };
        assert!(!FINAL.contains(&text(before, "X")), "{data} after {before}");
        if event == "orderAccepted" {
            assert_eq!(before["X"], "TriggerPending", "{data} after {before}");
        }
        let traded = event == "orderFill";
        for (total, part) in [("z", amount(data, "l")), ("Z", cost(data))] {
            let (now, then) = (amount(data, total), amount(before, total));
            let grown = if traded { part } else { Decimal::ZERO };
            assert_eq!(now, then + grown, "{total} of {data} after {before}");
        }
    }
}

/// What each kind of frame has and has not.
fn check_members(data: &Value) {
    let (event, kind) = (text(data, "e"), text(data, "o"));
    for name in ["s", "i", "S", "f", "q", "X", "z", "Z", "V"] {
        assert!(data[name].is_string(), "{name} of {data}");
    }
    for name in ["E", "T"] {
        assert!(data[name].as_u64().is_some_and(|us| 1_700_000_000_000_000 < us), "{data}");
    }
    assert!(data["T"].as_u64() <= data["E"].as_u64(), "{data}");
    assert_eq!((&data["O"], &data["r"]), (&Value::from("USER"), &Value::from(false)), "{data}");
    assert!(["LIMIT", "MARKET"].contains(&kind), "{data}");
    assert_eq!(data.get("p").is_some(), kind == "LIMIT", "{data}");
    assert_eq!(data.get("y").is_some_and(Value::is_boolean), kind == "LIMIT", "{data}");
    let fill = event == "orderFill";
    assert_eq!(data["t"].is_u64(), fill, "{data}");
    assert!(data.get("t").is_some(), "{data}");
    for name in ["l", "L", "n", "N"] {
        assert_eq!(data.get(name).is_some(), fill, "{name} of {data}");
    }
    assert_eq!(data.get("m").is_some_and(Value::is_boolean), fill, "{data}");
    assert_eq!(data.get("R").is_some(), event == "orderExpired", "{data}");
    // The Rust client reads it as a number.
    assert!(data.get("I").is_none(), "{data}");
    let states: &[&str] = match event {
        "orderAccepted" => &["New"],
        "orderFill" => &["PartiallyFilled", "Filled"],
        "orderCancelled" => &["Cancelled"],
        "orderExpired" => &["Expired"],
        "triggerPlaced" => &["TriggerPending"],
        "triggerFailed" => &["TriggerFailed"],
        "orderModified" => &["New", "PartiallyFilled", "TriggerPending"],
        _ => &[],
    };
    assert!(states.contains(&text(data, "X")), "{data}");
}

/// Quote that a fill moves.
fn cost(data: &Value) -> Decimal {
    amount(data, "l") * amount(data, "L")
}

/// Zero where there is none.
fn amount(data: &Value, name: &str) -> Decimal {
    data[name].as_str().map_or(Decimal::ZERO, decimal)
}

fn text<'d>(data: &'d Value, name: &str) -> &'d str {
    data[name].as_str().unwrap_or_else(|| panic!("{name} of {data}"))
}
