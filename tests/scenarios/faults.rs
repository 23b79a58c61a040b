//! Redis that forgets, Redis that hangs, a database that is long away: under load, and afterwards
//! everything is compared with everything.

use std::path::Path;
use std::time::Duration;

use ::redis::cmd;
use protocol::keys;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use scenarios::bulk::Bulk;
use scenarios::crowd::Crowd;
use scenarios::eventually::{SECOND, eventually_within};
use scenarios::lane::Scenario;
use scenarios::world::{World, seed};
use xtask::client::now_ms;
use xtask::interrupt;
use xtask::private_servers::{postgres, redis};
use xtask::services::{ENGINE, IO_GATEWAY};

pub const SCENARIOS: &[Scenario] = &[
    ("faults::a_flushed_redis_loses_no_acknowledged_order", a_flushed_redis),
    ("faults::an_older_redis_is_brought_up_to_date", an_older_redis),
    ("faults::ids_that_run_backwards_hide_no_order", ids_that_run_backwards),
    ("faults::a_redis_that_hangs_for_30_s_loses_nothing", a_redis_that_hangs),
    ("faults::a_hundred_thousand_trades_without_the_database", trades_without_the_database),
];

const FLUSHES: usize = 3;
const OLDER: usize = 2;
const HANGS_FOR: Duration = Duration::from_secs(30);

/// Orders on their way are gone, and the events the database does not have yet.
fn a_flushed_redis(world: &mut World) {
    let mut random = StdRng::seed_from_u64(seed("a flushed Redis"));
    let crowd = Crowd::start(world, &mut random);
    for _ in 0..FLUSHES {
        crowd.wait_for(random.random_range(10..60));
        let () = cmd("FLUSHALL").query(&mut world.redis()).unwrap();
        crowd.wait_for_all();
        crowd.note_blow();
    }
    // Who starts behind a flush finds no trace of its earlier life on Redis.
    for name in [IO_GATEWAY, ENGINE] {
        let () = cmd("FLUSHALL").query(&mut world.redis()).unwrap();
        world.kill9(name);
        world.start_again(name);
        crowd.wait_for_all();
        crowd.note_blow();
    }
    print!("{}", crowd.finish(world).report());
}

/// As after a failover to a replica that lagged: orders that were decided long ago are in the
/// queues again, and the latest events are not.
fn an_older_redis(world: &mut World) {
    let mut random = StdRng::seed_from_u64(seed("an older Redis"));
    let crowd = Crowd::start(world, &mut random);
    let data = world.stack().places().redis_data();
    let older = world.var().join("redis-older");
    for _ in 0..OLDER {
        crowd.wait_for(random.random_range(10..60));
        world.kill9(redis::NAME);
        copy_folder(&data, &older);
        world.start_again(redis::NAME);
        crowd.wait_for_all();
        crowd.wait_for(random.random_range(10..200));
        world.kill9(redis::NAME);
        std::fs::remove_dir_all(&data).unwrap();
        std::fs::rename(&older, &data).unwrap();
        world.start_again(redis::NAME);
        crowd.wait_for_all();
        crowd.note_blow();
    }
    print!("{}", crowd.finish(world).report());
}

/// An empty Redis in the place of one whose clock was an hour ahead: its queues give ids that the
/// engine has long passed.
fn ids_that_run_backwards(world: &mut World) {
    let mut random = StdRng::seed_from_u64(seed("ids that run backwards"));
    let crowd = Crowd::start(world, &mut random);
    let mut symbols: Vec<&str> = vec![keys::ACCOUNTS];
    symbols.extend(world.listing().markets.iter().map(|market| market.symbol.as_str()));
    let ahead = format!("{}-0", now_ms() + 3_600_000);
    for symbol in symbols {
        let () =
            cmd("XSETID").arg(keys::orders(symbol)).arg(&ahead).query(&mut world.redis()).unwrap();
    }
    crowd.wait_for_all();
    crowd.wait_for(random.random_range(10..60));
    let data = world.stack().places().redis_data();
    world.kill9(redis::NAME);
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::create_dir(&data).unwrap();
    world.start_again(redis::NAME);
    crowd.wait_for_all();
    crowd.note_blow();
    // The next life of the engine meets them from the other side.
    world.kill9(ENGINE);
    world.start_again(ENGINE);
    crowd.wait_for_all();
    crowd.note_blow();
    print!("{}", crowd.finish(world).report());
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, copy) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &copy);
        } else {
            std::fs::copy(&path, &copy).unwrap();
        }
    }
}

/// As a machine that stands still: the connections are there, and nothing comes back.
fn a_redis_that_hangs(world: &mut World) {
    let mut random = StdRng::seed_from_u64(seed("a Redis that hangs"));
    let crowd = Crowd::start(world, &mut random);
    crowd.wait_for(20);
    let refused = crowd.refused();
    world.stack().freeze(redis::NAME).unwrap();
    // The time it hangs is the subject, nothing is waited for.
    interrupt::pause(HANGS_FOR);
    assert!(refused + 50 < crowd.refused(), "clients hang with it, instead of being refused");
    world.stack().thaw(redis::NAME).unwrap();
    crowd.wait_for_all();
    crowd.note_blow();
    crowd.wait_for(50);
    print!("{}", crowd.finish(world).report());
}

const TRADES: u64 = 100_000;
const TRADES_A_BID: u64 = 500;
/// A price that nobody else's orders come near to.
const TICKS: u64 = 400_000;

fn trades_without_the_database(world: &mut World) {
    let mut random = StdRng::seed_from_u64(seed("without the database"));
    let market = world.listing().market("ETH_USDC").clone();
    let seller = world.trader("seller", &[("ETH", "10")]);
    let buyer = world.trader("buyer", &[("USDC", "1000000")]);
    let crowd = Crowd::start(world, &mut random);
    let trades = format!("SELECT count(*) FROM fills WHERE account_id = {}", buyer.account);
    world.kill9(postgres::NAME);
    Bulk::new(world).trade(
        &market,
        (&seller, &buyer),
        TICKS,
        (TRADES / TRADES_A_BID, TRADES_A_BID),
    );
    eventually_within(60 * SECOND, "the engine has traded it all", || {
        let left = seller.balance("ETH");
        if left.0 + left.1 == rust_decimal::Decimal::ZERO { Ok(()) } else { Err(left) }
    });
    // With the engine dead as well, only its journal knows all that the database does not.
    world.kill9(ENGINE);
    world.start_again(ENGINE);
    crowd.wait_for_all();
    crowd.note_blow();
    world.start_again(postgres::NAME);
    print!("{}", crowd.finish(world).report());
    assert_eq!(world.database().number(&trades), i128::from(TRADES));
}
