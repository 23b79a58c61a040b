//! Entry: reads the configuration, connects the parts, serves until told to stop.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use io_gateway::app::App;
use io_gateway::config::{Args, Config};
use io_gateway::stream_access::StreamAccess;
use io_gateway::{connections, routes, server};
use service::{Ops, logs, stop};
use tokio_util::sync::CancellationToken;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    logs::init();
    match start(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the gateway cannot run");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn start(args: Args) -> anyhow::Result<()> {
    let config = Config::load(args).context("configuration")?;
    let app = App::new(&config)?;

    let watched = app.clone();
    let refresh = move || {
        metrics::gauge!("gateway_orders_in_flight").set(count(watched.link.decisions_waiting()));
        metrics::gauge!("gateway_queries_in_flight").set(count(watched.link.answers_waiting()));
        metrics::gauge!("gateway_api_keys").set(count(watched.keys.len()));
        for (scope, held) in watched.limits.held() {
            metrics::gauge!("gateway_limit_holders", "scope" => scope).set(count(held));
        }
    };
    let ops = Ops::start(config.ops_listen, refresh)?;
    let [redis, engine, epoch, database] =
        ["redis", "engine", "epoch", "database"].map(|name| ops.condition(name));
    app.link.start(move |health| {
        redis.set(health.redis);
        engine.set(health.engine);
        epoch.set(health.epoch);
    });
    let (listing, redis_url) = (app.listing.clone(), config.redis_url.clone());
    tokio::spawn(async move { listing.follow(&redis_url).await });
    let keys = app.clone();
    tokio::spawn(async move { keys.keys.follow(|reachable| database.set(reachable)).await });

    let limited = app.clone();
    tokio::spawn(async move { limited.limits.sweep().await });
    connections::raise_descriptor_limit(config.http.connections_max);

    let token = CancellationToken::new();
    let stopping = token.clone();
    stop::on_signal(move || stopping.cancel()).context("signals")?;
    let access = StreamAccess::new(app.clone(), &config.redis_url)?;
    app.tasks.spawn(access.run(token.clone()));
    let listener = server::listen(config.listen).await?;
    let address = listener.local_addr().context("the listening address")?;
    let router = routes::router(app.clone(), config.web_dir.as_deref());
    tracing::info!(%address, gateway = %config.gateway, "serving REST");
    server::serve(listener, router, app, token).await;
    tracing::info!("stopped");
    Ok(())
}

/// A figure for a gauge, which Prometheus wants as a float.
fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::INFINITY, f64::from)
}
