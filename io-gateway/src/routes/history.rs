//! What has happened in a market: public trades and candles, from the database.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use chrono::DateTime;
use protocol::{AssetSpec, Interval, MarketSpec, text};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{json, json_text};
use crate::admission;
use crate::app::SharedApp;
use crate::clock::{now, now_ms};
use crate::error::ApiError;
use crate::history::{Candle, PublicTrade};
use crate::openapi::queries::{KlinesQuery, TradesQuery};
use crate::openapi::values::{Count, DecimalText, Milliseconds, SpacedMoment, TradeNumber};
use crate::order_json::asset;
use crate::parameters::Parameters;

const TRADES_DEFAULT: u64 = 100;
pub const TRADES_MAX: u64 = 1_000;
/// More than a market has trades. All pages cost the same.
pub const TRADES_OFFSET_MAX: u64 = 1_000_000_000_000;
/// Second 253402300799 is the last of the year 9999.
pub const TIME_S_MAX: u64 = 253_402_300_799;

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new()
        .routes(routes!(trades))
        .routes(routes!(trades_history))
        .routes(routes!(klines))
}

/// A whole number of a query, at most `max`.
pub(super) fn at_most(
    parameters: &Parameters<'_>,
    name: &str,
    default: u64,
    max: u64,
) -> Result<i64, ApiError> {
    let value = parameters.unsigned(name)?.unwrap_or(default);
    let value = Some(value).filter(|value| *value <= max).and_then(|value| value.try_into().ok());
    value.ok_or_else(|| ApiError::field(name, format_args!("must be at most {max}")))
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Trade)]
struct TradeJson {
    #[schema(value_type = TradeNumber)]
    id: i64,
    #[schema(value_type = DecimalText)]
    price: String,
    #[schema(value_type = DecimalText)]
    quantity: String,
    #[schema(value_type = DecimalText)]
    quote_quantity: String,
    #[schema(value_type = Milliseconds)]
    timestamp: i64,
    is_buyer_maker: bool,
}

/// Public trades, newest first.
#[utoipa::path(
    get, path = "/api/v1/trades", operation_id = "getTrades", tag = "Markets",
    params(TradesQuery),
    responses((status = 200, description = "Success", body = Vec<TradeJson>)),
)]
async fn trades(state: State<SharedApp>, query: RawQuery) -> Result<Response, ApiError> {
    newest_trades(state, query).await
}

/// The same under another name.
#[utoipa::path(
    get, path = "/api/v1/trades/history", operation_id = "getTradesHistory", tag = "Markets",
    params(TradesQuery),
    responses((status = 200, description = "Success", body = Vec<TradeJson>)),
)]
async fn trades_history(state: State<SharedApp>, query: RawQuery) -> Result<Response, ApiError> {
    newest_trades(state, query).await
}

async fn newest_trades(
    State(app): State<SharedApp>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = query.unwrap_or_default();
    let parameters = Parameters::from_query(&query)?;
    let market = admission::market(&parameters, &app.catalog)?;
    let limit = at_most(&parameters, "limit", TRADES_DEFAULT, TRADES_MAX)?;
    let offset = at_most(&parameters, "offset", 0, TRADES_OFFSET_MAX)?;
    let quote = asset(&app.catalog, market.quote)?;
    let trades = app.history.trades(market.id, limit, offset, now()).await?;
    json(&trades.iter().map(|trade| trade_json(trade, market, quote)).collect::<Vec<_>>())
}

fn trade_json(trade: &PublicTrade, market: &MarketSpec, quote: &AssetSpec) -> TradeJson {
    TradeJson {
        id: trade.id,
        price: text::price(trade.price, market),
        quantity: text::lots(trade.lots, market),
        quote_quantity: text::units(u128::from(trade.quote_units), quote),
        timestamp: trade.at.timestamp_millis(),
        is_buyer_maker: trade.is_buyer_maker,
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Kline)]
struct CandleJson {
    #[schema(value_type = SpacedMoment)]
    start: String,
    #[schema(value_type = SpacedMoment)]
    end: String,
    #[schema(value_type = DecimalText)]
    open: String,
    #[schema(value_type = DecimalText)]
    high: String,
    #[schema(value_type = DecimalText)]
    low: String,
    #[schema(value_type = DecimalText)]
    close: String,
    #[schema(value_type = DecimalText)]
    volume: String,
    #[schema(value_type = DecimalText)]
    quote_volume: String,
    #[schema(value_type = Count)]
    trades: String,
}

/// Prices a candle may be of; spot has only the last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PriceType {
    Last,
    Other,
}

fn price_type(parameters: &Parameters<'_>) -> Result<PriceType, ApiError> {
    let name = parameters.text("priceType")?.unwrap_or("Last");
    match name.to_ascii_lowercase().as_str() {
        "last" => Ok(PriceType::Last),
        "index" | "mark" => Ok(PriceType::Other),
        _ => Err(ApiError::field("priceType", "must be one of Last, Index, Mark")),
    }
}

/// Candles, earliest first, at most 1000.
///
/// For more, ask again from the last `end`. Intervals without a trade have no candle.
#[utoipa::path(
    get, path = "/api/v1/klines", operation_id = "getKlines", tag = "Markets",
    params(KlinesQuery),
    responses((status = 200, description = "Success", body = Vec<CandleJson>)),
)]
async fn klines(
    State(app): State<SharedApp>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = query.unwrap_or_default();
    let parameters = Parameters::from_query(&query)?;
    let market = admission::market(&parameters, &app.catalog)?;
    let interval = parameters.required_text("interval")?;
    let interval = Interval::from_name(interval).ok_or_else(|| {
        let names = Interval::ALL.map(Interval::name).join(", ");
        ApiError::field("interval", format_args!("must be one of {names}"))
    })?;
    parameters.unsigned("startTime")?.ok_or_else(|| ApiError::missing("startTime"))?;
    let from = at_most(&parameters, "startTime", 0, TIME_S_MAX)?;
    let to = at_most(&parameters, "endTime", now_ms() / 1000, TIME_S_MAX)?;
    let price_type = price_type(&parameters)?;
    if to < from || price_type == PriceType::Other {
        return Ok(json_text("[]".to_owned()));
    }
    let quote = asset(&app.catalog, market.quote)?;
    let candles = app.history.candles(market.id, interval, from, to).await?;
    let rows = candles.iter().map(|candle| candle_json(candle, interval, market, quote));
    json(&rows.collect::<Vec<_>>())
}

fn candle_json(
    candle: &Candle,
    interval: Interval,
    market: &MarketSpec,
    quote: &AssetSpec,
) -> CandleJson {
    CandleJson {
        start: spaced(candle.open_time_s),
        end: spaced(interval.next_start(candle.open_time_s)),
        open: text::price(candle.open, market),
        high: text::price(candle.high, market),
        low: text::price(candle.low, market),
        close: text::price(candle.close, market),
        volume: text::volume(candle.lots, market),
        quote_volume: text::units(candle.quote_units, quote),
        trades: candle.trades.to_string(),
    }
}

/// `2025-01-01 00:00:00`, in UTC.
fn spaced(time_s: i64) -> String {
    let time = DateTime::from_timestamp(time_s, 0).unwrap_or(DateTime::UNIX_EPOCH);
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::openapi::tests::assert_described;
    use protocol::{Lots, Price};

    #[test]
    fn a_candle_is_text_and_ends_where_the_next_begins() {
        let catalog = fixture::catalog();
        let (market, quote) = (&catalog.markets()[0], &catalog.assets()[0]);
        let price = |ticks| Price::from_ticks(ticks).unwrap();
        let candle = Candle {
            open_time_s: 1_735_689_600,
            open: price(2000),
            high: price(2050),
            low: price(1990),
            close: price(2010),
            lots: 150,
            quote_units: 30_150_000,
            trades: 3,
        };
        let json = candle_json(&candle, Interval::Month1, market, quote);
        assert_described("Kline", &json);
        assert_eq!(json.start, "2025-01-01 00:00:00");
        assert_eq!(json.end, "2025-02-01 00:00:00");
        assert_eq!((json.open.as_str(), json.low.as_str()), ("20.00", "19.90"));
        assert_eq!((json.volume.as_str(), json.quote_volume.as_str()), ("1.50", "30.15"));
        assert_eq!(json.trades, "3");
    }

    #[test]
    fn a_trade_tells_who_was_first() {
        let catalog = fixture::catalog();
        let trade = PublicTrade {
            id: 5,
            at: DateTime::from_timestamp_micros(1_735_689_600_123_456).unwrap(),
            price: Price::from_ticks(2050).unwrap(),
            lots: Lots(125),
            quote_units: 25_625_000,
            is_buyer_maker: true,
        };
        let json = trade_json(&trade, &catalog.markets()[0], &catalog.assets()[0]);
        assert_described("Trade", &json);
        assert_eq!(
            serde_json::to_string(&json).unwrap(),
            concat!(
                r#"{"id":5,"price":"20.50","quantity":"1.25","quoteQuantity":"25.625","#,
                r#""timestamp":1735689600123,"isBuyerMaker":true}"#
            )
        );
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let query = Parameters::from_query("limit=1001").unwrap();
        assert!(at_most(&query, "limit", 100, 1000).unwrap_err().message.starts_with("limit"));
        assert_eq!(at_most(&query, "offset", 7, 1000), Ok(7));
    }
}
