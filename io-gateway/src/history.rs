//! What the database keeps of a market: trades and candles, as the sink wrote them, in the engine's
//! integers.

use chrono::{DateTime, Utc};
use protocol::{Interval, Lots, MarketId, Price};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::{PgPool, Row};

use crate::config::DatabaseLimits;
use crate::error::{ApiError, GatewayError};
use crate::snapshot::in_time;
use crate::trade_pages::{self, TradePage, resolution};

/// Most candles in one answer; a client pages forward.
const CANDLES_MAX: i64 = 1_000;

#[derive(Clone, Debug)]
pub struct History {
    pool: PgPool,
}

/// A trade as the public sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicTrade {
    pub id: i64,
    pub at: DateTime<Utc>,
    pub price: Price,
    pub lots: Lots,
    pub quote_units: u64,
    pub is_buyer_maker: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candle {
    pub open_time_s: i64,
    pub open: Price,
    pub high: Price,
    pub low: Price,
    pub close: Price,
    pub lots: u128,
    pub quote_units: u128,
    pub trades: i64,
}

const TRADES: &str = "\
    SELECT trade_id, ts, price_ticks, lots, quote_units, taker_side FROM trades \
    WHERE market_id = $1 AND $2 <= ts AND ts < $3 AND trade_id BETWEEN $4 AND $5 \
    ORDER BY ts DESC, trade_id DESC LIMIT $6";

/// Connects when first asked; every acquisition and statement has a deadline.
///
/// Statements are planned for the values they have: for those of a history that decides which
/// chunks are looked at, and whether a condition is one. None runs so long that compiling it pays.
pub fn pool(url: &str, limits: &DatabaseLimits) -> Result<PgPool, GatewayError> {
    let options: PgConnectOptions = url.parse().map_err(GatewayError::DatabaseUrl)?;
    let timeout_ms = limits.timeout.as_millis();
    let options = options.application_name("io-gateway").options([
        ("statement_timeout", timeout_ms.to_string()),
        ("lock_timeout", timeout_ms.to_string()),
        ("plan_cache_mode", "force_custom_plan".to_owned()),
        ("jit", "off".to_owned()),
    ]);
    Ok(PgPoolOptions::new()
        .max_connections(limits.connections_max)
        .acquire_timeout(limits.timeout)
        .connect_lazy_with(options))
}

impl History {
    pub fn new(pool: PgPool) -> Self {
        History { pool }
    }

    /// Newest first, `offset` counted from the newest. Those removed since are left out.
    pub async fn trades(
        &self,
        market: MarketId,
        limit: i64,
        offset: i64,
        now: DateTime<Utc>,
    ) -> Result<Vec<PublicTrade>, ApiError> {
        let connection = self.pool.acquire().await;
        let mut connection = connection.map_err(|error| ApiError::database(&error))?;
        let market = market_column(market);
        let read = async {
            let page = trade_pages::find(&mut connection, market, (limit, offset), now).await?;
            let Some(TradePage { oldest, newest, within }) = page else { return Ok(Vec::new()) };
            sqlx::query(TRADES)
                .bind(market)
                .bind(within.from)
                .bind(within.until)
                .bind(oldest)
                .bind(newest)
                .bind(limit)
                .fetch_all(&mut *connection)
                .await
        };
        let rows = in_time(&self.pool, read).await?;
        rows.iter().map(|row| read_row(row, trade)).collect()
    }

    /// Candles that start in `from_s..=to_s`, earliest first.
    pub async fn candles(
        &self,
        market: MarketId,
        interval: Interval,
        from_s: i64,
        to_s: i64,
    ) -> Result<Vec<Candle>, ApiError> {
        let (Some(from), Some(to)) = (
            DateTime::<Utc>::from_timestamp(interval.start_of(from_s), 0),
            DateTime::<Utc>::from_timestamp(to_s, 0),
        ) else {
            return Err(ApiError::field("startTime", "out of range"));
        };
        let rows = sqlx::query(
            "SELECT open_time, open_ticks, high_ticks, low_ticks, close_ticks, lots::text, \
             quote_units::text, trades FROM klines WHERE market_id = $1 AND resolution = $2 \
             AND open_time BETWEEN $3 AND $4 ORDER BY open_time LIMIT $5",
        )
        .bind(market_column(market))
        .bind(resolution(interval))
        .bind(from)
        .bind(to)
        .bind(CANDLES_MAX)
        .fetch_all(&self.pool)
        .await
        .map_err(|error| ApiError::database(&error))?;
        rows.iter().map(|row| read_row(row, candle)).collect()
    }
}

/// Market ids are at most 1023.
fn market_column(market: MarketId) -> i16 {
    i16::try_from(market.0).unwrap_or(i16::MAX)
}

fn read_row<T>(
    row: &PgRow,
    convert: impl FnOnce(&PgRow) -> Result<Option<T>, sqlx::Error>,
) -> Result<T, ApiError> {
    let converted = convert(row).map_err(ApiError::bug)?;
    converted.ok_or_else(|| ApiError::bug("a row of the history is out of range"))
}

fn trade(row: &PgRow) -> Result<Option<PublicTrade>, sqlx::Error> {
    let (price, lots): (i64, i64) = (row.try_get(2)?, row.try_get(3)?);
    let (quote_units, taker_side): (i64, i16) = (row.try_get(4)?, row.try_get(5)?);
    let (id, at) = (row.try_get(0)?, row.try_get(1)?);
    Ok((|| {
        Some(PublicTrade {
            id,
            at,
            price: ticks(price)?,
            lots: Lots(u64::try_from(lots).ok()?),
            quote_units: u64::try_from(quote_units).ok()?,
            is_buyer_maker: taker_side == protocol::Side::Ask as i16,
        })
    })())
}

fn candle(row: &PgRow) -> Result<Option<Candle>, sqlx::Error> {
    let open_time: DateTime<Utc> = row.try_get(0)?;
    let [open, high, low, close] =
        [row.try_get::<i64, _>(1)?, row.try_get(2)?, row.try_get(3)?, row.try_get(4)?];
    let (lots, quote): (&str, &str) = (row.try_get(5)?, row.try_get(6)?);
    let trades = row.try_get(7)?;
    Ok((|| {
        Some(Candle {
            open_time_s: open_time.timestamp(),
            open: ticks(open)?,
            high: ticks(high)?,
            low: ticks(low)?,
            close: ticks(close)?,
            lots: lots.parse().ok()?,
            quote_units: quote.parse().ok()?,
            trades,
        })
    })())
}

fn ticks(column: i64) -> Option<Price> {
    u64::try_from(column).ok().and_then(Price::from_ticks)
}
