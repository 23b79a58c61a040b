//! What clients were told, kept by them while the exchange is killed under their hands, and
//! compared afterwards with what it then says.
//!
//! An acknowledged order exists exactly once, with the outcome told; one without an answer exists
//! at most once; one that nobody sent does not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::client::{Reply, Trader, id_of, limit, with};
use crate::database::{Database, number};
use crate::eventually::breathe;
use crate::listing::{Market, decimal};

/// What one client was told.
#[derive(Debug, Default)]
pub struct Told {
    /// Answers of 200 to new orders, by client id.
    placed: BTreeMap<u32, Value>,
    /// Client ids of orders whose outcome was not told.
    unknown: BTreeSet<u32>,
    /// Orders whose cancel was answered with 200, and those answers.
    cancelled: BTreeMap<String, Value>,
}

/// A client that trades until told to stop, whatever happens to the exchange.
pub struct Client {
    pub trader: Trader,
    market: Market,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    thread: JoinHandle<Told>,
}

struct Trading {
    trader: Trader,
    market: Market,
    /// Orders are priced at most five ticks of a hundredth around it.
    price: Decimal,
    quantity: Decimal,
    random: StdRng,
    next_client_id: u32,
    resting: Vec<String>,
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
        let acknowledged = Arc::new(AtomicUsize::new(0));
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
        let (told_to_stop, count) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        let thread = thread::spawn(move || {
            while !told_to_stop.load(Ordering::Relaxed) {
                if trading.step() {
                    count.fetch_add(1, Ordering::Relaxed);
                } else {
                    breathe();
                }
            }
            trading.told
        });
        let (trader, market) = (trader.clone(), market.clone());
        Client { trader, market, stop, acknowledged, thread }
    }

    /// Answers of 200 so far.
    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Stops, and answers what there is to check once the database has everything.
    pub fn stop(self) -> Finished {
        self.stop.store(true, Ordering::Relaxed);
        let told = self.thread.join().expect("the client did not fail");
        Finished { trader: self.trader, market: self.market, told }
    }
}

impl Trading {
    /// One order or cancel; whether it was answered with 200.
    fn step(&mut self) -> bool {
        if !self.resting.is_empty() && self.random.random_range(0..4) == 0 {
            let at = self.random.random_range(0..self.resting.len());
            let order = self.resting.swap_remove(at);
            return self.cancel(&order);
        }
        self.place()
    }

    fn place(&mut self) -> bool {
        let client_id = self.next_client_id;
        self.next_client_id += 1;
        let side = if self.random.random_bool(0.5) { "Bid" } else { "Ask" };
        let hundredths: i64 = self.random.random_range(-5..=5);
        let price = self.price + self.price * Decimal::new(hundredths, 4);
        let price = (price / self.market.tick).floor() * self.market.tick;
        let quantity = self.quantity * Decimal::from(self.random.random_range(1..10));
        let order = limit(&self.market.symbol, side, &price.to_string(), &quantity.to_string());
        let time_in_force = if self.random.random_range(0..4) == 0 { "IOC" } else { "GTC" };
        let more = json!({"clientId": client_id, "timeInForce": time_in_force});
        match self.trader.try_place(&with(&order, more)) {
            Ok(reply) if reply.is_ok() => {
                if ["New", "PartiallyFilled"].contains(&reply.body["status"].as_str().unwrap()) {
                    self.resting.push(id_of(&reply.body));
                }
                self.told.placed.insert(client_id, reply.body);
                true
            }
            answer => {
                unavailable(answer);
                self.told.unknown.insert(client_id);
                false
            }
        }
    }

    fn cancel(&mut self, order: &str) -> bool {
        let which = json!({"symbol": self.market.symbol, "orderId": order});
        match self.trader.try_cancel(&which) {
            Ok(reply) if reply.is_ok() => {
                self.told.cancelled.insert(order.to_owned(), reply.body);
                true
            }
            // Traded away meanwhile, or cancelled by a request whose answer was lost.
            Ok(reply) if reply.status == 404 => false,
            answer => {
                unavailable(answer);
                false
            }
        }
    }
}

/// Nothing else may happen to an honest client of an exchange that is being killed.
fn unavailable(answer: Result<Reply, String>) {
    if let Ok(reply) = answer {
        let code = reply.code();
        let fine = [(503, "MAINTENANCE"), (504, "TIMEOUT"), (503, "TOO_MANY_REQUESTS")];
        let refused = reply.status == 400 && code == "INSUFFICIENT_FUNDS";
        assert!(fine.contains(&(reply.status, code)) || refused, "{reply:?}");
    }
}

/// A client that has stopped.
pub struct Finished {
    trader: Trader,
    market: Market,
    told: Told,
}

impl Finished {
    /// Takes its orders out of the book.
    pub fn clear(&self) {
        self.trader.cancel_all(&self.market.symbol).ok();
    }

    /// How many orders it knows the outcome of.
    pub fn placed(&self) -> usize {
        self.told.placed.len()
    }

    /// Compares all it was told with what the database and the exchange now say.
    pub fn check(&self, database: &Database) {
        let open: BTreeSet<String> =
            self.trader.open_orders(&self.market.symbol).iter().map(id_of).collect();
        let placements = self.placements(database);
        let ended = self.ended(database);
        for (client_id, order) in &self.told.placed {
            let found = placements.get(client_id).map(Vec::as_slice).unwrap_or_default();
            let [placement] = found else {
                panic!("client id {client_id} is there {} times, once told: {order}", found.len())
            };
            self.check_placement(placement, order);
            let id = id_of(order);
            let rests = ["New", "PartiallyFilled"].contains(&order["status"].as_str().unwrap());
            assert_eq!(
                open.contains(&id),
                rests && !ended.contains_key(&id),
                "is order {id} open? It was told to be {order}; ended: {:?}",
                ended.get(&id)
            );
            self.check_fills(database, order);
        }
        for (client_id, found) in &placements {
            assert!(found.len() == 1, "client id {client_id} was placed {} times", found.len());
            let sent = self.told.placed.contains_key(client_id);
            assert!(sent || self.told.unknown.contains(client_id), "nobody sent {client_id}");
        }
        for (order, answer) in &self.told.cancelled {
            assert_eq!(ended.get(order).map(String::as_str), Some("3"), "{answer}");
            assert!(!open.contains(order), "{order} was told to be cancelled");
        }
    }

    /// Rows of placed orders by client id: order id, kind, executed lots and quote units.
    fn placements(&self, database: &Database) -> BTreeMap<u32, Vec<Vec<String>>> {
        let mut placements: BTreeMap<u32, Vec<Vec<String>>> = BTreeMap::new();
        let statement = format!(
            "SELECT client_id, order_id, kind, executed_lots, executed_quote_units \
             FROM order_events WHERE is_placement AND account_id = {} AND market_id = {}",
            self.trader.account, self.market.id
        );
        for mut row in database.rows(&statement) {
            let client_id = row.remove(0).parse().unwrap();
            placements.entry(client_id).or_default().push(row);
        }
        placements
    }

    /// Kind of the end of each order that had rested.
    fn ended(&self, database: &Database) -> BTreeMap<String, String> {
        let statement = format!(
            "SELECT order_id, kind FROM order_events \
             WHERE NOT is_placement AND account_id = {} AND market_id = {}",
            self.trader.account, self.market.id
        );
        let mut ended = BTreeMap::new();
        for row in database.rows(&statement) {
            let before = ended.insert(row[0].clone(), row[1].clone());
            assert_eq!(before, None, "order {} ended twice", row[0]);
        }
        ended
    }

    fn check_placement(&self, placement: &[String], order: &Value) {
        let kind = match order["status"].as_str().unwrap() {
            "New" | "PartiallyFilled" => "1",
            "Filled" => "2",
            "Expired" => "4",
            other => panic!("{other}"),
        };
        let text = |member: &str| order[member].as_str().unwrap();
        let executed = self.market.lots(text("executedQuantity"));
        let quote = self.market.quote.units(text("executedQuoteQuantity"));
        assert_eq!(placement[..2], [id_of(order), kind.to_owned()], "{order}");
        assert_eq!((number(&placement[2]), number(&placement[3])), (executed, quote), "{order}");
    }

    fn check_fills(&self, database: &Database, order: &Value) {
        let fills = order["fills"].as_array().unwrap();
        if fills.is_empty() {
            return;
        }
        let told = fills.iter().map(|fill| {
            let text = |member: &str| fill[member].as_str().unwrap();
            vec![
                fill["tradeId"].to_string(),
                self.market.ticks(text("price")).to_string(),
                self.market.lots(text("quantity")).to_string(),
            ]
        });
        let statement = format!(
            "SELECT trade_id, price_ticks, lots FROM trades \
             WHERE market_id = {} AND taker_order_id = {} ORDER BY trade_id",
            self.market.id,
            id_of(order)
        );
        assert_eq!(database.rows(&statement), told.collect::<Vec<_>>(), "{order}");
    }
}
