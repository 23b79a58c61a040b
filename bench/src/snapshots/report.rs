//! `bench snapshots`' figures as tables for a person and as JSON for a machine.

use std::fmt;

use engine::journal::writer::Durability;
use serde::Serialize;

use super::{RunFigures, Settings, SnapshotsFigures, Stretch, StretchFigures};
use crate::machine::{Load, Machine};
use crate::recorder::Percentiles;
use crate::report::{microseconds, table};
use crate::traffic::Size;

/// All that `bench snapshots` says.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub machine: &'a Machine,
    pub load: Load,
    pub size: Size,
    pub rate: u64,
    pub synced: bool,
    #[serde(flatten)]
    pub figures: &'a SnapshotsFigures,
}

impl<'a> Report<'a> {
    pub fn of(
        machine: &'a Machine,
        before: Load,
        settings: &Settings,
        figures: &'a SnapshotsFigures,
    ) -> Self {
        let Settings { size, rate, durability, .. } = *settings;
        let synced = durability == Durability::Fsync;
        Report { machine, load: before.to_now(), size, rate, synced, figures }
    }
}

const HEADINGS: [&str; 8] =
    ["offered/s", "while", "s", "acknowledged/s", "p50 µs", "p99 µs", "p99.9 µs", "worst µs"];

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SnapshotsFigures { disk, paced, all } = self.figures;
        let Size { markets, accounts, orders } = self.size;
        let way = if self.synced { "fsync" } else { "write" };
        writeln!(out, "{}\n{}", self.machine, self.load)?;
        writeln!(out, "{} on {} ({})", disk.folder.display(), disk.kind, disk.device)?;
        writeln!(
            out,
            "{orders} orders of {accounts} accounts in {markets} markets, one shard, {way}; a \
             command's time runs from when it was due until its block is durable and handed on\n"
        )?;
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(paced.stretches.iter().map(|of| row(self.rate.to_string(), of)));
        rows.extend(all.stretches.iter().map(|of| row("all".to_owned(), of)));
        table(out, &rows)?;
        writeln!(out)?;
        for (name, run) in [("offered", paced), ("all", all)] {
            let RunFigures { commands, snapshots, encode_ms, write_ms, .. } = run;
            writeln!(
                out,
                "{name}: {commands} commands, {snapshots} snapshots, median {encode_ms:.0} ms to \
                 make and {write_ms:.0} ms to write"
            )?;
        }
        Ok(())
    }
}

fn row(offered: String, of: &StretchFigures) -> [String; 8] {
    let stretch = match of.stretch {
        Stretch::Quiet => "no snapshot",
        Stretch::Encode => "one is made",
        Stretch::Write => "one is written",
    };
    let latency = |figure: fn(&Percentiles) -> u64| {
        of.latency_ns.map_or_else(|| "-".to_owned(), |latency| microseconds(figure(&latency)))
    };
    [
        offered,
        stretch.to_owned(),
        format!("{:.1}", of.seconds),
        format!("{:.0}", of.acknowledged_per_second),
        latency(|it| it.p50),
        latency(|it| it.p99),
        latency(|it| it.p99_9),
        latency(|it| it.max),
    ]
}
