//! The exchange keeps to what it says of itself: schemathesis tries every operation of
//! `/openapi.json`, with requests that fit it and requests that do not.

use std::time::Duration;

use scenarios::foreign::Script;
use scenarios::lane::Apart;
use scenarios::world::World;
use xtask::artifacts::repository_root;
use xtask::clients::CLIENTS;
use xtask::stack::MarketMaker;

/// On an exchange of its own, since it also halts markets.
pub const SCENARIOS: &[Apart] = &[Apart {
    name: "openapi::every_operation_keeps_to_its_description",
    possible,
    start: one_that_limits_nobody,
    scenario: every_operation,
}];

/// The script bounds itself to less.
const WITHIN: Duration = Duration::from_secs(300);

fn possible() -> Result<(), String> {
    CLIENTS.python(&repository_root()).map(|_| ()).map_err(|error| error.in_full())
}

fn one_that_limits_nobody() -> World {
    World::start("openapi", MarketMaker::LeftOut)
}

fn every_operation(world: &mut World) {
    let alice = world.trader("alice", &[("SOL", "1000"), ("USDC", "1000000")]);
    let token = world.stack().admin().token;
    // Whatever it leaves behind is not to lie beside the sources.
    let script = Script::new(world, "openapi", CLIENTS).folder(world.var());
    let script = script.account("ALICE", &alice).variable("EXCHANGE_CLIENT_ADMIN_TOKEN", token);
    script.program("openapi_fuzz.py", WITHIN);
}
