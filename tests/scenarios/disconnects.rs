//! Orders that go with the socket that stood guard over them, however it ends.

use scenarios::client::{Trader, limit, with};
use scenarios::eventually::eventually;
use scenarios::lane::Scenario;
use scenarios::second_fanout::SecondFanout;
use scenarios::socket::Socket;
use scenarios::world::World;
use serde_json::{Value, json};

pub const SCENARIOS: &[Scenario] = &[
    ("disconnects::a_closed_or_broken_socket_takes_its_orders_along", closed_or_broken),
    ("disconnects::who_thinks_better_of_it_keeps_his_orders", taken_back),
    ("disconnects::the_first_of_several_that_closes_cancels", several),
    ("disconnects::a_fanout_that_dies_leaves_no_orders_behind", a_fanout_dies),
    ("disconnects::a_fanout_that_ends_leaves_no_orders_behind", a_fanout_ends),
];

const ARMED: &str = "account.cancelOnDisconnect";
const FUNDS: [(&str, &str); 1] = [("USDC", "1000")];

/// One in each of two markets, and one that waits.
fn three_orders(trader: &Trader) {
    trader.place(&limit("ETH_USDC", "Bid", "10", "1")).ok();
    trader.place(&limit("SOL_USDC", "Bid", "10", "1")).ok();
    let waits = with(
        &limit("SOL_USDC", "Bid", "10", "1"),
        json!({"quantity": null, "triggerPrice": "900", "triggerQuantity": "1"}),
    );
    trader.place(&waits).ok();
}

fn open(trader: &Trader) -> Vec<Value> {
    [trader.open_orders("ETH_USDC"), trader.open_orders("SOL_USDC")].concat()
}

fn until_gone(trader: &Trader) {
    eventually(&format!("the orders of {} are gone", trader.name), || {
        let open = open(trader);
        if open.is_empty() { Ok(()) } else { Err(open) }
    });
    trader.has("USDC", "1000", "0");
}

fn clear(traders: &[&Trader]) {
    for trader in traders {
        trader.cancel_all("ETH_USDC").ok();
        trader.cancel_all("SOL_USDC").ok();
    }
}

/// A trader with three orders and a socket that stands guard over them.
fn guarded(world: &mut World, name: &str, open_socket: impl Fn() -> Socket) -> (Trader, Socket) {
    let trader = world.trader(name, &FUNDS);
    let mut socket = open_socket();
    socket.listen_as(&trader, &[ARMED]);
    assert_eq!(socket.heard, Vec::<Value>::new());
    three_orders(&trader);
    (trader, socket)
}

fn closed_or_broken(world: &mut World) {
    let bystander = world.trader("bystander", &FUNDS);
    three_orders(&bystander);
    let ws_url = world.stack().ws_url().to_owned();
    let socket = || Socket::open(&ws_url);
    let (polite, polite_socket) = guarded(world, "polite", socket);
    let (broken, broken_socket) = guarded(world, "broken", socket);
    let (dropped, dropped_socket) = guarded(world, "dropped", socket);
    let (staying, staying_socket) = guarded(world, "staying", socket);
    // His own switch is his own: the socket neither moves it nor ends it.
    let own = polite.cancel_after(3_600_000).ok();
    polite_socket.close();
    broken_socket.break_off();
    drop(dropped_socket);
    for trader in [&polite, &broken, &dropped] {
        until_gone(trader);
    }
    for trader in [&bystander, &staying] {
        assert_eq!(open(trader).len(), 3, "{}", trader.name);
    }
    // It happens once: what is placed now stays.
    polite.place(&limit("ETH_USDC", "Bid", "10", "1")).ok();
    assert!(own["triggerAt"].is_u64(), "{own}");
    polite.cancel_after(1_000).ok();
    until_gone(&polite);
    drop(staying_socket);
    until_gone(&staying);
    assert_eq!(open(&bystander).len(), 3);
    clear(&[&bystander]);
}

fn taken_back(world: &mut World) {
    let ws_url = world.stack().ws_url().to_owned();
    let socket = || Socket::open(&ws_url);
    let (sure, sure_socket) = guarded(world, "sure", socket);
    let (unsure, mut unsure_socket) = guarded(world, "unsure", socket);
    let (heard_only, mut hearing) = (world.trader("hears", &FUNDS), world.socket());
    hearing.listen_as(&heard_only, &["account.orderUpdate", "account.balanceUpdate"]);
    three_orders(&heard_only);
    // Needs no signature.
    unsure_socket.unsubscribe(&[ARMED]);
    unsure_socket.fence();
    hearing.close();
    unsure_socket.close();
    sure_socket.close();
    // When the one's orders have gone, the others' would have gone as well.
    until_gone(&sure);
    for trader in [&unsure, &heard_only] {
        assert_eq!(open(trader).len(), 3, "{}", trader.name);
    }
    clear(&[&unsure, &heard_only]);
}

fn several(world: &mut World) {
    let ws_url = world.stack().ws_url().to_owned();
    let socket = || Socket::open(&ws_url);
    let (trader, first) = guarded(world, "two screens", socket);
    let other = world.trader("a friend", &FUNDS);
    let mut second = socket();
    second.listen_as(&trader, &[ARMED]);
    // One socket can stand guard for several.
    second.listen_as(&other, &[ARMED]);
    second.listen_as(&other, &[ARMED]);
    three_orders(&other);
    first.close();
    until_gone(&trader);
    three_orders(&trader);
    assert_eq!(open(&other).len(), 3);
    second.close();
    until_gone(&trader);
    until_gone(&other);
}

/// Nobody says that the sockets are gone; the engine notices that nobody says anything.
fn a_fanout_dies(world: &mut World) {
    let fanout = SecondFanout::start(world, &[]);
    let (lost, socket) = guarded(world, "lost", || fanout.socket());
    let (safe, safe_socket) = guarded(world, "elsewhere", {
        let ws_url = world.stack().ws_url().to_owned();
        move || Socket::open(&ws_url)
    });
    assert_eq!(open(&lost).len(), 3);
    fanout.kill9();
    until_gone(&lost);
    assert_eq!(open(&safe).len(), 3, "another fan-out's socket stands guard over these");
    // It happens once.
    lost.place(&limit("ETH_USDC", "Bid", "10", "1")).ok();
    drop((socket, safe_socket));
    until_gone(&safe);
    assert_eq!(open(&lost).len(), 1);
    clear(&[&lost]);
}

fn a_fanout_ends(world: &mut World) {
    let fanout = SecondFanout::start(world, &[]);
    let (trader, mut socket) = guarded(world, "sent away", || fanout.socket());
    fanout.ask_to_end();
    assert_eq!(socket.until_closed(), 1001);
    // Before its lease runs out by itself.
    until_gone(&trader);
    assert_eq!(fanout.until_ended(), "exit code 0");
}
