//! `bench streams`' figures as tables for a person and as JSON for a machine.

use std::fmt;

use serde::Serialize;

use super::flood::FloodFigures;
use super::trades::{Reached, TradesFigures};
use super::{MemoryFigures, Settings, StreamsFigures};
use crate::machine::{Load, Machine};
use crate::report::{services, table};

/// All that `bench streams` says.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub machine: &'a Machine,
    pub load: Load,
    pub trades_per_second: u64,
    pub milliseconds: u64,
    pub stalled_ratio: f64,
    #[serde(flatten)]
    pub figures: &'a StreamsFigures,
}

impl<'a> Report<'a> {
    pub fn of(
        machine: &'a Machine,
        before: Load,
        settings: &Settings,
        figures: &'a StreamsFigures,
    ) -> Self {
        let Settings { trades_per_second, milliseconds, .. } = *settings;
        let (load, stalled_ratio) = (before.to_now(), figures.stalled.ratio());
        Report { machine, load, trades_per_second, milliseconds, stalled_ratio, figures }
    }
}

const TRADES: [&str; 11] =
    ["sockets", "trades", "from", "first", "p99", "half", "p99", "99 %", "p99", "last", "p99"];
const FLOODS: [&str; 12] = [
    "updates/s",
    "sockets",
    "frames/s",
    "fan-out cpu",
    "client cpu",
    "frames/s a core",
    "lag p50 ms",
    "p99",
    "last client p50",
    "p99",
    "behind ms",
    "keeps up",
];
const MEMORY: [&str; 4] = ["sockets", "fan-out", "socket buffers", "kernel"];
const STALLED: [&str; 7] =
    ["stalled", "turn", "lag p50 ms", "p99", "worst", "fan-out cpu", "keeps up"];

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = self.figures;
        writeln!(out, "{}\n{}", self.machine, self.load)?;
        services(out, self.machine, &figures.file_system)?;
        writeln!(
            out,
            "\n{} orders/s over REST, one trade each; ms until the first client has it, half of \
             them, 99 %, the last: median and p99 of the trades, from the sending of the order \
             and from the engine's time\n",
            self.trades_per_second
        )?;
        let mut rows = vec![TRADES.map(str::to_owned)];
        for of in &figures.trades {
            rows.push(trades(of, "order", &of.from_order));
            rows.push(trades(of, "engine", &of.from_engine));
        }
        table(out, &rows)?;
        writeln!(out, "\nbytes of an idle socket\n")?;
        let mut rows = vec![MEMORY.map(str::to_owned)];
        rows.extend(figures.memory.iter().map(memory));
        table(out, &rows)?;
        writeln!(
            out,
            "\nframes of {} bytes put into Redis for {} ms, fan-out on a core of its own\n",
            figures.floods.first().map_or(0, |flood| flood.bytes),
            self.milliseconds
        )?;
        let mut rows = vec![FLOODS.map(str::to_owned)];
        rows.extend(figures.floods.iter().map(flood));
        table(out, &rows)?;
        let sizes = figures.stalled.sizes;
        writeln!(
            out,
            "\n{} sockets that read, {} updates/s, beside {} that do not\n",
            sizes.healthy, sizes.updates_per_second, sizes.stalled
        )?;
        let mut rows = vec![STALLED.map(str::to_owned)];
        let turns = figures.stalled.without.iter().zip(&figures.stalled.with);
        for (turn, (without, with)) in turns.enumerate() {
            rows.push(stalled(0, turn, without));
            rows.push(stalled(sizes.stalled, turn, with));
        }
        table(out, &rows)?;
        let percent = (self.stalled_ratio - 1.0) * 100.0;
        writeln!(out, "\np99 with them: {percent:+.1} % (medians of the turns)")
    }
}

fn trades(of: &TradesFigures, from: &str, reached: &Reached) -> [String; 11] {
    let Reached { first, half, most, last } = reached;
    [
        of.sockets.to_string(),
        of.trades.to_string(),
        from.to_owned(),
        milliseconds(first.p50),
        milliseconds(first.p99),
        milliseconds(half.p50),
        milliseconds(half.p99),
        milliseconds(most.p50),
        milliseconds(most.p99),
        milliseconds(last.p50),
        milliseconds(last.p99),
    ]
}

fn memory(of: &MemoryFigures) -> [String; 4] {
    let MemoryFigures { from, to, before, after } = of;
    let each = |before: u64, after: u64| {
        let more = after.saturating_sub(before) as f64 / to.saturating_sub(*from).max(1) as f64;
        format!("{more:.0}")
    };
    [
        format!("{from} to {to}"),
        each(before.own, after.own),
        each(before.socket_buffers, after.socket_buffers),
        each(before.slab, after.slab),
    ]
}

fn flood(of: &FloodFigures) -> [String; 12] {
    [
        of.updates_per_second.to_string(),
        of.sockets.to_string(),
        format!("{:.0}", of.frames_per_second),
        percent(of.fanout_cpu),
        percent(of.client_cpu),
        // Below that the system's counting says nothing.
        if of.fanout_cpu < 0.02 { "-".to_owned() } else { format!("{:.0}", of.frames_per_core) },
        milliseconds(of.lag_ns.p50),
        milliseconds(of.lag_ns.p99),
        milliseconds(of.last_lag_ns.p50),
        milliseconds(of.last_lag_ns.p99),
        milliseconds(of.behind_ns),
        kept_up(of),
    ]
}

fn kept_up(of: &FloodFigures) -> String {
    match (of.keeps_up, of.missing, of.closed) {
        (true, ..) => "yes".to_owned(),
        (false, 0, 0) => "no".to_owned(),
        (false, missing, closed) => format!("no: {missing} missing, {closed} closed"),
    }
}

fn stalled(count: usize, turn: usize, of: &FloodFigures) -> [String; 7] {
    [
        count.to_string(),
        (turn + 1).to_string(),
        milliseconds(of.lag_ns.p50),
        milliseconds(of.lag_ns.p99),
        milliseconds(of.lag_ns.max),
        percent(of.fanout_cpu),
        kept_up(of),
    ]
}

fn milliseconds(ns: u64) -> String {
    format!("{:.2}", ns as f64 / 1e6)
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
