//! Rows of `order_events`: the placement of an order, what it is to be otherwise, and its end.

use protocol::{Closed, ClosedReason, OrderId, OrderKind, Place, Trade, Trigger, Withdrawn};

use crate::columns::{At, account, client_id, lots, order_id, price, time, units};
use crate::error::RowError;
use crate::tables::{OrderEventKind, OrderEventRow};

/// The request's side of the row; what became of it is filled in by the caller.
pub fn placement(at: &At, place: &Place, order: OrderId) -> Result<OrderEventRow, RowError> {
    let (order_type, price_ticks, asked_lots, asked_quote, post_only) = match place.kind {
        OrderKind::Limit { price: limit, lots: asked, post_only } => {
            (0, Some(price(limit)?), Some(lots(asked)?), None, post_only)
        }
        OrderKind::MarketByLots { lots: asked } => (1, None, Some(lots(asked)?), None, false),
        OrderKind::MarketByQuote { quote } => (2, None, None, Some(units(quote)?), false),
    };
    Ok(OrderEventRow {
        account_id: account(place.account)?,
        sub: 0,
        ts: at.ts,
        sequence: at.sequence,
        order_id: order_id(order)?,
        market_id: at.market_id,
        kind: OrderEventKind::Rested,
        side: place.side as i16,
        is_placement: true,
        reason: None,
        order_type: Some(order_type),
        time_in_force: Some(place.time_in_force as i16),
        self_trade_prevention: Some(place.self_trade_prevention as i16),
        post_only: Some(post_only),
        client_id: place.client_id.map(client_id),
        price_ticks,
        lots: asked_lots,
        asked_quote_units: asked_quote,
        lots_left: 0,
        executed_lots: None,
        executed_quote_units: None,
        created_at: Some(at.ts),
        trigger_price_ticks: None,
        trigger_by: None,
        triggered_at: None,
        refusal: None,
    })
}

/// The end of a maker by the trade that took its last lots.
pub fn filled_maker(at: &At, trade: &Trade, sub: i32) -> Result<OrderEventRow, RowError> {
    Ok(OrderEventRow {
        account_id: account(trade.maker_account)?,
        sub,
        ts: at.ts,
        sequence: at.sequence,
        order_id: order_id(trade.maker_order)?,
        market_id: at.market_id,
        kind: OrderEventKind::Filled,
        side: trade.taker_side.opposite() as i16,
        is_placement: false,
        reason: None,
        order_type: Some(0),
        time_in_force: None,
        self_trade_prevention: None,
        post_only: None,
        client_id: None,
        price_ticks: Some(price(trade.price)?),
        lots: None,
        asked_quote_units: None,
        lots_left: 0,
        executed_lots: None,
        executed_quote_units: None,
        created_at: None,
        trigger_price_ticks: None,
        trigger_by: None,
        triggered_at: None,
        refusal: None,
    })
}

pub fn closed_order(at: &At, closed: &Closed, sub: i32) -> Result<OrderEventRow, RowError> {
    let kind = match closed.reason {
        ClosedReason::ByRequest => OrderEventKind::Cancelled,
        _ => OrderEventKind::Expired,
    };
    let executed = closed.lots.checked_sub(closed.lots_left);
    Ok(OrderEventRow {
        account_id: account(closed.account)?,
        sub,
        ts: at.ts,
        sequence: at.sequence,
        order_id: order_id(closed.order)?,
        market_id: at.market_id,
        kind,
        side: closed.side as i16,
        is_placement: false,
        reason: Some(closed.reason as i16),
        order_type: Some(0),
        time_in_force: Some(closed.time_in_force as i16),
        self_trade_prevention: Some(closed.self_trade_prevention as i16),
        post_only: Some(closed.post_only),
        client_id: closed.client_id.map(client_id),
        price_ticks: Some(price(closed.price)?),
        lots: Some(lots(closed.lots)?),
        asked_quote_units: None,
        lots_left: lots(closed.lots_left)?,
        executed_lots: Some(lots(executed.ok_or(RowError::OutOfRange("lots left"))?)?),
        executed_quote_units: Some(units(closed.executed_quote)?),
        created_at: Some(time(closed.created_us)?),
        trigger_price_ticks: None,
        trigger_by: None,
        triggered_at: None,
        refusal: None,
    })
}

/// What an order waits for.
pub fn with_trigger(row: OrderEventRow, trigger: &Trigger) -> Result<OrderEventRow, RowError> {
    let trigger_price_ticks = Some(price(trigger.price)?);
    Ok(OrderEventRow { trigger_price_ticks, trigger_by: Some(trigger.by as i16), ..row })
}

/// An order as it waits, or waited. What is left of it is all of it.
pub fn waiting_order(
    at: &At,
    place: &Place,
    order: OrderId,
    trigger: &Trigger,
) -> Result<OrderEventRow, RowError> {
    let row = with_trigger(placement(at, place, order)?, trigger)?;
    Ok(OrderEventRow {
        kind: OrderEventKind::Waits,
        lots_left: row.lots.unwrap_or(0),
        executed_lots: Some(0),
        executed_quote_units: Some(0),
        ..row
    })
}

/// An order that waits no more and did not fire.
pub fn withdrawn_order(
    at: &At,
    withdrawn: &Withdrawn,
    sub: i32,
) -> Result<OrderEventRow, RowError> {
    let waiting = &withdrawn.waiting;
    let row = waiting_order(at, &waiting.place, waiting.order, &waiting.trigger)?;
    Ok(OrderEventRow {
        sub,
        kind: OrderEventKind::Cancelled,
        is_placement: false,
        reason: Some(withdrawn.reason as i16),
        created_at: Some(time(waiting.created_us)?),
        ..row
    })
}
