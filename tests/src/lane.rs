//! Scenarios that share an exchange, one after another: starting one costs seconds.
//!
//! The exchange starts with the first scenario and ends with the lane. One in which a scenario has
//! failed is not used again; its files stay for whoever looks into the failure.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use libtest_mimic::Failed;
use xtask::stack::MarketMaker;

use crate::audit::audit;
use crate::world::World;

/// A name and what happens.
pub type Scenario = (&'static str, fn(&mut World));

/// One that needs an exchange of its own kind.
#[derive(Clone, Copy)]
pub struct Apart {
    pub name: &'static str,
    /// `Err` says what this machine lacks for it.
    pub possible: fn() -> Result<(), String>,
    pub start: fn() -> World,
    pub scenario: fn(&mut World),
}

pub struct Lane {
    name: &'static str,
    market_maker: MarketMaker,
    world: Mutex<Option<World>>,
}

impl Lane {
    pub const fn new(name: &'static str, market_maker: MarketMaker) -> Lane {
        Lane { name, market_maker, world: Mutex::new(None) }
    }

    /// Runs a scenario when no other of this lane runs.
    pub fn run(&self, scenario: fn(&mut World)) -> Result<(), Failed> {
        let mut place = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let mut world = match place.take() {
            Some(world) => world,
            None => caught(|| World::start(self.name, self.market_maker))?,
        };
        let outcome = caught(|| {
            scenario(&mut world);
            world.assert_sound();
        });
        match outcome {
            Ok(()) => *place = Some(world),
            Err(failed) => return Err(abandoned(world, &failed)),
        }
        Ok(())
    }

    /// Runs one on an exchange of its own, while the lane's own one rests.
    pub fn run_apart(&self, apart: &Apart) -> Result<(), Failed> {
        let _place = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let mut world = caught(apart.start)?;
        let outcome = caught(|| {
            (apart.scenario)(&mut world);
            world.assert_sound();
        });
        match outcome {
            Ok(()) => ended(world),
            Err(failed) => Err(abandoned(world, &failed)),
        }
    }

    /// Audits all that the scenarios have done to the lane's exchange, and stops it as an operator
    /// would.
    pub fn end(&self) -> Result<(), Failed> {
        let world = self.world.lock().unwrap_or_else(PoisonError::into_inner).take();
        world.map_or(Ok(()), ended)
    }
}

fn ended(mut world: World) -> Result<(), Failed> {
    let outcome = caught(|| {
        world.settle();
        audit(&world);
        world.stop_all();
        world.assert_no_panic();
    });
    outcome.map_err(|failed| abandoned(world, &failed))
}

fn abandoned(world: World, failed: &Failed) -> Failed {
    let why = failed.message().unwrap_or_default().to_owned();
    let report = world.report();
    let folder = world.abandon();
    Failed::from(format!("{why}\n{report}its files stay in {}", folder.display()))
}

fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Failed> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| Failed::from(message(&*panic)))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}
