//! Connections that do nothing, or as slowly as they can: nobody else feels them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use scenarios::client::limit;
use scenarios::lane::Scenario;
use scenarios::world::World;
use serde_json::json;

pub const SCENARIOS: &[Scenario] = &[
    ("crowding::a_thousand_idle_connections_disturb_nobody", a_thousand_idle_connections),
    ("crowding::slow_requests_disturb_nobody", slow_requests),
];

const IDLE: usize = 1_000;
const SLOW: usize = 100;
const ORDERS: u32 = 30;
/// A busy machine, but no queue behind a thousand others.
const ANSWER_MAX: Duration = Duration::from_secs(3);
const PING: &[u8] = b"GET /api/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n";

fn a_thousand_idle_connections(world: &mut World) {
    allow_descriptors(2 * IDLE as u64);
    let (mut silent, mut served) = (Vec::new(), Vec::new());
    for number in 0..IDLE {
        let mut stream = connect(world);
        // Half of them have asked something before.
        if number % 2 == 0 {
            silent.push(stream);
        } else {
            stream.write_all(PING).unwrap();
            read_answer(&mut stream);
            served.push(stream);
        }
    }
    trade(world);
    // They were neither closed nor forgotten: whoever asks again is answered.
    for stream in silent.iter_mut().take(10).chain(served.iter_mut().rev().take(10)) {
        stream.write_all(PING).unwrap();
        read_answer(stream);
    }
}

fn slow_requests(world: &mut World) {
    let head = b"POST /api/v1/order HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{";
    let mut slow: Vec<TcpStream> = (0..SLOW).map(|_| connect(world)).collect();
    for round in 0..5 {
        for (number, stream) in slow.iter_mut().enumerate() {
            // Half dawdle over the head, half over the body, a byte a round.
            let bytes = match (number % 2, round) {
                (0, _) => &head[round..=round],
                (_, 0) => &head[..],
                (_, _) => b" ",
            };
            stream.write_all(bytes).unwrap();
        }
        trade(world);
    }
}

fn connect(world: &World) -> TcpStream {
    let stream = TcpStream::connect(world.rest_url().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(10 * ANSWER_MAX)).unwrap();
    stream
}

fn read_answer(stream: &mut TcpStream) {
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    while !answer.ends_with(b"pong") {
        let count = stream.read(&mut part).unwrap();
        assert_ne!(count, 0, "closed: {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&part[..count]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

/// Places and cancels, each answered in time.
fn trade(world: &mut World) {
    let trader = world.trader("undisturbed", &[("USDC", "1000")]);
    for client_id in 1..=ORDERS {
        let placed = trader.place(&limit("SOL_USDC", "Bid", "1", "1"));
        assert!(placed.took < ANSWER_MAX, "order {client_id}: {placed:?}");
        let order = scenarios::client::id_of(&placed.ok());
        let gone = trader.cancel(&json!({"symbol": "SOL_USDC", "orderId": order}));
        assert!(gone.is_ok() && gone.took < ANSWER_MAX, "cancel {client_id}: {gone:?}");
    }
    trader.has("USDC", "1000", "0");
}

/// This test's own, for its end of every connection.
fn allow_descriptors(wanted: u64) {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(wanted <= hard, "this machine allows {hard} open files a process");
    if soft < wanted {
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard).unwrap();
    }
}
