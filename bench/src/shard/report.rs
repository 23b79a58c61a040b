//! `bench shard`'s figures as tables for a person and as JSON for a machine.

use std::fmt;

use serde::Serialize;

use super::ShardFigures;
use super::script::{Naming, Senders};
use crate::clock::WallClock;
use crate::machine::{Load, Machine};
use crate::report::{spread, table};

/// All that `bench shard` says.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub machine: &'a Machine,
    pub load: Load,
    pub clock: &'a WallClock,
    pub runs: u32,
    pub senders: Senders,
    pub flows: &'a [ShardFigures],
}

const WHOLE: [&str; 9] =
    ["flow", "commands", "shard", "book", "ratio", "p50", "p99", "p99.9", "worst"];

const PARTS: [&str; 9] =
    ["flow", "shard", "book", "recognition", "digest", "ledger", "frame", "rest", "bytes a frame"];

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}\n{}", self.machine, self.load)?;
        let naming = match self.senders.naming {
            Naming::All => "all",
            Naming::None => "no",
        };
        writeln!(
            out,
            "shard, book: ns of thread cpu time a command, median of {} runs (least-most); {} \
             gateways, client ids on {naming} orders\np50 to worst: ns of single commands in the \
             shard, less {} ns of the clock, which steps by {} ns\n",
            self.runs, self.senders.gateways, self.clock.reading_ns, self.clock.step_ns
        )?;
        let mut rows = vec![WHOLE.map(str::to_owned)];
        rows.extend(self.flows.iter().map(whole));
        table(out, &rows)?;
        writeln!(
            out,
            "\nparts, each alone over the same commands: ns of thread cpu time a command"
        )?;
        let mut rows = vec![PARTS.map(str::to_owned)];
        rows.extend(self.flows.iter().map(parts));
        table(out, &rows)?;
        writeln!(out, "\nall digests as expected")
    }
}

fn whole(of: &ShardFigures) -> [String; 9] {
    let latency = &of.shard.latency_ns;
    [
        of.flow.clone(),
        of.commands.to_string(),
        spread(&of.shard),
        spread(&of.book),
        format!("{:.1}", of.ratio),
        latency.p50.to_string(),
        latency.p99.to_string(),
        latency.p99_9.to_string(),
        latency.max.to_string(),
    ]
}

fn parts(of: &ShardFigures) -> [String; 9] {
    let parts = &of.parts;
    let (shard, book) = (of.shard.ns_per_command, of.book.ns_per_command);
    let known = [parts.recognition_ns, parts.digest_ns, parts.ledger_ns, parts.frame_ns];
    let rest = shard - book - known.iter().sum::<f64>();
    let [recognition, digest, ledger, frame] = known.map(|ns| format!("{ns:.1}"));
    let [shard, book, rest] = [shard, book, rest].map(|ns| format!("{ns:.1}"));
    let bytes = format!("{:.0}", of.frame_bytes_mean);
    [of.flow.clone(), shard, book, recognition, digest, ledger, frame, rest, bytes]
}
