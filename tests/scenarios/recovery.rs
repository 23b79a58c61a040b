//! Processes killed in the middle of their work, and what must still be true afterwards.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use scenarios::acknowledged::{Client, Finished};
use scenarios::audit::audit;
use scenarios::client::Trader;
use scenarios::database::Database;
use scenarios::eventually::eventually;
use scenarios::lane::Scenario;
use scenarios::world::{BTC_PRICE, SOL_PRICE, World, seed};
use xtask::private_servers::{postgres, redis};
use xtask::services::{DB_SINK, ENGINE, IO_GATEWAY, MM, WS_FANOUT};

pub const SCENARIOS: &[Scenario] = &[
    ("recovery::a_killed_engine_forgets_nothing", a_killed_engine_forgets_nothing),
    ("recovery::any_killed_service_comes_back", any_killed_service_comes_back),
    ("recovery::trading_goes_on_without_the_database", trading_goes_on_without_the_database),
    ("recovery::a_killed_redis_loses_no_acknowledged_order", a_killed_redis_loses_nothing),
];

const KILLS: usize = 4;

/// Three clients on two markets, where mm trades too.
fn start_clients(world: &mut World, random: &mut StdRng) -> Vec<Client> {
    let funds = [("USDC", "10000000"), ("SOL", "100000"), ("BTC", "100")];
    let traders: Vec<Trader> =
        ["first", "second", "third"].map(|name| world.trader(name, &funds)).into();
    let start = |(at, trader): (usize, &Trader)| {
        let (symbol, price, quantity) = match at {
            0 | 1 => ("SOL_USDC", SOL_PRICE, "0.1"),
            _ => ("BTC_USDC", BTC_PRICE, "0.001"),
        };
        let market = world.listing().market(symbol);
        Client::start(trader, market, price, quantity, random.random())
    };
    traders.iter().enumerate().map(start).collect()
}

/// Waits until each client has had `more` answers than now.
fn wait_for_answers(clients: &[Client], more: usize) {
    let before: Vec<usize> = clients.iter().map(Client::acknowledged).collect();
    eventually("every client is served", || {
        let now: Vec<usize> = clients.iter().map(Client::acknowledged).collect();
        let served = before.iter().zip(&now).all(|(before, now)| before + more <= *now);
        if served { Ok(()) } else { Err(now) }
    });
}

/// Trades between the two accounts of mm, as far as they are in the database.
fn trades_of_mm(world: &World, database: &Database) -> i128 {
    let maker = world.stack().account(xtask::accounts::MAKER).unwrap().id().unwrap().to_owned();
    database.number(&format!("SELECT count(*) FROM fills WHERE account_id = {maker}"))
}

fn mm_goes_on(world: &World, database: &Database) {
    let before = trades_of_mm(world, database);
    eventually("mm trades on", || {
        let now = trades_of_mm(world, database);
        if before + 10 <= now { Ok(()) } else { Err((before, now)) }
    });
}

/// Ends all trading, waits for the database, and compares everything with everything.
fn finish(world: &mut World, clients: Vec<Client>) -> Vec<Finished> {
    let finished: Vec<Finished> = clients.into_iter().map(Client::stop).collect();
    world.end(MM);
    world.settle();
    let database = world.database();
    finished.iter().for_each(|client| client.check(&database));
    audit(world);
    finished.iter().for_each(Finished::clear);
    finished
}

fn a_killed_engine_forgets_nothing(world: &mut World) {
    let mut random = StdRng::seed_from_u64(seed("a killed engine"));
    let database = world.database();
    world.start_again(MM);
    let clients = start_clients(world, &mut random);
    wait_for_answers(&clients, 5);
    mm_goes_on(world, &database);
    for _ in 0..KILLS {
        wait_for_answers(&clients, random.random_range(1..40));
        world.kill9(ENGINE);
        world.start_again(ENGINE);
        wait_for_answers(&clients, 1);
    }
    mm_goes_on(world, &database);
    let finished = finish(world, clients);
    let placed: usize = finished.iter().map(Finished::placed).sum();
    println!("{placed} orders were acknowledged around {KILLS} kills of the engine");
    assert!(50 < placed, "too little happened: {placed}");
}

/// The engine goes on while they are away; whoever comes back finds its place again.
fn any_killed_service_comes_back(world: &mut World) {
    let mut random = StdRng::seed_from_u64(seed("any killed service"));
    let database = world.database();
    world.start_again(MM);
    let clients = start_clients(world, &mut random);
    for name in [DB_SINK, IO_GATEWAY, WS_FANOUT, MM, DB_SINK] {
        wait_for_answers(&clients, random.random_range(1..20));
        world.kill9(name);
        world.start_again(name);
        wait_for_answers(&clients, 1);
    }
    let mut socket = world.socket();
    socket.subscribe(&["trade@SOL_USDC"]);
    socket.until("a trade on the new fan-out", |socket| {
        socket.data("trade@SOL_USDC").next().cloned()
    });
    mm_goes_on(world, &database);
    finish(world, clients);
}

fn trading_goes_on_without_the_database(world: &mut World) {
    let mut random = StdRng::seed_from_u64(seed("without the database"));
    let database = world.database();
    world.start_again(MM);
    let clients = start_clients(world, &mut random);
    wait_for_answers(&clients, 2);
    world.kill9(postgres::NAME);
    wait_for_answers(&clients, 10);
    eventually("history is refused, not awaited", || {
        let reply = world.public("/api/v1/trades?symbol=SOL_USDC");
        let known = reply.status == 503 && reply.code() == "MAINTENANCE";
        if known { Ok(()) } else { Err(reply) }
    });
    world.start_again(postgres::NAME);
    mm_goes_on(world, &database);
    finish(world, clients);
}

/// Redis writes its log once a second: what it forgets, the engine has in its journal.
fn a_killed_redis_loses_nothing(world: &mut World) {
    let mut random = StdRng::seed_from_u64(seed("a killed Redis"));
    let database = world.database();
    world.start_again(MM);
    let clients = start_clients(world, &mut random);
    wait_for_answers(&clients, 5);
    world.kill9(redis::NAME);
    world.start_again(redis::NAME);
    wait_for_answers(&clients, 5);
    mm_goes_on(world, &database);
    finish(world, clients);
}
