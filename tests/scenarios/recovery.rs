//! Single processes killed in the middle of their work, and what must still be true while they are
//! away and afterwards. [`crate::torture`] kills the engine, and others with it.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use scenarios::crowd::Crowd;
use scenarios::database::Database;
use scenarios::eventually::eventually;
use scenarios::lane::Scenario;
use scenarios::world::{World, seed};
use xtask::private_servers::{postgres, redis};
use xtask::services::{DB_SINK, IO_GATEWAY, MM, WS_FANOUT};

pub const SCENARIOS: &[Scenario] = &[
    ("recovery::any_killed_service_comes_back", any_killed_service_comes_back),
    ("recovery::trading_goes_on_without_the_database", trading_goes_on_without_the_database),
    ("recovery::a_killed_redis_loses_no_acknowledged_order", a_killed_redis_loses_nothing),
];

/// Trades between the two accounts of mm, as far as they are in the database.
fn trades_of_mm(world: &World, database: &Database) -> i128 {
    let maker = world.stack().account(xtask::accounts::MAKER).unwrap().id().unwrap().to_owned();
    database.number(&format!("SELECT count(*) FROM fills WHERE account_id = {maker}"))
}

fn mm_goes_on(world: &World, database: &Database) {
    let before = trades_of_mm(world, database);
    eventually("mm trades on", || {
        let now = trades_of_mm(world, database);
        if before + 10 <= now { Ok(()) } else { Err((before, now)) }
    });
}

/// The engine goes on while they are away; whoever comes back finds its place again.
fn any_killed_service_comes_back(world: &mut World) {
    let mut random = StdRng::seed_from_u64(seed("any killed service"));
    let database = world.database();
    let crowd = Crowd::start(world, &mut random);
    for name in [DB_SINK, IO_GATEWAY, WS_FANOUT, MM, DB_SINK] {
        crowd.wait_for(random.random_range(1..60));
        world.kill9(name);
        world.start_again(name);
        crowd.wait_for_all();
        crowd.note_blow();
    }
    let mut socket = world.socket();
    socket.subscribe(&["trade@SOL_USDC"]);
    socket.until("a trade on the new fan-out", |socket| {
        socket.data("trade@SOL_USDC").next().cloned()
    });
    mm_goes_on(world, &database);
    crowd.finish(world);
}

fn trading_goes_on_without_the_database(world: &mut World) {
    let mut random = StdRng::seed_from_u64(seed("without the database"));
    let database = world.database();
    let crowd = Crowd::start(world, &mut random);
    world.kill9(postgres::NAME);
    crowd.wait_for_all();
    crowd.wait_for(100);
    eventually("history is refused, not awaited", || {
        let reply = world.public("/api/v1/trades?symbol=SOL_USDC");
        let known = reply.status == 503 && reply.code() == "MAINTENANCE";
        if known { Ok(()) } else { Err(reply) }
    });
    world.start_again(postgres::NAME);
    mm_goes_on(world, &database);
    crowd.finish(world);
}

/// Redis writes its log once a second: what it forgets, the engine has in its journal.
fn a_killed_redis_loses_nothing(world: &mut World) {
    let mut random = StdRng::seed_from_u64(seed("a killed Redis"));
    let database = world.database();
    let crowd = Crowd::start(world, &mut random);
    world.kill9(redis::NAME);
    world.start_again(redis::NAME);
    crowd.wait_for_all();
    crowd.note_blow();
    mm_goes_on(world, &database);
    crowd.finish(world);
}
