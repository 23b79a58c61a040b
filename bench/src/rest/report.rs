//! `bench rest`'s figures as tables for a person and as JSON for a machine.

use std::fmt;

use serde::Serialize;

use super::{RestFigures, Settings, StepFigures};
use crate::machine::{Load, Machine};
use crate::report::{services, table};

/// All that `bench rest` says.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub machine: &'a Machine,
    pub load: Load,
    pub milliseconds: u64,
    pub open_percent: u64,
    #[serde(flatten)]
    pub figures: &'a RestFigures,
}

impl<'a> Report<'a> {
    pub fn of(
        machine: &'a Machine,
        before: Load,
        settings: &Settings,
        figures: &'a RestFigures,
    ) -> Self {
        let Settings { milliseconds, open_percent, .. } = *settings;
        Report { machine, load: before.to_now(), milliseconds, open_percent, figures }
    }
}

const LATENCIES: [&str; 13] = [
    "orders",
    "resting",
    "loop",
    "conns",
    "offered/s",
    "done/s",
    "requests",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "worst ms",
    "failed",
    "client cpu",
];
const SPLIT: [&str; 15] = [
    "orders",
    "resting",
    "loop",
    "conns",
    "client",
    "request",
    "verify",
    "queue",
    "decision",
    "durable",
    "commit",
    "publish",
    "group",
    "gateway, redis cpu",
    "engine, sink cpu",
];

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}\n{}", self.machine, self.load)?;
        services(out, self.machine, &self.figures.file_system)?;
        writeln!(
            out,
            "signed ahead, all checked; {} ms a step; open loop: {} % of what the closed one did, \
             time from when a request was due; cpu: share of all cores\n",
            self.milliseconds, self.open_percent
        )?;
        let mut rows = vec![LATENCIES.map(str::to_owned)];
        rows.extend(self.figures.steps.iter().map(latencies));
        table(out, &rows)?;
        writeln!(out, "\nwhere the time goes: mean µs of each\n")?;
        let mut rows = vec![SPLIT.map(str::to_owned)];
        rows.extend(self.figures.steps.iter().map(split));
        table(out, &rows)?;
        let failed: u64 = self.figures.steps.iter().map(|step| step.failed).sum();
        writeln!(out, "\n{failed} answers other than the wanted one")
    }
}

/// The columns that say which step it is.
fn which(of: &StepFigures) -> [String; 4] {
    let how = if of.offered_per_second.is_some() { "open" } else { "closed" };
    [of.kind.name().to_owned(), of.resting.to_string(), how.to_owned(), of.connections.to_string()]
}

fn latencies(of: &StepFigures) -> [String; 13] {
    let [kind, resting, how, connections] = which(of);
    let offered = of.offered_per_second.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}"));
    let latency = &of.latency_ns;
    [
        kind,
        resting,
        how,
        connections,
        offered,
        format!("{:.0}", of.answered_per_second),
        latency.count.to_string(),
        milliseconds(latency.p50),
        milliseconds(latency.p99),
        milliseconds(latency.p99_9),
        milliseconds(latency.max),
        of.failed.to_string(),
        percent(of, "client"),
    ]
}

fn split(of: &StepFigures) -> [String; 15] {
    let [kind, resting, how, connections] = which(of);
    let split = &of.split;
    let figure = |us: f64| format!("{us:.0}");
    let pair = |one: &str, other: &str| format!("{}, {}", percent(of, one), percent(of, other));
    [
        kind,
        resting,
        how,
        connections,
        figure(of.latency_ns_mean / 1e3),
        figure(split.request_us),
        figure(split.verify_us),
        figure(split.queue_us),
        figure(split.decision_us),
        figure(split.durable_us),
        figure(split.commit_us),
        figure(split.publish_us),
        format!("{:.1}", split.group),
        pair("io-gateway", "redis"),
        pair("engine", "db-sink"),
    ]
}

fn milliseconds(ns: u64) -> String {
    format!("{:.2}", ns as f64 / 1e6)
}

fn percent(of: &StepFigures, name: &str) -> String {
    let share = of.cpu.iter().find(|(found, _)| *found == name).map(|(_, share)| *share);
    format!("{:.0} %", share.unwrap_or_default() * 100.0)
}
