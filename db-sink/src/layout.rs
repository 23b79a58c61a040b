//! The columns of each table, in order: the one place that both ways of writing read (`copy.rs`,
//! `insert.rs`), and whoever compares what was written.

use chrono::{DateTime, Utc};

use crate::tables::{BalanceChangeRow, FillRow, OrderEventRow, TradeRow, TransferRow};

/// A row of one table.
pub trait TableRow: Sized + 'static {
    const TABLE: &'static str;
    /// Completes "the database could not …".
    const WRITING: &'static str;
    const COLUMNS: &'static [Column<Self>];
}

pub struct Column<R> {
    pub name: &'static str,
    pub value: Value<R>,
}

/// The type of a column, and where a row has its value; `None` is NULL.
pub enum Value<R> {
    Boolean(fn(&R) -> Option<bool>),
    SmallInt(fn(&R) -> Option<i16>),
    Integer(fn(&R) -> Option<i32>),
    BigInt(fn(&R) -> Option<i64>),
    /// Of whole microseconds, as the server keeps it.
    Timestamp(fn(&R) -> Option<DateTime<Utc>>),
    Uuid(fn(&R) -> Option<u128>),
}

const fn boolean<R>(name: &'static str, of: fn(&R) -> Option<bool>) -> Column<R> {
    Column { name, value: Value::Boolean(of) }
}

const fn small<R>(name: &'static str, of: fn(&R) -> Option<i16>) -> Column<R> {
    Column { name, value: Value::SmallInt(of) }
}

const fn integer<R>(name: &'static str, of: fn(&R) -> Option<i32>) -> Column<R> {
    Column { name, value: Value::Integer(of) }
}

const fn big<R>(name: &'static str, of: fn(&R) -> Option<i64>) -> Column<R> {
    Column { name, value: Value::BigInt(of) }
}

const fn time<R>(name: &'static str, of: fn(&R) -> Option<DateTime<Utc>>) -> Column<R> {
    Column { name, value: Value::Timestamp(of) }
}

const fn uuid<R>(name: &'static str, of: fn(&R) -> Option<u128>) -> Column<R> {
    Column { name, value: Value::Uuid(of) }
}

impl TableRow for TradeRow {
    const TABLE: &'static str = "trades";
    const WRITING: &'static str = "write trades";
    const COLUMNS: &'static [Column<Self>] = &[
        small("market_id", |row| Some(row.market_id)),
        small("taker_side", |row| Some(row.taker_side)),
        time("ts", |row| Some(row.ts)),
        big("trade_id", |row| Some(row.trade_id)),
        big("sequence", |row| Some(row.sequence)),
        big("price_ticks", |row| Some(row.price_ticks)),
        big("lots", |row| Some(row.lots)),
        big("quote_units", |row| Some(row.quote_units)),
        big("maker_order_id", |row| Some(row.maker_order_id)),
        big("taker_order_id", |row| Some(row.taker_order_id)),
    ];
}

impl TableRow for FillRow {
    const TABLE: &'static str = "fills";
    const WRITING: &'static str = "write fills";
    const COLUMNS: &'static [Column<Self>] = &[
        integer("account_id", |row| Some(row.account_id)),
        integer("sub", |row| Some(row.sub)),
        time("ts", |row| Some(row.ts)),
        big("sequence", |row| Some(row.sequence)),
        small("market_id", |row| Some(row.market_id)),
        small("side", |row| Some(row.side)),
        boolean("is_maker", |row| Some(row.is_maker)),
        small("fee_asset_id", |row| Some(row.fee_asset_id)),
        big("trade_id", |row| Some(row.trade_id)),
        big("order_id", |row| Some(row.order_id)),
        big("client_id", |row| row.client_id),
        big("price_ticks", |row| Some(row.price_ticks)),
        big("lots", |row| Some(row.lots)),
        big("quote_units", |row| Some(row.quote_units)),
        big("fee_units", |row| Some(row.fee_units)),
    ];
}

impl TableRow for OrderEventRow {
    const TABLE: &'static str = "order_events";
    const WRITING: &'static str = "write order events";
    const COLUMNS: &'static [Column<Self>] = &[
        integer("account_id", |row| Some(row.account_id)),
        integer("sub", |row| Some(row.sub)),
        time("ts", |row| Some(row.ts)),
        big("sequence", |row| Some(row.sequence)),
        big("order_id", |row| Some(row.order_id)),
        small("market_id", |row| Some(row.market_id)),
        small("kind", |row| Some(row.kind as i16)),
        small("side", |row| Some(row.side)),
        boolean("is_placement", |row| Some(row.is_placement)),
        small("reason", |row| row.reason),
        small("order_type", |row| row.order_type),
        small("time_in_force", |row| row.time_in_force),
        small("self_trade_prevention", |row| row.self_trade_prevention),
        boolean("post_only", |row| row.post_only),
        big("client_id", |row| row.client_id),
        big("price_ticks", |row| row.price_ticks),
        big("lots", |row| row.lots),
        big("asked_quote_units", |row| row.asked_quote_units),
        big("lots_left", |row| Some(row.lots_left)),
        big("executed_lots", |row| row.executed_lots),
        big("executed_quote_units", |row| row.executed_quote_units),
        time("created_at", |row| row.created_at),
        big("trigger_price_ticks", |row| row.trigger_price_ticks),
        small("trigger_by", |row| row.trigger_by),
        time("triggered_at", |row| row.triggered_at),
        small("refusal", |row| row.refusal),
    ];
}

impl TableRow for BalanceChangeRow {
    const TABLE: &'static str = "balance_changes";
    const WRITING: &'static str = "write balance changes";
    const COLUMNS: &'static [Column<Self>] = &[
        integer("account_id", |row| Some(row.account_id)),
        integer("sub", |row| Some(row.sub)),
        time("ts", |row| Some(row.ts)),
        big("sequence", |row| Some(row.sequence)),
        small("asset_id", |row| Some(row.asset_id)),
        small("cause", |row| Some(row.cause as i16)),
        small("market_id", |row| Some(row.market_id)),
        big("available", |row| Some(row.available)),
        big("locked", |row| Some(row.locked)),
        small("other_asset_id", |row| row.other.map(|other| other.asset_id)),
        big("other_available", |row| row.other.map(|other| other.available)),
        big("other_locked", |row| row.other.map(|other| other.locked)),
    ];
}

impl TableRow for TransferRow {
    const TABLE: &'static str = "transfers";
    const WRITING: &'static str = "write transfers";
    const COLUMNS: &'static [Column<Self>] = &[
        integer("account_id", |row| Some(row.account_id)),
        small("kind", |row| Some(row.kind as i16)),
        small("asset_id", |row| Some(row.asset_id)),
        time("ts", |row| Some(row.ts)),
        big("sequence", |row| Some(row.sequence)),
        big("units", |row| Some(row.units)),
        uuid("transfer_id", |row| Some(row.transfer_id)),
    ];
}
