//! Several gateways, one engine: each hears its own replies, and the death of one is nobody
//! else's.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use scenarios::client::{Trader, id_of, limit, with};
use scenarios::eventually::eventually;
use scenarios::lane::Scenario;
use scenarios::second_gateway::SecondGateway;
use scenarios::world::World;
use serde_json::json;

pub const SCENARIOS: &[Scenario] =
    &[("gateways::one_that_dies_takes_nothing_with_it", one_that_dies)];

const SYMBOL: &str = "ETH_USDC";
/// Below the open orders an account may have.
const ORDERS_MAX: u64 = 900;
const BEFORE: u64 = 30;

/// One who places order after order until told, or until nobody answers.
struct Placing {
    trader: Trader,
    answered: Arc<AtomicU64>,
    enough: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), String>>,
}

impl Placing {
    fn start(trader: Trader) -> Placing {
        let (answered, enough) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (placer, counted, told) = (trader.clone(), Arc::clone(&answered), Arc::clone(&enough));
        let thread = thread::spawn(move || {
            for client_id in 1..=ORDERS_MAX {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                let order = limit(SYMBOL, "Bid", "1", "1");
                let order = placer.try_place(&with(&order, json!({"clientId": client_id})))?.ok();
                assert_eq!(order["clientId"], client_id, "an answer to somebody else");
                counted.store(client_id, Ordering::Relaxed);
            }
            Ok(())
        });
        Placing { trader, answered, enough, thread }
    }

    fn until_answered(&self, wanted: u64) {
        eventually(&format!("{wanted} answers to {}", self.trader.name), || {
            let answered = self.answered.load(Ordering::Relaxed);
            if wanted <= answered { Ok(()) } else { Err(answered) }
        });
    }

    fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

fn one_that_dies(world: &mut World) {
    let funds = [("USDC", "100000")];
    let (steady, hasty) = (world.trader("steady", &funds), world.trader("hasty", &funds));
    let mut second = SecondGateway::start(world);
    let first_placing = Placing::start(steady.clone());
    let second_placing = Placing::start(second.client_of(&hasty));
    first_placing.until_answered(BEFORE);
    second_placing.until_answered(BEFORE);

    second.kill9();
    let before = first_placing.answered();
    first_placing.until_answered(before + BEFORE);
    let outcome = second_placing.thread.join().expect("no wrong answer");
    assert!(outcome.is_err(), "a dead gateway answers nothing");
    first_placing.enough.store(true, Ordering::Relaxed);
    assert_eq!(first_placing.thread.join().expect("no wrong answer"), Ok(()));

    // Every order that was answered is open once; the one that was under way is there or is not.
    let answered = second_placing.answered.load(Ordering::Relaxed);
    assert_whole(&hasty, answered);
    assert_whole(&steady, first_placing.answered.load(Ordering::Relaxed));

    // It may come back under its id, and what its former life left is not taken for its own.
    second.start_again();
    let again = second.client_of(&hasty);
    again.cancel_all(SYMBOL).ok();
    let order = again.place(&limit(SYMBOL, "Bid", "1", "1")).ok();
    assert_eq!(id_of(&again.open_orders(SYMBOL)[0]), id_of(&order));
    for trader in [&hasty, &steady] {
        trader.cancel_all(SYMBOL).ok();
        trader.has("USDC", "100000", "0");
    }
}

fn assert_whole(trader: &Trader, answered: u64) {
    let ids = || -> Vec<u64> {
        let open = trader.open_orders(SYMBOL);
        open.iter().map(|order| order["clientId"].as_u64().unwrap()).collect()
    };
    let found = eventually("the orders that were answered", || {
        let found = ids();
        if answered <= found.len() as u64 { Ok(found) } else { Err(found.len()) }
    });
    let once: BTreeSet<u64> = found.iter().copied().collect();
    assert_eq!(once.len(), found.len(), "{}: an order is there twice", trader.name);
    let last = once.last().copied().unwrap_or_default();
    assert!(once.iter().copied().eq(1..=last), "{}: {once:?}", trader.name);
    assert!((answered..=answered + 1).contains(&last), "{}: {answered}, {last}", trader.name);
    let locked = last.to_string();
    trader.has("USDC", &(100_000 - last).to_string(), &locked);
}
