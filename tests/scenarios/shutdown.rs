//! SIGTERM: every service finishes what it has begun and ends with 0.

use std::thread;

use scenarios::client::{id_of, limit};
use scenarios::eventually::eventually;
use scenarios::lane::Scenario;
use scenarios::world::World;
use serde_json::json;
use xtask::services::{DB_SINK, ENGINE, IO_GATEWAY, MM, WS_FANOUT};

pub const SCENARIOS: &[Scenario] = &[
    ("shutdown::every_service_ends_with_0", every_service_ends_with_0),
    ("shutdown::streams_are_closed_with_1001", streams_are_closed_with_1001),
    ("shutdown::mm_leaves_no_orders_behind", mm_leaves_no_orders_behind),
    ("shutdown::a_gateway_answers_what_it_has_taken", a_gateway_answers_what_it_has_taken),
];

/// `World::end` checks the exit code.
fn every_service_ends_with_0(world: &mut World) {
    world.start_again(MM);
    for name in [MM, WS_FANOUT, DB_SINK, IO_GATEWAY, ENGINE] {
        world.end(name);
        world.start_again(name);
    }
    world.end(MM);
    let trader = world.trader("afterwards", &[("USDC", "10")]);
    trader.place(&limit("SOL_USDC", "Bid", "1", "1")).ok();
    trader.cancel_all("SOL_USDC").ok();
}

fn streams_are_closed_with_1001(world: &mut World) {
    let mut sockets: Vec<_> = (0..10).map(|_| world.socket()).collect();
    for socket in &mut sockets {
        socket.subscribe(&["depth.SOL_USDC", "ticker.SOL_USDC"]);
        socket.fence();
    }
    let process = world.identity(WS_FANOUT);
    assert!(process.signal(nix::sys::signal::Signal::SIGTERM).unwrap());
    for socket in &mut sockets {
        assert_eq!(socket.until_closed(), 1001);
    }
    let outcome = eventually("the fan-out ends", || process.reap().ok_or("still runs"));
    assert_eq!(outcome, "exit code 0");
    world.start_again(WS_FANOUT);
}

fn mm_leaves_no_orders_behind(world: &mut World) {
    world.start_again(MM);
    let depth = |world: &World| {
        let depth = world.public("/api/v1/depth?symbol=BTC_USDC").ok();
        let levels = |side: &str| depth[side].as_array().unwrap().len();
        levels("bids") + levels("asks")
    };
    eventually("mm quotes", || if 4 <= depth(world) { Ok(()) } else { Err(depth(world)) });
    world.end(MM);
    assert_eq!(depth(world), 0);
}

/// Orders on their way when the signal comes are answered or not taken; none is taken unanswered.
fn a_gateway_answers_what_it_has_taken(world: &mut World) {
    let trader = world.trader("busy", &[("USDC", "1000000")]);
    let sender = trader.clone();
    let sending = thread::spawn(move || {
        let mut answered = Vec::new();
        for client_id in 1.. {
            let order = limit("ETH_USDC", "Bid", "1", "1");
            let order = scenarios::client::with(&order, json!({"clientId": client_id}));
            match sender.try_place(&order) {
                Ok(reply) => answered.push(id_of(&reply.ok())),
                Err(_) => break,
            }
        }
        answered
    });
    eventually("orders flow", || {
        let open = trader.open_orders("ETH_USDC").len();
        if 10 <= open { Ok(()) } else { Err(open) }
    });
    world.end(IO_GATEWAY);
    let mut answered = sending.join().expect("the sender did not fail");
    world.start_again(IO_GATEWAY);
    let mut open: Vec<String> = trader.open_orders("ETH_USDC").iter().map(id_of).collect();
    answered.sort();
    open.sort();
    assert_eq!(open, answered);
    trader.cancel_all("ETH_USDC").ok();
}
