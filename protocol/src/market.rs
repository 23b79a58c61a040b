//! What the engine knows of an asset and a market: integers only.

use crate::ids::{AssetId, MarketId};
use crate::terms::{LotTerms, Multipliers, PriceTerms};
use crate::units::{Lots, Price, Side, Units};

/// A decimal step as `mantissa / 10^scale`, canonical: 0.01 is (1, 2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Increment {
    pub mantissa: u64,
    pub scale: u32,
}

impl Increment {
    /// The product of `increments` in units of an asset with `decimals`, when it is whole.
    pub fn whole_units(increments: &[Increment], decimals: u32) -> Option<u64> {
        let mut units = 10u128.checked_pow(decimals)?;
        let mut divisor = 1u128;
        for increment in increments {
            units = units.checked_mul(u128::from(increment.mantissa))?;
            divisor = divisor.checked_mul(10u128.checked_pow(increment.scale)?)?;
        }
        let is_whole = units.is_multiple_of(divisor);
        is_whole.then(|| u64::try_from(units / divisor).ok()).flatten()
    }

    /// Neither zero nor written with more digits than it takes.
    pub const fn is_canonical(self) -> bool {
        self.mantissa != 0 && (self.scale == 0 || !self.mantissa.is_multiple_of(10))
    }
}

/// A fee in millionths of what the payer receives; 0.08 % is 800.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FeeRate {
    pub millionths: u32,
}

impl FeeRate {
    pub const MILLIONTHS_MAX: u32 = 1_000_000;

    /// Rounded against the payer to a whole unit; never more than `received`.
    #[inline]
    pub const fn fee_on(self, received: Units) -> Units {
        let product = received.0 as u128 * self.millionths as u128;
        Units(product.div_ceil(Self::MILLIONTHS_MAX as u128) as u64)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AssetSpec {
    pub id: AssetId,
    /// `USDC`
    pub symbol: String,
    pub display_name: String,
    /// The chain its simulated deposits come from, `Solana`.
    pub blockchain: String,
    /// One whole asset is 10^decimals units; at most [`AssetSpec::DECIMALS_MAX`].
    pub decimals: u32,
}

impl AssetSpec {
    pub const DECIMALS_MAX: u32 = 12;
}

#[derive(Clone, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MarketSpec {
    pub id: MarketId,
    /// `SOL_USDC`
    pub symbol: String,
    pub base: AssetId,
    pub quote: AssetId,
    /// Price of one tick, quote per base.
    pub tick: Increment,
    /// Base quantity of one lot.
    pub step: Increment,
    pub base_units_per_lot: u64,
    /// What one lot costs at a price of one tick: whole by the listing rule, so notional is exact.
    pub quote_units_per_tick_lot: u64,
    pub price_min: Price,
    pub price_max: Price,
    pub lots_min: Lots,
    pub lots_max: Lots,
    pub maker_fee: FeeRate,
    pub taker_fee: FeeRate,
    /// How far a limit price may be from the last price.
    pub band: Multipliers,
    /// How far from the best opposite price a market order may eat.
    pub impact: Multipliers,
}

impl MarketSpec {
    /// The most lots of an order where the operator names no bound.
    pub const LOTS_MAX_DEFAULT: Lots = Lots(u32::MAX as u64);

    /// As it would be if the operator named no bounds and no fees.
    pub fn without_terms(&self) -> MarketSpec {
        let (Some(price_min), Some(price_max)) =
            (Price::from_ticks(1), Price::from_ticks(Price::TICKS_MAX))
        else {
            unreachable!("Invariant: the bounds of prices are prices")
        };
        MarketSpec {
            price_min,
            price_max,
            lots_min: Lots(1),
            lots_max: MarketSpec::LOTS_MAX_DEFAULT,
            maker_fee: FeeRate { millionths: 0 },
            taker_fee: FeeRate { millionths: 0 },
            band: Multipliers::default(),
            impact: Multipliers::default(),
            ..self.clone()
        }
    }

    pub const fn price_terms(&self) -> PriceTerms {
        let MarketSpec { price_min, price_max, band, impact, .. } = *self;
        PriceTerms { price_min, price_max, band, impact }
    }

    pub const fn set_price_terms(&mut self, terms: PriceTerms) {
        (self.price_min, self.price_max) = (terms.price_min, terms.price_max);
        (self.band, self.impact) = (terms.band, terms.impact);
    }

    pub const fn lot_terms(&self) -> LotTerms {
        let MarketSpec { lots_min, lots_max, maker_fee, taker_fee, .. } = *self;
        LotTerms { lots_min, lots_max, maker_fee, taker_fee }
    }

    pub const fn set_lot_terms(&mut self, terms: LotTerms) {
        (self.lots_min, self.lots_max) = (terms.lots_min, terms.lots_max);
        (self.maker_fee, self.taker_fee) = (terms.maker_fee, terms.taker_fee);
    }

    /// Quote units that `lots` cost at `price`; `None` above [`Units::SUPPLY_MAX`].
    #[inline]
    pub const fn notional(&self, price: Price, lots: Lots) -> Option<Units> {
        let Some(per_lot) = price.ticks().checked_mul(self.quote_units_per_tick_lot) else {
            return None;
        };
        match per_lot.checked_mul(lots.0) {
            Some(units) if units <= Units::SUPPLY_MAX.0 => Some(Units(units)),
            _ => None,
        }
    }

    /// Base units of `lots`; `None` above [`Units::SUPPLY_MAX`].
    #[inline]
    pub const fn base_units(&self, lots: Lots) -> Option<Units> {
        match lots.0.checked_mul(self.base_units_per_lot) {
            Some(units) if units <= Units::SUPPLY_MAX.0 => Some(Units(units)),
            _ => None,
        }
    }

    /// What a resting order holds: quote for a bid, base for an ask, without fee.
    #[inline]
    pub const fn hold(&self, side: Side, price: Price, lots: Lots) -> Option<Units> {
        match side {
            Side::Bid => self.notional(price, lots),
            Side::Ask => self.base_units(lots),
        }
    }

    /// The asset an order of `side` pays with.
    #[inline]
    pub const fn paid_asset(&self, side: Side) -> AssetId {
        match side {
            Side::Bid => self.quote,
            Side::Ask => self.base,
        }
    }

    /// The asset an order of `side` receives, and its fee is taken from.
    #[inline]
    pub const fn received_asset(&self, side: Side) -> AssetId {
        self.paid_asset(side.opposite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_is_rounded_against_the_payer() {
        let rate = FeeRate { millionths: 1000 };
        assert_eq!(rate.fee_on(Units(1_000_000)), Units(1000));
        assert_eq!(rate.fee_on(Units(1_000_001)), Units(1001));
        assert_eq!(rate.fee_on(Units(1)), Units(1));
        assert_eq!(rate.fee_on(Units(0)), Units(0));
        let whole = FeeRate { millionths: FeeRate::MILLIONTHS_MAX };
        assert_eq!(whole.fee_on(Units::SUPPLY_MAX), Units::SUPPLY_MAX);
    }
}
