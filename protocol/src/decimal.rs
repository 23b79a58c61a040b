//! Decimal text ↔ integers, exact or refused: nothing a client sent is ever rounded.

use std::num::NonZeroU32;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use crate::market::{AssetSpec, Increment, MarketSpec};
use crate::units::{Lots, Price, Units};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    #[error("not a decimal number")]
    Malformed,
    #[error("must be positive")]
    NotPositive,
    #[error("has more decimals than allowed")]
    TooFine,
    #[error("out of range")]
    OutOfRange,
}

/// Longest text looked at; a `Decimal` has 29 digits at most.
const TEXT_MAX: usize = 64;

/// Plain notation only: digits, at most one point with digits on both sides, an optional minus.
pub fn parse(text: &str) -> Result<Decimal, DecimalError> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match digits.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (digits, None),
    };
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if TEXT_MAX < text.len() || !plain(whole) || !fraction.is_none_or(plain) {
        return Err(DecimalError::Malformed);
    }
    // More digits than a Decimal holds would be rounded by `from_str`.
    Decimal::from_str_exact(text).map_err(|_| DecimalError::OutOfRange)
}

/// How many times `increment` goes into `value`, exactly.
fn count(value: Decimal, increment: Increment) -> Result<u64, DecimalError> {
    if value <= Decimal::ZERO {
        return Err(DecimalError::NotPositive);
    }
    let value = value.normalize();
    if value.scale() > increment.scale {
        return Err(DecimalError::TooFine);
    }
    // value is mantissa / 10^scale with a smaller scale than the increment's: bring it to that.
    let factor = 10u128.pow(increment.scale - value.scale());
    let mantissa = value.mantissa().unsigned_abs();
    let scaled = mantissa.checked_mul(factor).ok_or(DecimalError::OutOfRange)?;
    let each = u128::from(increment.mantissa);
    if !scaled.is_multiple_of(each) {
        return Err(DecimalError::TooFine);
    }
    u64::try_from(scaled / each).map_err(|_| DecimalError::OutOfRange)
}

pub fn price(value: Decimal, market: &MarketSpec) -> Result<Price, DecimalError> {
    Price::from_ticks(count(value, market.tick)?).ok_or(DecimalError::OutOfRange)
}

pub fn lots(value: Decimal, market: &MarketSpec) -> Result<Lots, DecimalError> {
    count(value, market.step).map(Lots)
}

/// At most [`Units::SUPPLY_MAX`].
pub fn units(value: Decimal, asset: &AssetSpec) -> Result<Units, DecimalError> {
    let units = count(value, Increment { mantissa: 1, scale: asset.decimals })?;
    Some(Units(units)).filter(|units| *units <= Units::SUPPLY_MAX).ok_or(DecimalError::OutOfRange)
}

/// A positive decimal as a canonical increment.
pub fn increment(value: Decimal) -> Result<Increment, DecimalError> {
    if value <= Decimal::ZERO {
        return Err(DecimalError::NotPositive);
    }
    let value = value.normalize();
    let mantissa = value.mantissa().to_u64().ok_or(DecimalError::OutOfRange)?;
    Ok(Increment { mantissa, scale: value.scale() })
}

/// A positive factor in millionths.
pub fn millionths(value: Decimal) -> Result<NonZeroU32, DecimalError> {
    let Increment { mantissa, scale } = increment(value)?;
    let Some(finer) = 6u32.checked_sub(scale) else { return Err(DecimalError::TooFine) };
    let millionths = mantissa.checked_mul(10u64.pow(finer));
    let millionths = millionths.and_then(|millionths| u32::try_from(millionths).ok());
    millionths.and_then(NonZeroU32::new).ok_or(DecimalError::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(text: &str, mantissa: u64, scale: u32) -> Result<u64, DecimalError> {
        count(parse(text)?, Increment { mantissa, scale })
    }

    #[test]
    fn exact_or_refused() {
        assert_eq!(counted("20.5", 1, 2), Ok(2050));
        assert_eq!(counted("20.500", 1, 2), Ok(2050));
        assert_eq!(counted("20.505", 1, 2), Err(DecimalError::TooFine));
        assert_eq!(counted("0.07", 5, 2), Err(DecimalError::TooFine));
        assert_eq!(counted("0.10", 5, 2), Ok(2));
        assert_eq!(counted("1000", 25, 0), Ok(40));
        assert_eq!(counted("0", 1, 2), Err(DecimalError::NotPositive));
        assert_eq!(counted("-1", 1, 2), Err(DecimalError::NotPositive));
        assert_eq!(counted("79228162514264337593543950335", 1, 2), Err(DecimalError::OutOfRange));
    }

    #[test]
    fn only_plain_notation_is_read() {
        for text in ["", ".", "1.", ".5", "1e3", "+1", "1_000", " 1", "1,5", "NaN", "--1", "0x1"] {
            assert_eq!(parse(text), Err(DecimalError::Malformed), "{text:?}");
        }
        let long = "9".repeat(40);
        assert_eq!(parse(&long), Err(DecimalError::OutOfRange));
        assert_eq!(parse("0.00000000000000000000000000001"), Err(DecimalError::OutOfRange));
    }
}
