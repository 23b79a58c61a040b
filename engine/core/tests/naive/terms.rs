//! What the operator lists and changes in the naive exchange.

use protocol::*;

use super::{NaiveExchange, NaiveMarket};

impl NaiveExchange {
    pub(super) fn list(&mut self, listing: &Listing) -> Result<(Outcome, i128), Refusal> {
        let Listing { market: id, base, quote, tick, step } = *listing;
        if id.0 == 0 || id > MarketId::MAX || base == quote {
            return Err(Refusal::TermsInvalid);
        }
        let base_decimals = *self.decimals.get(&base).ok_or(Refusal::UnknownAsset)?;
        let quote_decimals = *self.decimals.get(&quote).ok_or(Refusal::UnknownAsset)?;
        // How many units so much is, or nothing if that is no whole number of them.
        let units = |decimals: u32, mantissa: u64, scale: u32| {
            let down = scale.checked_sub(decimals);
            let by = 10u128.pow(down.unwrap_or_else(|| decimals - scale));
            let mantissa = u128::from(mantissa);
            match down {
                Some(_) => mantissa.is_multiple_of(by).then_some(mantissa / by),
                None => Some(mantissa * by),
            }
        };
        let written_well =
            |it: Increment| it.mantissa > 0 && (!it.mantissa.is_multiple_of(10) || it.scale == 0);
        let per_lot = units(base_decimals, step.mantissa, step.scale);
        let per_tick =
            units(quote_decimals, tick.mantissa * step.mantissa, tick.scale + step.scale);
        let (Some(per_lot), Some(per_tick)) = (per_lot, per_tick) else {
            return Err(Refusal::TermsInvalid);
        };
        if !written_well(tick) || !written_well(step) {
            return Err(Refusal::TermsInvalid);
        }
        let same = |market: &NaiveMarket| (market.spec.base, market.spec.quote) == (base, quote);
        if self.markets.contains_key(&id) || self.markets.values().any(same) {
            return Err(Refusal::MarketExists);
        }
        if self.markets.len() >= self.limits.markets_max {
            return Err(Refusal::TooManyMarkets);
        }
        let spec = MarketSpec {
            id,
            symbol: format!("{base} against {quote}"),
            base,
            quote,
            tick,
            step,
            base_units_per_lot: per_lot as u64,
            quote_units_per_tick_lot: per_tick as u64,
            price_min: fixture::price(1),
            price_max: fixture::price(Price::TICKS_MAX),
            lots_min: Lots(1),
            lots_max: Lots(u64::from(u32::MAX)),
            maker_fee: FeeRate { millionths: 0 },
            taker_fee: FeeRate { millionths: 0 },
            band: Multipliers::default(),
            impact: Multipliers::default(),
        };
        let market = NaiveMarket {
            spec,
            orders: vec![],
            waiting: vec![],
            touched: vec![],
            time_us: 0,
            last_trade: 0,
            last_price: None,
            previous: None,
            state: BookState::Closed,
        };
        self.markets.insert(id, market);
        Ok((Outcome::MarketListed, 0))
    }

    pub(super) fn set_price_terms(
        &mut self,
        market: MarketId,
        terms: PriceTerms,
    ) -> Result<(Outcome, i128), Refusal> {
        let market = self.markets.get_mut(&market).ok_or(Refusal::UnknownMarket)?;
        let around_one = |factors: Multipliers| {
            factors.min_millionths.is_none_or(|min| min.get() <= 1_000_000)
                && factors.max_millionths.is_none_or(|max| max.get() >= 1_000_000)
        };
        if terms.price_min > terms.price_max || !around_one(terms.band) || !around_one(terms.impact)
        {
            return Err(Refusal::TermsInvalid);
        }
        market.spec.price_min = terms.price_min;
        market.spec.price_max = terms.price_max;
        market.spec.band = terms.band;
        market.spec.impact = terms.impact;
        Ok((Outcome::TermsSet, 0))
    }

    pub(super) fn set_lot_terms(
        &mut self,
        market: MarketId,
        terms: LotTerms,
    ) -> Result<(Outcome, i128), Refusal> {
        let market = self.markets.get_mut(&market).ok_or(Refusal::UnknownMarket)?;
        let base = i128::from(terms.lots_min.0) * i128::from(market.spec.base_units_per_lot);
        if terms.lots_min.0 == 0
            || terms.lots_min > terms.lots_max
            || i128::from(terms.lots_max.0) > i128::from(Units::SUPPLY_MAX.0)
            || base > i128::from(Units::SUPPLY_MAX.0)
            || terms.maker_fee.millionths > 1_000_000
            || terms.taker_fee.millionths > 1_000_000
        {
            return Err(Refusal::TermsInvalid);
        }
        market.spec.lots_min = terms.lots_min;
        market.spec.lots_max = terms.lots_max;
        market.spec.maker_fee = terms.maker_fee;
        market.spec.taker_fee = terms.taker_fee;
        Ok((Outcome::TermsSet, 0))
    }
}
