//! One token bucket a holder, at most so many holders.
//!
//! A bucket that is full again is forgotten by [`Buckets::sweep`]. While there is no room for
//! another holder, newcomers share one bucket: memory stays bounded and those who are known are
//! served as before.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;

use super::settings::Quota;

type Limiter<K, C> = RateLimiter<K, Cells<K>, C, NoOpMiddleware<<C as Clock>::Instant>>;

pub struct Buckets<K: Hash + Eq + Clone, C: Clock> {
    limiter: Limiter<K, C>,
    clock: C,
    burst: u32,
}

impl<K: Hash + Eq + Clone, C: Clock + Clone> Buckets<K, C> {
    /// `None` for a quota that is off.
    pub fn new(quota: Quota, holders_max: usize, clock: C) -> Option<Self> {
        let rate = NonZeroU32::new(quota.rate_per_s)?;
        let burst = NonZeroU32::new(quota.burst)?;
        let cells = Cells { holders_max, inner: Mutex::default() };
        let quota = governor::Quota::per_second(rate).allow_burst(burst);
        let limiter = RateLimiter::new(quota, cells, clock.clone());
        Some(Buckets { limiter, clock, burst: burst.get() })
    }

    /// Takes `weight` tokens, or none and says how long it takes until there are as many. What
    /// weighs more than a full bucket needs a full one.
    pub fn take(&self, holder: &K, weight: u32) -> Result<(), Duration> {
        let Some(weight) = NonZeroU32::new(weight.min(self.burst)) else { return Ok(()) };
        match self.limiter.check_key_n(holder, weight) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(not_until)) => Err(not_until.wait_time_from(self.clock.now())),
            // Cannot be: it weighs no more than a full bucket.
            Err(_) => Err(Duration::ZERO),
        }
    }

    /// Forgets those whose bucket is full.
    pub fn sweep(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    pub fn len(&self) -> usize {
        self.limiter.len()
    }
}

/// For each holder the time at which its bucket will be full.
struct Cells<K> {
    holders_max: usize,
    inner: Mutex<Inner<K>>,
}

struct Inner<K> {
    known: HashMap<K, Nanos>,
    newcomers: Option<Nanos>,
}

impl<K> Default for Inner<K> {
    fn default() -> Self {
        Inner { known: HashMap::new(), newcomers: None }
    }
}

impl<K> Cells<K> {
    fn inner(&self) -> MutexGuard<'_, Inner<K>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Hash + Eq + Clone> StateStore for Cells<K> {
    type Key = K;

    fn measure_and_replace<T, F, E>(&self, holder: &K, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut inner = self.inner();
        if let Some(cell) = inner.known.get_mut(holder) {
            let (passed, full_at) = measure(Some(*cell))?;
            *cell = full_at;
            return Ok(passed);
        }
        if inner.known.len() < self.holders_max {
            let (passed, full_at) = measure(None)?;
            inner.known.insert(holder.clone(), full_at);
            return Ok(passed);
        }
        let (passed, full_at) = measure(inner.newcomers)?;
        inner.newcomers = Some(full_at);
        Ok(passed)
    }
}

impl<K: Hash + Eq + Clone> ShrinkableKeyedStateStore<K> for Cells<K> {
    fn retain_recent(&self, drop_below: Nanos) {
        self.inner().known.retain(|_, full_at| drop_below < *full_at);
    }

    fn shrink_to_fit(&self) {
        let mut inner = self.inner();
        // A map that is merely between two floods keeps what it has.
        if inner.known.len() < inner.known.capacity() / 4 {
            inner.known.shrink_to_fit();
        }
    }

    fn len(&self) -> usize {
        self.inner().known.len()
    }

    fn is_empty(&self) -> bool {
        self.inner().known.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    fn buckets(
        rate_per_s: u32,
        burst: u32,
    ) -> (Buckets<u32, FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        // At the very beginning of time a bucket cannot be told from one that was never touched.
        clock.advance(Duration::from_secs(100));
        let quota = Quota { rate_per_s, burst };
        (Buckets::new(quota, 2, clock.clone()).unwrap(), clock)
    }

    #[test]
    fn a_burst_passes_and_what_follows_waits_for_its_tokens() {
        let (buckets, clock) = buckets(10, 5);
        for _ in 0..5 {
            buckets.take(&1, 1).unwrap();
        }
        assert_eq!(buckets.take(&1, 1), Err(Duration::from_millis(100)));
        assert_eq!(buckets.take(&1, 5), Err(Duration::from_millis(500)), "nothing was taken");
        buckets.take(&2, 5).unwrap();
        clock.advance(Duration::from_millis(300));
        buckets.take(&1, 3).unwrap();
        assert!(buckets.take(&1, 1).is_err());
    }

    #[test]
    fn what_weighs_more_than_a_bucket_passes_when_it_is_full() {
        let (buckets, clock) = buckets(10, 5);
        buckets.take(&1, 1).unwrap();
        assert_eq!(buckets.take(&1, 50), Err(Duration::from_millis(100)));
        clock.advance(Duration::from_millis(100));
        buckets.take(&1, 50).unwrap();
        assert!(buckets.take(&1, 1).is_err());
    }

    #[test]
    fn full_buckets_are_forgotten_and_others_are_not() {
        let (buckets, clock) = buckets(1, 5);
        buckets.take(&1, 1).unwrap();
        buckets.take(&2, 5).unwrap();
        clock.advance(Duration::from_secs(3));
        buckets.sweep();
        assert_eq!(buckets.len(), 1);
        buckets.take(&2, 3).unwrap();
        assert!(buckets.take(&2, 1).is_err(), "it was remembered");
        clock.advance(Duration::from_secs(60));
        buckets.sweep();
        assert_eq!(buckets.len(), 0);
    }

    #[test]
    fn beyond_the_last_place_newcomers_share_a_bucket() {
        let (buckets, _) = buckets(1, 5);
        buckets.take(&1, 1).unwrap();
        buckets.take(&2, 1).unwrap();
        for stranger in 3..8 {
            buckets.take(&stranger, 1).unwrap();
        }
        assert!(buckets.take(&8, 1).is_err());
        buckets.take(&1, 4).unwrap();
        assert_eq!(buckets.len(), 2);
    }

    #[test]
    fn a_rate_or_burst_of_0_is_no_limit() {
        let clock = FakeRelativeClock::default();
        let off = |rate_per_s, burst| {
            Buckets::<u32, _>::new(Quota { rate_per_s, burst }, 2, clock.clone())
        };
        assert!(off(0, 5).is_none() && off(5, 0).is_none() && off(5, 5).is_some());
    }
}
