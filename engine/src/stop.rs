//! The wish to end: ingress, heartbeat and queries look at it; every stage behind them ends when
//! what feeds it has ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    wished: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Stop {
    pub fn wish(&self) {
        let guard = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        // Relaxed: the flag carries no data; the lock orders it before the sleepers' look.
        self.0.wished.store(true, Ordering::Relaxed);
        drop(guard);
        self.0.changed.notify_all();
    }

    pub fn is_wished(&self) -> bool {
        self.0.wished.load(Ordering::Relaxed)
    }

    pub fn flag(&self) -> &AtomicBool {
        &self.0.wished
    }

    /// Sleeps, but not beyond the wish to end; returns whether that is why.
    pub fn sleep(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut guard = self.0.lock.lock().unwrap_or_else(PoisonError::into_inner);
        while !self.is_wished() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let woken = self.0.changed.wait_timeout(guard, left);
            (guard, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeper_wakes_when_the_end_is_wished() {
        let stop = Stop::default();
        assert!(!stop.sleep(Duration::from_millis(1)));
        let sleeper = stop.clone();
        let thread = std::thread::spawn(move || sleeper.sleep(Duration::from_secs(600)));
        stop.wish();
        assert!(thread.join().unwrap());
    }
}
