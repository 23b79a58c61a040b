//! What may change of a market while it trades, and what a new market begins with.

use std::num::NonZeroU32;

use crate::ids::{AssetId, MarketId};
use crate::market::{FeeRate, Increment};
use crate::units::{Lots, Price};

/// Factors of a price, in millionths; `None`: no bound on that side.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Multipliers {
    pub min_millionths: Option<NonZeroU32>,
    pub max_millionths: Option<NonZeroU32>,
}

impl Multipliers {
    const ONE: u128 = 1_000_000;

    /// The lowest price at or above `price` times the lower factor; rounded into the band.
    #[inline]
    pub const fn lowest(self, price: Price) -> Option<Price> {
        let Some(factor) = self.min_millionths else { return None };
        let ticks = (price.ticks() as u128 * factor.get() as u128).div_ceil(Self::ONE);
        Price::from_ticks(if ticks < Price::TICKS_MAX as u128 {
            ticks as u64
        } else {
            Price::TICKS_MAX
        })
    }

    /// The highest price at or below `price` times the upper factor, but at least one tick.
    #[inline]
    pub const fn highest(self, price: Price) -> Option<Price> {
        let Some(factor) = self.max_millionths else { return None };
        let ticks = price.ticks() as u128 * factor.get() as u128 / Self::ONE;
        Price::from_ticks(if ticks == 0 {
            1
        } else if ticks < Price::TICKS_MAX as u128 {
            ticks as u64
        } else {
            Price::TICKS_MAX
        })
    }
}

/// Which prices a market takes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PriceTerms {
    pub price_min: Price,
    pub price_max: Price,
    /// How far a limit price may be from the last price.
    pub band: Multipliers,
    /// How far from the best opposite price a market order may eat.
    pub impact: Multipliers,
}

/// Which quantities a market takes, and its fees.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LotTerms {
    pub lots_min: Lots,
    pub lots_max: Lots,
    pub maker_fee: FeeRate,
    pub taker_fee: FeeRate,
}

/// What never changes of a market. It begins closed, without bounds and without fees.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Listing {
    pub market: MarketId,
    pub base: AssetId,
    pub quote: AssetId,
    pub tick: Increment,
    pub step: Increment,
}

impl Listing {
    /// Base units of a lot, and quote units of a lot at a price of one tick; `None` when amounts in
    /// this tick and step are no whole units.
    pub fn units(&self, base_decimals: u32, quote_decimals: u32) -> Option<(u64, u64)> {
        if !self.tick.is_canonical() || !self.step.is_canonical() {
            return None;
        }
        let base = Increment::whole_units(&[self.step], base_decimals)?;
        let quote = Increment::whole_units(&[self.tick, self.step], quote_decimals)?;
        Some((base, quote))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_band_is_rounded_inwards_and_never_empty_of_prices() {
        let price = |ticks| Price::from_ticks(ticks).unwrap();
        let band = Multipliers {
            min_millionths: NonZeroU32::new(750_000),
            max_millionths: NonZeroU32::new(1_250_000),
        };
        assert_eq!(band.lowest(price(101)), Some(price(76)));
        assert_eq!(band.highest(price(101)), Some(price(126)));
        let narrow = Multipliers { max_millionths: NonZeroU32::new(1), ..band };
        assert_eq!(narrow.highest(price(3)), Some(price(1)));
        assert_eq!(band.highest(price(Price::TICKS_MAX)), Some(price(Price::TICKS_MAX)));
        assert_eq!(Multipliers::default().lowest(price(5)), None);
    }
}
