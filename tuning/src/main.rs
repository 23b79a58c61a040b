//! Command line of `tuning`. Exit 0 done, 1 failed, 2 misused.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use mimalloc::MiMalloc;

use tuning::config::EngineThreads;
use tuning::plan::Plan;
use tuning::report::Report;
use tuning::topology::Topology;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const DEFAULT_CONFIG: &str = "exchange.toml";

/// Reads the machine the exchange runs on. Changes nothing.
#[derive(Parser)]
#[command(name = "tuning", version)]
struct CommandLine {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Print cores, siblings and caches, and where the engine's shards would be pinned.
    ///
    /// The number of shards and, if listed, their cores come from the [engine] section of the
    /// config file: `shards = 2`, `shard_cores = [2, 3]`. Pins that cannot be set are shown as
    /// errors in the list at the end; they do not make the command fail.
    Topology(TopologyArgs),
}

#[derive(Args)]
struct TopologyArgs {
    /// Config file [default: exchange.toml if there is one, else a plan for one shard]
    #[arg(long, value_name = "PATH")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Folder that holds the machine's sys/ and proc/
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
}

fn main() -> ExitCode {
    let Verb::Topology(args) = CommandLine::parse().verb;
    match topology(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tuning: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn topology(args: &TopologyArgs) -> anyhow::Result<()> {
    let found = Path::new(DEFAULT_CONFIG);
    let config = args.config.as_deref().or(found.exists().then_some(found));
    let (threads, source) = match config {
        Some(path) => (EngineThreads::read(path)?, path.display().to_string()),
        None => (EngineThreads::one_shard(), format!("no {DEFAULT_CONFIG} here")),
    };
    let topology = Topology::read(&args.root)?;
    let plan = Plan::new(&topology, &threads);
    let report = Report { topology: &topology, plan: &plan, source: &source };
    let mut text = report.to_string();
    if args.json {
        text = serde_json::to_string_pretty(&report).context("could not write the JSON")?;
        text.push('\n');
    }
    io::stdout().lock().write_all(text.as_bytes()).context("could not write to stdout")
}
