//! `bench queries`' figures as a table for a person and as JSON for a machine.

use std::fmt;

use serde::Serialize;

use super::{Kind, LoadFigures, QueriesFigures, RowFigures, Settings, Waits};
use crate::machine::{Load, Machine};
use crate::report::{microseconds, table};
use crate::traffic::Size;

/// All that `bench queries` says.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub machine: &'a Machine,
    pub load: Load,
    pub size: Size,
    pub queries_per_second: u64,
    #[serde(flatten)]
    pub figures: &'a QueriesFigures,
}

impl<'a> Report<'a> {
    pub fn of(
        machine: &'a Machine,
        before: Load,
        settings: &Settings,
        figures: &'a QueriesFigures,
    ) -> Self {
        let Settings { size, queries_per_second, .. } = *settings;
        Report { machine, load: before.to_now(), size, queries_per_second, figures }
    }
}

const HEADINGS: [&str; 9] = [
    "query",
    "frames/s",
    "waits for",
    "answers",
    "bytes each",
    "p50 µs",
    "p99 µs",
    "p99.9 µs",
    "worst µs",
];

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Size { markets, accounts, orders } = self.size;
        writeln!(out, "{}\n{}", self.machine, self.load)?;
        writeln!(
            out,
            "{orders} orders of {accounts} accounts in {markets} markets; {} queries a second; a \
             query's time runs from when it was due until its answer is with the publisher\n",
            self.queries_per_second
        )?;
        let mut rows = vec![HEADINGS.map(str::to_owned)];
        for load in &self.figures.loads {
            rows.extend(load.rows.iter().map(|of| row(load, of)));
        }
        table(out, &rows)?;
        let unanswered: u64 = self.figures.loads.iter().map(|load| load.unanswered).sum();
        writeln!(out, "\n{unanswered} queries without an answer")
    }
}

fn row(load: &LoadFigures, of: &RowFigures) -> [String; 9] {
    let kind = match of.kind {
        Kind::Balances => "balances",
        Kind::OpenOrders => "open orders",
        Kind::Order => "order by id",
        Kind::Depth => "depth, 100 levels",
    };
    let waits = match of.waits {
        Waits::No => "nothing",
        Waits::ForTheLatest => "latest frame",
    };
    let latency = &of.latency_ns;
    [
        kind.to_owned(),
        load.frames_per_second.to_string(),
        waits.to_owned(),
        latency.count.to_string(),
        format!("{:.0}", of.answer_bytes_mean),
        microseconds(latency.p50),
        microseconds(latency.p99),
        microseconds(latency.p99_9),
        microseconds(latency.max),
    ]
}
