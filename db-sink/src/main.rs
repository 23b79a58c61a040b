//! The database sink's process: reads the configuration, runs a verb, drains.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use db_sink::Config;
use db_sink::backfill::Backfill;
use db_sink::backfill::tally::Done;
use db_sink::check::{self, Check};
use db_sink::database::Database;
use db_sink::sink::Readiness;
use db_sink::{listed, migrate};
use protocol::Catalog;
use service::{CommonArgs, ExchangeFile, Ops};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Writes the engine's events to PostgreSQL or TimescaleDB, each once, and keeps the klines.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    common: CommonArgs,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Clone, Copy, Subcommand)]
enum Verb {
    /// Runs the migrations, then writes events until told to stop (the default)
    Run,
    /// Runs the migrations and ends
    Migrate,
    /// Fills the database up to where the journal ends, and ends
    Backfill {
        /// Asks the running engine for its journal; a sink that runs ends
        #[arg(long, required = true)]
        from_journal: bool,
    },
    /// Compares the database with the running engine's journal; ends with 3 where they differ
    Check {
        /// For machines
        #[arg(long)]
        json: bool,
        /// How many differences of each table and kind are listed
        #[arg(long, default_value_t = 20)]
        differences_max: usize,
    },
}

/// Database and journal differ.
const DIFFERENT: u8 = 3;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    service::logs::init();
    let file = ExchangeFile::load(&args.common.config)?;
    let config = Config::load(&file, args.common.ops_listen)?;
    match args.verb.unwrap_or(Verb::Run) {
        Verb::Run => run(config, file.catalog).await?,
        Verb::Migrate => {
            let mut database = Database::new(&config.database_url, config.database_deadline)?;
            migrate::prepare(&mut database, config.timescale).await?;
            tracing::info!("the database is up to date");
        }
        Verb::Backfill { .. } => {
            let backfill = Backfill { config, catalog: file.catalog };
            for Done { stream, from, to, frames, rows, .. } in backfill.run(told()?).await? {
                tracing::info!(stream, from, to, frames, rows, "backfilled");
            }
        }
        Verb::Check { json, differences_max } => {
            let catalog = file.catalog;
            let rows_from = check::first_kept(&config.retention, chrono::Utc::now());
            let report = Check { config, catalog, rows_from, differences_max }.run().await?;
            let mut out = std::io::stdout().lock();
            if json { report.write_json(&mut out) } else { report.write_text(&mut out) }?;
            if !report.is_equal() {
                return Ok(ExitCode::from(DIFFERENT));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Cancelled when the process is told to stop.
fn told() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let told = stop.clone();
    service::stop::on_signal(move || told.cancel()).context("could not listen for signals")?;
    Ok(stop)
}

async fn run(config: Config, catalog: Catalog) -> anyhow::Result<()> {
    let stop = told()?;
    let ops = Ops::start(config.ops_listen, || ())?;
    let readiness = Readiness {
        redis: Some(ops.condition("redis")),
        database: Some(ops.condition("database")),
        streams: Some(ops.condition("streams")),
    };
    let end = listed::write_all(&config, catalog, &readiness, &stop).await?;
    tracing::info!(?end, "ended");
    Ok(())
}
