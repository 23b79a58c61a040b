//! The database sink's process: reads the configuration, runs, drains.

use std::time::Duration;

use anyhow::Context;
use clap::{Parser, Subcommand};
use db_sink::Config;
use db_sink::database::Database;
use db_sink::migrate;
use db_sink::sink::{End, Readiness, Sink};
use service::{CommonArgs, ExchangeFile, Ops, SharedCatalog};
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

/// The config serves when the engine has not said by then what is listed.
const LISTING_WAIT: Duration = Duration::from_secs(2);

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
    let listing = SharedCatalog::new(file.catalog);
    let followed = listing.clone();
    let redis_url = config.redis_url.clone();
    let follow = tokio::spawn(async move { followed.follow(&redis_url).await });
    let end = write_all_listed(&config, &listing, &readiness, &stop).await?;
    follow.abort();
    tracing::info!(?end, "ended");
    Ok(())
}

/// A market that is listed meanwhile has a stream of its own: the sink then drains and begins again
/// with all of them, which takes no longer than its last batch.
async fn write_all_listed(
    config: &Config,
    listing: &SharedCatalog,
    readiness: &Readiness,
    stop: &CancellationToken,
) -> anyhow::Result<End> {
    listing.said(LISTING_WAIT).await;
    loop {
        let mut changes = listing.subscribe();
        let catalog = changes.borrow_and_update().catalog.clone();
        let markets = catalog.markets().len();
        let (config, readiness) = (config.clone(), readiness.clone());
        let drain = stop.child_token();
        let run = Sink { config, catalog, readiness }.run(drain.clone());
        tokio::pin!(run);
        let end = tokio::select! {
            end = &mut run => end?,
            _ = changes.wait_for(|known| known.catalog.markets().len() != markets) => {
                tracing::info!("more is listed: its events are written too");
                drain.cancel();
                run.await?
            }
        };
        if end == End::TakenOver || stop.is_cancelled() {
            return Ok(end);
        }
    }
}
