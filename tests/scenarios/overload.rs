//! An exchange that cannot serve says so at once, and serves again when it can.

use std::time::Duration;

use scenarios::client::{Reply, Trader, limit};
use scenarios::eventually::{SECOND, eventually};
use scenarios::lane::Scenario;
use scenarios::world::World;
use serde_json::{Value, json};
use xtask::private_servers::redis;
use xtask::services::{ENGINE, IO_GATEWAY};

pub const SCENARIOS: &[Scenario] = &[
    ("overload::without_the_engine_orders_are_refused_at_once", without_the_engine),
    ("overload::a_frozen_engine_is_no_hang", a_frozen_engine_is_no_hang),
    ("overload::a_frozen_redis_is_no_hang", a_frozen_redis_is_no_hang),
];

/// The gateway's patience of five seconds, and a busy machine.
const ANSWER_MAX: Duration = Duration::from_secs(8);
/// Of a gateway that knows it cannot serve.
const REFUSAL_MAX: Duration = Duration::from_secs(1);

fn order() -> Value {
    limit("SOL_USDC", "Bid", "1", "1")
}

/// One attempt: refused in the contract's words or served, but in time.
fn attempt(trader: &Trader) -> Reply {
    let reply = trader.place(&order());
    assert!(reply.took < ANSWER_MAX, "{reply:?}");
    if !reply.is_ok() {
        let known = [(503, "MAINTENANCE"), (504, "TIMEOUT"), (503, "TOO_MANY_REQUESTS")];
        assert!(known.contains(&(reply.status, reply.code())), "{reply:?}");
    }
    reply
}

fn until_refused_at_once(trader: &Trader) {
    eventually("a quick refusal", || {
        let reply = attempt(trader);
        let known = reply.status == 503 && reply.code() == "MAINTENANCE";
        if known && reply.took < REFUSAL_MAX { Ok(()) } else { Err(reply) }
    });
}

/// Whatever became of the attempts, the exchange serves, and nothing is left of them.
fn until_served(world: &World, trader: &Trader) {
    eventually("an order is served", || {
        let reply = attempt(trader);
        if reply.is_ok() { Ok(()) } else { Err(reply) }
    });
    eventually("the status is well", || {
        let status = world.public("/api/v1/status").ok();
        if status["status"] == "Ok" { Ok(()) } else { Err(status) }
    });
    trader.cancel_all("SOL_USDC").ok();
    trader.has("USDC", "1000", "0");
}

fn gateway_is_ready(world: &World) -> bool {
    let url = format!("{}/readyz", world.stack().ops_url(IO_GATEWAY).unwrap());
    matches!(xtask::http::get(&url, 5 * SECOND), Ok((200, _)))
}

fn without_the_engine(world: &mut World) {
    let trader = world.trader("patient", &[("USDC", "1000")]);
    world.end(ENGINE);
    until_refused_at_once(&trader);
    let status = world.public("/api/v1/status").ok();
    assert_eq!(status["status"], "Maintenance");
    assert!(!gateway_is_ready(world), "a gateway without an engine is not ready");
    assert_eq!(world.public("/api/v1/ping").ok(), "pong");
    let which = json!({"symbol": "SOL_USDC", "orderId": "1"});
    for reply in [trader.cancel(&which), world.public("/api/v1/depth?symbol=SOL_USDC")] {
        assert!(reply.took < ANSWER_MAX && matches!(reply.status, 404 | 503), "{reply:?}");
    }
    world.start_again(ENGINE);
    until_served(world, &trader);
}

fn a_frozen_engine_is_no_hang(world: &mut World) {
    let trader = world.trader("patient", &[("USDC", "1000")]);
    world.stack().freeze(ENGINE).unwrap();
    until_refused_at_once(&trader);
    world.stack().thaw(ENGINE).unwrap();
    until_served(world, &trader);
}

fn a_frozen_redis_is_no_hang(world: &mut World) {
    let trader = world.trader("patient", &[("USDC", "1000")]);
    world.stack().freeze(redis::NAME).unwrap();
    until_refused_at_once(&trader);
    world.stack().thaw(redis::NAME).unwrap();
    until_served(world, &trader);
}
