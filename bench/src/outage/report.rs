//! `bench outage`'s figures as tables for a person and as JSON for a machine.

use std::fmt;

use serde::Serialize;

use super::{OutageFigures, Settings, StageFigures, TurnFigures};
use crate::machine::{Load, Machine};
use crate::pace::median;
use crate::report::{microseconds, services, table};

/// All that `bench outage` says.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub machine: &'a Machine,
    pub load: Load,
    pub trades_per_second: u64,
    pub trades_per_second_after: u64,
    pub probes_per_second: u64,
    pub memory_mib: u64,
    /// p99 without the database over p99 with it, medians of the turns.
    pub ratio: f64,
    /// The largest p99 with the database over the smallest one: what turns differ among themselves.
    pub noise: f64,
    #[serde(flatten)]
    pub figures: &'a OutageFigures,
}

impl<'a> Report<'a> {
    pub fn of(
        machine: &'a Machine,
        before: Load,
        settings: &Settings,
        figures: &'a OutageFigures,
    ) -> Self {
        let p99 = |of: fn(&TurnFigures) -> &StageFigures| -> Vec<f64> {
            figures.turns.iter().map(|turn| of(turn).latency_ns.p99 as f64).collect()
        };
        let (with, without) = (p99(|turn| &turn.with), p99(|turn| &turn.without));
        let most = with.iter().copied().fold(0.0, f64::max);
        let least = with.iter().copied().fold(f64::INFINITY, f64::min);
        Report {
            machine,
            load: before.to_now(),
            trades_per_second: settings.trades_per_second,
            trades_per_second_after: settings.trades_per_second_after,
            probes_per_second: settings.probes_per_second,
            memory_mib: settings.memory_mib,
            ratio: median(without) / median(with).max(1.0),
            noise: most / least.max(1.0),
            figures,
        }
    }
}

const STAGES: [&str; 14] = [
    "database",
    "turn",
    "s",
    "trades",
    "orders",
    "p50 µs",
    "p99",
    "worst",
    "durable µs",
    "p99 up to",
    "redis MiB",
    "journal MiB",
    "sink MiB",
    "behind",
];
const CATCHING_UP: [&str; 9] =
    ["turn", "s", "waited s", "frames", "trades/s", "rows/s", "said over real", "least", "most"];

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = self.figures;
        writeln!(out, "{}\n{}", self.machine, self.load)?;
        services(out, self.machine, &figures.file_system)?;
        writeln!(
            out,
            "{} trades a second, {} while the database catches up; {} orders over REST a second \
             beside them; event queues of at most {} MiB\n",
            self.trades_per_second,
            self.trades_per_second_after,
            self.probes_per_second,
            self.memory_mib
        )?;
        let mut rows = vec![STAGES.map(str::to_owned)];
        for (name, of) in [
            ("there", (|turn| &turn.with) as fn(&TurnFigures) -> &StageFigures),
            ("killed", |turn| &turn.without),
            ("catches up", |turn| &turn.after),
        ] {
            let turns = figures.turns.iter().enumerate();
            rows.extend(turns.map(|(turn, figures)| stage(name, turn, of(figures))));
        }
        table(out, &rows)?;
        writeln!(
            out,
            "\np99 without the database over p99 with it: {:.2}; among the turns with it: {:.2}\n",
            self.ratio, self.noise
        )?;
        let mut rows = vec![CATCHING_UP.map(str::to_owned)];
        rows.extend(figures.turns.iter().enumerate().map(|(turn, of)| catching_up(turn, of)));
        table(out, &rows)?;
        let all = &figures.comparison;
        writeln!(
            out,
            "\nall as it must be: {} trades, none missing, none twice; {} fills; {} candles of 16 \
             intervals, each as the trades say",
            all.trades, all.fills, all.candles
        )
    }
}

fn stage(name: &str, turn: usize, of: &StageFigures) -> [String; 14] {
    let mib = |bytes: u64| (bytes >> 20).to_string();
    [
        name.to_owned(),
        turn.to_string(),
        format!("{:.1}", of.seconds),
        of.trades.to_string(),
        of.latency_ns.count.to_string(),
        microseconds(of.latency_ns.p50),
        microseconds(of.latency_ns.p99),
        microseconds(of.latency_ns.max),
        format!("{:.1}", of.durable.mean_us),
        format!("{:.0}", of.durable.p99_us_max),
        mib(of.peak.redis),
        mib(of.peak.journal),
        mib(of.peak.sink),
        of.behind.to_string(),
    ]
}

fn catching_up(turn: usize, of: &TurnFigures) -> [String; 9] {
    let of = &of.catch_up;
    [
        turn.to_string(),
        format!("{:.1}", of.seconds),
        format!("{:.1}", of.waited_seconds),
        of.frames.to_string(),
        format!("{:.0}", of.trades_per_second),
        format!("{:.0}", of.rows_per_second),
        format!("{:.2}", of.said_over_real),
        format!("{:.2}", of.said_over_real_min),
        format!("{:.2}", of.said_over_real_max),
    ]
}
