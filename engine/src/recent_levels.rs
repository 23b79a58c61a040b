//! Which levels of each book changed lately, and when: what leads from any update that somebody
//! knows to the book as it is.
//!
//! Kept is the last change of each price, also of one that is gone. So it is of no account how
//! many updates somebody has missed, and a book that was looked at in between is led on as well:
//! whatever changed behind either of them is told.

use std::collections::HashMap;

use engine_core::replica::{Applied, MarketReplica};
use protocol::{Lots, Price, Side};

use crate::market_data;
use protocol::query::DepthSince;

/// Prices kept of each market: a few times what a busy book touches in minutes, in a megabyte.
const PRICES_MAX: usize = 16_384;

#[derive(Clone, Debug, Default)]
pub struct RecentLevels {
    /// By the number of their ids.
    markets: Vec<Option<Changes>>,
}

#[derive(Clone, Debug)]
struct Changes {
    /// Every change behind this update is known.
    known_since: u64,
    last: HashMap<(Side, Price), (u64, Lots)>,
}

impl RecentLevels {
    /// Takes note of what a frame changed.
    pub fn applied(&mut self, applied: &Applied) {
        if applied.levels.is_empty() {
            return;
        }
        let place = usize::from(applied.market.0);
        if self.markets.len() <= place {
            self.markets.resize_with(place + 1, || None);
        }
        let update_id = applied.update_id;
        let begin = || Changes { known_since: update_id - 1, last: HashMap::new() };
        let changes = self.markets[place].get_or_insert_with(begin);
        for change in &applied.levels {
            changes.last.insert((change.side, change.price), (update_id, change.lots));
        }
        if PRICES_MAX < changes.last.len() {
            changes.forget_older_half();
        }
    }

    /// All levels that changed behind `after`, as they are now.
    pub fn since(&self, market: &MarketReplica, after: u64) -> DepthSince {
        let changes = self.markets.get(usize::from(market.spec().id.0)).and_then(Option::as_ref);
        let known_since = changes.map_or(market.update_id(), |changes| changes.known_since);
        let of = |side: Side| -> Vec<(Price, Lots)> {
            let all = changes.into_iter().flat_map(|changes| &changes.last);
            let behind = all.filter(|((at, _), (update, _))| *at == side && after < *update);
            let mut levels: Vec<_> =
                behind.map(|((_, price), (_, lots))| (*price, *lots)).collect();
            levels.sort_unstable();
            levels
        };
        let is_whole = (known_since..=market.update_id()).contains(&after);
        let (mut bids, asks) =
            if is_whole { (of(Side::Bid), of(Side::Ask)) } else { Default::default() };
        bids.reverse();
        DepthSince {
            bids,
            asks,
            update_id: market.update_id(),
            time_us: market.update_time_us(),
            checksum: market_data::checksum(market),
            is_whole,
        }
    }
}

impl Changes {
    fn forget_older_half(&mut self) {
        let mut updates: Vec<u64> = self.last.values().map(|(update, _)| *update).collect();
        let middle = updates.len() / 2;
        let (_, &mut until, _) = updates.select_nth_unstable(middle);
        self.last.retain(|_, (update, _)| until < *update);
        self.known_since = until;
    }
}

#[cfg(test)]
mod tests {
    use engine_core::replica::Replica;
    use protocol::{Action, Frame};

    use super::*;
    use crate::replica_loop::fixture::{MARKET, TestExchange, limit, price};

    /// A replica that has applied what is asked of the exchange, with what is remembered of it.
    struct World {
        exchange: TestExchange,
        replica: Replica,
        recent: RecentLevels,
    }

    impl World {
        fn new() -> World {
            let (exchange, funding) = TestExchange::funded();
            let replica = Replica::new(exchange.catalog.clone());
            let mut world = World { exchange, replica, recent: RecentLevels::default() };
            world.apply(&funding.frames);
            world
        }

        fn apply(&mut self, frames: &[u8]) {
            Frame::each_of(frames).for_each(|frame| {
                self.replica.apply(&frame.unwrap()).unwrap();
                self.recent.applied(self.replica.applied());
            });
        }

        fn take(&mut self, actions: &[Action]) {
            let block = self.exchange.block(actions);
            self.apply(&block.frames);
        }

        fn since(&self, after: u64) -> DepthSince {
            self.recent.since(self.replica.market(MARKET).unwrap(), after)
        }
    }

    #[test]
    fn every_level_that_changed_is_told_as_it_is_now() {
        let mut world = World::new();
        let sell = |ticks, lots| limit(1, Side::Ask, ticks, lots);
        world.take(&[sell(60, 2), sell(61, 3), limit(2, Side::Bid, 60, 2)]);
        world.take(&[sell(62, 1), limit(2, Side::Bid, 50, 4)]);
        let all = world.since(0);
        let (gone, bid) = ((price(60), Lots(0)), (price(50), Lots(4)));
        assert_eq!(all.asks, [gone, (price(61), Lots(3)), (price(62), Lots(1))]);
        assert_eq!((all.bids, all.update_id, all.is_whole), (vec![bid], 5, true));
        let later = world.since(2);
        assert_eq!(later.asks, [gone, (price(62), Lots(1))]);
        let nothing = world.since(5);
        assert!(nothing.is_whole && nothing.asks.is_empty() && nothing.bids.is_empty());
        assert!(!world.since(6).is_whole, "which never was");
    }

    #[test]
    fn what_was_before_it_began_or_is_too_long_ago_is_not_known() {
        let mut world = World::new();
        world.take(&[limit(1, Side::Ask, 60, 1)]);
        world.recent = RecentLevels::default();
        assert!(world.since(1).is_whole && !world.since(0).is_whole);
        world.take(&[limit(1, Side::Ask, 61, 1)]);
        assert!(world.since(1).is_whole && !world.since(0).is_whole);
        let applied = world.replica.applied().clone();
        let mut update_id = applied.update_id;
        for ticks in 1..=PRICES_MAX as u64 {
            let mut applied = applied.clone();
            update_id += 1;
            applied.update_id = update_id;
            applied.levels[0].price = price(1_000 + ticks);
            world.recent.applied(&applied);
        }
        let changes = world.recent.markets[usize::from(MARKET.0)].as_ref().unwrap();
        assert!(changes.last.len() <= PRICES_MAX && 2 < changes.known_since);
        let oldest = changes.last.values().map(|(update, _)| *update).min();
        assert_eq!(oldest, Some(changes.known_since + 1));
    }
}
