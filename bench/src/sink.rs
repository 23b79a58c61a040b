//! `bench sink`: events into a PostgreSQL on a real disk, by the whole sink and by plain inserts,
//! in turns; and how long an event takes until its rows are there.

use std::path::PathBuf;

use serde::Serialize;

use crate::error::BenchError;
use crate::pace::median;
use crate::place::{FileSystem, Place};

pub mod events;
pub mod servers;
pub mod ways;
pub mod latency;
pub mod report;

use events::Events;
use latency::RateFigures;
use servers::Servers;
use ways::{Run, Way};

const MARKETS: u16 = 4;
const ACCOUNTS: u32 = 10_000;

#[derive(Clone, Debug)]
pub struct Settings {
    pub dir: Option<PathBuf>,
    pub trades: u64,
    pub runs: u32,
    /// Trades a second, for the latency of events.
    pub rates: Vec<u64>,
    /// Of each rate.
    pub milliseconds: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct SinkFigures {
    pub disk: FileSystem,
    pub trades: u64,
    pub events: usize,
    pub ways: Vec<WayFigures>,
    pub rates: Vec<RateFigures>,
}

/// Medians of the runs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct WayFigures {
    pub way: Way,
    pub rows: u64,
    pub seconds: f64,
    pub rows_per_second: f64,
    pub trades_per_second: f64,
    /// Seconds that the server's processes worked.
    pub server_seconds: f64,
    pub bytes_per_trade: f64,
}

pub fn run(
    settings: &Settings,
    mut done: impl FnMut(&WayFigures),
) -> Result<SinkFigures, BenchError> {
    let place = Place::make(settings.dir.as_deref(), "sink", false)?;
    let events = Events::of_trades(settings.trades, MARKETS, ACCOUNTS)?;
    let mut servers = Servers::start(&place)?;
    let runtime = tokio::runtime::Runtime::new().map_err(BenchError::io(place.path()))?;
    let mut runs = vec![Vec::new(); Way::ALL.len()];
    for _ in 0..settings.runs {
        for (runs, way) in runs.iter_mut().zip(Way::ALL) {
            let run = runtime.block_on(ways::run(way, &mut servers, &events))?;
            runs.push(run);
            done(&figures(way, &[run], events.trades));
        }
    }
    let ways = Way::ALL.into_iter().zip(&runs);
    let ways = ways.map(|(way, runs)| figures(way, runs, events.trades)).collect();
    let rates = settings.rates.iter();
    let rates = rates.map(|rate| {
        let (rate, milliseconds) = (*rate, settings.milliseconds);
        runtime.block_on(async { latency::run(&mut servers, rate, milliseconds).await })
    });
    let rates = rates.collect::<Result<_, _>>()?;
    let (disk, trades) = (place.file_system()?, events.trades);
    Ok(SinkFigures { disk, trades, events: events.all.len(), ways, rates })
}

fn figures(way: Way, runs: &[Run], trades: u64) -> WayFigures {
    let middle = |of: fn(&Run) -> f64| median(runs.iter().map(of).collect());
    let seconds = middle(|run| run.took.as_secs_f64());
    let rows = runs.first().map_or(0, |run| run.rows);
    let per_second = |count: u64| count as f64 / seconds.max(1e-9);
    WayFigures {
        way,
        rows,
        seconds,
        rows_per_second: per_second(rows),
        trades_per_second: per_second(trades),
        server_seconds: middle(|run| run.server.as_secs_f64()),
        bytes_per_trade: middle(|run| run.bytes as f64) / trades.max(1) as f64,
    }
}
