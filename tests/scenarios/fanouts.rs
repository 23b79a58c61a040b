//! Several fan-outs, one engine: whoever is connected to which hears the same.

use scenarios::client::{Trader, limit};
use scenarios::depth_book::DepthBook;
use scenarios::lane::Scenario;
use scenarios::second_fanout::SecondFanout;
use scenarios::socket::Socket;
use scenarios::world::World;
use serde_json::Value;

pub const SCENARIOS: &[Scenario] = &[("fanouts::clients_of_two_hear_the_same", two_hear_the_same)];

const SYMBOL: &str = "ETH_USDC";
const DEPTH: &str = "/api/v1/depth?symbol=ETH_USDC&limit=1000";
const PUBLIC: [&str; 4] =
    ["trade.ETH_USDC", "depth.ETH_USDC", "bookTicker.ETH_USDC", "depth.200ms.ETH_USDC"];
const PRIVATE: [&str; 2] = ["account.orderUpdate", "account.balanceUpdate"];

fn two_hear_the_same(world: &mut World) {
    let funds = [("ETH", "1000"), ("USDC", "1000000")];
    let [alice, bob] = ["alice", "bob"].map(|name| world.trader(name, &funds));
    let second = SecondFanout::start(world, &[]);
    let mut sockets = [world.socket(), second.socket()];
    for socket in &mut sockets {
        socket.listen(&PUBLIC);
        socket.listen_as(&alice, &PRIVATE);
    }
    let before = DepthBook::snapshot(&world.public(DEPTH).ok());
    stir(&alice, &bob);
    let after = DepthBook::snapshot(&world.public(DEPTH).ok());
    for socket in &mut sockets {
        socket.until("all that alice did", |socket| {
            let done = |data: &Value| data["e"] == "orderCancelled" && data["p"] == "1.00";
            let balances = socket.data(PRIVATE[1]).last()?;
            let idle = balances["a"] == "USDC" && balances["L"] == "0";
            (idle && socket.data(PRIVATE[0]).any(done)).then_some(())
        });
        for depth in ["depth.ETH_USDC", "depth.200ms.ETH_USDC"] {
            socket.until(depth, |socket| {
                let last = socket.data(depth).last()?["u"].as_u64();
                (last == Some(after.last_update)).then_some(())
            });
            let mut book = before.clone();
            socket.data(depth).for_each(|frame| book.apply(frame));
            assert_eq!(book, after, "{depth}");
        }
        socket.fence();
    }
    let [first, second] = &sockets;
    // Windows begin where they will: only what is in them is the same.
    for stream in PUBLIC[..3].iter().chain(&PRIVATE) {
        let heard = said(first, stream);
        assert!(20 <= heard.len(), "{stream}: {}", heard.len());
        assert_eq!(heard, said(second, stream), "{stream}");
    }
}

fn stir(alice: &Trader, bob: &Trader) {
    for step in 0..40 {
        bob.place(&limit(SYMBOL, "Bid", &format!("{}", 100 + step % 7), "1.5")).ok();
        alice.place(&limit(SYMBOL, "Ask", &format!("{}", 104 + step % 5), "1")).ok();
    }
    bob.cancel_all(SYMBOL).ok();
    alice.cancel_all(SYMBOL).ok();
    alice.place(&limit(SYMBOL, "Bid", "1", "1")).ok();
    alice.cancel_all(SYMBOL).ok();
}

/// Every frame, but for when it was made.
fn said(socket: &Socket, stream: &str) -> Vec<Value> {
    let without_time = |data: &Value| {
        let mut data = data.clone();
        data.as_object_mut().unwrap().remove("E");
        data
    };
    socket.data(stream).map(without_time).collect()
}
