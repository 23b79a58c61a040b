//! The binary as an operator runs it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use xtask::ports::free_port;

use crate::engine::{Engine, Manner};
use crate::running::{emit, ready, stands_at, story};
use crate::servers::{PATIENCE, World, eventually, exchange_toml};
use crate::story::assert_stored;

fn command(world: &World) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_db-sink"));
    command.arg("--config").arg(exchange_toml());
    command.env("DATABASE_URL", &world.config.database_url);
    command.env("REDIS_URL", &world.config.redis_url);
    command.stdin(Stdio::null());
    command
}

fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn wait(child: &mut Child, what: &str) -> std::process::ExitStatus {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < until, "{what} did not end");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn the_process_migrates_gets_ready_and_drains_on_sigterm() {
    let world = World::new().await.with_redis();
    let mut migrate = command(&world).arg("migrate").spawn().unwrap();
    assert!(wait(&mut migrate, "db-sink migrate").success());

    let address = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
    let mut sink = command(&world).arg("--ops-listen").arg(address.to_string()).spawn().unwrap();
    let until = Instant::now() + PATIENCE;
    let is_ready =
        || get(address, "/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"));
    while !is_ready() {
        assert!(Instant::now() < until, "not ready: {:?}", get(address, "/readyz"));
        std::thread::sleep(Duration::from_millis(20));
    }
    let metrics = get(address, "/metrics").unwrap();
    let pid = sink.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(wait(&mut sink, "db-sink").success());
    assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_sees_that_frames_lack_and_that_the_engine_is_away() {
    let world = ready(World::new().await).await;
    let sol = story(&world, "SOL_USDC", 30, 80);
    let mut redis = world.redis().await;
    emit(&mut redis, &sol, 0..10).await;
    emit(&mut redis, &sol, 13..30).await;
    let address = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
    let mut sink = command(&world).arg("--ops-listen").arg(address.to_string()).spawn().unwrap();
    let says = |path: &'static str, wanted: &'static [&'static str]| async move {
        let answer = tokio::task::spawn_blocking(move || get(address, path)).await.unwrap();
        answer.is_ok_and(|answer| wanted.iter().all(|wanted| answer.contains(wanted)))
    };
    eventually("not ready", || says("/readyz", &["503", "redis ready", "streams waiting"])).await;
    let waiting = &[
        "sink_gap_open{stream=\"SOL_USDC\"} 1",
        "sink_gaps_total{stream=\"SOL_USDC\"} 1",
        "sink_engine_away 1",
    ];
    eventually("metrics of a gap", || says("/metrics", waiting)).await;

    // Its first page ends where the gap does.
    let durable = sol.frames[12].0.0;
    let _engine = Engine::start(&world, &[&sol], Manner { durable, ..Manner::default() });
    eventually("ready", || says("/readyz", &["200", "streams ready"])).await;
    stands_at(&world, &sol, 29).await;
    let done = &[
        "sink_gap_open{stream=\"SOL_USDC\"} 0",
        "sink_gaps_total{stream=\"SOL_USDC\"} 1",
        "sink_refilled_frames_total{stream=\"SOL_USDC\"} 3",
        "sink_engine_away 0",
    ];
    eventually("metrics of a closed gap", || says("/metrics", done)).await;
    let pid = sink.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(wait(&mut sink, "db-sink").success());
    assert_stored(&mut world.connect().await, &[&sol]).await;
}

#[tokio::test]
async fn a_misspelt_verb_is_a_misuse() {
    let world = World::new().await;
    let mut misused = command(&world).arg("migrat").stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(wait(&mut misused, "db-sink migrat").code(), Some(2));
}
