//! Rows of orders that have ended, and what is joined to them from elsewhere.
//!
//! The end of a maker that was filled has its other columns in the latest row of its coming to
//! rest. From then on it traded at its own price alone, so what it traded for is known. What ends an
//! order that fired has its trigger in the row of that.

use chrono::{DateTime, Utc};
use protocol::{
    AccountId, Catalog, ClientId, ClosedReason, FinishedOrder, Lots, MarketId, MarketSpec, OrderId,
    OrderKind, Price, Refusal, SelfTradePrevention, Sequence, Side, TimeInForce, Trigger,
    TriggerBy, Triggered, Units,
};
use sqlx::PgConnection;

use crate::account_rows::{Chosen, Source};
use crate::placements::{self, Fired, Placement};
use crate::windows::Window;

const ENDS: Source = Source {
    table: "order_events",
    columns: "r.order_id, r.market_id, r.side, r.lots_left, r.reason, r.ts, r.sequence, \
        r.is_placement, r.order_type, r.time_in_force, r.self_trade_prevention, r.post_only, \
        r.client_id, r.price_ticks, r.lots, r.asked_quote_units, r.executed_lots, \
        r.executed_quote_units, r.created_at, r.refusal, r.trigger_price_ticks, r.trigger_by, \
        r.triggered_at",
    condition: "kind NOT IN (1, 5)",
};

/// What is read of a row of [`ENDS`].
#[derive(Debug, sqlx::FromRow)]
pub struct OrderRow {
    order_id: i64,
    market_id: i16,
    side: i16,
    lots_left: i64,
    reason: Option<i16>,
    ts: DateTime<Utc>,
    sequence: i64,
    is_placement: bool,
    order_type: Option<i16>,
    time_in_force: Option<i16>,
    self_trade_prevention: Option<i16>,
    post_only: Option<bool>,
    client_id: Option<i64>,
    price_ticks: Option<i64>,
    lots: Option<i64>,
    asked_quote_units: Option<i64>,
    executed_lots: Option<i64>,
    executed_quote_units: Option<i64>,
    created_at: Option<DateTime<Utc>>,
    refusal: Option<i16>,
    trigger_price_ticks: Option<i64>,
    trigger_by: Option<i16>,
    triggered_at: Option<DateTime<Utc>>,
    /// How it came to rest, where the row itself does not tell.
    #[sqlx(skip)]
    rested: Option<Placement>,
}

/// The ends of a page, as they are to be told.
pub async fn read(
    connection: &mut PgConnection,
    mut chosen: Chosen,
    now: DateTime<Utc>,
) -> Result<Vec<OrderRow>, sqlx::Error> {
    if let Some(order) = chosen.order {
        let life = placements::life(&mut *connection, chosen.account, order).await?;
        let Some(ended_at) = life.and_then(|life| life.ended_at) else { return Ok(Vec::new()) };
        chosen.within = chosen.within.between(ended_at, ended_at);
    }
    let mut rows: Vec<OrderRow> = ENDS.page(&mut *connection, &chosen, now).await?;
    join_placements(&mut *connection, &mut rows).await?;
    join_triggers(connection, chosen.account, &mut rows).await?;
    Ok(rows)
}

async fn join_placements(
    connection: &mut PgConnection,
    rows: &mut [OrderRow],
) -> Result<(), sqlx::Error> {
    let filled = || rows.iter().filter(|row| row.created_at.is_none());
    let times = || filled().map(|row| row.ts);
    let Some((first, last)) = times().min().zip(times().max()) else { return Ok(()) };
    let orders = filled().map(|row| row.order_id).collect();
    let mut placements = placements::rested(connection, orders, first, last).await?;
    for row in rows.iter_mut().filter(|row| row.created_at.is_none()) {
        if let Some(placement) = placements.remove(&row.order_id) {
            row.came_from(placement);
        }
    }
    Ok(())
}

/// An order fired between its making and its end.
async fn join_triggers(
    connection: &mut PgConnection,
    account: i32,
    rows: &mut [OrderRow],
) -> Result<(), sqlx::Error> {
    let may_have = |row: &&OrderRow| !row.is_placement && row.created_at.is_some();
    let ended = || rows.iter().filter(may_have);
    let (first, last) = (ended().filter_map(|row| row.created_at).min(), ended().map(|row| row.ts));
    let Some((first, last)) = first.zip(last.max()) else { return Ok(()) };
    let orders: Vec<i64> = ended().map(|row| row.order_id).collect();
    let within = Window::through(last).between(first, last);
    let fired = placements::fired(connection, account, &orders, within).await?;
    for row in rows.iter_mut().filter(|row| !row.is_placement) {
        if let Some(fired) = fired.get(&row.order_id) {
            row.had_fired(fired);
        }
    }
    Ok(())
}

impl OrderRow {
    fn came_from(&mut self, placement: Placement) {
        self.order_type = self.order_type.or(placement.order_type);
        self.time_in_force = self.time_in_force.or(placement.time_in_force);
        self.self_trade_prevention = self.self_trade_prevention.or(placement.self_trade_prevention);
        self.post_only = self.post_only.or(placement.post_only);
        self.client_id = self.client_id.or(placement.client_id);
        self.lots = self.lots.or(placement.lots);
        self.executed_lots = self.executed_lots.or(placement.lots);
        self.created_at = placement.created_at;
        self.rested = Some(placement);
    }

    fn had_fired(&mut self, fired: &Fired) {
        self.trigger_price_ticks = self.trigger_price_ticks.or(fired.trigger_price_ticks);
        self.trigger_by = self.trigger_by.or(fired.trigger_by);
        self.triggered_at = self.triggered_at.or(fired.triggered_at);
    }

    /// `None`: it is not told of. Its market is not ours to describe, or, of a maker that was
    /// filled, the placement is gone; anything else is a fault.
    pub fn order(&self, account: AccountId, catalog: &Catalog) -> Option<FinishedOrder> {
        let market = catalog.market(MarketId(u16::try_from(self.market_id).ok()?))?;
        if self.created_at.is_none() {
            metrics::counter!("gateway_orders_without_placement_total").increment(1);
            return None;
        }
        let order = self.finished(account, market);
        if order.is_none() {
            tracing::error!(order = self.order_id, "an order's row is not whole");
        }
        order
    }

    fn finished(&self, account: AccountId, market: &MarketSpec) -> Option<FinishedOrder> {
        let client_id = self.client_id.map(u32::try_from).transpose().ok()?;
        let reason = self.reason.map(|reason| of_code(ClosedReason::ALL, |it| it as i16, reason));
        if reason == Some(None) {
            return None;
        }
        Some(FinishedOrder {
            order: OrderId::from_u64(unsigned(self.order_id)?)?,
            account,
            client_id: client_id.map(ClientId),
            market: market.id,
            side: of_code([Side::Bid, Side::Ask], |it| it as i16, self.side)?,
            time_in_force: of_code(TIMES_IN_FORCE, |it| it as i16, self.time_in_force?)?,
            self_trade_prevention: of_code(
                SELF_TRADE_PREVENTIONS,
                |it| it as i16,
                self.self_trade_prevention?,
            )?,
            kind: self.kind()?,
            lots_left: Lots(unsigned(self.lots_left)?),
            executed: Lots(unsigned(self.executed_lots?)?),
            executed_quote: self.executed_quote(market)?,
            reason: reason.flatten(),
            refusal: match self.refusal {
                Some(code) => Some(of_code(Refusal::ALL, |it| it as i16, code)?),
                None => None,
            },
            triggered: match self.trigger_price_ticks {
                Some(ticks) => Some(self.triggered(ticks)?),
                None => None,
            },
            created_us: unsigned(self.created_at?.timestamp_micros())?,
            ended: Sequence(unsigned(self.sequence)?),
            ended_us: unsigned(self.ts.timestamp_micros())?,
        })
    }

    fn executed_quote(&self, market: &MarketSpec) -> Option<Units> {
        if let Some(executed) = self.executed_quote_units {
            return Some(Units(unsigned(executed)?));
        }
        let rested = self.rested.as_ref()?;
        let price = Price::from_ticks(unsigned(self.price_ticks?)?)?;
        let since = market.notional(price, Lots(unsigned(rested.lots_left)?))?;
        let before = unsigned(rested.executed_quote_units?)?;
        before.checked_add(since.0).map(Units)
    }

    fn triggered(&self, ticks: i64) -> Option<Triggered> {
        let by = of_code(TriggerBy::ALL, |it| it as i16, self.trigger_by?)?;
        let trigger = Trigger { price: Price::from_ticks(unsigned(ticks)?)?, by };
        let fired_us = match self.triggered_at {
            Some(at) => Some(unsigned(at.timestamp_micros())?),
            None => None,
        };
        Some(Triggered { trigger, fired_us })
    }

    fn kind(&self) -> Option<OrderKind> {
        let lots = || Some(Lots(unsigned(self.lots?)?));
        match self.order_type? {
            0 => Some(OrderKind::Limit {
                price: Price::from_ticks(unsigned(self.price_ticks?)?)?,
                lots: lots()?,
                post_only: self.post_only?,
            }),
            1 => Some(OrderKind::MarketByLots { lots: lots()? }),
            2 => {
                let quote = Units(unsigned(self.asked_quote_units?)?);
                Some(OrderKind::MarketByQuote { quote })
            }
            _ => None,
        }
    }
}

const TIMES_IN_FORCE: [TimeInForce; 3] =
    [TimeInForce::GoodTillCancelled, TimeInForce::ImmediateOrCancel, TimeInForce::FillOrKill];
const SELF_TRADE_PREVENTIONS: [SelfTradePrevention; 3] = [
    SelfTradePrevention::RejectTaker,
    SelfTradePrevention::RejectMaker,
    SelfTradePrevention::RejectBoth,
];

pub(crate) fn unsigned(column: i64) -> Option<u64> {
    u64::try_from(column).ok()
}

/// The one of `all` that the protocol has this number for.
pub(crate) fn of_code<T: Copy, const N: usize>(
    all: [T; N],
    code: fn(T) -> i16,
    number: i16,
) -> Option<T> {
    all.into_iter().find(|it| code(*it) == number)
}
