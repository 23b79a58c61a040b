//! `bench history`'s figures as a table for a person and as JSON for a machine.

use std::fmt;

use serde::Serialize;

use super::plans::Explained;
use super::{HistoryFigures, QuestionFigures, Settings};
use crate::machine::{Load, Machine};
use crate::report::table;

/// All that `bench history` says.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub machine: &'a Machine,
    pub load: Load,
    pub trades: u64,
    pub seed: u64,
    pub requests: u64,
    #[serde(flatten)]
    pub figures: &'a HistoryFigures,
}

impl<'a> Report<'a> {
    pub fn of(
        machine: &'a Machine,
        before: Load,
        settings: &Settings,
        figures: &'a HistoryFigures,
    ) -> Self {
        let Settings { trades, seed, requests, .. } = *settings;
        Report { machine, load: before.to_now(), trades, seed, requests, figures }
    }
}

const SIZES: [&str; 4] = ["table", "rows", "MB", "MB of indexes"];
const TIMES: [&str; 9] =
    ["question", "rows", "asked", "first ms", "p50", "p99", "max", "statements", "buffers"];

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = self.figures;
        writeln!(out, "{}\n{}", self.machine, self.load)?;
        let place = &figures.file_system;
        writeln!(
            out,
            "a year of {} trades, seed {}, on {} ({}); filled in {:.0} s\n",
            self.trades, self.seed, place.device, place.kind, figures.filled_seconds
        )?;
        let mut rows = vec![SIZES.map(str::to_owned)];
        rows.extend(figures.tables.iter().map(|of| {
            let megabytes = |bytes: u64| (bytes >> 20).to_string();
            let (table, indexes) = (megabytes(of.table_bytes), megabytes(of.index_bytes));
            [of.name.clone(), of.rows.to_string(), table, indexes]
        }));
        table(out, &rows)?;
        writeln!(
            out,
            "\neach over one connection, {} times or for ten seconds; statements and the pages \
             they looked at for one more\n",
            self.requests
        )?;
        let mut rows = vec![TIMES.map(str::to_owned)];
        rows.extend(figures.questions.iter().map(times));
        table(out, &rows)?;
        writeln!(out, "\nstatements: ms, pages (of them not in memory), nodes with their rows\n")?;
        for question in &figures.questions {
            writeln!(out, "{}", question.name)?;
            for Explained { milliseconds, buffers, buffers_read, shape, .. } in &question.statements
            {
                writeln!(out, "  {milliseconds:.2}, {buffers} ({buffers_read}): {shape}")?;
            }
        }
        Ok(())
    }
}

fn times(of: &QuestionFigures) -> [String; 9] {
    let milliseconds = |ns: u64| format!("{:.2}", ns as f64 / 1e6);
    let buffers: u64 = of.statements.iter().map(|statement| statement.buffers).sum();
    [
        of.name.clone(),
        of.rows.to_string(),
        of.latency_ns.count.to_string(),
        milliseconds(of.first_ns),
        milliseconds(of.latency_ns.p50),
        milliseconds(of.latency_ns.p99),
        milliseconds(of.latency_ns.max),
        of.statements.len().to_string(),
        buffers.to_string(),
    ]
}
