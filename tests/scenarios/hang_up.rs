//! A client that hangs up before its answer: what it sent still counts, and is still tracked.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use scenarios::eventually::eventually_equal;
use scenarios::lane::Scenario;
use scenarios::malformed::Request;
use scenarios::wire::Wire;
use scenarios::world::{World, seed};

pub const SCENARIOS: &[Scenario] = &[
    ("hang_up::an_order_counts_without_its_client", an_order_counts_without_its_client),
    ("hang_up::half_a_request_is_nothing", half_a_request_is_nothing),
];

const ORDERS: u64 = 40;

fn an_order_counts_without_its_client(world: &mut World) {
    let trader = world.trader("hasty", &[("USDC", "100000")]);
    let host = world.rest_url().trim_start_matches("http://").to_owned();
    for client_id in 1..=ORDERS {
        let order = Request::order().saying("clientId", &client_id.to_string());
        let mut wire = Wire::connect(world.rest_url()).unwrap();
        wire.send(&order.bytes(&trader.client.keys, &host)).unwrap();
        wire.hang_up();
    }
    let wanted: BTreeSet<u64> = (1..=ORDERS).collect();
    eventually_equal("every order is open", &wanted, || {
        let open = trader.open_orders("SOL_USDC");
        open.iter().map(|order| order["clientId"].as_u64().unwrap()).collect()
    });
    let cancelled = trader.cancel_all("SOL_USDC").ok();
    assert_eq!(cancelled.as_array().unwrap().len(), wanted.len());
    trader.has("USDC", "100000", "0");
}

fn half_a_request_is_nothing(world: &mut World) {
    let trader = world.trader("halting", &[("USDC", "1000")]);
    let host = world.rest_url().trim_start_matches("http://").to_owned();
    let mut random = StdRng::seed_from_u64(seed("half a request"));
    for _ in 0..ORDERS {
        let bytes = Request::order().bytes(&trader.client.keys, &host);
        let mut wire = Wire::connect(world.rest_url()).unwrap();
        wire.send(&bytes[..random.random_range(1..bytes.len())]).unwrap();
        wire.hang_up();
    }
    // A whole order is answered after them; none of theirs is there.
    let mut wire = Wire::connect(world.rest_url()).unwrap();
    wire.send(&Request::order().bytes(&trader.client.keys, &host)).unwrap();
    assert_eq!(wire.receive().unwrap().status, 200);
    assert_eq!(trader.open_orders("SOL_USDC").len(), 1);
    trader.cancel_all("SOL_USDC").ok();
}
