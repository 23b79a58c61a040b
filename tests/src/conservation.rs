//! Where all units of all assets are, as the engine says it at one moment, also under load.

use std::time::Duration;

use serde_json::Value;
use ureq::http::Method;
use xtask::http;

use crate::client::Reply;
use crate::eventually::eventually;
use crate::listing::decimal;
use crate::world::World;

/// GET of an administrator's path; an exchange that comes back from a blow may need a moment.
pub fn admin(world: &World, path: &str) -> Value {
    let admin = world.stack().admin();
    let url = format!("{}/admin/v1/{path}", admin.rest_url);
    let bearer = format!("Bearer {}", admin.token);
    let headers = [("Authorization", bearer.as_str())];
    let within = Duration::from_secs(10);
    eventually(path, || {
        let answer = http::call(Method::GET, &url, &headers, None, within);
        let reply = Reply::of(answer.map_err(|error| error.in_full())?, within);
        if [503, 504].contains(&reply.status) { Err(reply.body.to_string()) } else { Ok(reply) }
    })
    .ok()
}

/// Nothing has come from nowhere, and nothing is gone.
pub fn check_conservation(world: &World) {
    let said = admin(world, "audit/conservation");
    assert_eq!(said["holds"], true, "{said:#}");
    let assets = said["assets"].as_array().unwrap();
    assert_eq!(assets.len(), world.listing().assets.len(), "{said:#}");
    for asset in assets {
        let of = |member: &str| decimal(asset[member].as_str().unwrap());
        let came = of("deposits") - of("withdrawals");
        assert_eq!(came, of("available") + of("locked") + of("fees"), "{asset:#}");
        assert_eq!(of("locked"), of("held"), "locked, and held by open orders: {asset:#}");
    }
}
