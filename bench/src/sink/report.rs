//! `bench sink`'s figures as a table for a person and as JSON for a machine.

use std::fmt;

use serde::Serialize;

use super::latency::RateFigures;
use super::{Settings, SinkFigures, WayFigures};
use crate::machine::{Load, Machine};
use crate::report::table;

/// All that `bench sink` says.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub machine: &'a Machine,
    pub load: Load,
    pub runs: u32,
    #[serde(flatten)]
    pub figures: &'a SinkFigures,
}

impl<'a> Report<'a> {
    pub fn of(
        machine: &'a Machine,
        before: Load,
        settings: &Settings,
        figures: &'a SinkFigures,
    ) -> Self {
        Report { machine, load: before.to_now(), runs: settings.runs, figures }
    }
}

const HEADINGS: [&str; 7] =
    ["way", "rows", "seconds", "rows/s", "trades/s", "server's cpu s", "bytes a trade"];
const RATE_HEADINGS: [&str; 6] = ["trades/s", "events", "p50 ms", "p99 ms", "p99.9 ms", "worst ms"];

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SinkFigures { disk, trades, events, ways, rates } = self.figures;
        writeln!(out, "{}\n{}", self.machine, self.load)?;
        writeln!(out, "{} on {} ({})", disk.folder.display(), disk.kind, disk.device)?;
        writeln!(out, "{trades} trades in {events} events; median of {} runs\n", self.runs)?;
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(ways.iter().map(row));
        table(out, &rows)?;
        writeln!(out, "\nfrom an event's place in time until its rows are seen\n")?;
        let mut rows = vec![RATE_HEADINGS.map(str::to_owned)];
        rows.extend(rates.iter().map(rate));
        table(out, &rows)
    }
}

fn row(of: &WayFigures) -> [String; 7] {
    [
        of.way.name().to_owned(),
        of.rows.to_string(),
        format!("{:.2}", of.seconds),
        format!("{:.0}", of.rows_per_second),
        format!("{:.0}", of.trades_per_second),
        format!("{:.2}", of.server_seconds),
        format!("{:.0}", of.bytes_per_trade),
    ]
}

fn rate(of: &RateFigures) -> [String; 6] {
    let milliseconds = |ns: u64| format!("{:.1}", ns as f64 / 1e6);
    let latency = &of.latency_ns;
    [
        of.trades_per_second.to_string(),
        of.events.to_string(),
        milliseconds(latency.p50),
        milliseconds(latency.p99),
        milliseconds(latency.p99_9),
        milliseconds(latency.max),
    ]
}
