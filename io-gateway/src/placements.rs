//! What is known of orders by their ids alone: how they came to rest, and how they fired.
//!
//! A maker that a trade fills is told of by that trade: the rest stands where it came to rest, as a
//! rule not long before. So this looks backwards in windows of time, and last among the placements
//! that were kept when older rows were removed (migration 0007): what is kept is older than all
//! rows of its order. All looks that need an index by order id are here.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::past_orders::SortDirection;
use crate::windows::Window;

/// An order as it rested, from its latest row of that kind.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Placement {
    order_id: i64,
    pub order_type: Option<i16>,
    pub time_in_force: Option<i16>,
    pub self_trade_prevention: Option<i16>,
    pub post_only: Option<bool>,
    pub client_id: Option<i64>,
    pub lots: Option<i64>,
    pub lots_left: i64,
    pub executed_quote_units: Option<i64>,
    pub created_at: Option<DateTime<Utc>>,
}

/// How an order fired.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Fired {
    order_id: i64,
    pub trigger_price_ticks: Option<i64>,
    pub trigger_by: Option<i16>,
    pub triggered_at: Option<DateTime<Utc>>,
}

/// Between which moments an order can have traded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, sqlx::FromRow)]
pub struct Life {
    /// As any of its rows but the end of a filled maker tells. `None`: those are gone.
    pub placed_at: Option<DateTime<Utc>>,
    /// `None`: it has not ended.
    pub ended_at: Option<DateTime<Utc>>,
}

const RESTED: &str = "\
    SELECT DISTINCT ON (order_id) order_id, order_type, time_in_force, self_trade_prevention, \
     post_only, client_id, lots, lots_left, executed_quote_units, created_at \
    FROM TABLE WHERE order_id = ANY($1) AND kind = 1 AND $2 <= ts AND ts < $3 \
    ORDER BY order_id, sequence DESC";

const FIRED: &str = "\
    SELECT order_id, trigger_price_ticks, trigger_by, triggered_at FROM order_events \
     WHERE account_id = $1 AND order_id = ANY($2) AND triggered_at IS NOT NULL \
      AND $3 <= ts AND ts < $4 \
    UNION ALL \
    SELECT order_id, trigger_price_ticks, trigger_by, triggered_at FROM kept_order_events \
     WHERE account_id = $1 AND order_id = ANY($2) AND triggered_at IS NOT NULL";

/// No row: nothing is known of it.
const LIFE: &str = "\
    SELECT min(created_at) AS placed_at, max(ts) FILTER (WHERE kind NOT IN (1, 5)) AS ended_at \
    FROM (SELECT ts, kind, created_at FROM order_events WHERE order_id = $1 AND account_id = $2 \
     UNION ALL \
     SELECT ts, kind, created_at FROM kept_order_events WHERE order_id = $1 AND account_id = $2) \
     AS events HAVING count(*) > 0";

/// Those of the orders that came to rest and whose row of it is still there. They are known to
/// have been makers between these moments.
pub async fn rested(
    connection: &mut PgConnection,
    orders: HashSet<i64>,
    first: DateTime<Utc>,
    last: DateTime<Utc>,
) -> Result<HashMap<i64, Placement>, sqlx::Error> {
    let mut found = HashMap::with_capacity(orders.len());
    let mut missing: Vec<i64> = orders.into_iter().collect();
    let all = Window::through(last);
    let mut looks: Vec<_> = all
        .cut(first, SortDirection::Descending)
        .into_iter()
        .map(|window| ("order_events", window))
        .collect();
    looks.push(("kept_order_events", all));
    for (table, window) in looks {
        if missing.is_empty() {
            break;
        }
        let rows: Vec<Placement> = sqlx::query_as(AssertSqlSafe(RESTED.replace("TABLE", table)))
            .bind(&missing)
            .bind(window.from)
            .bind(window.until)
            .fetch_all(&mut *connection)
            .await?;
        found.extend(rows.into_iter().map(|row| (row.order_id, row)));
        missing.retain(|order| !found.contains_key(order));
    }
    Ok(found)
}

/// Those of the account's orders that fired between these moments.
pub async fn fired(
    connection: &mut PgConnection,
    account: i32,
    orders: &[i64],
    within: Window,
) -> Result<HashMap<i64, Fired>, sqlx::Error> {
    if orders.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<Fired> = sqlx::query_as(FIRED)
        .bind(account)
        .bind(orders)
        .bind(within.from)
        .bind(within.until)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| (row.order_id, row)).collect())
}

/// `None`: nothing is known of such an order of the account.
pub async fn life(
    connection: &mut PgConnection,
    account: i32,
    order: i64,
) -> Result<Option<Life>, sqlx::Error> {
    sqlx::query_as(LIFE).bind(order).bind(account).fetch_optional(connection).await
}
