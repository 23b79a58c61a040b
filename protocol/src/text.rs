//! Integers as decimal text, exact, in the project's one rendering: prices with the tick's number
//! of decimals, base quantities with the step's, amounts with as many as they need.

use crate::market::{AssetSpec, Increment, MarketSpec};
use crate::units::{Lots, Price};
use std::fmt::Write;
use std::num::NonZeroU32;

/// Appends `value / 10^scale` with exactly `scale` decimals.
pub fn push_padded(out: &mut String, value: u128, scale: u32) {
    let one = 10u128.pow(scale);
    // Writing to a String cannot fail.
    if scale == 0 {
        write!(out, "{value}").unwrap_or_default();
    } else {
        let (whole, rest) = (value / one, value % one);
        write!(out, "{whole}.{rest:0width$}", width = scale as usize).unwrap_or_default();
    }
}

/// Appends `value / 10^scale` without trailing zeros, at least one digit before the point.
pub fn push_trimmed(out: &mut String, value: u128, scale: u32) {
    let start = out.len();
    push_padded(out, value, scale);
    if scale > 0 {
        let kept = out[start..].trim_end_matches('0').trim_end_matches('.').len();
        out.truncate(start + kept);
    }
}

fn scaled(count: u64, increment: Increment) -> u128 {
    u128::from(count) * u128::from(increment.mantissa)
}

pub fn push_price(out: &mut String, price: Price, market: &MarketSpec) {
    push_padded(out, scaled(price.ticks(), market.tick), market.tick.scale);
}

pub fn push_lots(out: &mut String, lots: Lots, market: &MarketSpec) {
    push_volume(out, u128::from(lots.0), market);
}

/// A sum of many trades' lots.
pub fn push_volume(out: &mut String, lots: u128, market: &MarketSpec) {
    let scaled = lots.saturating_mul(u128::from(market.step.mantissa));
    push_padded(out, scaled, market.step.scale);
}

/// `1.25` of 1,250,000.
pub fn millionths(factor: NonZeroU32) -> String {
    let mut out = String::new();
    push_trimmed(&mut out, u128::from(factor.get()), 6);
    out
}

pub fn price(price: Price, market: &MarketSpec) -> String {
    let mut out = String::new();
    push_price(&mut out, price, market);
    out
}

pub fn lots(lots: Lots, market: &MarketSpec) -> String {
    let mut out = String::new();
    push_lots(&mut out, lots, market);
    out
}

pub fn volume(lots: u128, market: &MarketSpec) -> String {
    let mut out = String::new();
    push_volume(&mut out, lots, market);
    out
}

/// An amount in units of `asset`; sums of many amounts may exceed one account's range.
pub fn units(units: u128, asset: &AssetSpec) -> String {
    let mut out = String::new();
    push_trimmed(&mut out, units, asset.decimals);
    out
}

/// Canonical: `0.01`, never `0.010`.
pub fn increment(increment: Increment) -> String {
    let mut out = String::new();
    push_trimmed(&mut out, u128::from(increment.mantissa), increment.scale);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trimmed(value: u128, scale: u32) -> String {
        let mut out = String::from("x");
        push_trimmed(&mut out, value, scale);
        out.split_off(1)
    }

    #[test]
    fn amounts_have_the_decimals_they_need() {
        assert_eq!(trimmed(0, 6), "0");
        assert_eq!(trimmed(1_500_000, 6), "1.5");
        assert_eq!(trimmed(1, 6), "0.000001");
        assert_eq!(trimmed(100, 0), "100");
        assert_eq!(trimmed(2_000_000, 6), "2");
    }

    #[test]
    fn prices_have_the_decimals_of_the_tick() {
        let mut out = String::new();
        push_padded(&mut out, 2050, 2);
        assert_eq!(out, "20.50");
    }
}
