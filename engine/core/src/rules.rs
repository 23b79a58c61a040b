//! Hot path. What a market's state and terms allow, and which terms a market can have.

use protocol::{
    BookState, FeeRate, LotTerms, MarketSpec, Multipliers, OrderKind, Price, PriceTerms, Refusal,
    Side, Units,
};

/// Whether a market in this state takes a new order of this kind.
#[inline]
pub(crate) const fn admits(state: BookState, kind: &OrderKind) -> Result<(), Refusal> {
    match (state, kind) {
        (BookState::Open, _)
        | (BookState::LimitOnly, OrderKind::Limit { .. })
        | (BookState::PostOnly, OrderKind::Limit { post_only: true, .. }) => Ok(()),
        (BookState::CancelOnly, _) => Err(Refusal::CancelOnly),
        (BookState::Closed, _) => Err(Refusal::MarketClosed),
        (BookState::LimitOnly, _) => Err(Refusal::LimitOnly),
        (BookState::PostOnly, _) => Err(Refusal::PostOnlyMarket),
    }
}

/// Whether orders may be cancelled in this state.
#[inline]
pub(crate) const fn admits_cancel(state: BookState) -> Result<(), Refusal> {
    match state {
        BookState::Closed => Err(Refusal::MarketClosed),
        _ => Ok(()),
    }
}

/// Whether a limit price is as near to the last price as the market wants; before the first trade
/// there is nothing to be near to.
#[inline]
pub(crate) fn is_within_band(band: Multipliers, last: Option<Price>, price: Price) -> bool {
    last.is_none_or(|last| {
        band.lowest(last).is_none_or(|lowest| lowest <= price)
            && band.highest(last).is_none_or(|highest| price <= highest)
    })
}

/// The price beyond which a market order does not trade, of the best opposite price when it comes.
#[inline]
pub(crate) fn impact_limit(
    impact: Multipliers,
    side: Side,
    best_opposite: Option<Price>,
) -> Option<Price> {
    match side {
        Side::Bid => impact.highest(best_opposite?),
        Side::Ask => impact.lowest(best_opposite?),
    }
}

/// A band or a bound holds the price it is of, so that it never shuts out everything.
const fn holds_one(multipliers: Multipliers) -> bool {
    const ONE: u32 = 1_000_000;
    let Multipliers { min_millionths, max_millionths } = multipliers;
    let is_below = match min_millionths {
        Some(min) => min.get() <= ONE,
        None => true,
    };
    let is_above = match max_millionths {
        Some(max) => ONE <= max.get(),
        None => true,
    };
    is_below && is_above
}

pub(crate) fn check_price_terms(terms: &PriceTerms) -> Result<(), Refusal> {
    let is_possible =
        terms.price_min <= terms.price_max && holds_one(terms.band) && holds_one(terms.impact);
    if is_possible { Ok(()) } else { Err(Refusal::TermsInvalid) }
}

/// Larger orders than can be counted are refused one by one, by what they would come to.
pub(crate) fn check_lot_terms(spec: &MarketSpec, terms: &LotTerms) -> Result<(), Refusal> {
    let LotTerms { lots_min, lots_max, maker_fee, taker_fee } = *terms;
    let is_fee = |fee: FeeRate| fee.millionths <= FeeRate::MILLIONTHS_MAX;
    let is_possible = !lots_min.is_zero()
        && lots_min <= lots_max
        && lots_max.0 <= Units::SUPPLY_MAX.0
        && spec.base_units(lots_min).is_some()
        && is_fee(maker_fee)
        && is_fee(taker_fee);
    if is_possible { Ok(()) } else { Err(Refusal::TermsInvalid) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{Lots, fixture};
    use std::num::NonZeroU32;

    const LIMIT: OrderKind =
        OrderKind::Limit { price: fixture_price(), lots: Lots(1), post_only: false };
    const POST_ONLY: OrderKind =
        OrderKind::Limit { price: fixture_price(), lots: Lots(1), post_only: true };
    const MARKET: OrderKind = OrderKind::MarketByLots { lots: Lots(1) };

    const fn fixture_price() -> Price {
        match Price::from_ticks(100) {
            Some(price) => price,
            None => unreachable!(),
        }
    }

    fn times(min: u32, max: u32) -> Multipliers {
        Multipliers { min_millionths: NonZeroU32::new(min), max_millionths: NonZeroU32::new(max) }
    }

    #[test]
    fn each_state_lets_through_what_it_is_named_for() {
        let refusals = |state| [LIMIT, POST_ONLY, MARKET].map(|kind| admits(state, &kind).err());
        let [only, closed] = [Some(Refusal::CancelOnly), Some(Refusal::MarketClosed)];
        assert_eq!(refusals(BookState::Open), [None; 3]);
        assert_eq!(refusals(BookState::CancelOnly), [only; 3]);
        assert_eq!(refusals(BookState::Closed), [closed; 3]);
        assert_eq!(refusals(BookState::LimitOnly), [None, None, Some(Refusal::LimitOnly)]);
        let post_only = Some(Refusal::PostOnlyMarket);
        assert_eq!(refusals(BookState::PostOnly), [post_only, None, post_only]);
        let takes_cancels = |state: &BookState| admits_cancel(*state).is_ok();
        assert_eq!(BookState::ALL.iter().filter(|state| takes_cancels(state)).count(), 4);
    }

    #[test]
    fn a_band_is_around_the_last_price_and_absent_before_it() {
        let (band, price) = (times(900_000, 1_100_000), fixture::price);
        let is_within = |last: Option<u64>, ticks| {
            is_within_band(band, last.and_then(Price::from_ticks), price(ticks))
        };
        assert!(is_within(Some(100), 90) && is_within(Some(100), 110));
        assert!(!is_within(Some(100), 89) && !is_within(Some(100), 111));
        assert!(is_within(None, 1) && is_within(None, 1 << 30));
    }

    #[test]
    fn terms_that_shut_out_every_price_are_none() {
        let terms = fixture::market().price_terms();
        let is_possible = |terms| check_price_terms(&terms).is_ok();
        assert!(is_possible(terms));
        assert!(is_possible(PriceTerms { band: times(1_000_000, 1_000_000), ..terms }));
        assert!(!is_possible(PriceTerms { band: times(1_000_001, 0), ..terms }));
        assert!(!is_possible(PriceTerms { impact: times(0, 999_999), ..terms }));
        let (price_min, price_max) = (fixture::price(5), fixture::price(4));
        assert!(!is_possible(PriceTerms { price_min, price_max, ..terms }));
    }

    #[test]
    fn terms_that_take_no_order_or_more_than_all_are_none() {
        let spec = fixture::market();
        let terms = spec.lot_terms();
        let is_possible = |terms| check_lot_terms(&spec, &terms).is_ok();
        assert!(is_possible(terms));
        assert!(!is_possible(LotTerms { lots_min: Lots(0), ..terms }));
        assert!(!is_possible(LotTerms { lots_min: Lots(3), lots_max: Lots(2), ..terms }));
        assert!(!is_possible(LotTerms { lots_max: Lots(u64::MAX), ..terms }));
        let fee = FeeRate { millionths: FeeRate::MILLIONTHS_MAX + 1 };
        assert!(!is_possible(LotTerms { maker_fee: fee, ..terms }));
        assert!(!is_possible(LotTerms { taker_fee: fee, ..terms }));
    }
}
