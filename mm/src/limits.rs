//! The kill switch: a side that cannot be paid for is not quoted, and somebody is told.
//!
//! A side stops when less is available than its largest order needs and goes on when there is twice
//! that, so that it does not flicker around the bound.

use std::collections::HashSet;

use protocol::{AccountId, MarketId, Side};

/// One account on one side of one market.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Desk {
    pub account: AccountId,
    pub market: MarketId,
    pub side: Side,
}

#[derive(Debug, Default)]
pub struct Limits {
    stopped: HashSet<Desk>,
}

impl Limits {
    /// Whether `desk` may quote, given what is available and what its largest order needs.
    pub fn may_quote(&mut self, desk: Desk, available: u64, needed: u64) -> bool {
        let Desk { account, market, side } = desk;
        if self.stopped.contains(&desk) {
            if available < needed.saturating_mul(2) {
                return false;
            }
            self.stopped.remove(&desk);
            tracing::info!(%account, %market, ?side, available, "funded again: quoting");
        } else if available < needed {
            self.stopped.insert(desk);
            tracing::warn!(%account, %market, ?side, available, needed, "out of funds: stopped");
            metrics::counter!("mm_out_of_funds_total").increment(1);
        }
        metrics::gauge!("mm_unfunded_sides").set(self.stopped.len() as f64);
        !self.stopped.contains(&desk)
    }

    pub fn all_quoting(&self) -> bool {
        self.stopped.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_side_stops_and_resumes_by_itself_and_alone() {
        let account = AccountId::new(1).unwrap();
        let bid = Desk { account, market: MarketId(1), side: Side::Bid };
        let ask = Desk { side: Side::Ask, ..bid };
        let mut limits = Limits::default();
        assert!(limits.may_quote(bid, 100, 100));
        assert!(!limits.may_quote(bid, 99, 100));
        assert!(!limits.all_quoting());
        assert!(limits.may_quote(ask, 100, 100));
        // Enough for one order is not enough to go on.
        assert!(!limits.may_quote(bid, 150, 100));
        assert!(limits.may_quote(bid, 200, 100));
        assert!(limits.all_quoting());
    }
}
