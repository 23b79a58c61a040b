//! Two traders who keep a book moving, as fast as they are told, whatever is done to the exchange.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use protocol::Side;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use xtask::interrupt;

use crate::bulk::Bulk;
use crate::client::Trader;
use crate::eventually::{breathe, eventually};
use crate::listing::Market;
use crate::world::World;

/// Between two handfuls of orders.
const EVERY: Duration = Duration::from_millis(20);
/// Prices are so many ticks around the middle, on both sides of it.
const SPREAD: u64 = 25;
/// Each trader takes out what is left of his orders after so many, well below what he may have.
const CLEAR_AFTER: u64 = 300;

/// Stopped when dropped, without a word.
pub struct Stir {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: Option<JoinHandle<Stirring>>,
}

/// Those who did it, once they have stopped, and what stands in the book of theirs.
pub struct Stirring {
    bulk: Bulk,
    redis_url: String,
    market: Market,
    traders: [Trader; 2],
    middle: u64,
    random: StdRng,
    /// Orders of each since he took out what was left.
    standing: [u64; 2],
}

impl Stir {
    /// In a market whose middle price is `middle` ticks, at most `per_s` orders a second.
    pub fn start(world: &mut World, symbol: &str, (middle, per_s): (u64, u64), seed: u64) -> Stir {
        let funds = [("SOL", "10000000"), ("USDC", "1000000000")];
        let traders = ["bids", "asks"].map(|name| world.trader(name, &funds));
        let mut stirring = Stirring {
            bulk: Bulk::new(world),
            redis_url: world.stack().redis_url().to_owned(),
            market: world.listing().market(symbol).clone(),
            traders,
            middle,
            random: StdRng::seed_from_u64(seed),
            standing: [0; 2],
        };
        let (stop, sent) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (told_to_stop, counted) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = thread::spawn(move || {
            let (since, mut due) = (Instant::now(), 0.0);
            while !told_to_stop.load(Ordering::Relaxed) {
                // Who was kept from it for long does not make up for all of it at once.
                let wanted = since.elapsed().as_secs_f64() * per_s as f64;
                let handful = (wanted - due).clamp(0.0, per_s as f64 / 10.0) as u64;
                due = wanted;
                if stirring.send(handful) {
                    counted.fetch_add(handful, Ordering::Relaxed);
                }
                interrupt::pause(EVERY);
            }
            stirring
        });
        Stir { stop, sent, thread: Some(thread) }
    }

    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits until this many orders have been sent in all.
    pub fn until_sent(&self, wanted: u64) {
        eventually("orders are sent", || {
            assert!(!self.thread.as_ref().unwrap().is_finished(), "see the panic above");
            if wanted <= self.sent() { Ok(()) } else { Err((wanted, self.sent())) }
        });
    }

    /// Ends with everything sent, though not decided.
    pub fn stop(mut self) -> Stirring {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().expect("the orders went out")
    }
}

impl Drop for Stir {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Stirring {
    /// Whether they were queued.
    fn send(&mut self, handful: u64) -> bool {
        let Stirring { bulk, market, traders, middle, random, standing, .. } = self;
        for _ in 0..handful {
            let who = random.random_range(0..2);
            let side = [Side::Bid, Side::Ask][who];
            // Most stand off the middle; some reach across it and take several levels.
            let off = match random.random_range(0..4) {
                0 => random.random_range(0..SPREAD) as i64,
                _ => -(random.random_range(0..SPREAD) as i64),
            };
            let towards = if who == 0 { off } else { -off };
            let ticks = middle.checked_add_signed(towards).unwrap();
            bulk.place(market, &traders[who], side, (ticks, random.random_range(1..100)));
            standing[who] += 1;
            if CLEAR_AFTER <= standing[who] {
                standing[who] = 0;
                bulk.cancel_all(market, &traders[who]);
            }
        }
        let outcome = bulk.flush();
        if outcome.is_err() && bulk.connect_again(&self.redis_url).is_err() {
            breathe();
        }
        outcome.is_ok()
    }

    /// Takes out what stands in the book.
    pub fn clear(&self) {
        for trader in &self.traders {
            trader.cancel_all(&self.market.symbol).ok();
        }
    }
}
