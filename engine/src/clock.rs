//! The engine's only clock: read by the ingress, and by nothing behind it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the epoch.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

const AHEAD_US_REMARKABLE: u64 = 1_000_000;

/// Wall clock that never runs backwards, not even across a restart.
#[derive(Debug)]
pub struct Clock {
    latest_us: AtomicU64,
}

impl Clock {
    /// `latest_us` is the time of the last command before this life of the engine.
    pub fn after(latest_us: u64) -> Clock {
        let ahead_us = latest_us.saturating_sub(now_us());
        if AHEAD_US_REMARKABLE < ahead_us {
            tracing::warn!(
                ahead_us,
                "the wall clock ran backwards: time stands until it is reached"
            );
        }
        Clock { latest_us: AtomicU64::new(latest_us) }
    }

    /// Now, but never before what any thread has been told already.
    pub fn stamp_us(&self) -> u64 {
        let now = now_us();
        self.latest_us.fetch_max(now, Ordering::Relaxed).max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_from_the_last_command_when_the_wall_clock_is_behind() {
        let tomorrow = now_us() + 86_400_000_000;
        assert_eq!(Clock::after(tomorrow).stamp_us(), tomorrow);
        let clock = Clock::after(0);
        let first = clock.stamp_us();
        assert!(now_us() - first < 60_000_000);
        assert!(first <= clock.stamp_us());
    }
}
