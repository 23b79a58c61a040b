//! Total lots at each price of one market.

use std::collections::BTreeMap;

use protocol::{Lots, Price, Side};

use super::applied::{Best, BothBest, LevelChange};
use super::error::Inconsistency;

#[derive(Clone, Debug, Default)]
pub struct Levels {
    bids: BTreeMap<Price, Lots>,
    asks: BTreeMap<Price, Lots>,
}

impl Levels {
    pub(super) fn add(
        &mut self,
        side: Side,
        price: Price,
        lots: Lots,
    ) -> Result<LevelChange, Inconsistency> {
        let total = self.side_mut(side).entry(price).or_insert(Lots::ZERO);
        *total = total.checked_add(lots).ok_or(Inconsistency::Level)?;
        Ok(LevelChange { side, price, lots: *total })
    }

    pub(super) fn take(
        &mut self,
        side: Side,
        price: Price,
        lots: Lots,
    ) -> Result<LevelChange, Inconsistency> {
        let levels = self.side_mut(side);
        let total = levels.get_mut(&price).ok_or(Inconsistency::Level)?;
        let left = total.checked_sub(lots).ok_or(Inconsistency::Level)?;
        if left.is_zero() {
            levels.remove(&price);
        } else {
            *total = left;
        }
        Ok(LevelChange { side, price, lots: left })
    }

    pub fn best(&self) -> BothBest {
        let copied = |(price, lots): (&Price, &Lots)| (*price, *lots);
        let bid: Best = self.bids.last_key_value().map(copied);
        BothBest { bid, ask: self.asks.first_key_value().map(copied) }
    }

    /// From the best price on.
    pub fn best_first(&self, side: Side) -> impl Iterator<Item = (Price, Lots)> + '_ {
        let (bids, asks) = match side {
            Side::Bid => (Some(self.bids.iter().rev()), None),
            Side::Ask => (None, Some(self.asks.iter())),
        };
        let copied = |(price, lots): (&Price, &Lots)| (*price, *lots);
        bids.into_iter().flatten().chain(asks.into_iter().flatten()).map(copied)
    }

    pub fn len(&self, side: Side) -> usize {
        match side {
            Side::Bid => self.bids.len(),
            Side::Ask => self.asks.len(),
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<Price, Lots> {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }
}
