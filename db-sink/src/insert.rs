//! Rows by `INSERT … SELECT unnest(…)`, a column an array. Also candles, which join what is there.

use rust_decimal::Decimal;
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row};

use crate::error::SinkError;
use crate::klines::{Candle, CandleKey, Candles};
use crate::layout::{TableRow, Value};
use crate::tables::TradeRow;

fn column<R, T>(rows: &[R], of: impl Fn(&R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

/// What to do with a row that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Known {
    /// It fails all of them.
    Fails,
    /// It stays as it is and does not count. Looking first costs a fifth of the rate.
    Stays,
}

impl Known {
    const fn clause(self) -> &'static str {
        match self {
            Known::Fails => "",
            Known::Stays => " ON CONFLICT DO NOTHING",
        }
    }
}

/// Returns how many went in.
pub async fn rows<R: TableRow>(
    connection: &mut PgConnection,
    rows: &[R],
    known: Known,
) -> Result<u64, sqlx::Error> {
    Ok(query(rows, known, "").execute(connection).await?.rows_affected())
}

/// As [`rows`], where known ones stay, and returns which were not there before, as (market, trade
/// id).
pub async fn trades_telling(
    connection: &mut PgConnection,
    rows: &[TradeRow],
) -> Result<Vec<(i16, i64)>, sqlx::Error> {
    let fresh =
        query(rows, Known::Stays, " RETURNING market_id, trade_id").fetch_all(connection).await?;
    fresh.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

fn query<R: TableRow>(
    rows: &[R],
    known: Known,
    end: &str,
) -> Query<'static, Postgres, PgArguments> {
    let names: Vec<&str> = R::COLUMNS.iter().map(|column| column.name).collect();
    let arrays = R::COLUMNS.iter().zip(1..);
    let arrays = arrays.map(|(column, number)| format!("${number}::{}", array(&column.value)));
    let statement = format!(
        "INSERT INTO {} ({}) SELECT * FROM unnest({}){}{end}",
        R::TABLE,
        names.join(", "),
        arrays.collect::<Vec<_>>().join(", "),
        known.clause(),
    );
    let query = sqlx::query(AssertSqlSafe(statement));
    R::COLUMNS.iter().fold(query, |query, of_column| match of_column.value {
        Value::Boolean(of) => query.bind(column(rows, of)),
        Value::SmallInt(of) => query.bind(column(rows, of)),
        Value::Integer(of) => query.bind(column(rows, of)),
        Value::BigInt(of) => query.bind(column(rows, of)),
        Value::Timestamp(of) => query.bind(column(rows, of)),
        Value::Uuid(of) => {
            query.bind(column(rows, |row| of(row).map(|uuid| format!("{uuid:032x}"))))
        }
    })
}

const fn array<R>(value: &Value<R>) -> &'static str {
    match value {
        Value::Boolean(_) => "boolean[]",
        Value::SmallInt(_) => "smallint[]",
        Value::Integer(_) => "integer[]",
        Value::BigInt(_) => "bigint[]",
        Value::Timestamp(_) => "timestamptz[]",
        Value::Uuid(_) => "text[]::uuid[]",
    }
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
