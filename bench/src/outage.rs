//! A database that is killed while a million trades happen, and comes back: what those who trade
//! notice, what Redis and the disk hold meanwhile, and how fast it catches up.
//!
//! ```text
//! flow ─ commands ─▶ redis ─▶ engine ─▶ redis ─▶ db-sink ─▶ PostgreSQL (killed, started again)
//! probe ─ REST ─▶ gateway ─┘              └ watch: memory, journal, lag, time said to be left
//! ```
//!
//! Each turn has three stages: with the database, without it, and catching up. Trading goes on in
//! all of them.

pub mod flow;
pub mod probe;
pub mod watch;
pub mod comparison;
pub mod report;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use toml::{Table, Value};
use xtask::interrupt;
use xtask::private_servers::postgres;

use crate::error::BenchError;
use crate::place::{FileSystem, Place};
use crate::recorder::Percentiles;
use crate::rest::exchange::Exchange;
use crate::rest::scrape;
use comparison::Comparison;
use flow::Flow;
use probe::Probe;
use watch::{CatchUp, Durable, Peak, Watch};

#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the exchange keeps its data; beside the build when not given.
    pub dir: Option<PathBuf>,
    /// While the database is away, in all turns together.
    pub trades: u64,
    pub turns: usize,
    pub trades_per_second: u64,
    /// While it catches up.
    pub trades_per_second_after: u64,
    /// Of the stage with the database, at most.
    pub milliseconds: u64,
    pub probes_per_second: u64,
    /// `events_memory_mib_max` of the engine.
    pub memory_mib: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct OutageFigures {
    pub file_system: FileSystem,
    pub turns: Vec<TurnFigures>,
    pub comparison: Comparison,
}

#[derive(Clone, Debug, Serialize)]
pub struct TurnFigures {
    pub with: StageFigures,
    pub without: StageFigures,
    pub after: StageFigures,
    pub catch_up: CatchUp,
}

#[derive(Clone, Debug, Serialize)]
pub struct StageFigures {
    pub seconds: f64,
    pub trades: u64,
    /// From an order over REST to its answer.
    pub latency_ns: Percentiles,
    /// From the reading of a command until it is durable, as the engine says.
    pub durable: Durable,
    pub peak: Peak,
    /// Frames that the database lacked at the end.
    pub behind: u64,
}

/// What is measured now: a stage of a turn, or nothing.
#[derive(Clone, Debug)]
pub struct Stage(Arc<AtomicUsize>);

/// Of a turn.
const STAGES: usize = 3;
const NONE: usize = usize::MAX;
const POLL: Duration = Duration::from_millis(50);
/// The database does not come nearer: nobody waits longer.
const STANDSTILL_MAX: Duration = Duration::from_secs(120);

impl Stage {
    fn begin(&self, turn: usize, stage: usize) {
        self.0.store(turn * STAGES + stage, Ordering::Relaxed);
    }

    fn end(&self) {
        self.0.store(NONE, Ordering::Relaxed);
    }

    /// Its place among all stages of all turns.
    pub fn now(&self) -> Option<usize> {
        Some(self.0.load(Ordering::Relaxed)).filter(|place| *place != NONE)
    }
}

/// Runs all turns on one exchange; `done` hears what has been done.
pub fn run(settings: &Settings, mut done: impl FnMut(String)) -> Result<OutageFigures, BenchError> {
    interrupt::watch().map_err(BenchError::Exchange)?;
    let place = Place::make(settings.dir.as_deref(), "outage", false)?;
    let file_system = place.file_system()?;
    let exchange = Exchange::start_changed(place.path(), 1, 0, |config| bound(config, settings))?;
    let stage = Stage(Arc::new(AtomicUsize::new(NONE)));
    let stages = settings.turns * STAGES;
    let probe = Probe::start(&exchange, &stage, stages, settings.probes_per_second)?;
    let watch = Watch::start(&exchange, &stage, stages)?;
    let flow = Flow::start(&exchange)?;
    let mut bench = Bench { settings, exchange, stage, flow };
    let mut taken = Vec::new();
    for turn in 0..settings.turns {
        let one = bench.turn(turn)?;
        let CatchUp { seconds, trades_per_second, .. } = one.3;
        done(format!("turn {turn}: {seconds:.1} s to catch up, {trades_per_second:.0} trades/s"));
        taken.push(one);
    }
    bench.flow.set_rate(0);
    let Bench { exchange, flow, .. } = bench;
    let latencies = probe.stop()?;
    let peaks = watch.stop()?;
    let made = flow.stop()?;
    until_all_is_written(&exchange)?;
    let comparison = comparison::compare(&exchange, made)?;
    drop(exchange);
    place.empty()?;
    let stages = latencies.into_iter().zip(peaks).collect::<Vec<_>>();
    let turns = taken.into_iter().zip(stages.chunks(STAGES));
    let turns = turns.map(|(taken, stages)| figures(taken, stages)).collect();
    Ok(OutageFigures { file_system, turns, comparison })
}

fn bound(config: &mut Table, settings: &Settings) {
    if let Some(Value::Table(engine)) = config.get_mut("engine") {
        let memory = Value::Integer(settings.memory_mib.cast_signed());
        engine.insert("events_memory_mib_max".to_owned(), memory);
    }
}

/// Of one stage, beside what probe and watch have seen of it.
#[derive(Debug)]
struct Taken {
    seconds: f64,
    trades: u64,
    durable: Durable,
    behind: u64,
}

type TurnTaken = (Taken, Taken, Taken, CatchUp);

fn figures(
    (with, without, after, catch_up): TurnTaken,
    seen: &[(Percentiles, Peak)],
) -> TurnFigures {
    let stage = |taken: Taken, at: usize| {
        let (latency_ns, peak) = seen.get(at).copied().unwrap_or_default();
        let Taken { seconds, trades, durable, behind } = taken;
        StageFigures { seconds, trades, latency_ns, durable, peak, behind }
    };
    TurnFigures {
        with: stage(with, 0),
        without: stage(without, 1),
        after: stage(after, 2),
        catch_up,
    }
}

struct Bench<'a> {
    settings: &'a Settings,
    exchange: Exchange,
    stage: Stage,
    flow: Flow,
}

impl Bench<'_> {
    fn turn(&mut self, turn: usize) -> Result<TurnTaken, BenchError> {
        let settings = self.settings;
        let trades = settings.trades / settings.turns as u64;
        let rate = settings.trades_per_second;
        let with = (rate * settings.milliseconds / 1000).min(trades);
        self.flow.set_rate(rate);
        self.stage.begin(turn, 0);
        let with = self.measured(|bench| bench.flow.wait_for(with))?;
        self.stage.end();
        self.flow.set_rate(0);
        watch::until_caught_up(&self.exchange, Instant::now())?;
        self.kill()?;
        self.flow.set_rate(rate);
        self.stage.begin(turn, 1);
        let without = self.measured(|bench| bench.flow.wait_for(trades))?;
        self.flow.set_rate(settings.trades_per_second_after);
        self.stage.begin(turn, 2);
        let mut catch_up = None;
        let after = self.measured(|bench| {
            let again = bench.exchange.stack_mut().start_again(postgres::NAME);
            again.map_err(BenchError::Exchange)?;
            catch_up = Some(watch::until_caught_up(&bench.exchange, Instant::now())?);
            Ok(())
        })?;
        self.stage.end();
        self.flow.set_rate(0);
        Ok((with, without, after, catch_up.unwrap_or_default()))
    }

    fn kill(&self) -> Result<(), BenchError> {
        self.exchange.stack().kill9(postgres::NAME).map_err(BenchError::Exchange)
    }

    fn measured(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), BenchError>,
    ) -> Result<Taken, BenchError> {
        let (before, made, began) =
            (Durable::text(&self.exchange)?, self.flow.made(), Instant::now());
        work(self)?;
        let seconds = began.elapsed().as_secs_f64();
        Ok(Taken {
            seconds,
            trades: self.flow.made() - made,
            durable: Durable::between(&before, &Durable::text(&self.exchange)?),
            behind: watch::behind(&self.exchange)?,
        })
    }
}

/// With nobody trading any more.
fn until_all_is_written(exchange: &Exchange) -> Result<(), BenchError> {
    let (mut before, mut since) = (u64::MAX, Instant::now());
    loop {
        let behind = watch::behind(exchange)?;
        let is_idle = comparison::is_idle(exchange)?;
        if behind == 0 && is_idle {
            return Ok(());
        }
        if behind < before {
            (before, since) = (behind, Instant::now());
        }
        pause(since)?;
    }
}

/// Between two looks at something that has to change; an error when it does not for long.
fn pause(since: Instant) -> Result<(), BenchError> {
    interrupt::check().map_err(BenchError::Exchange)?;
    if STANDSTILL_MAX < since.elapsed() {
        return Err(BenchError::Answer("the database does not catch up".to_owned()));
    }
    thread::sleep(POLL);
    Ok(())
}

/// A gauge or counter of a service, summed over its labels; `None` while it is not there.
pub fn sum(series: &std::collections::BTreeMap<String, f64>, name: &str) -> Option<f64> {
    scrape::named(series, name).reduce(|sum, more| sum + more)
}
