//! The statements that put rows in: one a table and batch, a column an array.
//!
//! `INSERT … SELECT unnest(…) ON CONFLICT DO NOTHING` is within a tenth of COPY at these batch
//! sizes and, unlike it, outlives a row that is there already.

use rust_decimal::Decimal;
use sqlx::{PgConnection, Row};

use crate::error::SinkError;
use crate::klines::{Candle, CandleKey, Candles};
use crate::tables::{BalanceChangeRow, FillRow, OrderEventRow, TradeRow, TransferRow};

fn column<R, T>(rows: &[R], of: impl Fn(&R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

macro_rules! trades_sql {
    ($end:literal) => {
        concat!(
            "INSERT INTO trades (market_id, taker_side, ts, trade_id, sequence, price_ticks, lots,
                quote_units, maker_order_id, taker_order_id)
             SELECT * FROM unnest($1::smallint[], $2::smallint[], $3::timestamptz[], $4::bigint[],
                $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[],
                $10::bigint[])
             ON CONFLICT DO NOTHING",
            $end
        )
    };
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn trades_query(sql: &'static str, rows: &[TradeRow]) -> Query<'static> {
    sqlx::query(sql)
        .bind(column(rows, |row| row.market_id))
        .bind(column(rows, |row| row.taker_side))
        .bind(column(rows, |row| row.ts))
        .bind(column(rows, |row| row.trade_id))
        .bind(column(rows, |row| row.sequence))
        .bind(column(rows, |row| row.price_ticks))
        .bind(column(rows, |row| row.lots))
        .bind(column(rows, |row| row.quote_units))
        .bind(column(rows, |row| row.maker_order_id))
        .bind(column(rows, |row| row.taker_order_id))
}

/// Returns how many were not there before.
pub async fn trades(connection: &mut PgConnection, rows: &[TradeRow]) -> Result<u64, sqlx::Error> {
    let done = trades_query(trades_sql!(""), rows).execute(connection).await?;
    Ok(done.rows_affected())
}

/// As [`trades`], and returns which were not there before, as (market, trade id).
pub async fn trades_telling(
    connection: &mut PgConnection,
    rows: &[TradeRow],
) -> Result<Vec<(i16, i64)>, sqlx::Error> {
    let sql = trades_sql!(" RETURNING market_id, trade_id");
    let fresh = trades_query(sql, rows).fetch_all(connection).await?;
    fresh.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

const FILLS: &str = "
    INSERT INTO fills (account_id, sub, ts, sequence, market_id, side, is_maker, fee_asset_id,
        trade_id, order_id, client_id, price_ticks, lots, quote_units, fee_units)
    SELECT * FROM unnest($1::integer[], $2::integer[], $3::timestamptz[], $4::bigint[],
        $5::smallint[], $6::smallint[], $7::boolean[], $8::smallint[], $9::bigint[],
        $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::bigint[], $15::bigint[])
    ON CONFLICT DO NOTHING";

pub async fn fills(connection: &mut PgConnection, rows: &[FillRow]) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(FILLS)
        .bind(column(rows, |row| row.account_id))
        .bind(column(rows, |row| row.sub))
        .bind(column(rows, |row| row.ts))
        .bind(column(rows, |row| row.sequence))
        .bind(column(rows, |row| row.market_id))
        .bind(column(rows, |row| row.side))
        .bind(column(rows, |row| row.is_maker))
        .bind(column(rows, |row| row.fee_asset_id))
        .bind(column(rows, |row| row.trade_id))
        .bind(column(rows, |row| row.order_id))
        .bind(column(rows, |row| row.client_id))
        .bind(column(rows, |row| row.price_ticks))
        .bind(column(rows, |row| row.lots))
        .bind(column(rows, |row| row.quote_units))
        .bind(column(rows, |row| row.fee_units))
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

const ORDER_EVENTS: &str = "
    INSERT INTO order_events (account_id, sub, ts, sequence, order_id, market_id, kind, side,
        is_placement, reason, order_type, time_in_force, self_trade_prevention, post_only,
        client_id, price_ticks, lots, asked_quote_units, lots_left, executed_lots,
        executed_quote_units, created_at, trigger_price_ticks, trigger_by, triggered_at, refusal)
    SELECT * FROM unnest($1::integer[], $2::integer[], $3::timestamptz[], $4::bigint[],
        $5::bigint[], $6::smallint[], $7::smallint[], $8::smallint[], $9::boolean[],
        $10::smallint[], $11::smallint[], $12::smallint[], $13::smallint[], $14::boolean[],
        $15::bigint[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bigint[], $20::bigint[],
        $21::bigint[], $22::timestamptz[], $23::bigint[], $24::smallint[], $25::timestamptz[],
        $26::smallint[])
    ON CONFLICT DO NOTHING";

pub async fn order_events(
    connection: &mut PgConnection,
    rows: &[OrderEventRow],
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(ORDER_EVENTS)
        .bind(column(rows, |row| row.account_id))
        .bind(column(rows, |row| row.sub))
        .bind(column(rows, |row| row.ts))
        .bind(column(rows, |row| row.sequence))
        .bind(column(rows, |row| row.order_id))
        .bind(column(rows, |row| row.market_id))
        .bind(column(rows, |row| row.kind as i16))
        .bind(column(rows, |row| row.side))
        .bind(column(rows, |row| row.is_placement))
        .bind(column(rows, |row| row.reason))
        .bind(column(rows, |row| row.order_type))
        .bind(column(rows, |row| row.time_in_force))
        .bind(column(rows, |row| row.self_trade_prevention))
        .bind(column(rows, |row| row.post_only))
        .bind(column(rows, |row| row.client_id))
        .bind(column(rows, |row| row.price_ticks))
        .bind(column(rows, |row| row.lots))
        .bind(column(rows, |row| row.asked_quote_units))
        .bind(column(rows, |row| row.lots_left))
        .bind(column(rows, |row| row.executed_lots))
        .bind(column(rows, |row| row.executed_quote_units))
        .bind(column(rows, |row| row.created_at))
        .bind(column(rows, |row| row.trigger_price_ticks))
        .bind(column(rows, |row| row.trigger_by))
        .bind(column(rows, |row| row.triggered_at))
        .bind(column(rows, |row| row.refusal))
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

const BALANCE_CHANGES: &str = "
    INSERT INTO balance_changes (account_id, sub, ts, sequence, asset_id, cause, market_id,
        available, locked, other_asset_id, other_available, other_locked)
    SELECT * FROM unnest($1::integer[], $2::integer[], $3::timestamptz[], $4::bigint[],
        $5::smallint[], $6::smallint[], $7::smallint[], $8::bigint[], $9::bigint[], $10::smallint[],
        $11::bigint[], $12::bigint[])
    ON CONFLICT DO NOTHING";

pub async fn balance_changes(
    connection: &mut PgConnection,
    rows: &[BalanceChangeRow],
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(BALANCE_CHANGES)
        .bind(column(rows, |row| row.account_id))
        .bind(column(rows, |row| row.sub))
        .bind(column(rows, |row| row.ts))
        .bind(column(rows, |row| row.sequence))
        .bind(column(rows, |row| row.asset_id))
        .bind(column(rows, |row| row.cause as i16))
        .bind(column(rows, |row| row.market_id))
        .bind(column(rows, |row| row.available))
        .bind(column(rows, |row| row.locked))
        .bind(column(rows, |row| row.other.map(|other| other.asset_id)))
        .bind(column(rows, |row| row.other.map(|other| other.available)))
        .bind(column(rows, |row| row.other.map(|other| other.locked)))
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

const TRANSFERS: &str = "
    INSERT INTO transfers (account_id, kind, asset_id, ts, sequence, units, transfer_id)
    SELECT * FROM unnest($1::integer[], $2::smallint[], $3::smallint[], $4::timestamptz[],
        $5::bigint[], $6::bigint[], $7::text[]::uuid[])
    ON CONFLICT DO NOTHING";

pub async fn transfers(
    connection: &mut PgConnection,
    rows: &[TransferRow],
) -> Result<u64, sqlx::Error> {
    let done = sqlx::query(TRANSFERS)
        .bind(column(rows, |row| row.account_id))
        .bind(column(rows, |row| row.kind as i16))
        .bind(column(rows, |row| row.asset_id))
        .bind(column(rows, |row| row.ts))
        .bind(column(rows, |row| row.sequence))
        .bind(column(rows, |row| row.units))
        .bind(column(rows, |row| format!("{:032x}", row.transfer_id)))
        .execute(connection)
        .await?;
    Ok(done.rows_affected())
}

/// Joins as [`Candle::join`] does.
const KLINES: &str = "
    INSERT INTO klines AS here (market_id, resolution, open_time, first_trade_id, last_trade_id,
        open_ticks, high_ticks, low_ticks, close_ticks, lots, quote_units, trades)
    SELECT * FROM unnest($1::smallint[], $2::smallint[], $3::timestamptz[], $4::bigint[],
        $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::numeric[],
        $11::numeric[], $12::bigint[])
    ON CONFLICT (market_id, resolution, open_time) DO UPDATE SET
        open_ticks = CASE WHEN excluded.first_trade_id < here.first_trade_id
            THEN excluded.open_ticks ELSE here.open_ticks END,
        close_ticks = CASE WHEN here.last_trade_id < excluded.last_trade_id
            THEN excluded.close_ticks ELSE here.close_ticks END,
        first_trade_id = least(here.first_trade_id, excluded.first_trade_id),
        last_trade_id = greatest(here.last_trade_id, excluded.last_trade_id),
        high_ticks = greatest(here.high_ticks, excluded.high_ticks),
        low_ticks = least(here.low_ticks, excluded.low_ticks),
        lots = here.lots + excluded.lots,
        quote_units = here.quote_units + excluded.quote_units,
        trades = here.trades + excluded.trades";

pub async fn klines(connection: &mut PgConnection, candles: &Candles) -> Result<(), SinkError> {
    let rows: Vec<(CandleKey, Candle)> = candles.iter().map(|(key, row)| (*key, *row)).collect();
    let sums = |of: fn(&Candle) -> i128| {
        let decimal = |(_, candle): &(_, Candle)| Decimal::try_from_i128_with_scale(of(candle), 0);
        let sums = rows.iter().map(decimal).collect::<Result<Vec<_>, _>>();
        sums.map_err(|_| SinkError::CandleOutOfRange)
    };
    let (lots, quote_units) = (sums(|candle| candle.lots)?, sums(|candle| candle.quote_units)?);
    let open_times = rows.iter().map(|(key, _)| key.open_time()).collect::<Option<Vec<_>>>();
    let candle = |of: fn(&Candle) -> i64| column(&rows, |(_, candle)| of(candle));
    sqlx::query(KLINES)
        .bind(column(&rows, |(key, _)| key.market_id))
        .bind(column(&rows, |(key, _)| key.resolution))
        .bind(open_times.ok_or(SinkError::CandleOutOfRange)?)
        .bind(candle(|candle| candle.first_trade_id))
        .bind(candle(|candle| candle.last_trade_id))
        .bind(candle(|candle| candle.open_ticks))
        .bind(candle(|candle| candle.high_ticks))
        .bind(candle(|candle| candle.low_ticks))
        .bind(candle(|candle| candle.close_ticks))
        .bind(lots)
        .bind(quote_units)
        .bind(candle(|candle| candle.trades))
        .execute(connection)
        .await
        .map_err(|cause| SinkError::Database { doing: "write klines", cause })?;
    Ok(())
}
