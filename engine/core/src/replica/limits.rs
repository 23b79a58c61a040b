//! How far an order may go: what the market's state, its band and its impact bound allow.
//!
//! Terms are checked that stand in the journal. Those of the config may have been others when a
//! frame was decided; `engine journal verify` knows them, from the heads of the segments.

use protocol::{OrderId, OrderKind, Place, Price, Side};

use super::applied::BothBest;
use super::error::Inconsistency;
use super::market::MarketReplica;
use crate::rules;

impl MarketReplica {
    /// Whether the market's state and band allow the order, before it trades.
    pub(super) fn check_place(&self, place: &Place, order: OrderId) -> Result<(), Inconsistency> {
        rules::admits(self.book_state(), &place.kind).map_err(|_| Inconsistency::BookState)?;
        match (place.kind, self.price_terms()) {
            (OrderKind::Limit { price, .. }, Some(terms))
                if !rules::is_within_band(terms.band, self.last_price(), price) =>
            {
                Err(Inconsistency::PriceBand(order))
            }
            _ => Ok(()),
        }
    }

    /// The worst price an order takes that came when the best prices were these.
    pub(super) fn limit_of(&self, place: &Place, best: BothBest) -> Option<Price> {
        if let OrderKind::Limit { price, .. } = place.kind {
            return Some(price);
        }
        let opposite = match place.side {
            Side::Bid => best.ask,
            Side::Ask => best.bid,
        };
        let impact = self.price_terms()?.impact;
        rules::impact_limit(impact, place.side, opposite.map(|(price, _)| price))
    }

    /// A market order that stopped at a price it may not pass has left orders behind that price.
    pub(super) fn check_impact(
        &self,
        place: &Place,
        order: OrderId,
        best: BothBest,
    ) -> Result<(), Inconsistency> {
        let opposite = self.levels().best_first(place.side.opposite()).next();
        let is_left = match (place.kind, self.limit_of(place, best), opposite) {
            (OrderKind::Limit { .. }, ..) | (.., None) => false,
            (_, None, Some(_)) => true,
            (_, Some(limit), Some((price, _))) => !reaches(place.side, limit, price),
        };
        if is_left { Ok(()) } else { Err(Inconsistency::PriceImpact(order)) }
    }
}

/// Whether a taker's limit allows `price`.
pub(super) fn reaches(taker: Side, limit: Price, price: Price) -> bool {
    match taker {
        Side::Bid => price <= limit,
        Side::Ask => limit <= price,
    }
}
