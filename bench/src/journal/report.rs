//! `bench journal`'s figures as a table for a person and as JSON for a machine.

use std::fmt;

use serde::Serialize;

use super::{JournalFigures, Settings, WayFigures};
use crate::machine::{Load, Machine};
use crate::recorder::Percentiles;
use crate::report::{microseconds, table};

/// All that `bench journal` says.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub machine: &'a Machine,
    pub load: Load,
    pub runs: u32,
    pub shards: usize,
    #[serde(flatten)]
    pub figures: &'a JournalFigures,
}

impl<'a> Report<'a> {
    pub fn of(
        machine: &'a Machine,
        before: Load,
        settings: &Settings,
        of: &'a JournalFigures,
    ) -> Self {
        let load = before.to_now();
        Report { machine, load, runs: settings.runs, shards: settings.shards, figures: of }
    }
}

const HEADINGS: [&str; 10] = [
    "offered/s",
    "way",
    "acknowledged/s",
    "group",
    "bytes each",
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
    "worst µs",
    "late p50 µs",
];

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let JournalFigures { disk, disk_alone, frame_bytes_mean, steps } = self.figures;
        writeln!(out, "{}\n{}", self.machine, self.load)?;
        writeln!(out, "{} on {} ({})", disk.folder.display(), disk.kind, disk.device)?;
        let one = |of: &Percentiles| format!("{}, {}", microseconds(of.p50), microseconds(of.p99));
        writeln!(
            out,
            "the disk alone, write and fdatasync, p50 and p99 in µs: {} for 4 KiB, {} for 64 KiB",
            one(&disk_alone.sync_4k_ns),
            one(&disk_alone.sync_64k_ns)
        )?;
        writeln!(
            out,
            "{} shards' rings, frames of {frame_bytes_mean:.0} bytes, medians of {} runs; a \
             command's time runs from when it was due until its block is durable and handed on\n",
            self.shards, self.runs
        )?;
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        for step in steps {
            let offered = step.offered.map_or_else(|| "all".to_owned(), |rate| rate.to_string());
            rows.push(row(offered.clone(), "fsync", &step.fsync));
            rows.push(row(offered, "write", &step.write));
        }
        table(out, &rows)
    }
}

fn row(offered: String, way: &str, of: &WayFigures) -> [String; 10] {
    let latency = |figure: fn(&Percentiles) -> u64| {
        of.latency_ns.map_or_else(|| "-".to_owned(), |latency| microseconds(figure(&latency)))
    };
    [
        offered,
        way.to_owned(),
        format!("{:.0}", of.acknowledged_per_second),
        format!("{:.1}", of.group_mean),
        format!("{:.0}", of.bytes_per_command),
        latency(|it| it.p50),
        latency(|it| it.p99),
        latency(|it| it.p99_9),
        latency(|it| it.max),
        of.late_ns.map_or_else(|| "-".to_owned(), |late| microseconds(late.p50)),
    ]
}
