//! Every spot call and stream of bpx-api-client, its typed answers checked for what they mean.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it stands")]

#[path = "spot/orders.rs"]
mod orders;
#[path = "spot/market_data.rs"]
mod market_data;
#[path = "spot/capital.rs"]
mod capital;
#[path = "spot/streams.rs"]
mod streams;

use std::process::ExitCode;

use bpx_client::Caller;
use libtest_mimic::{Arguments, Trial};
use scenarios::lane::{Lane, Scenario};
use scenarios::world::World;
use xtask::interrupt;
use xtask::stack::MarketMaker;

static EXCHANGE: Lane = Lane::new("bpx-client", MarketMaker::LeftOut);

const ALL: &[&[Scenario]] =
    &[orders::SCENARIOS, market_data::SCENARIOS, capital::SCENARIOS, streams::SCENARIOS];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    if let Err(error) = interrupt::watch() {
        eprintln!("{}", error.in_full());
        return ExitCode::FAILURE;
    }
    let scenarios = ALL.iter().copied().flatten().copied();
    let trial = |(name, scenario)| Trial::test(name, move || EXCHANGE.run(scenario));
    let conclusion = libtest_mimic::run(&arguments, scenarios.map(trial).collect());
    match EXCHANGE.end() {
        Ok(()) => conclusion.exit_code(),
        Err(failed) => {
            eprintln!("the exchange did not end well: {}", failed.message().unwrap_or_default());
            ExitCode::FAILURE
        }
    }
}

/// One who sells and one who buys.
fn two(world: &mut World) -> (Caller, Caller) {
    let alice = world.trader("alice", &[("SOL", "1000"), ("USDC", "1000")]);
    let bob = world.trader("bob", &[("USDC", "100000")]);
    let ws_url = world.stack().ws_url();
    (Caller::of(&alice, ws_url), Caller::of(&bob, ws_url))
}
