//! What can be asked of `bench`, and the text it answers with.

mod sink;
mod sockets;
mod outage;
mod history;

use std::fmt::Display;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, value_parser};
use engine::journal::writer::Durability;
use serde::Serialize;

use crate::book::{self, Settings};
use crate::clock::WallClock;
use crate::error::BenchError;
use crate::machine::{Load, Machine};
use crate::shard::script::{Naming, Senders};
use crate::traffic::Size;
use crate::{journal, queries, recovery, report, rest, shard, snapshots};
use history::HistoryArgs;
use outage::OutageArgs;
use sink::SinkArgs;
use sockets::{StreamsArgs, WebsocketsArgs};

/// Measures the exchange. Build it with --release.
#[derive(Parser)]
#[command(name = "bench", version)]
pub struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

/// bench/README.md is the method.
#[derive(Subcommand)]
enum Verb {
    /// Order flows through one book on one thread, the engine's against the reference book.
    ///
    /// Checks the digest of every run; a wrong one is an error.
    Book(FlowArgs),
    /// Order flows through a whole shard on one thread, against the book alone.
    ///
    /// Checks the outcome of every run; a wrong one is an error.
    Shard {
        #[command(flatten)]
        flows: FlowArgs,
        /// Senders that take turns
        #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=256))]
        gateways: u32,
        /// Which orders bear a client id
        #[arg(long, value_enum, default_value_t = Naming::All)]
        client_ids: Naming,
    },
    /// The journal thread on a real disk: commands a second and latency by offered load.
    Journal(JournalArgs),
    /// A start after a crash: from the journal alone, from a snapshot and the journal behind it.
    Recovery(RecoveryArgs),
    /// What snapshots cost those who trade: throughput and latency with one under way and without.
    Snapshots(SnapshotsArgs),
    /// How long the replica takes to answer queries while it applies frames.
    Queries(QueriesArgs),
    /// Orders over REST through a whole exchange of its own: throughput, latency, where time goes.
    Rest(RestArgs),
    /// Streams of a whole exchange of its own: until all clients have a trade, what is borne.
    Streams(StreamsArgs),
    /// Events into a database on a real disk: by the whole sink, by plain inserts.
    Sink(SinkArgs),
    /// A database killed while a million trades happen: what who trades notices, how it catches up.
    ///
    /// Compares trades, fills and candles at the end; a difference is an error.
    Outage(OutageArgs),
    /// A year of one market in the database: how long the gateway takes to tell of it.
    History(HistoryArgs),
    /// Libraries that speak WebSocket, against writing the bytes oneself.
    Websockets(WebsocketsArgs),
}

#[derive(Args)]
struct FlowArgs {
    /// Flows to run [default: all]
    #[arg(long = "flow", value_name = "NAME", num_args = 1..)]
    #[arg(value_parser = PossibleValuesParser::new(orderflow::FLOWS))]
    flows: Vec<String>,
    /// Runs a flow, of which the median counts
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Seed of the flows
    #[arg(long, default_value_t = orderflow::DEFAULT_SEED)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct JournalArgs {
    /// Folder on the disk to measure [default: bench-data beside the build]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Commands made ahead: the most that one step sends
    #[arg(long, default_value_t = 1_000_000, value_parser = value_parser!(u64).range(1..))]
    commands: u64,
    /// Shards whose rings are merged
    #[arg(long, default_value_t = 2, value_parser = value_parser!(u16).range(1..=64))]
    shards: u16,
    /// Commands a second to offer, step by step; all at once comes after them
    #[arg(long = "rate", value_name = "N", num_args = 1..)]
    #[arg(default_values_t = [1000, 5000, 20_000, 50_000, 100_000, 200_000])]
    rates: Vec<u64>,
    /// Milliseconds of one step
    #[arg(long, default_value_t = 3000, value_parser = value_parser!(u64).range(1..))]
    milliseconds: u64,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Args)]
struct SizeArgs {
    #[arg(long, default_value_t = 4, value_parser = value_parser!(u16).range(1..=100))]
    markets: u16,
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u32).range(1..))]
    accounts: u32,
    /// Orders at rest, in all markets together
    #[arg(long, default_value_t = 1_000_000, value_parser = value_parser!(u32).range(1..))]
    orders: u32,
}

impl SizeArgs {
    fn size(&self, quick: bool) -> Size {
        let SizeArgs { markets, accounts, orders } = *self;
        if quick {
            return Size { markets: 2, accounts: 20, orders: 500 };
        }
        Size { markets, accounts, orders }
    }
}

#[derive(Args)]
struct RecoveryArgs {
    /// Folder on the disk to measure [default: bench-data beside the build]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leave the files for the next run of the same sizes
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    size: SizeArgs,
    /// Frames behind the snapshot
    #[arg(long, default_value_t = 10_000_000)]
    tail: u64,
    #[command(flatten)]
    common: CommonArgs,
}

impl RecoveryArgs {
    fn settings(&self) -> recovery::Settings {
        let RecoveryArgs { dir, keep, size, tail, common } = self;
        recovery::Settings {
            dir: dir.clone(),
            keep: *keep,
            size: size.size(common.quick),
            tail: if common.quick { 2000 } else { *tail },
            runs: common.runs(),
        }
    }
}

#[derive(Args)]
struct SnapshotsArgs {
    /// Folder on the disk to measure [default: bench-data beside the build]
    #[arg(long)]
    dir: Option<PathBuf>,
    #[command(flatten)]
    size: SizeArgs,
    /// Do not wait for the disk
    #[arg(long)]
    no_fsync: bool,
    /// Commands a second to offer
    #[arg(long, default_value_t = 20_000, value_parser = value_parser!(u64).range(1..))]
    rate: u64,
    /// Milliseconds for which they are offered
    #[arg(long, default_value_t = 30_000, value_parser = value_parser!(u64).range(1..))]
    milliseconds: u64,
    /// Commands to offer all at once
    #[arg(long, default_value_t = 4_000_000, value_parser = value_parser!(u64).range(1..))]
    commands: u64,
    /// Milliseconds between two snapshots
    #[arg(long, default_value_t = 2000)]
    pause_ms: u64,
    /// Tiny sizes: shows that it works, the figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl SnapshotsArgs {
    fn settings(&self) -> snapshots::Settings {
        let durability = if self.no_fsync { Durability::Write } else { Durability::Fsync };
        let (rate, milliseconds, commands, pause_ms) = if self.quick {
            (2000, 500, 2000, 50)
        } else {
            (self.rate, self.milliseconds, self.commands, self.pause_ms)
        };
        let (dir, size) = (self.dir.clone(), self.size.size(self.quick));
        snapshots::Settings { dir, size, durability, rate, milliseconds, commands, pause_ms }
    }
}

#[derive(Args)]
struct QueriesArgs {
    #[command(flatten)]
    size: SizeArgs,
    /// Frames a second to apply, one load after the other
    #[arg(long = "rate", value_name = "N", num_args = 1..)]
    #[arg(default_values_t = [0, 10_000, 100_000])]
    rates: Vec<u64>,
    /// Queries a second
    #[arg(long, default_value_t = 1000, value_parser = value_parser!(u64).range(1..))]
    queries: u64,
    /// Milliseconds of one load
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u64).range(1..))]
    milliseconds: u64,
    /// Tiny sizes: shows that it works, the figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl QueriesArgs {
    fn settings(&self) -> queries::Settings {
        let size = self.size.size(self.quick);
        if self.quick {
            let (frame_rates, queries_per_second, milliseconds) = (vec![2000], 200, 300);
            return queries::Settings { size, frame_rates, queries_per_second, milliseconds };
        }
        queries::Settings {
            size,
            frame_rates: self.rates.clone(),
            queries_per_second: self.queries,
            milliseconds: self.milliseconds,
        }
    }
}

#[derive(Args)]
struct RestArgs {
    /// Folder on the disk to measure [default: bench-data beside the build]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Connections, one number after the other
    #[arg(long = "connections", value_name = "N", num_args = 1..)]
    #[arg(default_values_t = [1, 16, 64, 256], value_parser = value_parser!(u16).range(1..=1000))]
    connections: Vec<u16>,
    /// Orders at rest, one number after the other
    #[arg(long = "resting", value_name = "N", num_args = 1..)]
    #[arg(default_values_t = [0, 100_000], value_parser = value_parser!(u64).range(..=150_000))]
    resting: Vec<u64>,
    /// Milliseconds of one step, about
    #[arg(long, default_value_t = 5000, value_parser = value_parser!(u64).range(1..=20_000))]
    milliseconds: u64,
    /// What the open loop offers, in percent of what the closed loop did
    #[arg(long, default_value_t = 50, value_parser = value_parser!(u64).range(1..=200))]
    open_percent: u64,
    /// Tiny sizes: shows that it works, the figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl RestArgs {
    fn run(&self, machine: &Machine) -> Result<String, BenchError> {
        let (settings, load) = (self.settings(), Load::read());
        let figures = rest::run(&settings, |step| {
            let (kind, connections) = (step.kind.name(), step.connections);
            eprintln!("{kind}, {connections}: {:.0} a second", step.answered_per_second);
        })?;
        let report = rest::report::Report::of(machine, load, &settings, &figures);
        text(&report, self.json)
    }

    fn settings(&self) -> rest::Settings {
        let RestArgs { dir, connections, resting, milliseconds, open_percent, .. } = self;
        let (dir, open_percent) = (dir.clone(), *open_percent);
        if self.quick {
            let (connections, resting, milliseconds) = (vec![1, 8], vec![0, 100], 100);
            return rest::Settings { dir, connections, resting, milliseconds, open_percent };
        }
        rest::Settings {
            dir,
            connections: connections.iter().copied().map(usize::from).collect(),
            resting: resting.clone(),
            milliseconds: *milliseconds,
            open_percent,
        }
    }
}

#[derive(Args)]
struct CommonArgs {
    /// Runs a step, of which the median counts
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Tiny sizes and one run: shows that it works, the figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl CommonArgs {
    fn runs(&self) -> u32 {
        if self.quick { 1 } else { self.runs }
    }
}

impl JournalArgs {
    fn settings(&self) -> journal::Settings {
        let JournalArgs { dir, commands, shards, rates, milliseconds, common } = self;
        let (dir, shards) = (dir.clone(), usize::from(*shards));
        if common.quick {
            let (rates, milliseconds, runs) = (vec![5000], 100, 1);
            return journal::Settings { dir, commands: 8000, shards, rates, milliseconds, runs };
        }
        journal::Settings {
            dir,
            commands: *commands,
            shards,
            rates: rates.clone(),
            milliseconds: *milliseconds,
            runs: common.runs,
        }
    }
}

impl FlowArgs {
    fn settings(&self) -> Settings {
        let every = || orderflow::FLOWS.map(str::to_owned).to_vec();
        let flows = if self.flows.is_empty() { every() } else { self.flows.clone() };
        Settings { flows, runs: self.runs, seed: self.seed }
    }
}

/// Does what was asked; returns what there is to say.
pub fn run(command_line: CommandLine) -> Result<String, BenchError> {
    let machine = Machine::read()?;
    match command_line.verb {
        Verb::Book(args) => {
            let (settings, clock) = (args.settings(), WallClock::calibrate());
            let figures = book::run(&settings, &clock, |of| {
                eprintln!("{}: {:.1} ns a command", of.flow, of.engine.ns_per_command);
            })?;
            let (machine, clock, runs, flows) = (&machine, &clock, settings.runs, &figures);
            text(&report::Report { machine, clock, runs, flows }, args.json)
        }
        Verb::Shard { flows: args, gateways, client_ids: naming } => {
            let senders = Senders { gateways, naming };
            let (settings, clock, before) = (args.settings(), WallClock::calibrate(), Load::read());
            let figures = shard::run(&settings, senders, &clock, |of| {
                eprintln!("{}: {:.1} ns a command", of.flow, of.shard.ns_per_command);
            })?;
            let (machine, clock, runs, flows) = (&machine, &clock, settings.runs, &figures);
            let load = before.to_now();
            text(&shard::report::Report { machine, load, clock, runs, senders, flows }, args.json)
        }
        Verb::Journal(args) => {
            let (settings, load) = (args.settings(), Load::read());
            let figures = journal::run(&settings, |step| {
                let (fsync, write) = (&step.fsync, &step.write);
                eprintln!(
                    "{:?}: {:.0} and {:.0} commands/s",
                    step.offered, fsync.acknowledged_per_second, write.acknowledged_per_second
                );
            })?;
            let report = journal::report::Report::of(&machine, load, &settings, &figures);
            text(&report, args.common.json)
        }
        Verb::Recovery(args) => {
            let (settings, load) = (args.settings(), Load::read());
            let figures = recovery::run(&settings, |way| {
                eprintln!("{:?}: {} frames in {:.2} s", way.way, way.frames, way.seconds);
            })?;
            let report = recovery::report::Report::of(&machine, load, &settings, &figures);
            text(&report, args.common.json)
        }
        Verb::Snapshots(args) => {
            let (settings, load) = (args.settings(), Load::read());
            let figures = snapshots::run(&settings)?;
            let report = snapshots::report::Report::of(&machine, load, &settings, &figures);
            text(&report, args.json)
        }
        Verb::Queries(args) => {
            let (settings, load) = (args.settings(), Load::read());
            let figures = queries::run(&settings, |load| {
                eprintln!(
                    "{} frames/s: {} queries missed",
                    load.frames_per_second, load.unanswered
                );
            })?;
            let report = queries::report::Report::of(&machine, load, &settings, &figures);
            text(&report, args.json)
        }
        Verb::Rest(args) => args.run(&machine),
        Verb::Streams(args) => args.run(&machine),
        Verb::Sink(args) => args.run(&machine),
        Verb::Outage(args) => args.run(&machine),
        Verb::History(args) => args.run(&machine),
        Verb::Websockets(args) => args.run(&machine),
    }
}

fn text(report: &(impl Display + Serialize), json: bool) -> Result<String, BenchError> {
    if !json {
        return Ok(report.to_string());
    }
    serde_json::to_string_pretty(report).map(|text| text + "\n").map_err(BenchError::Json)
}
