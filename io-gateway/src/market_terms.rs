//! Terms of a market as an operator writes them, in the public words: flat, or nested as in `GET
//! /api/v1/markets`. What is not said stays as it is; `null` takes a bound away.

use std::num::NonZeroU32;

use protocol::decimal::{self, DecimalError};
use protocol::{FeeRate, MarketSpec, Multipliers, listing};
use rust_decimal::Decimal;

use crate::error::ApiError;
use crate::parameters::{Parameters, Value};

/// Where members of one meaning may stand.
const GROUPS: [&str; 4] = ["filters", "price", "quantity", "fees"];

/// A body, and the objects in it that group its members.
pub struct Written<'a>(Vec<Parameters<'a>>);

impl<'a> Written<'a> {
    pub fn read(body: &'a [u8]) -> Result<Written<'a>, ApiError> {
        let mut all = vec![Parameters::from_body(body)?];
        let mut at = 0;
        while at < all.len() {
            let mut found: Vec<(&str, &'a str)> = Vec::new();
            for group in GROUPS {
                match all[at].get(group)? {
                    None => (),
                    Some(Value::Nested(text)) => found.push((group, text)),
                    Some(_) => return Err(ApiError::field(group, "must be an object")),
                }
            }
            let inner = found.into_iter().map(|(group, text)| {
                Parameters::from_body(text.as_bytes())
                    .map_err(|_| ApiError::field(group, "must be an object"))
            });
            let inner = inner.collect::<Result<Vec<_>, _>>()?;
            all.extend(inner);
            if MEMBERS_MAX < all.len() {
                return Err(ApiError::invalid("filters: nested too deeply"));
            }
            at += 1;
        }
        Ok(Written(all))
    }

    /// The members that stand in no group.
    pub fn outer(&self) -> &Parameters<'a> {
        &self.0[0]
    }

    /// Whether anything is said under one of these names.
    pub fn says(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.0.iter().any(|one| one.all(name).next().is_some()))
    }

    fn decimal<T>(
        &self,
        name: &str,
        now: T,
        default: T,
        convert: impl Fn(Decimal) -> Result<T, DecimalError>,
    ) -> Result<T, ApiError> {
        let mut said = self.0.iter().filter(|one| one.all(name).next().is_some());
        let Some(one) = said.next() else { return Ok(now) };
        if said.next().is_some() {
            return Err(ApiError::field(name, "is given more than once"));
        }
        match one.decimal(name)? {
            None => Ok(default),
            Some(value) => value.and_then(convert).map_err(|error| ApiError::field(name, error)),
        }
    }

    /// As [`protocol::decimal::increment`], and required.
    pub fn increment(&self, name: &str) -> Result<protocol::Increment, ApiError> {
        let some = |value| decimal::increment(value).map(Some);
        self.decimal(name, None, None, some)?.ok_or_else(|| ApiError::missing(name))
    }

    /// `now`, changed as is written; `defaults` is the market without any bounds.
    pub fn terms(&self, now: &MarketSpec, defaults: &MarketSpec) -> Result<MarketSpec, ApiError> {
        let price = |value| decimal::price(value, now);
        let lots = |value| decimal::lots(value, now);
        let read_price = |name, now, default| self.decimal(name, now, default, price);
        let read_lots = |name, now, default| self.decimal(name, now, default, lots);
        let spec = MarketSpec {
            price_min: read_price("minPrice", now.price_min, defaults.price_min)?,
            price_max: read_price("maxPrice", now.price_max, defaults.price_max)?,
            lots_min: read_lots("minQuantity", now.lots_min, defaults.lots_min)?,
            lots_max: read_lots("maxQuantity", now.lots_max, defaults.lots_max)?,
            maker_fee: self.fee("makerFeeBps", now.maker_fee)?,
            taker_fee: self.fee("takerFeeBps", now.taker_fee)?,
            band: Multipliers {
                min_millionths: self.multiplier("minMultiplier", now.band.min_millionths)?,
                max_millionths: self.multiplier("maxMultiplier", now.band.max_millionths)?,
            },
            impact: Multipliers {
                min_millionths: self
                    .multiplier("minImpactMultiplier", now.impact.min_millionths)?,
                max_millionths: self
                    .multiplier("maxImpactMultiplier", now.impact.max_millionths)?,
            },
            ..now.clone()
        };
        check(&spec)?;
        Ok(spec)
    }

    fn fee(&self, name: &str, now: FeeRate) -> Result<FeeRate, ApiError> {
        self.decimal(name, now, FeeRate { millionths: 0 }, listing::fee_rate)
    }

    fn multiplier(
        &self,
        name: &str,
        now: Option<NonZeroU32>,
    ) -> Result<Option<NonZeroU32>, ApiError> {
        self.decimal(name, now, None, |value| decimal::millionths(value).map(Some))
    }
}

/// One an outer body and its groups, and those within `filters`.
const MEMBERS_MAX: usize = 8;

/// What the engine would refuse, with the field's name.
fn check(spec: &MarketSpec) -> Result<(), ApiError> {
    const ONE: u32 = 1_000_000;
    if spec.price_max < spec.price_min {
        return Err(ApiError::field("maxPrice", "is below minPrice"));
    }
    if spec.lots_max < spec.lots_min {
        return Err(ApiError::field("maxQuantity", "is below minQuantity"));
    }
    if spec.base_units(spec.lots_min).is_none() {
        return Err(ApiError::field("minQuantity", "is beyond what can be counted"));
    }
    let lower = [
        ("minMultiplier", spec.band.min_millionths),
        ("minImpactMultiplier", spec.impact.min_millionths),
    ];
    for (name, factor) in lower {
        if factor.is_some_and(|factor| ONE < factor.get()) {
            return Err(ApiError::field(name, "must be at most 1"));
        }
    }
    let upper = [
        ("maxMultiplier", spec.band.max_millionths),
        ("maxImpactMultiplier", spec.impact.max_millionths),
    ];
    for (name, factor) in upper {
        if factor.is_some_and(|factor| factor.get() < ONE) {
            return Err(ApiError::field(name, "must be at least 1"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn terms(body: &str) -> Result<MarketSpec, ApiError> {
        let catalog = fixture::catalog();
        let now = &catalog.markets()[0];
        Written::read(body.as_bytes())?.terms(now, now)
    }

    #[test]
    fn members_may_stand_flat_or_in_their_groups() {
        let flat = terms(r#"{"maxMultiplier":"1.25","makerFeeBps":"2.5"}"#).unwrap();
        let nested =
            terms(r#"{"filters":{"price":{"maxMultiplier":"1.25"}},"fees":{"makerFeeBps":"2.5"}}"#);
        assert_eq!(flat, nested.unwrap());
        assert_eq!(flat.maker_fee.millionths, 250);
        assert_eq!(flat.band.max_millionths, NonZeroU32::new(1_250_000));
        assert_eq!(terms(r#"{"maxMultiplier":null}"#).unwrap().band.max_millionths, None);
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (body, named) in [
            (r#"{"maxMultiplier":"0.99"}"#, "maxMultiplier"),
            (r#"{"minImpactMultiplier":"1.01"}"#, "minImpactMultiplier"),
            (r#"{"minMultiplier":"0.0000001"}"#, "minMultiplier"),
            (r#"{"minPrice":"5","maxPrice":"4"}"#, "maxPrice"),
            (r#"{"minQuantity":"0.000000000001"}"#, "minQuantity"),
            (r#"{"makerFeeBps":"-1"}"#, "makerFeeBps"),
            (r#"{"makerFeeBps":"1","fees":{"makerFeeBps":"2"}}"#, "makerFeeBps"),
            (r#"{"fees":7}"#, "fees"),
            (r#"{"filters":[]}"#, "filters"),
        ] {
            let error = terms(body).unwrap_err();
            assert!(error.message().starts_with(named), "{body}: {}", error.message());
        }
    }
}
