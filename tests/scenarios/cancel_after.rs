//! The dead man's switch: orders are cancelled when nobody says otherwise in time.

use scenarios::client::{id_of, limit, with};
use scenarios::eventually::eventually;
use scenarios::lane::Scenario;
use scenarios::world::World;
use serde_json::{Value, json};

pub const SCENARIOS: &[Scenario] = &[
    ("cancel_after::all_open_orders_go_and_later_ones_stay", all_go),
    ("cancel_after::a_call_in_time_moves_it_and_zero_ends_it", moved),
];

fn all_go(world: &mut World) {
    let trader = world.trader("asleep", &[("USDC", "1000")]);
    let other = world.trader("awake", &[("USDC", "1000")]);
    trader.place(&limit("ETH_USDC", "Bid", "10", "1")).ok();
    trader.place(&limit("SOL_USDC", "Bid", "10", "1")).ok();
    let waits = with(
        &limit("SOL_USDC", "Bid", "10", "1"),
        json!({"quantity": null, "triggerPrice": "900", "triggerQuantity": "1"}),
    );
    trader.place(&waits).ok();
    let foreign = other.place(&limit("ETH_USDC", "Bid", "10", "1")).ok();
    let answer = trader.cancel_after(1_000).ok();
    assert!(answer["triggerAt"].is_u64(), "{answer}");
    eventually("the orders are gone", || {
        let open = [trader.open_orders("ETH_USDC"), trader.open_orders("SOL_USDC")].concat();
        if open.is_empty() { Ok(()) } else { Err(open) }
    });
    trader.has("USDC", "1000", "0");
    // It fires once: what is placed now stays.
    let later = trader.place(&limit("ETH_USDC", "Bid", "10", "1")).ok();
    assert!(trader.cancel_after(3_600_000).ok()["triggerAt"].is_u64());
    assert_eq!(trader.cancel_after(0).ok()["triggerAt"], Value::Null);
    for (who, order) in [(&trader, &later), (&other, &foreign)] {
        let which = json!({"symbol": "ETH_USDC", "orderId": id_of(order)});
        assert_eq!(who.order(&which).ok()["status"], "New");
        who.cancel(&which).ok();
    }
}

fn moved(world: &mut World) {
    let awake = world.trader("still-there", &[("USDC", "1000")]);
    let off = world.trader("switched-off", &[("USDC", "1000")]);
    let asleep = world.trader("gone", &[("USDC", "1000")]);
    let order = limit("ETH_USDC", "Bid", "10", "1");
    let traders = [&awake, &off, &asleep];
    for trader in traders {
        trader.place(&order).ok();
        trader.cancel_after(1_000).ok();
    }
    awake.cancel_after(3_600_000).ok();
    off.cancel_after(0).ok();
    // When the one who said nothing has lost his order, the others' time would have come as well.
    eventually("the silent one's order is gone", || {
        let open = asleep.open_orders("ETH_USDC");
        if open.is_empty() { Ok(()) } else { Err(open) }
    });
    for trader in [&awake, &off] {
        assert_eq!(trader.open_orders("ETH_USDC").len(), 1, "{}", trader.name);
        trader.cancel_all("ETH_USDC").ok();
    }
    for timeout_ms in [1, 999, 3_600_001] {
        awake.cancel_after(timeout_ms).refused(400, "INVALID_CLIENT_REQUEST");
    }
    awake.cancel_after(0).ok();
}
