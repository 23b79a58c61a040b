//! Process `mm`: reads the configuration, makes markets, cancels its orders when told to stop.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use mimalloc::MiMalloc;
use service::{CommonArgs, ExchangeFile, Ops, SharedCatalog};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use mm::config::{Config, RawConfig};
use mm::runner::{Conditions, Runner};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Places random orders around the mid of each configured market.
#[derive(Parser)]
#[command(name = "mm", version)]
struct CommandLine {
    #[command(flatten)]
    common: CommonArgs,
    /// Account that quotes; overrides the file.
    #[arg(long, value_name = "ID")]
    account: Option<u32>,
    /// Account that takes, so that trades happen; overrides the file.
    #[arg(long, value_name = "ID")]
    taker_account: Option<u32>,
}

/// The config serves when the engine has not said by then what is listed.
const LISTING_WAIT: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments = CommandLine::parse();
    service::logs::init();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &CommandLine) -> anyhow::Result<()> {
    let file = ExchangeFile::load(&arguments.common.config)?;
    let mut raw: RawConfig = file.section("market_maker")?;
    raw.account = arguments.account.or(raw.account);
    raw.taker_account = arguments.taker_account.or(raw.taker_account);
    raw.ops_listen = arguments.common.ops_listen.unwrap_or(raw.ops_listen);
    let runtime = Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let listing = SharedCatalog::new(file.catalog);
    let (followed, redis_url) = (listing.clone(), file.redis_url.clone());
    runtime.spawn(async move { followed.follow(&redis_url).await });
    runtime.block_on(listing.said(LISTING_WAIT));
    let config = Config::check(&raw, &listing.get().catalog)?;
    let ops = Ops::start(config.ops_listen, || ())?;
    let conditions = Conditions {
        redis: ops.condition("redis"),
        engine: ops.condition("engine"),
        funds: ops.condition("funds"),
    };
    let stop = CancellationToken::new();
    let told = stop.clone();
    service::stop::on_signal(move || told.cancel()).context("could not listen for signals")?;
    runtime.block_on(Runner::new(config, listing, &file.redis_url, conditions).run(stop))?;
    tracing::info!("stopped");
    Ok(())
}
