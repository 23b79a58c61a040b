//! What one frame changed that the public may see.

use protocol::{Interval, Lots, MarketId, Price, Sequence, Side};

use super::candles::Candle;

/// Best price of a side and the lots there.
pub type Best = Option<(Price, Lots)>;

/// Filled anew by each frame in memory that is used again. The trades are the frame's own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    pub sequence: Sequence,
    /// Of the command, in the engine.
    pub time_us: u64,
    pub market: MarketId,
    /// Each level that changed, once, with its new total: bids before asks, by rising price.
    pub levels: Vec<LevelChange>,
    /// Of the market, after the frame: one more than before when `levels` is not empty. This and
    /// the best prices are left empty by what cannot change a book: refusals and the accounts
    /// stream.
    pub update_id: u64,
    pub best_before: BothBest,
    pub best_after: BothBest,
    /// Candles that ended because a trade of this frame began the next.
    pub ended: Vec<(Interval, Candle)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LevelChange {
    pub side: Side,
    pub price: Price,
    /// Zero: the level is gone.
    pub lots: Lots,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct BothBest {
    pub bid: Best,
    pub ask: Best,
}

impl Default for Applied {
    fn default() -> Self {
        Applied {
            sequence: Sequence(0),
            time_us: 0,
            market: MarketId::ACCOUNTS,
            levels: Vec::new(),
            update_id: 0,
            best_before: BothBest::default(),
            best_after: BothBest::default(),
            ended: Vec::new(),
        }
    }
}

impl Applied {
    pub(super) fn begin(&mut self, sequence: Sequence, time_us: u64, market: MarketId) {
        (self.sequence, self.time_us, self.market) = (sequence, time_us, market);
        self.levels.clear();
        self.ended.clear();
        self.update_id = 0;
        (self.best_before, self.best_after) = (BothBest::default(), BothBest::default());
    }

    /// A sweep touches one level many times in a row; those become one at once.
    #[inline]
    pub(super) fn touch(&mut self, change: LevelChange) {
        match self.levels.last_mut() {
            Some(last) if (last.side, last.price) == (change.side, change.price) => *last = change,
            _ => self.levels.push(change),
        }
    }

    /// Joins what is left of repeats, the latest total of each.
    pub(super) fn join_levels(&mut self) {
        if self.levels.len() < 2 {
            return;
        }
        self.levels.sort_by_key(|change| (change.side as u8, change.price));
        self.levels.dedup_by(|later, kept| {
            let is_same = (later.side, later.price) == (kept.side, kept.price);
            if is_same {
                *kept = *later;
            }
            is_same
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_stands_once_with_its_latest_total() {
        let change = |side, ticks, lots| LevelChange {
            side,
            price: Price::from_ticks(ticks).unwrap(),
            lots: Lots(lots),
        };
        let mut applied = Applied::default();
        for (side, ticks, lots) in [
            (Side::Ask, 11, 7),
            (Side::Ask, 11, 6),
            (Side::Ask, 10, 1),
            (Side::Ask, 11, 5),
            (Side::Bid, 9, 2),
            (Side::Ask, 11, 0),
        ] {
            applied.touch(change(side, ticks, lots));
        }
        applied.join_levels();
        let expected =
            [change(Side::Bid, 9, 2), change(Side::Ask, 10, 1), change(Side::Ask, 11, 0)];
        assert_eq!(applied.levels, expected);
    }
}
