//! Orders that have ended: the database's rows, and in front of them those it does not have yet, as
//! the engine's live copy knows them.
//!
//! The sink moves a stream's position in the transaction that writes the rows. So within one
//! snapshot of the database it is known exactly which of the live copy's orders are missing.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use protocol::{
    AccountId, ClientId, ClosedReason, FinishedOrder, Lots, MarketId, OrderId, OrderKind, Price,
    Refusal, SelfTradePrevention, Sequence, Side, TimeInForce, Trigger, TriggerBy, Triggered,
    Units,
};
use service::SharedCatalog;
use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use crate::error::ApiError;

#[derive(Clone, Debug)]
pub struct PastOrders {
    pool: PgPool,
    /// Name of each market's event stream.
    listing: SharedCatalog,
}

/// By when the orders ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SortDirection {
    Ascending,
    Descending,
}

/// Which of an account's orders are wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub account: AccountId,
    pub market: Option<MarketId>,
    pub order: Option<OrderId>,
    pub limit: usize,
    /// Counted from the first in the direction.
    pub offset: usize,
    pub direction: SortDirection,
}

const POSITIONS: &str = "SELECT stream, last_sequence FROM sink_position WHERE stream = ANY($1)";

/// The end of a maker that was filled has its other columns in the latest row of its coming to
/// rest. From then on it traded at its own price alone, which the fill that ended it tells, a lot.
/// What ends an order that fired has its trigger in the row of that.
const ROWS: &str = "\
    SELECT e.order_id, e.market_id, e.side, e.lots_left, e.reason, e.ts, e.sequence, \
     coalesce(e.order_type, p.order_type) AS order_type, \
     coalesce(e.time_in_force, p.time_in_force) AS time_in_force, \
     coalesce(e.self_trade_prevention, p.self_trade_prevention) AS self_trade_prevention, \
     coalesce(e.post_only, p.post_only) AS post_only, \
     coalesce(e.client_id, p.client_id) AS client_id, \
     coalesce(e.price_ticks, p.price_ticks) AS price_ticks, \
     coalesce(e.lots, p.lots) AS lots, e.asked_quote_units, \
     e.refusal, coalesce(e.trigger_price_ticks, t.trigger_price_ticks) AS trigger_price_ticks, \
     coalesce(e.trigger_by, t.trigger_by) AS trigger_by, \
     coalesce(e.triggered_at, t.triggered_at) AS triggered_at, \
     coalesce(e.executed_lots, p.lots) AS executed_lots, \
     coalesce(e.executed_quote_units, \
      p.executed_quote_units + p.lots_left * f.quote_units_per_lot) AS executed_quote_units, \
     coalesce(e.created_at, p.created_at) AS created_at \
    FROM (SELECT * FROM order_events WHERE account_id = $1 AND kind NOT IN (1, 5) \
           AND ($2::smallint IS NULL OR market_id = $2) AND OF_ORDER \
          ORDER BY ts DIRECTION, sequence DIRECTION, sub DIRECTION LIMIT $4 OFFSET $5) AS e \
    LEFT JOIN LATERAL (SELECT * FROM order_events AS rested \
           WHERE e.created_at IS NULL AND rested.order_id = e.order_id AND rested.kind = 1 \
          ORDER BY rested.sequence DESC LIMIT 1) AS p ON true \
    LEFT JOIN LATERAL (SELECT quote_units / lots AS quote_units_per_lot FROM fills \
           WHERE e.created_at IS NULL AND fills.account_id = $1 AND fills.ts = e.ts \
            AND fills.sequence = e.sequence AND fills.order_id = e.order_id LIMIT 1) AS f ON true \
    LEFT JOIN LATERAL (SELECT * FROM order_events AS fired \
           WHERE NOT e.is_placement AND fired.account_id = $1 \
            AND fired.order_id = e.order_id AND fired.triggered_at IS NOT NULL LIMIT 1) AS t \
     ON true \
    ORDER BY e.ts DIRECTION, e.sequence DIRECTION, e.sub DIRECTION";

/// What stands for OF_ORDER. Two statements, because a plan that serves both would walk all of the
/// account's rows for one order.
const ANY_ORDER: &str = "$3::bigint IS NULL";
const ONE_ORDER: &str = "order_id = $3::bigint";

impl SortDirection {
    pub(crate) const fn sql(self) -> &'static str {
        match self {
            SortDirection::Ascending => "ASC",
            SortDirection::Descending => "DESC",
        }
    }

    /// Orders that one frame ended are equal: they stay as their source has them.
    fn compare(self, left: &FinishedOrder, right: &FinishedOrder) -> Ordering {
        let key = |order: &FinishedOrder| (order.ended_us, order.ended);
        match self {
            SortDirection::Ascending => key(left).cmp(&key(right)),
            SortDirection::Descending => key(right).cmp(&key(left)),
        }
    }
}

impl PastOrders {
    pub fn new(pool: PgPool, listing: SharedCatalog) -> Self {
        PastOrders { pool, listing }
    }

    /// One page of what is wanted, of the database and of `live`: what the engine knows of the same
    /// account and market, asked before.
    pub async fn page(
        &self,
        wanted: &Wanted,
        live: Vec<FinishedOrder>,
    ) -> Result<Vec<FinishedOrder>, ApiError> {
        let database = |error: sqlx::Error| ApiError::database(&error);
        let one_snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let mut transaction = self.pool.begin_with(one_snapshot).await.map_err(database)?;
        let missing = if live.is_empty() {
            live
        } else {
            let positions = self.positions(&mut transaction).await.map_err(database)?;
            missing(live, &positions)
        };
        // Any of those missing may stand before the page.
        let skipped = wanted.offset.saturating_sub(missing.len());
        let of_order = if wanted.order.is_some() { ONE_ORDER } else { ANY_ORDER };
        let sql = ROWS.replace("DIRECTION", wanted.direction.sql()).replace("OF_ORDER", of_order);
        let rows: Vec<OrderRow> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(column::<_, i32>(wanted.account.get())?)
            .bind(wanted.market.map(|market| column::<_, i16>(market.0)).transpose()?)
            .bind(wanted.order.map(|order| column::<_, i64>(order.get())).transpose()?)
            .bind(column::<_, i64>(wanted.limit + missing.len())?)
            .bind(column::<_, i64>(skipped)?)
            .fetch_all(&mut *transaction)
            .await
            .map_err(database)?;
        transaction.commit().await.map_err(database)?;
        let mut stored = Vec::with_capacity(rows.len());
        for row in &rows {
            match row.order(wanted.account) {
                Some(order) => stored.push(order),
                None => tracing::error!(order = row.order_id, "an order's row is not whole"),
            }
        }
        Ok(merge(stored, missing, wanted, skipped))
    }

    /// How far the database has each market at least: what the engine need not be asked for.
    pub async fn positions_now(&self) -> Result<Vec<(MarketId, Sequence)>, ApiError> {
        let database = |error: sqlx::Error| ApiError::database(&error);
        let mut connection = self.pool.acquire().await.map_err(database)?;
        let positions = self.positions(&mut connection).await.map_err(database)?;
        Ok(positions.into_iter().collect())
    }

    /// How far the database has each market.
    async fn positions(
        &self,
        connection: &mut PgConnection,
    ) -> Result<HashMap<MarketId, Sequence>, sqlx::Error> {
        let listed = self.listing.get();
        let markets = listed.catalog.markets();
        let names: Vec<&str> = markets.iter().map(|market| market.symbol.as_str()).collect();
        let rows: Vec<(String, i64)> =
            sqlx::query_as(POSITIONS).bind(names).fetch_all(connection).await?;
        let position = |(name, last): (String, i64)| {
            let market = listed.catalog.market_by_symbol(&name)?.id;
            Some((market, Sequence(u64::try_from(last).ok()?)))
        };
        Ok(rows.into_iter().filter_map(position).collect())
    }
}

/// What the database has not got yet.
fn missing(
    mut live: Vec<FinishedOrder>,
    positions: &HashMap<MarketId, Sequence>,
) -> Vec<FinishedOrder> {
    live.retain(|order| positions.get(&order.market).is_none_or(|last| *last < order.ended));
    live
}

/// `stored` begins behind the database's first `skipped` rows.
fn merge(
    stored: Vec<FinishedOrder>,
    missing: Vec<FinishedOrder>,
    wanted: &Wanted,
    skipped: usize,
) -> Vec<FinishedOrder> {
    let known: HashSet<OrderId> = stored.iter().map(|order| order.order).collect();
    let mut orders = stored;
    let unknown = missing.into_iter().filter(|order| !known.contains(&order.order));
    orders.extend(unknown);
    orders.sort_by(|left, right| wanted.direction.compare(left, right));
    orders.into_iter().skip(wanted.offset - skipped).take(wanted.limit).collect()
}

/// The column that a number of the engine's is kept in.
pub(crate) fn column<T, C: TryFrom<T>>(number: T) -> Result<C, ApiError> {
    C::try_from(number).map_err(|_| ApiError::bug("a number is beyond its column"))
}

/// One row of [`ROWS`].
#[derive(sqlx::FromRow)]
struct OrderRow {
    order_id: i64,
    market_id: i16,
    side: i16,
    lots_left: i64,
    reason: Option<i16>,
    ts: DateTime<Utc>,
    sequence: i64,
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
}

impl OrderRow {
    /// `None`: something is missing or out of range.
    fn order(&self, account: AccountId) -> Option<FinishedOrder> {
        let client_id = self.client_id.map(u32::try_from).transpose().ok()?;
        let reason = self.reason.map(|reason| of_code(ClosedReason::ALL, |it| it as i16, reason));
        if reason == Some(None) {
            return None;
        }
        Some(FinishedOrder {
            order: OrderId::from_u64(unsigned(self.order_id)?)?,
            account,
            client_id: client_id.map(ClientId),
            market: MarketId(u16::try_from(self.market_id).ok()?),
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
            executed_quote: Units(unsigned(self.executed_quote_units?)?),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(number: u32, market: u16, ended_us: u64) -> FinishedOrder {
        FinishedOrder {
            order: OrderId::from_parts(MarketId(market), number, 1).unwrap(),
            account: AccountId::new(7).unwrap(),
            client_id: None,
            market: MarketId(market),
            side: Side::Bid,
            time_in_force: TimeInForce::GoodTillCancelled,
            self_trade_prevention: SelfTradePrevention::RejectTaker,
            kind: OrderKind::MarketByLots { lots: Lots(1) },
            lots_left: Lots(0),
            executed: Lots(1),
            executed_quote: Units(1),
            reason: None,
            refusal: None,
            triggered: None,
            created_us: 1,
            ended: Sequence(ended_us),
            ended_us,
        }
    }

    /// Every page of every size, as asked of a database that holds `stored` alone, tiles what both
    /// hold together.
    fn pages_tile(stored: &[u64], missing: &[u64], direction: SortDirection) {
        let orders = |times: &[u64]| -> Vec<FinishedOrder> {
            times.iter().map(|at| ended(*at as u32, 1, *at)).collect()
        };
        let sorted = |mut orders: Vec<FinishedOrder>| {
            orders.sort_by(|left, right| direction.compare(left, right));
            orders
        };
        let database = sorted(orders(stored));
        let whole = sorted([orders(stored), orders(missing)].concat());
        for limit in 1..=whole.len() + 1 {
            for offset in 0..=whole.len() + 1 {
                let account = AccountId::new(7).unwrap();
                let (market, order) = (None, None);
                let wanted = Wanted { account, market, order, limit, offset, direction };
                let skipped = offset.saturating_sub(missing.len());
                let read = database.iter().skip(skipped).take(limit + missing.len());
                let page = merge(read.copied().collect(), orders(missing), &wanted, skipped);
                let expected: Vec<_> = whole.iter().skip(offset).take(limit).copied().collect();
                assert_eq!(page, expected, "{limit} from {offset}, {missing:?} missing");
            }
        }
    }

    #[test]
    fn pages_are_of_both_sources_whichever_has_the_order() {
        for direction in [SortDirection::Ascending, SortDirection::Descending] {
            pages_tile(&[1, 2, 3, 4, 5], &[6, 7], direction);
            pages_tile(&[1, 2, 5, 8, 9], &[3, 4, 10], direction);
            pages_tile(&[5, 6, 7], &[1, 2, 9], direction);
            pages_tile(&[], &[1, 2], direction);
            pages_tile(&[1, 2, 3], &[], direction);
        }
    }

    #[test]
    fn what_the_database_has_is_not_told_twice() {
        let live = vec![ended(1, 1, 10), ended(2, 1, 11), ended(3, 2, 10)];
        let positions = HashMap::from([(MarketId(1), Sequence(10))]);
        let left = missing(live, &positions);
        assert_eq!(left.iter().map(|it| it.order.slot()).collect::<Vec<_>>(), [2, 3]);
    }
}
