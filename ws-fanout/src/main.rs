//! Process `ws-fanout`: reads the configuration, runs the fan-out, drains it when told to.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use mimalloc::MiMalloc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use service::{CommonArgs, ExchangeFile, Ops, SharedCatalog};
use tokio::runtime::Builder;
use tokio_util::sync::CancellationToken;

use ws_fanout::config::{Config, RawConfig};
use ws_fanout::server::Fanout;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Streams market data and private updates to WebSocket clients.
#[derive(Parser)]
#[command(name = "ws-fanout", version)]
struct CommandLine {
    #[command(flatten)]
    common: CommonArgs,
    /// Address for WebSocket clients; overrides the file. Port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Names the reply channels; overrides the file. Each running fan-out has its own.
    #[arg(long, value_name = "NUMBER")]
    id: Option<u32>,
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
    raw.id = arguments.id.unwrap_or(raw.id);
    let config = Config::check(raw)?;
    raise_open_files();
    let ops = Ops::start(config.ops_listen, || ())?;
    let redis_ready = ops.condition("redis");
    let stop = CancellationToken::new();
    let told = stop.clone();
    service::stop::on_signal(move || told.cancel()).context("could not listen for signals")?;
    let runtime = Builder::new_current_thread().enable_all().build().context("no runtime")?;
    runtime.block_on(async {
        let listing = SharedCatalog::new(file.catalog);
        let fanout = Fanout::start(config, listing.clone(), &file.redis_url, redis_ready)?;
        tokio::select! {
            ended = fanout.run_until(stop) => ended,
            () = listing.follow(&file.redis_url) => Ok(()),
        }
    })?;
    tracing::info!("stopped");
    Ok(())
}

/// As many open files as the system allows: each socket is one.
fn raise_open_files() {
    let raised = getrlimit(Resource::RLIMIT_NOFILE)
        .and_then(|(_, hard)| setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map(|()| hard));
    match raised {
        Ok(files) => tracing::info!(files, "open files allowed"),
        Err(error) => tracing::warn!(%error, "the limit of open files stays as it is"),
    }
}
