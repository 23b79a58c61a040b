//! What is traded, and how it stands: assets, markets, depth, tickers.

use std::num::NonZeroU32;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use axum::routing::get;
use protocol::query::{Depth, Ticker, Window};
use protocol::{AssetSpec, BookState, Lots, MarketSpec, Price, text};
use serde::Serialize;

use super::{json, json_text};
use crate::admission;
use crate::app::SharedApp;
use crate::error::ApiError;
use crate::order_json::{Null, asset, naive};
use crate::parameters::{Parameters, Value};

const DEPTH_LEVELS: [u64; 7] = [5, 10, 20, 50, 100, 500, 1000];
const DEPTH_LEVELS_DEFAULT: u64 = 1000;
/// The day the listing in exchange.toml began; it names no days of its own.
const LISTED_AT: &str = "2026-01-01T00:00:00";
const WINDOWS: [(&str, Window); 2] = [("1d", Window::Day), ("1w", Window::Week)];

pub fn routes() -> Router<SharedApp> {
    Router::new()
        .route("/api/v1/assets", get(assets))
        .route("/api/v1/markets", get(markets))
        .route("/api/v1/markets/{symbol}", get(market_by_path))
        .route("/api/v1/market", get(market))
        .route("/api/v1/depth", get(depth))
        .route("/api/v1/ticker", get(ticker))
        .route("/api/v1/tickers", get(tickers))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AssetJson<'c> {
    symbol: &'c str,
    display_name: &'c str,
    coingecko_id: Null,
    tokens: [TokenJson<'c>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenJson<'c> {
    display_name: &'c str,
    blockchain: &'c str,
    contract_address: Null,
    deposit_enabled: bool,
    withdraw_enabled: bool,
    minimum_deposit: String,
    minimum_withdrawal: String,
    maximum_withdrawal: Null,
    withdrawal_fee: &'static str,
    native_decimals: u32,
}

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
            minimum_withdrawal: text::units(1, asset),
            maximum_withdrawal: Null,
            withdrawal_fee: "0",
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

/// The contract's word for what a market takes.
pub(super) const fn book_state_name(state: BookState) -> &'static str {
    match state {
        BookState::Open => "Open",
        BookState::CancelOnly => "CancelOnly",
        BookState::Closed => "Closed",
        BookState::LimitOnly => "LimitOnly",
        BookState::PostOnly => "PostOnly",
    }
}

/// What the real venue says of futures only is null.
pub(super) fn market_json(
    market: &MarketSpec,
    state: BookState,
    listed_us: Option<u64>,
) -> serde_json::Value {
    let factor = |factor: Option<NonZeroU32>| factor.map(text::millionths);
    let created_at = listed_us.map_or_else(|| LISTED_AT.to_owned(), naive);
    let (base, quote) = market.symbol.split_once('_').unwrap_or((&market.symbol, ""));
    serde_json::json!({
        "symbol": market.symbol,
        "baseSymbol": base,
        "quoteSymbol": quote,
        "marketType": "SPOT",
        "rwaMarketType": null,
        "filters": {
            "price": {
                "minPrice": canonical(text::price(market.price_min, market)),
                "maxPrice": canonical(text::price(market.price_max, market)),
                "tickSize": text::increment(market.tick),
                "maxMultiplier": factor(market.band.max_millionths),
                "minMultiplier": factor(market.band.min_millionths),
                "maxImpactMultiplier": factor(market.impact.max_millionths),
                "minImpactMultiplier": factor(market.impact.min_millionths),
                "meanMarkPriceBand": null,
                "meanPremiumBand": null,
                "borrowEntryFeeMaxMultiplier": null,
                "borrowEntryFeeMinMultiplier": null,
                "maxPriceUpdateMultiplier": null,
                "minPriceUpdateMultiplier": null,
            },
            "quantity": {
                "minQuantity": canonical(text::lots(market.lots_min, market)),
                "maxQuantity": canonical(text::lots(market.lots_max, market)),
                "stepSize": text::increment(market.step),
            },
        },
        "imfFunction": null,
        "mmfFunction": null,
        "fundingInterval": null,
        "fundingRateUpperBound": null,
        "fundingRateLowerBound": null,
        "openInterestLimit": null,
        "positionLimitWeight": null,
        "orderBookState": book_state_name(state),
        "createdAt": created_at,
        "visible": true,
    })
}

/// `0.01`, never `0.010`.
fn canonical(decimal: String) -> String {
    match decimal.split_once('.') {
        Some(_) => decimal.trim_end_matches('0').trim_end_matches('.').to_owned(),
        None => decimal,
    }
}

/// Whether a request that may be limited to kinds of markets means spot too.
pub(super) fn wants_spot(parameters: &Parameters<'_>) -> bool {
    let mut kinds = parameters.all("marketType").peekable();
    let is_spot = |kind: &Value<'_>| kind.signed_text() == Some("SPOT");
    kinds.peek().is_none() || kinds.any(is_spot)
}

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
    let market = |market: &MarketSpec| {
        let (state, listed_us) = (app.book_states.of(market.id), app.catalog.listed_us(market.id));
        market_json(market, state, listed_us)
    };
    json(&app.catalog.markets().iter().map(market).collect::<Vec<_>>())
}

async fn market(
    State(app): State<SharedApp>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let query = query.unwrap_or_default();
    let parameters = Parameters::from_query(&query)?;
    one_market(&app, admission::market(&parameters, &app.catalog)?).await
}

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

#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct TickerJson<'c> {
    symbol: &'c str,
    first_price: String,
    last_price: String,
    high: String,
    low: String,
    price_change: String,
    price_change_percent: String,
    volume: String,
    quote_volume: String,
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
    use protocol::MarketId;

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
        assert_eq!(
            (json.price_change, json.price_change_percent),
            ("-0.63".into(), "-0.0315".into())
        );
        assert_eq!((json.volume, json.quote_volume), ("123.45".into(), "2468".into()));
        assert_eq!(json.trades, "7");
        (ticker.first, ticker.last, ticker.lots) = (None, None, 0);
        let json = ticker_json(&ticker, market, quote);
        assert_eq!((json.first_price, json.price_change), ("0".into(), "0.00".into()));
        assert_eq!((json.price_change_percent, json.volume), ("0".into(), "0.00".into()));
        assert_eq!(fraction(-1, 10_000_000), "0");
    }

    #[test]
    fn filters_are_canonical() {
        let catalog = fixture::catalog();
        let json =
            market_json(&catalog.markets()[0], BookState::CancelOnly, Some(1_700_000_000_000_000));
        assert_eq!(json["orderBookState"], "CancelOnly");
        assert_eq!(json["createdAt"], "2023-11-14T22:13:20.000");
        assert_eq!(json["filters"]["price"]["tickSize"], "0.01");
        assert_eq!(json["filters"]["price"]["minPrice"], "0.1");
        assert_eq!(json["filters"]["quantity"]["maxQuantity"], "1000000");
        assert_eq!((&json["baseSymbol"], &json["quoteSymbol"]), (&"SOL".into(), &"USDC".into()));
    }
}
