//! A client that trades with nobody, so that it knows its own account to the last unit at any time,
//! and looks at it after every blow to the exchange.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::acknowledged::{Answer, Request, Tally, answer};
use crate::client::{Trader, limit, with};
use crate::eventually::{PATIENCE, breathe};
use crate::listing::Market;

/// Bids far below the price of anything, some of them taken back.
pub struct Saver {
    stop: Arc<AtomicBool>,
    checks: Arc<AtomicUsize>,
    tally: Arc<Tally>,
    thread: JoinHandle<()>,
}

struct Saving {
    trader: Trader,
    market: Market,
    /// All it has of the quote asset, in units.
    deposit: i128,
    random: StdRng,
    next_client_id: u32,
    /// Units held by each order that certainly rests, by client id.
    resting: BTreeMap<u32, i128>,
    /// Orders that may rest.
    doubtful: BTreeSet<u32>,
}

const RESTING_MAX: usize = 30;

impl Saver {
    /// The trader has `deposit` of the market's quote asset and nothing else happens to its
    /// account. It looks at it each time `blows` has grown.
    pub fn start(
        trader: &Trader,
        market: &Market,
        deposit: &str,
        seed: u64,
        blows: &Arc<AtomicUsize>,
    ) -> Saver {
        let stop = Arc::new(AtomicBool::new(false));
        let (checks, tally) = (Arc::new(AtomicUsize::new(0)), Arc::new(Tally::default()));
        let mut saving = Saving {
            trader: trader.clone(),
            market: market.clone(),
            deposit: market.quote.units(deposit),
            random: StdRng::seed_from_u64(seed),
            next_client_id: 1,
            resting: BTreeMap::new(),
            doubtful: BTreeSet::new(),
        };
        let (told_to_stop, checked) = (Arc::clone(&stop), Arc::clone(&checks));
        let (count, blows) = (Arc::clone(&tally), Arc::clone(blows));
        let thread = thread::spawn(move || {
            let mut seen = 0;
            while !told_to_stop.load(Ordering::Relaxed) {
                let step = saving.step();
                count.add(step);
                if step.1 != Answer::Acknowledged {
                    breathe();
                    continue;
                }
                let blow = blows.load(Ordering::Relaxed);
                if seen < blow && saving.check() {
                    seen = blow;
                    checked.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        Saver { stop, checks, tally, thread }
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    pub fn has_failed(&self) -> bool {
        self.thread.is_finished()
    }

    /// Stops; answers how often it has found its account as it should be.
    pub fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the saver's account is as it should be");
        self.checks.load(Ordering::Relaxed)
    }
}

impl Saving {
    fn step(&mut self) -> (Request, Answer) {
        let full = RESTING_MAX <= self.resting.len();
        if full || (!self.resting.is_empty() && self.random.random_range(0..3) == 0) {
            let at = self.random.random_range(0..self.resting.len());
            let client_id = self.resting.keys().copied().nth(at).unwrap();
            return (Request::Cancel, self.cancel(client_id));
        }
        (Request::Place, self.place())
    }

    fn place(&mut self) -> Answer {
        let client_id = self.next_client_id;
        self.next_client_id += 1;
        let (ticks, lots) = (self.random.random_range(1..100), self.random.random_range(1..100));
        let price = (self.market.tick * rust_decimal::Decimal::from(ticks)).to_string();
        let quantity = (self.market.step * rust_decimal::Decimal::from(lots)).to_string();
        let order = limit(&self.market.symbol, "Bid", &price, &quantity);
        let answer = answer(&self.trader.try_place(&with(&order, json!({"clientId": client_id}))));
        let units = i128::from(ticks * lots) * self.market.tick_lot_units();
        match answer {
            Answer::Acknowledged => drop(self.resting.insert(client_id, units)),
            Answer::Refused => (),
            Answer::Unknown => drop(self.doubtful.insert(client_id)),
        }
        answer
    }

    fn cancel(&mut self, client_id: u32) -> Answer {
        let which = json!({"symbol": self.market.symbol, "clientId": client_id});
        let answer = answer(&self.trader.try_cancel(&which));
        match answer {
            Answer::Acknowledged => drop(self.resting.remove(&client_id)),
            Answer::Refused => (),
            Answer::Unknown => {
                self.resting.remove(&client_id);
                self.doubtful.insert(client_id);
            }
        }
        answer
    }

    /// `false` when the exchange cannot say just now.
    fn check(&mut self) -> bool {
        let since = std::time::Instant::now();
        loop {
            match self.look() {
                Ok(()) => return true,
                Err(None) => return false,
                // What is doubtful may happen between two questions, so it is asked again.
                Err(Some(_)) if !self.doubtful.is_empty() && since.elapsed() < PATIENCE => {
                    breathe();
                }
                Err(Some(wrong)) => panic!("{}: {wrong}", self.trader.name),
            }
        }
    }

    /// `Err(Some)` says what is wrong.
    fn look(&mut self) -> Result<(), Option<String>> {
        let filter = json!({"symbol": self.market.symbol});
        let orders = self.ask("/api/v1/orders", "orderQueryAll", &filter)?;
        let capital = self.ask("/api/v1/capital", "balanceQuery", &json!({}))?;
        let open = self.open(&orders);
        let mut held = 0;
        for (client_id, units) in &open {
            held += units;
            let known = self.resting.get(client_id);
            let fine = known == Some(units) || self.doubtful.contains(client_id);
            if !fine {
                return Err(Some(format!("order {client_id} of {units} rests, not {known:?}")));
            }
        }
        if let Some(lost) = self.resting.keys().find(|client_id| !open.contains_key(client_id)) {
            return Err(Some(format!("order {lost} is gone; there are {:?}", open.keys())));
        }
        let balance = &capital[self.market.quote.symbol.as_str()];
        let units = |member: &str| self.market.quote.units(balance[member].as_str().unwrap_or("0"));
        let (found, wanted) = ((units("available"), units("locked")), (self.deposit - held, held));
        if found != wanted {
            return Err(Some(format!("available and locked are {found:?}, not {wanted:?}")));
        }
        Ok(())
    }

    fn ask(&self, path: &str, instruction: &str, filter: &Value) -> Result<Value, Option<String>> {
        let reply = self.trader.attempt(Method::GET, path, instruction, filter);
        match answer(&reply) {
            Answer::Acknowledged => Ok(reply.map_err(Some)?.body),
            _ => Err(None),
        }
    }

    /// Units held by each open order, by client id.
    fn open(&self, orders: &Value) -> BTreeMap<u32, i128> {
        let mut open = BTreeMap::new();
        for order in orders.as_array().unwrap() {
            let text = |member: &str| order[member].as_str().unwrap();
            let (ticks, lots) =
                (self.market.ticks(text("price")), self.market.lots(text("quantity")));
            let client_id = order["clientId"].as_u64().and_then(|id| u32::try_from(id).ok());
            let units = ticks * lots * self.market.tick_lot_units();
            let before = open.insert(client_id.unwrap(), units);
            assert!(before.is_none(), "twice in the book: {order}");
        }
        open
    }
}
