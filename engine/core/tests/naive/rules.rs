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

/// In millionths of a tick.
fn times(price: Price, millionths: u32) -> i128 {
    i128::from(price.ticks()) * i128::from(millionths)
}

pub(super) fn is_in_band(market: &NaiveMarket, price: Price) -> bool {
    let Multipliers { min_millionths, max_millionths } = market.spec.band;
    let price = i128::from(price.ticks()) * 1_000_000;
    let Some(last) = market.last_price else { return true };
    min_millionths.is_none_or(|min| times(last, min.get()) <= price)
        // A band is at least one tick high.
        && max_millionths.is_none_or(|max| price <= times(last, max.get()).max(1_000_000))
}

/// Whether a market order may still take a maker at `price`; `best` was the best price when it
/// came.
pub(super) fn is_in_reach(spec: &MarketSpec, place: &Place, best: Price, price: Price) -> bool {
    let Multipliers { min_millionths, max_millionths } = spec.impact;
    let price = i128::from(price.ticks()) * 1_000_000;
    match (place.kind, place.side) {
        (OrderKind::Limit { .. }, _) => true,
        (_, Side::Bid) => max_millionths.is_none_or(|max| price <= times(best, max.get())),
        (_, Side::Ask) => min_millionths.is_none_or(|min| times(best, min.get()) <= price),
    }
}

pub(super) fn admits(state: BookState, kind: &OrderKind) -> Option<Refusal> {
    let is_limit = matches!(kind, OrderKind::Limit { .. });
    let is_post_only = matches!(kind, OrderKind::Limit { post_only: true, .. });
    match state {
        BookState::Open => None,
        BookState::CancelOnly => Some(Refusal::CancelOnly),
        BookState::Closed => Some(Refusal::MarketClosed),
        BookState::LimitOnly => (!is_limit).then_some(Refusal::LimitOnly),
        BookState::PostOnly => (!is_post_only).then_some(Refusal::PostOnlyMarket),
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
