//! What comes from people who mean harm, or whose programs are broken.

use std::collections::BTreeMap;
use std::thread::{self, JoinHandle};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use redis::cmd;
use scenarios::client::{Trader, limit};
use scenarios::eventually::eventually;
use scenarios::lane::Scenario;
use scenarios::malformed::Forge;
use scenarios::wire::{Response, Wire};
use scenarios::world::{SERVICES, World, rendered, seed};
use serde_json::Value;

pub const SCENARIOS: &[Scenario] = &[
    ("hostile::ten_thousand_malformed_requests_do_no_harm", ten_thousand_malformed_requests),
    ("hostile::garbage_in_the_queues_does_no_harm", garbage_in_the_queues),
    ("hostile::garbage_on_a_socket_does_no_harm", garbage_on_a_socket),
    ("hostile::what_is_no_http_does_no_harm", what_is_no_http),
];

const REQUESTS: usize = 10_000;
const CONNECTIONS: usize = 4;

fn ten_thousand_malformed_requests(world: &mut World) {
    let victim = world.trader("victim", &[("USDC", "1000"), ("SOL", "10")]);
    let before = rendered(&victim.capital());
    let pids = pids(world);
    let seed = seed("ten thousand malformed requests");
    let attacks = (0..CONNECTIONS).map(|number| {
        let keys = victim.client.keys.clone();
        let rest_url = world.rest_url().to_owned();
        let forge = Forge::new(seed + number as u64, &keys, &rest_url);
        thread::spawn(move || attack(forge, &rest_url, REQUESTS / CONNECTIONS))
    });
    let attacks: Vec<_> = attacks.collect();
    // All of them first: a failure takes the exchange away from whoever still attacks it.
    let attacks: Vec<_> = attacks.into_iter().map(JoinHandle::join).collect();
    let mut answers: BTreeMap<u16, usize> = BTreeMap::new();
    for attack in attacks {
        let counted = attack.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        for (status, count) in counted {
            *answers.entry(status).or_default() += count;
        }
    }
    assert_eq!(answers.values().sum::<usize>(), REQUESTS);
    println!("malformed requests by the status of their answers: {answers:?}");
    assert_eq!(rendered(&victim.capital()), before);
    assert_eq!(victim.open_orders("SOL_USDC"), Vec::<Value>::new());
    assert_eq!(self::pids(world), pids, "a service has died");
    still_trades(world, &victim);
}

/// Sends them one after another; answers how many got which status.
fn attack(mut forge: Forge, rest_url: &str, requests: usize) -> BTreeMap<u16, usize> {
    let mut answers = BTreeMap::new();
    let mut wire = Wire::connect(rest_url).unwrap();
    let mut before = "nothing";
    for _ in 0..requests {
        let (flaw, request) = forge.forge();
        let shown = || String::from_utf8_lossy(&request[..request.len().min(600)]).into_owned();
        // A server may answer and close before it has read all of a body too long for it.
        let sent = wire.send(&request);
        let response = wire.receive().unwrap_or_else(|error| {
            panic!("no answer ({error}, sending: {sent:?}) after {before} to {flaw}:\n{}", shown())
        });
        check_shape(&response, flaw, &shown());
        *answers.entry(response.status).or_default() += 1;
        before = flaw;
        if response.closes {
            wire = Wire::connect(rest_url).unwrap();
        }
    }
    answers
}

fn check_shape(response: &Response, flaw: &str, request: &str) {
    let body = String::from_utf8_lossy(&response.body);
    let said = format!("{flaw}: {} {body}\n{request}", response.status);
    assert!((400..500).contains(&response.status), "{said}");
    let parsed: Value = serde_json::from_slice(&response.body).unwrap_or_else(|_| panic!("{said}"));
    let members = parsed.as_object().unwrap_or_else(|| panic!("{said}"));
    let names: Vec<&str> = members.keys().map(String::as_str).collect();
    assert_eq!(names, ["code", "message"], "{said}");
    assert!(members.values().all(Value::is_string), "{said}");
}

fn pids(world: &World) -> Vec<Option<i32>> {
    SERVICES.map(|name| world.stack().pid(name).unwrap()).to_vec()
}

fn still_trades(world: &mut World, victim: &Trader) {
    let other = world.trader("other", &[("SOL", "1")]);
    other.place(&limit("SOL_USDC", "Ask", "20", "1")).ok();
    let order = victim.place(&limit("SOL_USDC", "Bid", "20", "1")).ok();
    assert_eq!(order["status"], "Filled");
}

/// Whoever can write to Redis can trade for anybody, but must not be able to stop the engine by
/// accident.
fn garbage_in_the_queues(world: &mut World) {
    let victim = world.trader("victim", &[("USDC", "1000")]);
    let pids = pids(world);
    let mut random = StdRng::seed_from_u64(seed("garbage in the queues"));
    let mut redis = world.redis();
    for round in 0..500 {
        let length = match round % 3 {
            0 => 64,
            _ => random.random_range(0..200),
        };
        let mut bytes: Vec<u8> = (0..length).map(|_| random.random_range(0..=255)).collect();
        // Never a version that exists, or chance might make an order of it.
        if let Some(version) = bytes.get_mut(1) {
            *version |= 0x80;
        }
        let queue = ["orders:{SOL_USDC}", "orders:{accounts}"][round % 2];
        let field = ["c", "x", ""][random.random_range(0..3)];
        let () = cmd("XADD").arg(queue).arg("*").arg(field).arg(&bytes).query(&mut redis).unwrap();
        let () = cmd("LPUSH").arg("queries").arg(&bytes).query(&mut redis).unwrap();
        let () = cmd("PUBLISH").arg("replies:1").arg(&bytes).query(&mut redis).unwrap();
        let () = cmd("PUBLISH").arg("trade@SOL_USDC").arg(&bytes).query(&mut redis).unwrap();
    }
    let questions = [
        "{}",
        "[]",
        "{\"id\":1}",
        "{\"id\":1,\"gateway\":1,\"epoch\":1,\"min_sequence\":18446744073709551615,\
         \"deadline_us\":18446744073709551615,\"ask\":{\"Depth\":{\"market\":9,\"levels\":1}}}",
        "{\"id\":1,\"gateway\":1,\"epoch\":1,\"min_sequence\":0,\
         \"deadline_us\":18446744073709551615,\
         \"ask\":{\"Depth\":{\"market\":1,\"levels\":4294967295}}}",
    ];
    for question in questions {
        let () = cmd("LPUSH").arg("queries").arg(question).query(&mut redis).unwrap();
    }
    // The queues are drained past all of it.
    eventually("an order gets through", || {
        let reply = victim.try_place(&limit("SOL_USDC", "Bid", "1", "1"))?;
        if reply.is_ok() { Ok(()) } else { Err(reply.body.to_string()) }
    });
    victim.cancel_all("SOL_USDC").ok();
    victim.has("USDC", "1000", "0");
    assert_eq!(self::pids(world), pids, "a service has died");
    still_trades(world, &victim);
}

fn garbage_on_a_socket(world: &mut World) {
    let pids = pids(world);
    let mut random = StdRng::seed_from_u64(seed("garbage on a socket"));
    let mut listener = world.socket();
    listener.subscribe(&["ticker.SOL_USDC"]);
    for _ in 0..20 {
        let mut socket = world.socket();
        for _ in 0..5 {
            let length = random.random_range(1..300);
            let text: String =
                (0..length).map(|_| char::from(random.random_range(0x20..0x7f_u8))).collect();
            socket.send_text(&text);
        }
        socket.fence();
        assert_eq!(socket.errors().count(), 5, "one answer to each");
    }
    // Longer than any request may be: an error or a close, and nobody else feels it.
    let mut socket = world.socket();
    socket.send_text(&"[".repeat(60_000));
    socket.until("an answer to deep nesting", |socket| socket.errors().next().map(|_| ()));
    let heard = listener.data("ticker.SOL_USDC").count();
    listener.until("a ticker more", |listener| {
        (heard + 1 < listener.data("ticker.SOL_USDC").count()).then_some(())
    });
    assert_eq!(self::pids(world), pids, "a service has died");
}

/// Before there is a request there is no contract to answer by: an error or a close will do.
fn what_is_no_http(world: &mut World) {
    let pids = pids(world);
    let mut random = StdRng::seed_from_u64(seed("what is no HTTP"));
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(200_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(5_000));
    let fixed = [
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "\r\n\r\n\r\n",
        "POST /api/v1/order HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST /api/v1/order HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST /api/v1/order HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET / HTTP/1.1\r\nbroken header\r\n\r\n",
        "GET /\u{0} HTTP/1.1\r\n\r\n",
        &long,
        &many,
    ];
    let noise = (0..20).map(|_| -> Vec<u8> {
        (0..300).map(|_| random.random_range(0..=255)).chain(*b"\r\n\r\n").collect()
    });
    let all: Vec<Vec<u8>> =
        fixed.iter().map(|text| text.as_bytes().to_vec()).chain(noise).collect();
    for bytes in all {
        let mut wire = Wire::connect(world.rest_url()).unwrap();
        if wire.send(&bytes).is_err() {
            continue;
        }
        if let Ok(response) = wire.receive() {
            let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
            assert!((400..500).contains(&response.status), "{shown}: {response:?}");
        }
    }
    assert_eq!(world.public("/api/v1/ping").ok(), "pong");
    assert_eq!(self::pids(world), pids, "a service has died");
}
