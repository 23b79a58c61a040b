//! A client that places an order every few milliseconds whatever else goes on, and wants each of
//! them answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::Value;
use xtask::interrupt;

use crate::client::Trader;

const EVERY: Duration = Duration::from_millis(10);

pub struct Prober {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    thread: JoinHandle<Duration>,
}

impl Prober {
    /// The order has to be one that can be placed again and again.
    pub fn start(trader: &Trader, order: Value) -> Prober {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (trader, told, count) = (trader.clone(), Arc::clone(&stop), Arc::clone(&answered));
        let probe = move || {
            let mut longest = Duration::ZERO;
            while !told.load(Ordering::Relaxed) {
                let reply = trader.place(&order);
                longest = longest.max(reply.took);
                reply.ok();
                count.fetch_add(1, Ordering::Relaxed);
                interrupt::pause(EVERY);
            }
            longest
        };
        Prober { stop, answered, thread: thread::spawn(probe) }
    }

    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// How long the slowest answer took. Fails if an order was not answered, or refused.
    pub fn stop(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("every order is answered")
    }
}
