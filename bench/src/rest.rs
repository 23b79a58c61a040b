//! Orders over REST, through the whole exchange: signed, verified, queued, matched, synced to disk,
//! answered.
//!
//! ```text
//! requests (signed ahead) ─▶ load (one thread, epoll) ─▶ wire ─▶ a private exchange
//!                             └ recorder                          └ scrape (where time went)
//! ```
//!
//! Invariant: a request is signed before the clock starts, and every answer is checked.

pub mod exchange;
pub mod requests;
pub mod wire;
pub mod load;
pub mod scrape;
pub mod report;

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use xtask::interrupt;

use crate::error::BenchError;
use crate::place::{FileSystem, Place};
use crate::recorder::Percentiles;
use exchange::Exchange;
use load::{Loop, Measured};
use requests::{Kind, Requests};
use scrape::{Scrape, Split};

#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the exchange keeps its data; beside the build when not given.
    pub dir: Option<PathBuf>,
    pub connections: Vec<usize>,
    /// Orders at rest before anything is measured, one row of figures after the other.
    pub resting: Vec<u64>,
    /// About as long as one step lasts.
    pub milliseconds: u64,
    /// What the open loop offers, in percent of what the closed loop before it did.
    pub open_percent: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct RestFigures {
    pub file_system: FileSystem,
    pub steps: Vec<StepFigures>,
}

/// One kind of request at one number of connections.
#[derive(Clone, Debug, Serialize)]
pub struct StepFigures {
    pub resting: u64,
    pub kind: Kind,
    pub connections: usize,
    /// Requests a second; `None` for the closed loop, which offers what is answered.
    pub offered_per_second: Option<f64>,
    pub answered_per_second: f64,
    pub latency_ns: Percentiles,
    pub latency_ns_mean: f64,
    /// Answers other than the wanted one.
    pub failed: u64,
    /// Of all cores, while the step lasted.
    pub cpu: Vec<(&'static str, f64)>,
    pub split: Split,
}

/// Orders that an account may have open in one market, and a little less.
const OPEN_ORDERS_MAX: u64 = 980;
/// Orders of one step at most: with those at rest they must fit the market.
const ORDERS_MAX: u64 = 100_000;
/// Requests that warm a step up, and tell how many it takes.
const WARM_UP: u64 = 200;
const WARM_UP_OF_A_CONNECTION: u64 = 8;

/// Runs all steps on one exchange; `done` hears of each.
pub fn run(
    settings: &Settings,
    mut done: impl FnMut(&StepFigures),
) -> Result<RestFigures, BenchError> {
    interrupt::watch().map_err(BenchError::Exchange)?;
    let place = Place::make(settings.dir.as_deref(), "rest", false)?;
    let file_system = place.file_system()?;
    let resting_max = settings.resting.iter().copied().max().unwrap_or_default();
    // The fastest machine's orders of the longest step; tiny runs need few accounts.
    let orders_max = ORDERS_MAX.min(settings.milliseconds * 40).max(4 * WARM_UP);
    let accounts = orders_max.div_ceil(OPEN_ORDERS_MAX);
    let keepers = resting_max.div_ceil(OPEN_ORDERS_MAX);
    let exchange = Exchange::start(place.path(), accounts, keepers)?;
    let bench = Bench { settings, exchange: &exchange, orders_max };
    let mut steps = Vec::new();
    let (mut at_rest, mut levels) = (0, settings.resting.clone());
    levels.sort_unstable();
    for resting in levels {
        bench.rest_until(at_rest, resting)?;
        at_rest = resting;
        for &connections in &settings.connections {
            for step in bench.at(resting, connections)? {
                done(&step);
                steps.push(step);
            }
        }
    }
    drop(exchange);
    place.empty()?;
    Ok(RestFigures { file_system, steps })
}

struct Bench<'a> {
    settings: &'a Settings,
    exchange: &'a Exchange,
    orders_max: u64,
}

impl Bench<'_> {
    /// Adds orders at rest, far from where the others trade.
    fn rest_until(&self, at_rest: u64, wanted: u64) -> Result<(), BenchError> {
        const AT_A_TIME: u64 = 20_000;
        let mut from = at_rest;
        while from < wanted {
            let to = wanted.min(from + AT_A_TIME);
            let requests = Requests::background(self.exchange.keepers(), from..to)?;
            let measured = load::run(self.exchange.address(), &requests, 8, Loop::Closed)?;
            measured.expect_all(&requests)?;
            from = to;
        }
        Ok(())
    }

    /// Every kind in the closed loop, then in the open one.
    fn at(&self, resting: u64, connections: usize) -> Result<Vec<StepFigures>, BenchError> {
        let warm_up = (WARM_UP + WARM_UP_OF_A_CONNECTION * connections as u64).min(self.orders_max);
        let mut steps = Vec::new();
        let mut rates = Vec::new();
        for kinds in [&[Kind::Rest, Kind::Cancel][..], &[Kind::Cross]] {
            let mut orders = 0;
            for &kind in kinds {
                // A cancel needs an order: it takes those that the step before has left.
                if kind != Kind::Cancel {
                    orders = self.orders_in_a_step(kind, warm_up, connections)?;
                }
                let step = self.step(resting, kind, connections, orders, Loop::Closed)?;
                rates.push((kind, step.answered_per_second));
                steps.push(step);
            }
        }
        let offered = |kind: Kind| {
            let rate = rates.iter().find(|(of, _)| *of == kind).map(|(_, rate)| *rate);
            (rate.unwrap_or_default() * self.settings.open_percent as f64 / 100.0).max(1.0)
        };
        let in_time = |rate: f64| {
            let orders = rate * self.settings.milliseconds as f64 / 1000.0;
            (orders as u64).clamp(1, self.orders_max)
        };
        let resting_orders = in_time(offered(Kind::Rest));
        for (kind, orders) in [
            (Kind::Rest, resting_orders),
            (Kind::Cancel, resting_orders),
            (Kind::Cross, in_time(offered(Kind::Cross))),
        ] {
            let open = Loop::Open { per_second: offered(kind) };
            steps.push(self.step(resting, kind, connections, orders, open)?);
        }
        Ok(steps)
    }

    /// How many fill the time, as a short run tells. What it places is cancelled.
    fn orders_in_a_step(
        &self,
        kind: Kind,
        warm_up: u64,
        connections: usize,
    ) -> Result<u64, BenchError> {
        let requests = Requests::sign(self.exchange.accounts(), kind, warm_up)?;
        let address = self.exchange.address();
        let measured = load::run(address, &requests, connections, Loop::Closed)?;
        measured.expect_all(&requests)?;
        if kind == Kind::Rest {
            let cancels = Requests::sign(self.exchange.accounts(), Kind::Cancel, warm_up)?;
            let cancelled = load::run(address, &cancels, connections, Loop::Closed)?;
            cancelled.expect_all(&cancels)?;
        }
        let orders = measured.answered_per_second() * self.settings.milliseconds as f64 / 1000.0;
        Ok((orders as u64).clamp(warm_up, self.orders_max))
    }

    fn step(
        &self,
        resting: u64,
        kind: Kind,
        connections: usize,
        orders: u64,
        how: Loop,
    ) -> Result<StepFigures, BenchError> {
        let requests = Requests::sign(self.exchange.accounts(), kind, orders)?;
        let before = Scrape::of(self.exchange)?;
        let cpu = self.exchange.cpu_times()?;
        let measured = load::run(self.exchange.address(), &requests, connections, how)?;
        let cpu = self.exchange.cpu_times()?.since(&cpu, measured.took);
        let split = Scrape::of(self.exchange)?.since(&before, kind);
        let Measured { latency, latency_ns_sum, failed, .. } = &measured;
        let latency_ns = latency.percentiles();
        let offered_per_second = match how {
            Loop::Closed => None,
            Loop::Open { per_second } => Some(per_second),
        };
        Ok(StepFigures {
            resting,
            kind,
            connections,
            offered_per_second,
            answered_per_second: measured.answered_per_second(),
            latency_ns,
            latency_ns_mean: *latency_ns_sum as f64 / latency_ns.count.max(1) as f64,
            failed: *failed,
            cpu,
            split,
        })
    }
}

/// Requests a second over a time.
fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(1e-9)
}
