//! The database sink's process: reads the configuration, runs, drains.

use anyhow::Context;
use clap::{Parser, Subcommand};
use db_sink::Config;
use db_sink::database::Database;
use db_sink::migrate;
use db_sink::sink::{Readiness, Sink};
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
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    service::logs::init();
    let file = ExchangeFile::load(&args.common.config)?;
    let config = Config::load(&file, args.common.ops_listen)?;
    match args.verb.unwrap_or(Verb::Run) {
        Verb::Run => run(config, file).await,
        Verb::Migrate => {
            let mut database = Database::new(&config.database_url, config.database_deadline)?;
            migrate::prepare(&mut database, config.timescale).await?;
            tracing::info!("the database is up to date");
            Ok(())
        }
    }
}

async fn run(config: Config, file: ExchangeFile) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let told = stop.clone();
    service::stop::on_signal(move || told.cancel()).context("could not listen for signals")?;
    let ops = Ops::start(config.ops_listen, || ())?;
    let readiness = Readiness {
        redis: Some(ops.condition("redis")),
        database: Some(ops.condition("database")),
        streams: Some(ops.condition("streams")),
    };
    let end = Sink { config, catalog: file.catalog, readiness }.run(stop).await?;
    tracing::info!(?end, "ended");
    Ok(())
}
