//! `kill -9` at random moments, as often as patience allows; `cargo xtask torture` has more of it.

use scenarios::lane::Scenario;
use scenarios::torture::torture;
use scenarios::world::{World, seed};
use xtask::services::ENGINE;

pub const SCENARIOS: &[Scenario] =
    &[("torture::nothing_acknowledged_is_lost_or_done_twice", nothing_is_lost_or_done_twice)];

/// How often the engine dies in the suite.
const ROUNDS: usize = 100;
/// What `cargo xtask torture` sets.
const ROUNDS_VARIABLE: &str = "EXCHANGE_TORTURE_ROUNDS";

fn nothing_is_lost_or_done_twice(world: &mut World) {
    let asked = std::env::var(ROUNDS_VARIABLE).ok();
    let rounds = asked.map_or(ROUNDS, |text| text.parse().expect("a number of rounds"));
    let figures = torture(world, rounds, seed("torture"));
    print!("{}", figures.report());
    assert!(rounds <= figures.kills[ENGINE]);
    assert!(rounds / 2 <= figures.seen.looks, "too few looks at the accounts between kills");
}
