//! The exchange keeps to what it says of itself: schemathesis tries every operation of
//! `/openapi.json`, with requests that fit it and requests that do not.

use std::time::Duration;

use scenarios::foreign::Script;
use scenarios::lane::Apart;
use scenarios::world::World;
use serde_json::json;
use ureq::http::Method;
use xtask::artifacts::repository_root;
use xtask::clients::CLIENTS;
use xtask::http::call;
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

const ANSWER_MAX: Duration = Duration::from_secs(10);
const SIGN_INS_MAX: i64 = 100_000;

fn possible() -> Result<(), String> {
    CLIENTS.python(&repository_root()).map(|_| ()).map_err(|error| error.in_full())
}

/// Else most that is tried would be turned away at the door.
fn one_that_limits_nobody() -> World {
    World::start_changed("openapi", MarketMaker::LeftOut, |plan| {
        let gateway = plan.config["gateway"].as_table_mut().unwrap();
        for key in ["sign_ins_per_address_min", "sign_ins_per_email_min"] {
            gateway.insert(key.to_owned(), toml::Value::Integer(SIGN_INS_MAX));
        }
    })
}

fn every_operation(world: &mut World) {
    let alice = world.trader("alice", &[("SOL", "1000"), ("USDC", "1000000")]);
    let token = world.stack().admin().token;
    // Whatever it leaves behind is not to lie beside the sources.
    let script = Script::new(world, "openapi", CLIENTS).folder(world.var());
    let script = script.account("ALICE", &alice).variable("EXCHANGE_CLIENT_ADMIN_TOKEN", token);
    script.program("openapi_fuzz.py", WITHIN);
    reopen_markets(world);
}

/// The audit trades in every one, and the last that was tried may have been to halt it or to bound
/// its prices.
fn reopen_markets(world: &World) {
    let (rest_url, token) = (world.rest_url(), world.stack().admin().token);
    let bearer = format!("Bearer {token}");
    let headers = [("Authorization", bearer.as_str())];
    let body = json!({"orderBookState": "Open", "minPrice": null, "maxPrice": null,
        "minMultiplier": null, "maxMultiplier": null, "minQuantity": null, "maxQuantity": null});
    for market in world.public("/api/v1/markets").ok().as_array().unwrap() {
        let symbol = market["symbol"].as_str().unwrap();
        let url = format!("{rest_url}/admin/v1/markets/{symbol}");
        let answer = call(Method::PATCH, &url, &headers, Some(&body), ANSWER_MAX).unwrap();
        assert_eq!(answer.0, 200, "{symbol}: {answer:?}");
    }
}
