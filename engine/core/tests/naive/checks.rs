//! What the naive exchange refuses before it looks at balances.

use protocol::*;

use super::rules::{admits, crosses, is_in_band};
use super::{NaiveExchange, NaiveMarket};

impl NaiveExchange {
    pub(super) fn check(
        &self,
        place: &Place,
        time_us: u64,
        market: &NaiveMarket,
    ) -> Result<(), Refusal> {
        let spec = &market.spec;
        if let Some(refusal) = admits(market.state, &place.kind) {
            return Err(refusal);
        }
        if place.account.get() > self.limits.accounts_max {
            return Err(Refusal::UnknownAccount);
        }
        if place.valid_until_us != 0 && time_us > place.valid_until_us {
            return Err(Refusal::TooLate);
        }
        match place.kind {
            OrderKind::Limit { price, lots, post_only } => {
                if price < spec.price_min || price > spec.price_max {
                    return Err(Refusal::PriceOutOfRange);
                }
                if !is_in_band(market, price) {
                    return Err(Refusal::OutsidePriceBand);
                }
                if lots < spec.lots_min || lots > spec.lots_max {
                    return Err(Refusal::LotsOutOfRange);
                }
                let gtc = place.time_in_force == TimeInForce::GoodTillCancelled;
                if post_only && !gtc {
                    return Err(Refusal::PostOnlyNotAllowed);
                }
                if post_only && market.orders.iter().any(|maker| crosses(place, maker)) {
                    return Err(Refusal::PostOnlyWouldTake);
                }
            }
            OrderKind::MarketByLots { lots } => {
                if lots < spec.lots_min || lots > spec.lots_max {
                    return Err(Refusal::LotsOutOfRange);
                }
            }
            OrderKind::MarketByQuote { quote } => {
                if quote.0 == 0 || quote > Units::SUPPLY_MAX {
                    return Err(Refusal::AmountOutOfRange);
                }
            }
        }
        Ok(())
    }
}
