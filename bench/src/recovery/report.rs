//! `bench recovery`'s figures as a table for a person and as JSON for a machine.

use std::fmt;

use serde::Serialize;

use super::{RecoveryFigures, Settings, Way, WayFigures};
use crate::machine::{Load, Machine};
use crate::report::table;
use crate::traffic::Size;

/// All that `bench recovery` says.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub machine: &'a Machine,
    pub load: Load,
    pub runs: u32,
    pub size: Size,
    pub tail: u64,
    #[serde(flatten)]
    pub figures: &'a RecoveryFigures,
}

impl<'a> Report<'a> {
    pub fn of(
        machine: &'a Machine,
        before: Load,
        settings: &Settings,
        figures: &'a RecoveryFigures,
    ) -> Self {
        let Settings { runs, size, tail, .. } = *settings;
        Report { machine, load: before.to_now(), runs, size, tail, figures }
    }
}

const HEADINGS: [&str; 8] =
    ["from", "frames", "s", "frames/s", "cpu ns each", "shards s", "peak MiB", "at the end MiB"];

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RecoveryFigures { disk, journal_bytes, ways, snapshot } = self.figures;
        let Size { markets, accounts, orders } = self.size;
        writeln!(out, "{}\n{}", self.machine, self.load)?;
        writeln!(out, "{} on {} ({})", disk.folder.display(), disk.kind, disk.device)?;
        writeln!(
            out,
            "{orders} orders of {accounts} accounts in {markets} markets, then {} frames; a \
             journal of {} MiB; medians of {} runs\n",
            self.tail,
            journal_bytes >> 20,
            self.runs
        )?;
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(ways.iter().map(row));
        table(out, &rows)?;
        writeln!(
            out,
            "\na snapshot of {} orders: {:.1} MiB; counted anew in {:.3} s and taken apart in \
             {:.3} s by the replica's thread; written, synced and read back in {:.3} s by the \
             keeper's; loaded and checked in {:.3} s",
            snapshot.orders,
            snapshot.bytes as f64 / (1 << 20) as f64,
            snapshot.recount_seconds,
            snapshot.encode_seconds,
            snapshot.write_seconds,
            snapshot.load_seconds
        )
    }
}

fn row(of: &WayFigures) -> [String; 8] {
    let way = match of.way {
        Way::Journal => "journal",
        Way::JournalOnOneCore => "journal, one core",
        Way::JournalCold => "journal, cold files",
        Way::Snapshot => "snapshot and tail",
        Way::SnapshotCold => "snapshot and tail, cold files",
    };
    [
        way.to_owned(),
        of.frames.to_string(),
        format!("{:.2}", of.seconds),
        format!("{:.0}", of.frames_per_second),
        format!("{:.0}", of.cpu_ns_per_frame),
        format!("{:.2}", of.shards_seconds),
        (of.peak_bytes >> 20).to_string(),
        (of.resident_bytes >> 20).to_string(),
    ]
}
