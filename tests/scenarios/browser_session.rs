//! Somebody who comes with a browser: an e-mail address and a password, a cookie and a CSRF token
//! in place of signatures.

use std::time::Duration;

use scenarios::foreign::{Foreign, Script};
use scenarios::world::World;
use xtask::clients::CLIENTS;

pub const SCENARIOS: &[Foreign] = &[Foreign {
    name: "browser_session::a_cookie_and_a_token_stand_for_signatures",
    environment: CLIENTS,
    scenario: a_browser,
}];

fn a_browser(world: &mut World) {
    let script = Script::new(world, "browser_session", CLIENTS);
    script.unittest(&["browser_session"], Duration::from_secs(180));
}
