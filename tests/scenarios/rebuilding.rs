//! The sink's tables are lost and made again from the engine's journal, also those of a market that
//! no config names. A part of the scenario of listings, whose exchange has one and a whole journal.

use std::process::Command;

use scenarios::world::World;
use xtask::services::DB_SINK;

/// All that the sink writes; what only the gateway knows is in no journal.
const EMPTY: &str = "TRUNCATE trades, fills, order_events, kept_order_events, balance_changes, \
                     transfers, klines, sink_position";

/// Nobody may trade meanwhile. Afterwards the sink runs again.
pub fn the_database_is_rebuilt(world: &mut World) {
    world.settle();
    let tables = ["trades", "fills", "order_events", "balance_changes", "transfers", "klines"];
    let counts = |world: &World| {
        tables.map(|table| world.database().number(&format!("SELECT count(*) FROM {table}")))
    };
    let before = counts(world);
    assert!(before.iter().all(|count| 0 < *count), "{before:?}");
    assert_eq!(verb(world, &["check"]), Some(0), "a sink that runs is equal to the journal");
    world.end(DB_SINK);
    world.database().rows(EMPTY);
    assert_eq!(verb(world, &["backfill", "--from-journal"]), Some(0));
    assert_eq!(counts(world), before);
    assert_eq!(verb(world, &["check"]), Some(0), "what was rebuilt is equal to the journal");
    let market = "(SELECT max(market_id) FROM trades)";
    world.database().rows(&format!("UPDATE trades SET lots = lots + 1 WHERE market_id = {market}"));
    assert_eq!(verb(world, &["check"]), Some(3), "and what is not is told");
    world.database().rows(&format!("UPDATE trades SET lots = lots - 1 WHERE market_id = {market}"));
    world.start_again(DB_SINK);
}

/// Exit code of the sink's binary with the settings of the sink.
fn verb(world: &World, arguments: &[&str]) -> Option<i32> {
    let spec = &world.stack().record().member(DB_SINK).unwrap().spec;
    let mut command = Command::new(&spec.program);
    command.args(&spec.args).args(arguments).envs(&spec.env).current_dir(&spec.cwd);
    let done = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    println!("{arguments:?}\n{}{}", text(&done.stdout), text(&done.stderr));
    done.status.code()
}
