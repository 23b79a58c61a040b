//! Clients that trade on while the exchange is killed under their hands, and keep what they were
//! told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::client::{Reply, Trader, id_of, limit, with};
use crate::eventually::breathe;
use crate::listing::{Market, decimal};
use crate::told::{Finished, Told};

/// A client that trades until told to stop, whatever happens to the exchange.
pub struct Client {
    trader: Trader,
    market: Market,
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
    thread: JoinHandle<Told>,
}

/// Answers so far.
#[derive(Debug, Default)]
pub struct Tally {
    placed: AtomicUsize,
    cancelled: AtomicUsize,
    refused: AtomicUsize,
    unknown: AtomicUsize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    Place,
    Cancel,
}

/// What a request came to, as far as its client was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// 200.
    Acknowledged,
    /// Turned away: it has not happened.
    Refused,
    /// It may have happened, and may still.
    Unknown,
}

struct Trading {
    trader: Trader,
    market: Market,
    /// Orders are priced at most five ticks of a hundredth around it.
    price: Decimal,
    quantity: Decimal,
    random: StdRng,
    next_client_id: u32,
    /// Order and client ids.
    resting: Vec<(String, u32)>,
    told: Told,
}

impl Client {
    /// Orders of up to nine times `quantity` around `price`.
    pub fn start(
        trader: &Trader,
        market: &Market,
        price: &str,
        quantity: &str,
        seed: u64,
    ) -> Client {
        let stop = Arc::new(AtomicBool::new(false));
        let tally = Arc::new(Tally::default());
        let mut trading = Trading {
            trader: trader.clone(),
            market: market.clone(),
            price: decimal(price),
            quantity: decimal(quantity),
            random: StdRng::seed_from_u64(seed),
            next_client_id: 1,
            resting: Vec::new(),
            told: Told::default(),
        };
        let (told_to_stop, count) = (Arc::clone(&stop), Arc::clone(&tally));
        let thread = thread::spawn(move || {
            while !told_to_stop.load(Ordering::Relaxed) {
                let step = trading.step();
                count.add(step);
                if step.1 != Answer::Acknowledged {
                    breathe();
                }
            }
            trading.told
        });
        Client { trader: trader.clone(), market: market.clone(), stop, tally, thread }
    }

    /// Answers of 200 so far.
    pub fn acknowledged(&self) -> usize {
        self.tally.acknowledged()
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// It has panicked: what it was told contradicts itself.
    pub fn has_failed(&self) -> bool {
        self.thread.is_finished()
    }

    /// Stops, and answers what there is to check once the database has everything.
    pub fn stop(self) -> Finished {
        self.stop.store(true, Ordering::Relaxed);
        let told = self.thread.join().expect("the client did not fail");
        Finished { trader: self.trader, market: self.market, told }
    }
}

impl Tally {
    pub fn add(&self, (request, answer): (Request, Answer)) {
        let counter = match (answer, request) {
            (Answer::Acknowledged, Request::Place) => &self.placed,
            (Answer::Acknowledged, Request::Cancel) => &self.cancelled,
            (Answer::Refused, _) => &self.refused,
            (Answer::Unknown, _) => &self.unknown,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn placed(&self) -> usize {
        self.placed.load(Ordering::Relaxed)
    }

    pub fn acknowledged(&self) -> usize {
        self.placed() + self.cancelled.load(Ordering::Relaxed)
    }

    pub fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    pub fn unknown(&self) -> usize {
        self.unknown.load(Ordering::Relaxed)
    }
}

impl Trading {
    /// One order or cancel.
    fn step(&mut self) -> (Request, Answer) {
        if !self.resting.is_empty() && self.random.random_range(0..4) == 0 {
            let at = self.random.random_range(0..self.resting.len());
            let order = self.resting.swap_remove(at);
            return (Request::Cancel, self.cancel(order));
        }
        (Request::Place, self.place())
    }

    fn place(&mut self) -> Answer {
        let client_id = self.next_client_id;
        self.next_client_id += 1;
        let order = self.any_order(client_id);
        let reply = self.trader.try_place(&order);
        let answer = answer(&reply);
        match (answer, reply) {
            (Answer::Acknowledged, Ok(reply)) => {
                if ["New", "PartiallyFilled"].contains(&reply.body["status"].as_str().unwrap()) {
                    self.resting.push((id_of(&reply.body), client_id));
                }
                self.told.placed.insert(client_id, reply.body);
            }
            (Answer::Refused, _) => {
                self.told.refused.insert(client_id);
            }
            _ => {
                self.told.unknown.insert(client_id);
            }
        }
        answer
    }

    fn any_order(&mut self, client_id: u32) -> Value {
        let side = if self.random.random_bool(0.5) { "Bid" } else { "Ask" };
        let hundredths: i64 = self.random.random_range(-5..=5);
        let price = self.price + self.price * Decimal::new(hundredths, 4);
        let price = (price / self.market.tick).floor() * self.market.tick;
        let quantity = self.quantity * Decimal::from(self.random.random_range(1..10));
        let order = limit(&self.market.symbol, side, &price.to_string(), &quantity.to_string());
        let time_in_force = if self.random.random_range(0..4) == 0 { "IOC" } else { "GTC" };
        with(&order, json!({"clientId": client_id, "timeInForce": time_in_force}))
    }

    fn cancel(&mut self, (order, client_id): (String, u32)) -> Answer {
        let mut which = json!({"symbol": self.market.symbol, "orderId": order});
        if self.random.random_bool(0.5) {
            which = json!({"symbol": self.market.symbol, "clientId": client_id});
        }
        let reply = self.trader.try_cancel(&which);
        match reply {
            // Traded away meanwhile, or cancelled by a request whose answer was lost.
            Ok(reply) if reply.status == 404 => {
                self.told.gone.insert(order);
                Answer::Acknowledged
            }
            reply => {
                let answer = answer(&reply);
                match (answer, reply) {
                    (Answer::Acknowledged, Ok(reply)) => {
                        assert_eq!(id_of(&reply.body), order, "{}", reply.body);
                        self.told.cancelled.insert(order, reply.body);
                    }
                    (Answer::Refused, _) => self.resting.push((order, client_id)),
                    _ => (),
                }
                answer
            }
        }
    }
}

/// What an honest client of an exchange that is being killed may hear.
pub fn answer(reply: &Result<Reply, String>) -> Answer {
    let reply = match reply {
        Ok(reply) => reply,
        // Nobody was there to hear it.
        Err(error) if error.contains("Connection refused") => return Answer::Refused,
        Err(_) => return Answer::Unknown,
    };
    if reply.is_ok() {
        return Answer::Acknowledged;
    }
    let answer = match (reply.status, reply.code()) {
        (503, "MAINTENANCE" | "TOO_MANY_REQUESTS") | (400, "INSUFFICIENT_FUNDS") => Answer::Refused,
        (504, "TIMEOUT") => Answer::Unknown,
        _ => panic!("{reply:?}"),
    };
    // Nobody may wait longer than the gateway promises, but for a busy machine.
    assert!(reply.took < crate::eventually::SECOND * 9, "{reply:?}");
    answer
}
