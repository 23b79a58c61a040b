//! Requests of one socket left in the running second.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub struct Allowance {
    per_s: u32,
    left: u32,
    since: Instant,
}

impl Allowance {
    pub fn new(per_s: u32, now: Instant) -> Self {
        Allowance { per_s, left: per_s, since: now }
    }

    /// `false`: there is none left.
    pub fn take(&mut self, now: Instant) -> bool {
        if Duration::from_secs(1) <= now.duration_since(self.since) {
            (self.left, self.since) = (self.per_s, now);
        }
        let enough = 0 < self.left;
        self.left = self.left.saturating_sub(1);
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_is_renewed_every_second() {
        let start = Instant::now();
        let mut allowance = Allowance::new(2, start);
        assert!(allowance.take(start) && allowance.take(start) && !allowance.take(start));
        assert!(allowance.take(start + Duration::from_secs(1)));
    }
}
