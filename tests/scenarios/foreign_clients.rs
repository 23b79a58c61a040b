//! Clients nobody here wrote, unmodified but for the address they call: what they make of our
//! answers, checked for meaning by the scripts in `tests/clients/`.

use std::time::Duration;

use scenarios::foreign::{Foreign, Script};
use scenarios::world::World;
use xtask::clients::{BPX_PY, CLIENTS, Environment};

pub const SCENARIOS: &[Foreign] = &[
    Foreign {
        name: "foreign_clients::ccxt_reads_markets_and_prices",
        environment: CLIENTS,
        scenario: ccxt_markets,
    },
    Foreign {
        name: "foreign_clients::ccxt_places_and_cancels_orders",
        environment: CLIENTS,
        scenario: ccxt_orders,
    },
    Foreign {
        name: "foreign_clients::ccxt_places_trigger_orders",
        environment: CLIENTS,
        scenario: ccxt_triggers,
    },
    Foreign {
        name: "foreign_clients::ccxt_reads_history_and_moves_capital",
        environment: CLIENTS,
        scenario: ccxt_history,
    },
    Foreign {
        name: "foreign_clients::ccxt_raises_what_its_users_catch",
        environment: CLIENTS,
        scenario: ccxt_errors,
    },
    Foreign {
        name: "foreign_clients::ccxt_watches_streams",
        environment: CLIENTS,
        scenario: ccxt_streams,
    },
    Foreign {
        name: "foreign_clients::ccxt_watches_everything_while_orders_flow",
        environment: CLIENTS,
        scenario: ccxt_flow,
    },
    Foreign {
        name: "foreign_clients::backpack_exchange_sdk_trades",
        environment: CLIENTS,
        scenario: backpack_exchange_sdk,
    },
    Foreign { name: "foreign_clients::bpx_py_trades", environment: BPX_PY, scenario: bpx_py },
];

/// A run takes seconds; on a busy machine a minute.
const WITHIN: Duration = Duration::from_secs(180);

/// What `tests/clients/world.py` says both accounts have.
const FUNDS: [(&str, &str); 4] =
    [("SOL", "1000"), ("BTC", "10"), ("ETH", "100"), ("USDC", "1000000")];

fn between_two_accounts(world: &mut World, module: &str, environment: Environment) {
    let alice = world.trader("alice", &FUNDS);
    let bob = world.trader("bob", &FUNDS);
    let script = Script::new(world, module, environment);
    script.account("ALICE", &alice).account("BOB", &bob).unittest(&[module], WITHIN);
}

fn ccxt_markets(world: &mut World) {
    between_two_accounts(world, "ccxt_markets", CLIENTS);
}

fn ccxt_orders(world: &mut World) {
    between_two_accounts(world, "ccxt_orders", CLIENTS);
}

fn ccxt_triggers(world: &mut World) {
    between_two_accounts(world, "ccxt_triggers", CLIENTS);
}

fn ccxt_history(world: &mut World) {
    between_two_accounts(world, "ccxt_history", CLIENTS);
}

fn ccxt_errors(world: &mut World) {
    between_two_accounts(world, "ccxt_errors", CLIENTS);
}

fn ccxt_streams(world: &mut World) {
    between_two_accounts(world, "ccxt_streams", CLIENTS);
}

fn ccxt_flow(world: &mut World) {
    between_two_accounts(world, "ccxt_flow", CLIENTS);
}

fn backpack_exchange_sdk(world: &mut World) {
    between_two_accounts(world, "sdk_trades", CLIENTS);
}

fn bpx_py(world: &mut World) {
    between_two_accounts(world, "bpx_py_trades", BPX_PY);
}
