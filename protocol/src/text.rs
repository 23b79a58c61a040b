//! Integers as decimal text, exact, in the project's one rendering: prices with the tick's number
//! of decimals, base quantities with the step's, amounts with as many as they need.

use crate::market::{AssetSpec, Increment, MarketSpec};
use crate::units::{Lots, Price};
use std::num::NonZeroU32;

/// Appends `value / 10^scale` with exactly `scale` decimals.
pub fn push_padded(out: &mut String, value: u128, scale: u32) {
    let mut digits = itoa::Buffer::new();
    // Nearly every number fits, and streams write dozens of them for a command: dividing and
    // writing 128 bits takes several times as long.
    let rest = match (u64::try_from(value), 10u64.checked_pow(scale)) {
        (Ok(value), Some(one)) => {
            out.push_str(digits.format(value / one));
            digits.format(value % one)
        }
        _ => {
            let one = 10u128.pow(scale);
            out.push_str(digits.format(value / one));
            digits.format(value % one)
        }
    };
    if scale > 0 {
        out.push('.');
        out.extend(std::iter::repeat_n('0', scale as usize - rest.len()));
        out.push_str(rest);
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

    proptest::proptest! {
        #[test]
        fn digits_are_those_that_fmt_writes(value: u128, bits in 0u32..=128, scale in 0u32..=25) {
            let value = value.checked_shr(bits).unwrap_or_default();
            let mut out = String::from("x");
            push_padded(&mut out, value, scale);
            let (one, width) = (10u128.pow(scale), scale as usize);
            let rest = format!(".{:0width$}", value % one);
            let expected = format!("x{}{}", value / one, if scale == 0 { "" } else { &rest });
            proptest::prop_assert_eq!(out, expected);
        }
    }
}
