//! `bench book`'s figures as a table for a person and as JSON for a machine, and the table that all
//! benches print.

use std::fmt;

use serde::Serialize;

use crate::book::{BookFigures, FlowFigures};
use crate::clock::WallClock;
use crate::machine::Machine;
use crate::place::FileSystem;

/// All that `bench book` says. `Display` is the table; serialised it is the JSON.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub machine: &'a Machine,
    pub clock: &'a WallClock,
    /// Runs a book and flow, of which the figures are medians.
    pub runs: u32,
    pub flows: &'a [FlowFigures],
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.machine)?;
        let WallClock { reading_ns, step_ns } = self.clock;
        writeln!(
            out,
            "engine, reference: ns of thread cpu time a command, median of {} runs (least-most)",
            self.runs
        )?;
        writeln!(
            out,
            "p50 to worst: ns of single commands in the engine, less {reading_ns} ns of the clock, \
             which steps by {step_ns} ns\n"
        )?;
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        rows.extend(self.flows.iter().map(row));
        table(out, &rows)?;
        writeln!(out, "\nall digests as expected")
    }
}

const HEADINGS: [&str; 9] =
    ["flow", "commands", "engine", "reference", "ratio", "p50", "p99", "p99.9", "worst"];

fn row(of: &FlowFigures) -> [String; 9] {
    let (engine, reference) = (&of.engine, &of.reference);
    let [engine_ns, reference_ns] = [engine, reference].map(spread);
    [
        of.flow.clone(),
        of.commands.to_string(),
        engine_ns,
        reference_ns,
        format!("{:.1}", of.ratio),
        engine.latency_ns.p50.to_string(),
        engine.latency_ns.p99.to_string(),
        engine.latency_ns.p99_9.to_string(),
        engine.latency_ns.max.to_string(),
    ]
}

/// Median, and least and most.
pub fn spread(of: &BookFigures) -> String {
    let BookFigures { ns_per_command, ns_per_command_min, ns_per_command_max, .. } = of;
    format!("{ns_per_command:.1} ({ns_per_command_min:.1}-{ns_per_command_max:.1})")
}

/// One digit behind the point.
pub fn microseconds(ns: u64) -> String {
    format!("{:.1}", ns as f64 / 1e3)
}

/// What a whole exchange that is measured runs on.
pub fn services(
    out: &mut fmt::Formatter<'_>,
    machine: &Machine,
    place: &FileSystem,
) -> fmt::Result {
    let profile = if machine.debug_build { "debug" } else { "release" };
    let FileSystem { device, kind, .. } = place;
    writeln!(out, "services of the {profile} build, journal with fdatasync on {device} ({kind})")
}

/// The first column to the left, figures to the right, two spaces between.
pub fn table<const N: usize>(out: &mut fmt::Formatter<'_>, rows: &[[String; N]]) -> fmt::Result {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            match column {
                0 => write!(out, "{cell:<width$}")?,
                _ => write!(out, "  {cell:>width$}")?,
            }
        }
        writeln!(out)?;
    }
    Ok(())
}
