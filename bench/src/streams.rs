//! Streams through a whole exchange: how long until all clients have a trade, what the fan-out
//! bears, what a socket costs, and what those who do not read do to the others.
//!
//! ```text
//! orders over REST ─▶ exchange ─▶ redis ─▶ fan-out ─▶ listeners (one thread, epoll)
//! flood ────────────────────────────┘          └ process (cpu, memory)
//! ```

pub mod frames;
pub mod listeners;
pub mod process;
pub mod trades;
pub mod flood;
pub mod report;

use std::net::SocketAddr;
use std::path::PathBuf;

use protocol::keys;
use serde::Serialize;
use tuning::topology::Topology;
use xtask::interrupt;

use crate::error::BenchError;
use crate::place::{FileSystem, Place};
use crate::rest::exchange::Exchange;
use crate::rest::requests::{self, Kind, Requests};
use flood::{Flood, FloodFigures};
use listeners::Listeners;
use process::Memory;
use trades::TradesFigures;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the exchange keeps its data; beside the build when not given.
    pub dir: Option<PathBuf>,
    /// Sockets that hear trades, one number after the other; the most also bear the flood.
    pub sockets: Vec<usize>,
    pub trades: u64,
    pub trades_per_second: u64,
    /// Updates a second for each socket, until one is not kept up with.
    pub rates: Vec<u64>,
    /// Of each flood.
    pub milliseconds: u64,
    pub stalled: Stalled,
}

/// Sockets that read, beside those that do not.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Stalled {
    pub healthy: usize,
    pub stalled: usize,
    pub updates_per_second: u64,
    /// Turns without and with them.
    pub turns: usize,
}

#[derive(Clone, Debug, Serialize)]
pub struct StreamsFigures {
    pub file_system: FileSystem,
    pub trades: Vec<TradesFigures>,
    pub memory: Vec<MemoryFigures>,
    pub floods: Vec<FloodFigures>,
    pub stalled: StalledFigures,
}

/// From so many sockets to so many, none of which has been sent anything.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MemoryFigures {
    pub from: usize,
    pub to: usize,
    pub before: Memory,
    pub after: Memory,
}

#[derive(Clone, Debug, Serialize)]
pub struct StalledFigures {
    pub sizes: Stalled,
    /// Turn by turn.
    pub without: Vec<FloodFigures>,
    pub with: Vec<FloodFigures>,
}

/// Before this a flood is not measured: streams begin, buffers fill.
const SETTLE_MS: u64 = 1500;

/// Runs everything on one exchange; `done` hears what has been done.
pub fn run(
    settings: &Settings,
    mut done: impl FnMut(String),
) -> Result<StreamsFigures, BenchError> {
    interrupt::watch().map_err(BenchError::Exchange)?;
    let Stalled { healthy, stalled, .. } = settings.stalled;
    let most = settings.sockets.iter().copied().max().unwrap_or_default();
    process::allow_sockets(healthy + most.max(stalled))?;
    let place = Place::make(settings.dir.as_deref(), "streams", false)?;
    let file_system = place.file_system()?;
    let exchange = Exchange::start(place.path(), 1, 0)?;
    let bench = Bench {
        settings,
        exchange: &exchange,
        address: exchange.stream_address()?,
        fanout: exchange.fanout()?,
    };
    let mut listeners = Listeners::new(bench.address)?;
    let (trades, memory) = bench.trades(&mut listeners, &mut done)?;
    bench.part()?;
    listeners.change(&dotted(requests::SYMBOL), &dotted(flood::SYMBOL))?;
    let mut flood = Flood::connect(exchange.redis_url())?;
    let floods = bench.floods(&mut flood, &mut listeners, &mut done)?;
    let stalled = bench.stalled(&mut flood, listeners, &mut done)?;
    drop(exchange);
    place.empty()?;
    Ok(StreamsFigures { file_system, trades, memory, floods, stalled })
}

fn dotted(symbol: &str) -> String {
    keys::trade(symbol).replace('@', ".")
}

struct Bench<'a> {
    settings: &'a Settings,
    exchange: &'a Exchange,
    address: SocketAddr,
    fanout: i32,
}

type Done<'a> = &'a mut dyn FnMut(String);

impl Bench<'_> {
    /// With more and more sockets. What they cost is looked at before they are sent anything.
    fn trades(
        &self,
        listeners: &mut Listeners,
        done: Done<'_>,
    ) -> Result<(Vec<TradesFigures>, Vec<MemoryFigures>), BenchError> {
        let (mut trades, mut memory) = (Vec::new(), Vec::new());
        let mut counts = self.settings.sockets.clone();
        counts.sort_unstable();
        let orders = self.settings.trades + trades::WARM_UP as u64;
        for count in counts {
            let (from, before) = (listeners.count(), Memory::of(self.fanout)?);
            listeners.grow(count, &dotted(requests::SYMBOL))?;
            let after = Memory::of(self.fanout)?;
            memory.push(MemoryFigures { from, to: count, before, after });
            let requests = Requests::sign(self.exchange.accounts(), Kind::Cross, orders)?;
            let per_second = self.settings.trades_per_second;
            let address = self.exchange.address();
            let step = trades::measure(address, &requests, per_second, listeners)?;
            let last_ms = step.from_order.last.p50 as f64 / 1e6;
            done(format!("{count} sockets: the last one has a trade after {last_ms:.2} ms"));
            trades.push(step);
        }
        Ok((trades, memory))
    }

    /// The fan-out gets a core for itself; client and Redis share what is left.
    fn part(&self) -> Result<(), BenchError> {
        let topology = Topology::read(std::path::Path::new("/")).map_err(BenchError::Machine)?;
        let last = topology.cores().len().saturating_sub(1);
        process::keep_on(self.fanout, 0)?;
        process::keep_on(std::process::id().cast_signed(), last.min(1))?;
        process::keep_on(self.exchange.redis()?, last.min(2))
    }

    /// Faster and faster.
    fn floods(
        &self,
        flood: &mut Flood,
        listeners: &mut Listeners,
        done: Done<'_>,
    ) -> Result<Vec<FloodFigures>, BenchError> {
        let mut floods = Vec::new();
        if let Some(&least) = self.settings.rates.iter().min() {
            let settle = SETTLE_MS.min(self.settings.milliseconds);
            flood.run(listeners, self.fanout, least, settle)?;
        }
        for &rate in &self.settings.rates {
            let figures = flood.run(listeners, self.fanout, rate, self.settings.milliseconds)?;
            let (frames, cpu) = (figures.frames_per_second, figures.fanout_cpu * 100.0);
            done(format!("{rate} updates/s: {frames:.0} frames/s, fan-out {cpu:.0} % of a core"));
            let keeps_up = figures.keeps_up;
            floods.push(figures);
            if !keeps_up {
                break;
            }
        }
        Ok(floods)
    }

    /// Turns without and with those who do not read.
    fn stalled(
        &self,
        flood: &mut Flood,
        before: Listeners,
        done: Done<'_>,
    ) -> Result<StalledFigures, BenchError> {
        let sizes = self.settings.stalled;
        let Stalled { healthy, stalled, updates_per_second: rate, turns } = sizes;
        let milliseconds = self.settings.milliseconds;
        let stream = dotted(flood::SYMBOL);
        let mut listeners = Listeners::new(self.address)?;
        listeners.grow(healthy, &stream)?;
        // Not earlier: a stream that somebody hears goes on, one that begins is compared with what
        // the engine knows, and it knows nothing of our frames.
        drop(before);
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            flood.run(&mut listeners, self.fanout, rate, SETTLE_MS.min(milliseconds))?;
            without.push(flood.run(&mut listeners, self.fanout, rate, milliseconds)?);
            let idle = listeners::open_stalled(self.address, stalled, &stream)?;
            flood.run(&mut listeners, self.fanout, rate, SETTLE_MS.min(milliseconds))?;
            with.push(flood.run(&mut listeners, self.fanout, rate, milliseconds)?);
            drop(idle);
        }
        done(format!("{stalled} stalled sockets beside {healthy} healthy ones: {turns} turns"));
        Ok(StalledFigures { sizes, without, with })
    }
}

impl StalledFigures {
    /// p99 with them over p99 without, medians of the turns.
    pub fn ratio(&self) -> f64 {
        let median = |turns: &[FloodFigures]| {
            let all = turns.iter().map(|turn| turn.lag_ns.p99 as f64).collect();
            crate::pace::median(all)
        };
        median(&self.with) / median(&self.without).max(1.0)
    }
}
