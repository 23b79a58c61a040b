//! Orders that live for hours or weeks, and what is to be left of them when old rows go: worked out
//! from the rows all at once, whatever was removed before.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Duration, Utc};
use db_sink::insert::{self, Known};
use db_sink::tables::{
    BalanceChangeRow, Cause, FillRow, OrderEventKind, OrderEventRow, Rows, TradeRow,
};
use sqlx::{PgConnection, Row};

/// Time and sequence: names an order event here.
type Key = (DateTime<Utc>, i64);

pub struct Lives {
    pub rows: Rows,
}

/// What the tables hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Left {
    pub trades: i64,
    pub fills: i64,
    pub balance_changes: i64,
    pub order_events: BTreeSet<Key>,
    pub kept: BTreeSet<Key>,
}

pub fn day(number: i64) -> DateTime<Utc> {
    "2020-01-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap() + Duration::days(number)
}

struct Random(u64);

impl Random {
    /// An LCG (Knuth's MMIX constants) is random enough for lives.
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

impl Lives {
    /// `orders` orders that are placed within `days` days from [`day`] 0.
    pub fn new(orders: i64, days: u64, seed: u64) -> Lives {
        let mut random = Random(seed);
        let mut events = Vec::new();
        for order in 1..=orders {
            let account = random.below(9) as i32;
            // Whole hours, so that rows of an account share their time now and then.
            let mut hour = random.below(days * 24) as i64;
            let waits = random.below(4) == 0;
            let first = match (waits, random.below(5)) {
                (true, _) => OrderEventKind::Waits,
                (false, 0) => OrderEventKind::Filled,
                (false, _) => OrderEventKind::Rested,
            };
            events.push(event(account, order, hour, first, true));
            if first == OrderEventKind::Filled {
                continue;
            }
            if waits && random.below(2) == 0 {
                hour += random.below(80) as i64;
                let fired = event(account, order, hour, OrderEventKind::Rested, true);
                events.push(OrderEventRow { triggered_at: Some(fired.ts), ..fired });
            }
            for _ in 0..random.below(3) {
                hour += random.below(60) as i64;
                events.push(event(account, order, hour, OrderEventKind::Rested, true));
            }
            if random.below(3) != 0 {
                hour += random.below(24 * days) as i64;
                events.push(event(account, order, hour, OrderEventKind::Cancelled, false));
            }
        }
        events.sort_by_key(|row| row.ts);
        let mut rows = Rows::default();
        for (mut row, sequence) in events.into_iter().zip(1..) {
            row.sequence = sequence;
            rows.order_events.push(row);
            rows.trades.push(trade(&row));
            rows.fills.push(fill(&row));
            rows.balance_changes.push(balance_change(&row));
        }
        Lives { rows }
    }

    /// Also when they are there already, as a sink that was set back does it.
    pub async fn write(&self, connection: &mut PgConnection) {
        for chunk in self.rows.trades.chunks(1000) {
            insert::rows(connection, chunk, Known::Stays).await.unwrap();
        }
        for chunk in self.rows.fills.chunks(1000) {
            insert::rows(connection, chunk, Known::Stays).await.unwrap();
        }
        for chunk in self.rows.order_events.chunks(1000) {
            insert::rows(connection, chunk, Known::Stays).await.unwrap();
        }
        for chunk in self.rows.balance_changes.chunks(1000) {
            insert::rows(connection, chunk, Known::Stays).await.unwrap();
        }
    }

    /// After everything before `cutoff` has gone.
    pub fn left(&self, cutoff: DateTime<Utc>) -> Left {
        let events = &self.rows.order_events;
        let later = events.iter().filter(|row| cutoff <= row.ts).count() as i64;
        let mut left =
            Left { trades: later, fills: later, balance_changes: later, ..Left::default() };
        left.order_events = events.iter().filter(|row| cutoff <= row.ts).map(key).collect();
        let mut orders: BTreeMap<i64, Vec<&OrderEventRow>> = BTreeMap::new();
        for row in events.iter().filter(|row| row.ts < cutoff) {
            orders.entry(row.order_id).or_default().push(row);
        }
        orders.retain(|_, rows| rows.iter().all(|row| is_open(row)));
        for rows in orders.values() {
            left.kept.extend(rows.last().map(|row| key(row)));
            left.kept.extend(rows.iter().filter(|row| row.triggered_at.is_some()).map(|r| key(r)));
        }
        left
    }
}

fn is_open(row: &OrderEventRow) -> bool {
    matches!(row.kind, OrderEventKind::Rested | OrderEventKind::Waits)
}

fn key(row: &OrderEventRow) -> Key {
    (row.ts, row.sequence)
}

pub async fn found(connection: &mut PgConnection) -> Left {
    let counts = sqlx::query(
        "SELECT (SELECT count(*) FROM trades), (SELECT count(*) FROM fills),
            (SELECT count(*) FROM balance_changes)",
    );
    let counts = counts.fetch_one(&mut *connection).await.unwrap();
    let events = "SELECT ts, sequence FROM order_events";
    let events: Vec<Key> = sqlx::query_as(events).fetch_all(&mut *connection).await.unwrap();
    let kept = "SELECT ts, sequence FROM kept_order_events";
    let kept: Vec<Key> = sqlx::query_as(kept).fetch_all(&mut *connection).await.unwrap();
    Left {
        trades: counts.get(0),
        fills: counts.get(1),
        balance_changes: counts.get(2),
        order_events: events.into_iter().collect(),
        kept: kept.into_iter().collect(),
    }
}

fn event(
    account_id: i32,
    order_id: i64,
    hour: i64,
    kind: OrderEventKind,
    is_placement: bool,
) -> OrderEventRow {
    OrderEventRow {
        account_id,
        sub: 0,
        ts: day(0) + Duration::hours(hour),
        sequence: 0,
        order_id,
        market_id: 1,
        kind,
        side: 0,
        is_placement,
        reason: None,
        order_type: Some(0),
        time_in_force: Some(0),
        self_trade_prevention: Some(0),
        post_only: Some(false),
        client_id: None,
        price_ticks: Some(10_000),
        lots: Some(5),
        asked_quote_units: None,
        lots_left: 5,
        executed_lots: Some(0),
        executed_quote_units: Some(0),
        created_at: None,
        trigger_price_ticks: None,
        trigger_by: None,
        triggered_at: None,
        refusal: None,
    }
}

fn trade(row: &OrderEventRow) -> TradeRow {
    TradeRow {
        market_id: 1 + (row.order_id % 2) as i16,
        taker_side: 0,
        ts: row.ts,
        trade_id: row.sequence,
        sequence: row.sequence,
        price_ticks: 10_000,
        lots: 1,
        quote_units: 10_000,
        maker_order_id: row.order_id,
        taker_order_id: row.order_id + 1,
    }
}

fn fill(row: &OrderEventRow) -> FillRow {
    FillRow {
        account_id: row.account_id,
        sub: 0,
        ts: row.ts,
        sequence: row.sequence,
        market_id: 1,
        side: 0,
        is_maker: true,
        fee_asset_id: 1,
        trade_id: row.sequence,
        order_id: row.order_id,
        client_id: None,
        price_ticks: 10_000,
        lots: 1,
        quote_units: 10_000,
        fee_units: 2,
    }
}

fn balance_change(row: &OrderEventRow) -> BalanceChangeRow {
    BalanceChangeRow {
        account_id: row.account_id,
        sub: 0,
        ts: row.ts,
        sequence: row.sequence,
        asset_id: 1,
        cause: Cause::Place,
        market_id: 1,
        available: -1,
        locked: 1,
        other: None,
    }
}
