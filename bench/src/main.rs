//! Command line of `bench`. Exit 0 done, 1 failed (a wrong digest above all), 2 misused.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, value_parser};
use mimalloc::MiMalloc;

use bench::book::{self, Settings};
use bench::clock::WallClock;
use bench::machine::Machine;
use bench::report::Report;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Measures the exchange. Build it with --release.
#[derive(Parser)]
#[command(name = "bench", version)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Order flows through one book on one thread, the engine's against the reference book.
    ///
    /// Checks the digest of every run; a wrong one is an error. bench/README.md is the method.
    Book(BookArgs),
}

#[derive(Args)]
struct BookArgs {
    /// Flows to run [default: all]
    #[arg(long = "flow", value_name = "NAME", num_args = 1..)]
    #[arg(value_parser = PossibleValuesParser::new(orderflow::FLOWS))]
    flows: Vec<String>,
    /// Runs a book and flow, of which the median counts
    #[arg(long, default_value_t = 5, value_parser = value_parser!(u32).range(1..=1000))]
    runs: u32,
    /// Seed of the flows
    #[arg(long, default_value_t = orderflow::DEFAULT_SEED)]
    seed: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let Verb::Book(args) = CommandLine::parse().verb;
    match run_book(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_book(args: BookArgs) -> anyhow::Result<()> {
    let machine = Machine::read()?;
    let clock = WallClock::calibrate();
    let every = || orderflow::FLOWS.map(str::to_owned).to_vec();
    let flows = if args.flows.is_empty() { every() } else { args.flows };
    let settings = Settings { flows, runs: args.runs, seed: args.seed };
    let figures = book::run(&settings, &clock, |of| {
        eprintln!("{}: {:.1} ns a command", of.flow, of.engine.ns_per_command);
    })?;
    let report = Report { machine: &machine, clock: &clock, runs: settings.runs, flows: &figures };
    let mut text = report.to_string();
    if args.json {
        text = serde_json::to_string_pretty(&report).context("could not write the JSON")?;
        text.push('\n');
    }
    io::stdout().lock().write_all(text.as_bytes()).context("could not write to stdout")
}
