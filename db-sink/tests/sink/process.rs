//! The binary as an operator runs it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use xtask::ports::free_port;

use crate::servers::{PATIENCE, World, exchange_toml};

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
    let ready = || get(address, "/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"));
    while !ready() {
        assert!(Instant::now() < until, "not ready: {:?}", get(address, "/readyz"));
        std::thread::sleep(Duration::from_millis(20));
    }
    let metrics = get(address, "/metrics").unwrap();
    let pid = sink.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    assert!(wait(&mut sink, "db-sink").success());
    assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
}

#[tokio::test]
async fn a_misspelt_verb_is_a_misuse() {
    let world = World::new().await;
    let mut misused = command(&world).arg("migrat").stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(wait(&mut misused, "db-sink migrat").code(), Some(2));
}
