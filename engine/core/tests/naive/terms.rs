//! What the operator changes of a market of the naive exchange.

use protocol::*;

use super::NaiveExchange;

impl NaiveExchange {
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
