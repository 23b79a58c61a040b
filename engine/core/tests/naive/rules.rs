//! What an order holds, and which order it meets first: the rules, said once and slowly.

use protocol::*;

use super::{NaiveMarket, NaiveOrder};

pub(super) fn held_by(spec: &MarketSpec, side: Side, price: Price, lots: Lots) -> i128 {
    let lots = i128::from(lots.0);
    match side {
        Side::Bid => lots * i128::from(price.ticks()) * i128::from(spec.quote_units_per_tick_lot),
        Side::Ask => lots * i128::from(spec.base_units_per_lot),
    }
}

pub(super) fn crosses(place: &Place, maker: &NaiveOrder) -> bool {
    let limit = match place.kind {
        OrderKind::Limit { price, .. } => Some(price),
        _ => None,
    };
    match (place.side, maker.place.side, limit) {
        (Side::Bid, Side::Ask, Some(limit)) => maker.price <= limit,
        (Side::Ask, Side::Bid, Some(limit)) => maker.price >= limit,
        (taker, maker, None) => taker != maker,
        _ => false,
    }
}

/// Best price first; of one price, the first that came.
pub(super) fn best_crossed(market: &NaiveMarket, place: &Place) -> Option<NaiveOrder> {
    let mut best: Option<&NaiveOrder> = None;
    for maker in market.orders.iter().filter(|maker| crosses(place, maker)) {
        let better = best.is_none_or(|best| match maker.place.side {
            Side::Ask => maker.price < best.price,
            Side::Bid => maker.price > best.price,
        });
        if better {
            best = Some(maker);
        }
    }
    best.cloned()
}
