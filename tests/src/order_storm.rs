//! A market that never rests: seeded orders and cancels of several accounts, some thousands a
//! second, straight into its queue, whatever becomes of Redis or the engine meanwhile.

use std::collections::VecDeque;
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
use crate::listing::Market;
use crate::world::World;

/// The shape of the load, not a time that anything is waited for.
const EVERY: Duration = Duration::from_millis(10);
const COMMANDS_EACH: usize = 25;
/// Commands the engine may be behind before no more are sent: what it has to make up for at the end
/// is bounded.
const QUEUED_MAX: usize = 4_000;
const OPEN_MAX: usize = 200;
/// Around the middle; the book is never deeper.
const SPREAD_TICKS: u64 = 60;
const DRIFT_TICKS: u64 = 200;
const LOTS_MAX: u64 = 50;

pub struct Storm {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

struct Sender {
    bulk: Bulk,
    market: Market,
    random: StdRng,
    /// Each with the client ids of what may be open, oldest first.
    traders: Vec<(Trader, VecDeque<u32>)>,
    base: u64,
    middle: u64,
    last_client_id: u32,
}

impl Storm {
    /// Around `ticks`.
    pub fn start(
        world: &World,
        market: &Market,
        traders: &[Trader],
        ticks: u64,
        seed: u64,
    ) -> Storm {
        let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut sender = Sender {
            bulk: Bulk::new(world),
            market: market.clone(),
            random: StdRng::seed_from_u64(seed),
            traders: traders.iter().map(|trader| (trader.clone(), VecDeque::new())).collect(),
            base: ticks,
            middle: ticks,
            last_client_id: 0,
        };
        let (told_to_stop, counted) = (Arc::clone(&stop), Arc::clone(&sent));
        let thread = thread::spawn(move || {
            while !told_to_stop.load(Ordering::Relaxed) {
                let since = Instant::now();
                counted.fetch_add(sender.send_some(), Ordering::Relaxed);
                interrupt::pause(EVERY.saturating_sub(since.elapsed()));
            }
        });
        Storm { stop, sent, thread }
    }

    /// Counts the commands that were queued.
    pub fn sent(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.sent)
    }

    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

impl Sender {
    /// How many were queued for certain.
    fn send_some(&mut self) -> u64 {
        if self.bulk.queued(&self.market).is_ok_and(|queued| QUEUED_MAX < queued) {
            return 0;
        }
        (0..COMMANDS_EACH).for_each(|_| self.add_one());
        // Redis may be away.
        if self.bulk.try_flush().is_ok() { COMMANDS_EACH as u64 } else { 0 }
    }

    fn add_one(&mut self) {
        let Sender { bulk, market, random, traders, base, middle, last_client_id } = self;
        *middle = match random.random_range(0..20) {
            0 => (*middle + 1).min(*base + DRIFT_TICKS),
            1 => (*middle - 1).max(*base - DRIFT_TICKS),
            _ => *middle,
        };
        let among = traders.len();
        let (trader, open) = &mut traders[random.random_range(0..among)];
        if OPEN_MAX < open.len() || (!open.is_empty() && random.random_bool(0.45)) {
            let which = if OPEN_MAX < open.len() { 0 } else { random.random_range(0..open.len()) };
            if let Some(client_id) = open.remove(which) {
                bulk.cancel(market, trader, client_id);
            }
            return;
        }
        *last_client_id += 1;
        open.push_back(*last_client_id);
        let away = random.random_range(0..SPREAD_TICKS);
        // Some cross the middle, so that trades happen.
        let (side, ticks) = match random.random_bool(0.5) {
            true => (Side::Bid, *middle + 3 - away),
            false => (Side::Ask, *middle - 3 + away),
        };
        let lots = random.random_range(1..=LOTS_MAX);
        bulk.place(market, trader, side, (ticks, lots), Some(*last_client_id));
    }
}
