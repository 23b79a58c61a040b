//! The engine process: reads its config, runs the pipeline, drains on SIGTERM.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::{Parser, Subcommand};
use engine::config::{Config, Overrides};
use engine::counters::Counters;
use engine::journal_tools::{self, JournalVerb};
use engine::pinning;
use engine::pipeline::{self, Conditions};
use engine::stop::Stop;
use service::{CommonArgs, ExchangeFile, Ops};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Matches orders: commands in from Redis, journal on disk, decisions out to Redis.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
    /// Folder of journal and lock; overrides the file.
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Clone, Subcommand)]
enum Verb {
    /// Recover from the journal and run; the default.
    Run,
    /// Look into the journal's files, also beside a running engine.
    #[command(subcommand)]
    Journal(JournalVerb),
}

fn main() -> ExitCode {
    let args = Args::parse();
    service::logs::init();
    let done = match args.verb.clone().unwrap_or(Verb::Run) {
        Verb::Run => run(args).map(|()| ExitCode::SUCCESS),
        Verb::Journal(verb) => answer(args, verb),
    };
    done.unwrap_or_else(|error| {
        tracing::error!("the engine ends: {error:#}");
        ExitCode::FAILURE
    })
}

fn config(args: Args) -> anyhow::Result<Config> {
    let file = ExchangeFile::load(&args.common.config)?;
    let overrides = Overrides { ops_listen: args.common.ops_listen, data_dir: args.data_dir };
    Ok(Config::of(&file, overrides, pinning::usable_cores())?)
}

fn answer(args: Args, verb: JournalVerb) -> anyhow::Result<ExitCode> {
    let data_dir = match &args.data_dir {
        Some(data_dir) => data_dir.clone(),
        None => config(args)?.data_dir,
    };
    Ok(journal_tools::answer(&data_dir, verb)?.into())
}

fn run(args: Args) -> anyhow::Result<()> {
    let config = config(args)?;
    let counters = Arc::new(Counters::new(config.ingress_threads, config.shards));
    let exported = Arc::clone(&counters);
    let ops = Ops::start(config.ops_listen, move || exported.export())?;
    let stop = Stop::default();
    let wish = stop.clone();
    service::stop::on_signal(move || wish.wish()).context("could not listen for signals")?;
    pipeline::run(config, counters, Conditions::of(&ops), stop)?;
    tracing::info!("drained");
    Ok(())
}
