//! Process `ws-fanout`: reads the configuration, runs the fan-out, drains it when told to.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use mimalloc::MiMalloc;
use service::{CommonArgs, ExchangeFile, Ops, SharedCatalog};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use ws_fanout::config::{Config, RawConfig};
use ws_fanout::server::Fanout;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Streams market data to WebSocket clients.
#[derive(Parser)]
#[command(name = "ws-fanout", version)]
struct CommandLine {
    #[command(flatten)]
    common: CommonArgs,
    /// Address for WebSocket clients; overrides the file. Port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
}

fn main() -> ExitCode {
    let arguments = CommandLine::parse();
    service::logs::init();
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: CommandLine) -> anyhow::Result<()> {
    let file = ExchangeFile::load(&arguments.common.config)?;
    let mut raw: RawConfig = file.section("fanout")?;
    raw.listen = arguments.listen.unwrap_or(raw.listen);
    raw.ops_listen = arguments.common.ops_listen.unwrap_or(raw.ops_listen);
    let config = Config::check(raw)?;
    let ops = Ops::start(config.ops_listen, || ())?;
    let redis_ready = ops.condition("redis");
    let stop = CancellationToken::new();
    let told = stop.clone();
    service::stop::on_signal(move || told.cancel()).context("could not listen for signals")?;
    let runtime = Builder::new_multi_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let listing = SharedCatalog::new(file.catalog);
        let fanout = Fanout::start(config, listing.clone(), &file.redis_url, redis_ready).await?;
        tokio::select! {
            ended = fanout.run_until(stop) => ended,
            () = listing.follow(&file.redis_url) => Ok(()),
        }
    })?;
    tracing::info!("stopped");
    Ok(())
}
