//! When each of many commands is due, whatever became of those before: a schedule that does not
//! wait for who falls behind, so that waiting in a queue counts.
//!
//! Commands are due in bursts, a tick apart, as they come out of Redis.

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;

use crate::clock::nanoseconds;
use crate::error::BenchError;

/// From one burst to the next, where commands are that many.
const TICK_NS: u64 = 200_000;

#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    began: Instant,
    /// Commands a second.
    rate: u64,
}

impl Schedule {
    pub fn begin(rate: u64) -> Schedule {
        Schedule { began: Instant::now(), rate: rate.max(1) }
    }

    /// Since the beginning. `number` counts from 0.
    pub fn due_ns(&self, number: u64) -> u64 {
        let exact = u128::from(number) * 1_000_000_000 / u128::from(self.rate);
        exact as u64 / TICK_NS * TICK_NS
    }

    pub fn now_ns(&self) -> u64 {
        nanoseconds(self.began.elapsed())
    }

    /// How many are due by now: all numbers below it.
    pub fn due_now(&self) -> u64 {
        let ticks = self.now_ns() / TICK_NS + 1;
        let exact = u128::from(ticks) * u128::from(TICK_NS) * u128::from(self.rate);
        exact.div_ceil(1_000_000_000) as u64
    }

    /// Sleeps until `number` is due.
    pub fn sleep_until(&self, number: u64) {
        let left = self.due_ns(number).saturating_sub(self.now_ns());
        if 0 < left {
            thread::sleep(Duration::from_nanos(left));
        }
    }
}

/// Lets the calling thread sleep as exactly as the system can.
pub fn wake_exactly() -> Result<(), BenchError> {
    prctl::set_timerslack(1).map_err(BenchError::Clock)
}

/// The middle one; 0 of none.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_by_now_is_due_and_the_next_is_not() {
        for rate in [1, 999, 5000, 1_234_567] {
            let schedule = Schedule::begin(rate);
            thread::sleep(Duration::from_millis(3));
            let before = schedule.now_ns();
            let due = schedule.due_now();
            let after = schedule.now_ns();
            assert!(due == 0 || schedule.due_ns(due - 1) <= after, "{rate}");
            assert!(before < schedule.due_ns(due), "{rate}");
        }
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
