//! How long to wait before trying again: doubling, with jitter, up to a bound.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
}

impl Backoff {
    pub fn new(longest: Duration) -> Self {
        Backoff { next: FIRST.min(longest), longest }
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.next = FIRST.min(self.longest);
    }

    /// Half to all of the current step, so that several sinks do not knock together.
    pub fn pause(&mut self) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(self.longest);
        let millis = u64::try_from(step.as_millis()).unwrap_or(u64::MAX).max(2);
        Duration::from_millis(rand::random_range(millis / 2..=millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_millis(100));
        let pauses: Vec<_> = (0..6).map(|_| backoff.pause().as_millis()).collect();
        assert!((10..=20).contains(&pauses[0]), "{pauses:?}");
        assert!((50..=100).contains(&pauses[5]), "{pauses:?}");
        backoff.reset();
        assert!(backoff.pause().as_millis() <= 20);
    }
}
