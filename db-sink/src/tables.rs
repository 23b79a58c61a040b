//! The rows of each table, as the sink writes them. Columns and codes are described in
//! `migrations/`, their names and order in `layout.rs`.

use chrono::{DateTime, Utc};

/// `account_id` of the fees collected by the exchange.
pub const FEES: i32 = 0;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TradeRow {
    pub market_id: i16,
    pub taker_side: i16,
    pub ts: DateTime<Utc>,
    pub trade_id: i64,
    pub sequence: i64,
    pub price_ticks: i64,
    pub lots: i64,
    pub quote_units: i64,
    pub maker_order_id: i64,
    pub taker_order_id: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FillRow {
    pub account_id: i32,
    pub sub: i32,
    pub ts: DateTime<Utc>,
    pub sequence: i64,
    pub market_id: i16,
    pub side: i16,
    pub is_maker: bool,
    pub fee_asset_id: i16,
    pub trade_id: i64,
    pub order_id: i64,
    pub client_id: Option<i64>,
    pub price_ticks: i64,
    pub lots: i64,
    pub quote_units: i64,
    pub fee_units: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i16)]
pub enum OrderEventKind {
    Rested = 1,
    Filled = 2,
    Cancelled = 3,
    Expired = 4,
    Waits = 5,
    TriggerFailed = 6,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderEventRow {
    pub account_id: i32,
    pub sub: i32,
    pub ts: DateTime<Utc>,
    pub sequence: i64,
    pub order_id: i64,
    pub market_id: i16,
    pub kind: OrderEventKind,
    pub side: i16,
    pub is_placement: bool,
    pub reason: Option<i16>,
    pub order_type: Option<i16>,
    pub time_in_force: Option<i16>,
    pub self_trade_prevention: Option<i16>,
    pub post_only: Option<bool>,
    pub client_id: Option<i64>,
    pub price_ticks: Option<i64>,
    pub lots: Option<i64>,
    pub asked_quote_units: Option<i64>,
    pub lots_left: i64,
    pub executed_lots: Option<i64>,
    pub executed_quote_units: Option<i64>,
    pub created_at: Option<DateTime<Utc>>,
    pub trigger_price_ticks: Option<i64>,
    pub trigger_by: Option<i16>,
    pub triggered_at: Option<DateTime<Utc>>,
    pub refusal: Option<i16>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(i16)]
pub enum Cause {
    Deposit = 1,
    Withdrawal = 2,
    Place = 3,
    Cancel = 4,
    CancelAll = 5,
    Fire = 6,
    Amend = 7,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BalanceChangeRow {
    pub account_id: i32,
    pub sub: i32,
    pub ts: DateTime<Utc>,
    pub sequence: i64,
    pub asset_id: i16,
    pub cause: Cause,
    pub market_id: i16,
    pub available: i64,
    pub locked: i64,
    pub other: Option<OtherBalance>,
}

/// The second asset of a [`BalanceChangeRow`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OtherBalance {
    pub asset_id: i16,
    pub available: i64,
    pub locked: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TransferRow {
    pub account_id: i32,
    pub kind: Cause,
    pub asset_id: i16,
    pub ts: DateTime<Utc>,
    pub sequence: i64,
    pub units: i64,
    pub transfer_id: u128,
}

/// Rows of one stream in the order of its frames, or of several streams one after the other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Rows {
    pub trades: Vec<TradeRow>,
    pub fills: Vec<FillRow>,
    pub order_events: Vec<OrderEventRow>,
    pub balance_changes: Vec<BalanceChangeRow>,
    pub transfers: Vec<TransferRow>,
}

impl Rows {
    /// In the order of [`Rows::lengths`].
    pub(crate) const TABLES: [&'static str; 5] =
        ["trades", "fills", "order_events", "balance_changes", "transfers"];

    pub fn len(&self) -> usize {
        self.lengths().iter().sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn lengths(&self) -> [usize; 5] {
        [
            self.trades.len(),
            self.fills.len(),
            self.order_events.len(),
            self.balance_changes.len(),
            self.transfers.len(),
        ]
    }

    pub(crate) fn truncate(&mut self, lengths: [usize; 5]) {
        let [trades, fills, order_events, balance_changes, transfers] = lengths;
        self.trades.truncate(trades);
        self.fills.truncate(fills);
        self.order_events.truncate(order_events);
        self.balance_changes.truncate(balance_changes);
        self.transfers.truncate(transfers);
    }

    /// Adds those rows of `other` that come from frames after `sequence`.
    pub fn extend_after(&mut self, other: &Rows, sequence: i64) {
        self.trades.extend(other.trades.iter().filter(|row| sequence < row.sequence));
        self.fills.extend(other.fills.iter().filter(|row| sequence < row.sequence));
        self.order_events.extend(other.order_events.iter().filter(|row| sequence < row.sequence));
        let changes = other.balance_changes.iter();
        self.balance_changes.extend(changes.filter(|row| sequence < row.sequence));
        self.transfers.extend(other.transfers.iter().filter(|row| sequence < row.sequence));
    }

    /// In the order of the tables' keys. Rows of neighbours in an index then go in one after the
    /// other, and find its pages where the processor still has them.
    pub fn sort(&mut self) {
        self.fills.sort_unstable_by_key(|row| (row.account_id, row.ts, row.sequence, row.sub));
        let key = |row: &OrderEventRow| (row.account_id, row.ts, row.sequence, row.sub);
        self.order_events.sort_unstable_by_key(key);
        let key = |row: &BalanceChangeRow| (row.account_id, row.ts, row.sequence, row.sub);
        self.balance_changes.sort_unstable_by_key(key);
    }
}
