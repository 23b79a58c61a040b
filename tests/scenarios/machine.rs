//! What a machine can do to the engine: a disk that is full, a disk that does not sync, a clock
//! that jumps. Each on an exchange of its own.

use rand::SeedableRng;
use rand::rngs::StdRng;
use scenarios::bulk::Bulk;
use scenarios::crowd::Crowd;
use scenarios::eventually::eventually;
use scenarios::failing_sync::FailingSync;
use scenarios::false_clock::FalseClock;
use scenarios::lane::Apart;
use scenarios::small_disk::SmallDisk;
use scenarios::world::{World, seed};
use xtask::private_servers::postgres;
use xtask::services::ENGINE;
use xtask::stack::MarketMaker;

pub const SCENARIOS: &[Apart] = &[
    Apart {
        name: "machine::a_full_disk_ends_the_engine_and_loses_nothing",
        possible: SmallDisk::possible,
        start: on_a_small_disk,
        scenario: a_full_disk,
    },
    Apart {
        name: "machine::a_disk_that_does_not_sync_ends_the_engine_at_once",
        possible: FailingSync::possible,
        start: as_ever,
        scenario: a_disk_that_does_not_sync,
    },
    Apart {
        name: "machine::a_clock_that_jumps_moves_no_money",
        possible: FalseClock::possible,
        start: by_a_false_clock,
        scenario: a_clock_that_jumps,
    },
];

const SMALL_MIB: u32 = 4;
const LARGE_MIB: u32 = 256;

fn on_a_small_disk() -> World {
    World::start_changed("small-disk", MarketMaker::Runs, |plan| {
        let engine = plan.config["engine"].as_table_mut().unwrap();
        engine.insert("segment_mib".to_owned(), 1.into());
        let folder = plan.options.var_dir.join("engine");
        plan.disk = Some(SmallDisk::mount(&folder, SMALL_MIB).unwrap());
    })
}

/// The database is away, so that nothing of the journal may go.
fn a_full_disk(world: &mut World) {
    let mut random = StdRng::seed_from_u64(seed("a full disk"));
    let market = world.listing().market("ETH_USDC").clone();
    let seller = world.trader("seller", &[("ETH", "100")]);
    let buyer = world.trader("buyer", &[("USDC", "1000000")]);
    let crowd = Crowd::start(world, &mut random);
    crowd.wait_for(50);
    world.kill9(postgres::NAME);
    Bulk::new(world).trade(&market, (&seller, &buyer), 400_000, (60, 300));
    let ending = world.until_ended(ENGINE);
    assert!(ending.starts_with("exit code") && ending != "exit code 0", "{ending}");
    let log = world.stack().log(ENGINE).unwrap();
    assert!(log.contains("No space left on device"), "the log does not say why");
    // As long as there is no room it does not come up, and says why.
    world.disk().resize(LARGE_MIB);
    world.start_again(ENGINE);
    crowd.wait_for_all();
    crowd.note_blow();
    world.start_again(postgres::NAME);
    crowd.wait_for(50);
    print!("{}", crowd.finish(world).report());
}

fn as_ever() -> World {
    World::start("machine", MarketMaker::Runs)
}

/// The first sync that fails is the last one tried: what the disk has of it, nobody can say.
fn a_disk_that_does_not_sync(world: &mut World) {
    let mut random = StdRng::seed_from_u64(seed("a disk that does not sync"));
    let crowd = Crowd::start(world, &mut random);
    for nth in [1, 7, 40] {
        crowd.wait_for(20);
        let pid = world.pid(ENGINE).unwrap();
        let syncs = FailingSync::from_the(nth, pid, world.var());
        let ending = world.until_ended(ENGINE);
        assert!(ending.starts_with("exit code") && ending != "exit code 0", "{ending}");
        assert_eq!(syncs.calls(), (nth - 1, 1), "syncs that went well, and that failed");
        world.start_again(ENGINE);
        crowd.wait_for_all();
        crowd.note_blow();
    }
    print!("{}", crowd.finish(world).report());
}

const HOUR: i64 = 3600;
const CLOCK: &str = "clock";

fn by_a_false_clock() -> World {
    World::start_changed("false-clock", MarketMaker::Runs, |plan| {
        let clock = FalseClock::at(plan.options.var_dir.join(CLOCK));
        plan.options.extra.insert(ENGINE.to_owned(), clock.extra());
    })
}

/// The engine's clock alone; whoever sends it orders lives by the true one.
fn a_clock_that_jumps(world: &mut World) {
    let mut random = StdRng::seed_from_u64(seed("a clock that jumps"));
    let crowd = Crowd::start(world, &mut random);
    let clock = FalseClock::at(world.var().join(CLOCK));
    let served = |crowd: &Crowd| {
        crowd.wait_for_all();
        crowd.note_blow();
        crowd.wait_for(20);
    };
    clock.set(-HOUR);
    served(&crowd);
    // Started by a clock that is behind the last command of its journal.
    world.end(ENGINE);
    world.start_again(ENGINE);
    served(&crowd);
    clock.set(HOUR);
    let refused = crowd.refused();
    eventually("orders are refused that seem an hour old", || {
        let now = crowd.refused();
        if refused + 50 < now { Ok(()) } else { Err(now - refused) }
    });
    clock.set(0);
    served(&crowd);
    print!("{}", crowd.finish(world).report());
}
