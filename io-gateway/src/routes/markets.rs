//! What is traded, and how it stands: assets, markets, depth, tickers.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use protocol::query::{Depth, Ticker, Window};
use protocol::{AssetSpec, Lots, MarketSpec, Price, text};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::market_json::{MarketJson, market_json};
use super::{json, json_text};
use crate::admission;
use crate::app::SharedApp;
use crate::error::ApiError;
use crate::null::Null;
use crate::openapi::answers::DepthJson;
use crate::openapi::queries::{
    DepthQuery, MarketPath, MarketQuery, MarketsQuery, TickerQuery, TickersQuery,
};
use crate::openapi::values::{AssetSymbol, Count, DecimalText, SignedDecimal, Symbol};
use crate::order_json::asset;
use crate::parameters::{Parameters, Value};
use crate::transfers::{WITHDRAWAL_FEE, WITHDRAWAL_MIN};

pub const DEPTH_LEVELS: [u64; 7] = [5, 10, 20, 50, 100, 500, 1000];
const DEPTH_LEVELS_DEFAULT: u64 = 1000;
pub const WINDOWS: [(&str, Window); 2] = [("1d", Window::Day), ("1w", Window::Week)];

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new()
        .routes(routes!(assets))
        .routes(routes!(markets))
        .routes(routes!(market_by_path))
        .routes(routes!(market))
        .routes(routes!(depth))
        .routes(routes!(ticker))
        .routes(routes!(tickers))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Asset)]
struct AssetJson<'c> {
    #[schema(value_type = AssetSymbol)]
    symbol: &'c str,
    display_name: &'c str,
    coingecko_id: Null,
    #[schema(value_type = Vec<TokenJson<'static>>, min_items = 1, max_items = 1)]
    tokens: [TokenJson<'c>; 1],
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Token)]
struct TokenJson<'c> {
    display_name: &'c str,
    blockchain: &'c str,
    contract_address: Null,
    deposit_enabled: bool,
    withdraw_enabled: bool,
    #[schema(value_type = DecimalText)]
    minimum_deposit: String,
    #[schema(value_type = DecimalText)]
    minimum_withdrawal: String,
    maximum_withdrawal: Null,
    #[schema(value_type = DecimalText)]
    withdrawal_fee: String,
    native_decimals: u32,
}

/// All assets.
#[utoipa::path(
    get, path = "/api/v1/assets", operation_id = "getAssets", tag = "Markets",
    responses((status = 200, description = "Success", body = Vec<AssetJson<'static>>)),
)]
async fn assets(State(app): State<SharedApp>) -> Result<Response, ApiError> {
    let asset = |asset| AssetJson::from(asset);
    json(&app.catalog.assets().iter().map(asset).collect::<Vec<AssetJson<'_>>>())
}

impl<'c> From<&'c AssetSpec> for AssetJson<'c> {
    fn from(asset: &'c AssetSpec) -> Self {
        let token = TokenJson {
            display_name: &asset.display_name,
            blockchain: &asset.blockchain,
            contract_address: Null,
            deposit_enabled: true,
            withdraw_enabled: true,
            minimum_deposit: text::units(1, asset),
            minimum_withdrawal: text::units(u128::from(WITHDRAWAL_MIN.0), asset),
            maximum_withdrawal: Null,
            withdrawal_fee: text::units(u128::from(WITHDRAWAL_FEE.0), asset),
            native_decimals: asset.decimals,
        };
        AssetJson {
            symbol: &asset.symbol,
            display_name: &asset.display_name,
            coingecko_id: Null,
            tokens: [token],
        }
    }
}

/// Whether a request that may be limited to kinds of markets means spot too.
pub(super) fn wants_spot(parameters: &Parameters<'_>) -> bool {
    let mut kinds = parameters.all("marketType").peekable();
    let is_spot = |kind: &Value<'_>| kind.signed_text() == Some("SPOT");
    kinds.peek().is_none() || kinds.any(is_spot)
}

/// All markets.
#[utoipa::path(
    get, path = "/api/v1/markets", operation_id = "getMarkets", tag = "Markets",
    params(MarketsQuery),
    responses((status = 200, description = "Success", body = Vec<MarketJson<'static>>)),
)]
async fn markets(
    State(app): State<SharedApp>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = query.unwrap_or_default();
    let parameters = Parameters::from_query(&query)?;
    if !wants_spot(&parameters) {
        return Ok(json_text("[]".to_owned()));
    }
    app.book_states.refresh().await;
    let markets = app.catalog.markets().iter().map(|market| {
        let (state, listed_us) = (app.book_states.of(market.id), app.catalog.listed_us(market.id));
        market_json(market, state, listed_us)
    });
    json(&markets.collect::<Vec<_>>())
}

/// One market.
#[utoipa::path(
    get, path = "/api/v1/market", operation_id = "getMarket", tag = "Markets",
    params(MarketQuery),
    responses((status = 200, description = "Success", body = MarketJson<'static>)),
)]
async fn market(
    State(app): State<SharedApp>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = query.unwrap_or_default();
    let parameters = Parameters::from_query(&query)?;
    one_market(&app, admission::market(&parameters, &app.catalog)?).await
}

/// One market, by its path.
#[utoipa::path(
    get, path = "/api/v1/markets/{symbol}", operation_id = "getMarketByPath", tag = "Markets",
    params(MarketPath),
    responses((status = 200, description = "Success", body = MarketJson<'static>)),
)]
async fn market_by_path(
    State(app): State<SharedApp>,
    symbol: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(symbol) = symbol.map_err(|_| ApiError::unknown_market())?;
    let market = app.catalog.market_by_symbol(&symbol).ok_or_else(ApiError::unknown_market)?;
    one_market(&app, market).await
}

async fn one_market(app: &SharedApp, market: &MarketSpec) -> Result<Response, ApiError> {
    app.book_states.refresh().await;
    let (state, listed_us) = (app.book_states.of(market.id), app.catalog.listed_us(market.id));
    json(&market_json(market, state, listed_us))
}

/// The book by levels.
///
/// Both sides by ascending price: the best ask is the first, the best bid the last.
#[utoipa::path(
    get, path = "/api/v1/depth", operation_id = "getDepth", tag = "Markets",
    params(DepthQuery),
    responses((status = 200, description = "Success", body = DepthJson)),
)]
async fn depth(
    State(app): State<SharedApp>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = query.unwrap_or_default();
    let parameters = Parameters::from_query(&query)?;
    let market = admission::market(&parameters, &app.catalog)?;
    let levels = parameters.unsigned("limit")?.unwrap_or(DEPTH_LEVELS_DEFAULT);
    if !DEPTH_LEVELS.contains(&levels) {
        let rule = "must be one of 5, 10, 20, 50, 100, 500, 1000";
        return Err(ApiError::field("limit", rule));
    }
    let depth = app.queries.depth(market.id, u32::try_from(levels).unwrap_or(u32::MAX)).await?;
    Ok(json_text(depth_json(&depth, market)))
}

/// Both sides ascending: the best bid is last.
fn depth_json(depth: &Depth, market: &MarketSpec) -> String {
    let mut out = String::with_capacity(32 * (depth.bids.len() + depth.asks.len()) + 80);
    out.push_str("{\"asks\":[");
    push_levels(&mut out, depth.asks.iter(), market);
    out.push_str("],\"bids\":[");
    push_levels(&mut out, depth.bids.iter().rev(), market);
    out.push_str("],\"lastUpdateId\":\"");
    out.push_str(&depth.update_id.to_string());
    out.push_str("\",\"timestamp\":");
    out.push_str(&depth.time_us.to_string());
    out.push('}');
    out
}

fn push_levels<'d>(
    out: &mut String,
    levels: impl Iterator<Item = &'d (Price, Lots)>,
    market: &MarketSpec,
) {
    for (at, (price, lots)) in levels.enumerate() {
        out.push_str(if at == 0 { "[\"" } else { ",[\"" });
        text::push_price(out, *price, market);
        out.push_str("\",\"");
        text::push_lots(out, *lots, market);
        out.push_str("\"]");
    }
}

fn window(parameters: &Parameters<'_>) -> Result<Window, ApiError> {
    Ok(parameters.choice("interval", &WINDOWS)?.unwrap_or(Window::Day))
}

/// Rolling figures of one market.
#[utoipa::path(
    get, path = "/api/v1/ticker", operation_id = "getTicker", tag = "Markets",
    params(TickerQuery),
    responses((status = 200, description = "Success", body = TickerJson<'static>)),
)]
async fn ticker(
    State(app): State<SharedApp>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = query.unwrap_or_default();
    let parameters = Parameters::from_query(&query)?;
    let market = admission::market(&parameters, &app.catalog)?;
    let tickers = app.queries.tickers(Some(market.id), window(&parameters)?).await?;
    let ticker = tickers.iter().find(|ticker| ticker.market == market.id);
    let ticker = ticker.ok_or_else(|| ApiError::bug("the engine has no ticker of this market"))?;
    json(&ticker_json(ticker, market, asset(&app.catalog, market.quote)?))
}

/// Rolling figures of all markets.
#[utoipa::path(
    get, path = "/api/v1/tickers", operation_id = "getTickers", tag = "Markets",
    params(TickersQuery),
    responses((status = 200, description = "Success", body = Vec<TickerJson<'static>>)),
)]
async fn tickers(
    State(app): State<SharedApp>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = query.unwrap_or_default();
    let parameters = Parameters::from_query(&query)?;
    let tickers = app.queries.tickers(None, window(&parameters)?).await?;
    let mut rows = Vec::with_capacity(tickers.len());
    for ticker in &tickers {
        // A market listed in the engine alone is not ours to describe.
        let Some(market) = app.catalog.market(ticker.market) else { continue };
        rows.push(ticker_json(ticker, market, asset(&app.catalog, market.quote)?));
    }
    json(&rows)
}

#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Ticker)]
struct TickerJson<'c> {
    #[schema(value_type = Symbol)]
    symbol: &'c str,
    #[schema(value_type = DecimalText)]
    first_price: String,
    #[schema(value_type = DecimalText)]
    last_price: String,
    #[schema(value_type = DecimalText)]
    high: String,
    #[schema(value_type = DecimalText)]
    low: String,
    #[schema(value_type = SignedDecimal)]
    price_change: String,
    #[schema(value_type = SignedDecimal)]
    price_change_percent: String,
    #[schema(value_type = DecimalText)]
    volume: String,
    #[schema(value_type = DecimalText)]
    quote_volume: String,
    #[schema(value_type = Count)]
    trades: String,
}

fn ticker_json<'c>(ticker: &Ticker, market: &'c MarketSpec, quote: &AssetSpec) -> TickerJson<'c> {
    let price = |price: Option<Price>| {
        price.map_or_else(|| "0".to_owned(), |price| text::price(price, market))
    };
    let ticks = |price: Option<Price>| i128::from(price.map_or(0, Price::ticks));
    let (first, last) = (ticks(ticker.first), ticks(ticker.last));
    let change = last - first;
    let mut price_change = sign(change);
    let scaled = change.unsigned_abs() * u128::from(market.tick.mantissa);
    text::push_padded(&mut price_change, scaled, market.tick.scale);
    TickerJson {
        symbol: &market.symbol,
        first_price: price(ticker.first),
        last_price: price(ticker.last),
        high: price(ticker.high),
        low: price(ticker.low),
        price_change,
        price_change_percent: fraction(change, first),
        volume: text::volume(ticker.lots, market),
        quote_volume: text::units(ticker.quote, quote),
        trades: ticker.trades.to_string(),
    }
}

fn sign(value: i128) -> String {
    if value < 0 { "-".to_owned() } else { String::new() }
}

/// `change / first` with six decimals, the last one rounded half up.
fn fraction(change: i128, first: i128) -> String {
    if change == 0 || first <= 0 {
        return "0".to_owned();
    }
    let first = first.unsigned_abs();
    let millionths = (change.unsigned_abs() * 1_000_000 + first / 2) / first;
    let mut out = if millionths == 0 { String::new() } else { sign(change) };
    text::push_trimmed(&mut out, millionths, 6);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::openapi::tests::assert_described;
    use protocol::MarketId;

    #[test]
    fn assets_are_as_described() {
        for asset in fixture::catalog().assets() {
            assert_described("Asset", &AssetJson::from(asset));
        }
    }

    #[test]
    fn depth_is_ascending_on_both_sides() {
        let catalog = fixture::catalog();
        let level = |ticks, lots| (Price::from_ticks(ticks).unwrap(), Lots(lots));
        let depth = Depth {
            bids: vec![level(2000, 5), level(1999, 10)],
            asks: vec![level(2001, 1), level(2002, 200)],
            update_id: 9,
            time_us: 1_767_225_600_000_001,
        };
        let json = depth_json(&depth, &catalog.markets()[0]);
        assert_described("Depth", &serde_json::from_str::<serde_json::Value>(&json).unwrap());
        let expected = concat!(
            r#"{"asks":[["20.01","0.01"],["20.02","2.00"]],"#,
            r#""bids":[["19.99","0.10"],["20.00","0.05"]],"#,
            r#""lastUpdateId":"9","timestamp":1767225600000001}"#
        );
        assert_eq!(json, expected);
    }

    #[test]
    fn a_ticker_changes_as_a_fraction() {
        let catalog = fixture::catalog();
        let (market, quote) = (&catalog.markets()[0], &catalog.assets()[0]);
        let price = |ticks| Price::from_ticks(ticks);
        let mut ticker = Ticker {
            market: MarketId(1),
            first: price(2000),
            last: price(1937),
            high: price(2100),
            low: price(1900),
            lots: 12_345,
            quote: 2_468_000_000,
            trades: 7,
        };
        let json = ticker_json(&ticker, market, quote);
        assert_described("Ticker", &json);
        assert_eq!(
            (json.price_change, json.price_change_percent),
            ("-0.63".into(), "-0.0315".into())
        );
        assert_eq!((json.volume, json.quote_volume), ("123.45".into(), "2468".into()));
        assert_eq!(json.trades, "7");
        (ticker.first, ticker.last, ticker.lots) = (None, None, 0);
        let json = ticker_json(&ticker, market, quote);
        assert_described("Ticker", &json);
        assert_eq!((json.first_price, json.price_change), ("0".into(), "0.00".into()));
        assert_eq!((json.price_change_percent, json.volume), ("0".into(), "0.00".into()));
        assert_eq!(fraction(-1, 10_000_000), "0");
    }
}
