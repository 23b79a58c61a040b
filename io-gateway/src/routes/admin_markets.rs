//! Administration of markets: listed, halted and changed while the exchange runs.
//!
//! Each step is one command that may be repeated: a call that ran into its time limit is completed
//! by the same call again.

use std::time::Duration;

use axum::extract::Path;
use axum::extract::State;
use axum::extract::rejection::PathRejection;
use axum::response::Response;
use protocol::catalog_json::Known;
use protocol::query::{EngineStatus, Heartbeat};
use protocol::{
    Action, BookState, Catalog, Listing, MarketId, MarketSpec, Outcome, Sequence, keys,
};
use serde::Serialize;
use serde_json::Value;
use tokio::time::timeout;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json;
use super::market_json::{MarketJson, market_json};
use crate::app::SharedApp;
use crate::body::BoundedBody;
use crate::error::{ApiError, Body as Refused, Code};
use crate::market_terms::Written;
use crate::openapi::answers::EngineStanding;
use crate::openapi::market_bodies::{ChangeMarket, ListMarket};
use crate::openapi::queries::MarketPath;
use crate::openapi::values::Sequence as SequenceText;
use crate::replies::Decision;

pub const BOOK_STATES: [(&str, BookState); 5] = [
    ("Open", BookState::Open),
    ("Closed", BookState::Closed),
    ("CancelOnly", BookState::CancelOnly),
    ("LimitOnly", BookState::LimitOnly),
    ("PostOnly", BookState::PostOnly),
];
const PRICE_TERMS: [&str; 6] = [
    "minPrice",
    "maxPrice",
    "minMultiplier",
    "maxMultiplier",
    "minImpactMultiplier",
    "maxImpactMultiplier",
];
const LOT_TERMS: [&str; 4] = ["minQuantity", "maxQuantity", "makerFeeBps", "takerFeeBps"];
/// How long this gateway may take to hear what the engine has listed.
const FOLLOW_MAX: Duration = Duration::from_secs(5);
/// Ids that others may take before us.
const TRIES_MAX: usize = 8;

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(change)).routes(routes!(engine))
}

/// The market as it now is, and the command that made it so.
#[derive(Serialize, ToSchema)]
#[schema(as = MarketChanged)]
struct Changed<'c> {
    #[serde(flatten)]
    market: MarketJson<'c>,
    #[schema(value_type = SequenceText)]
    sequence: String,
}

/// Lists a market.
///
/// After a 504 repeat it, unchanged.
#[utoipa::path(
    post, path = "/admin/v1/markets", operation_id = "listMarket", tag = "Administration",
    request_body = ListMarket,
    responses(
        (status = 200, description = "Success", body = Changed<'static>),
        (status = 409, body = Refused, description = "It is listed already, and otherwise, or there
            is no room for more markets"),
    ),
)]
async fn list(
    State(app): State<SharedApp>,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let written = Written::read(&body)?;
    let symbol = written.outer().required_text("symbol")?;
    for name in ["makerFeeBps", "takerFeeBps"] {
        if !written.says(&[name]) {
            return Err(ApiError::missing(name));
        }
    }
    let state = written.outer().choice("orderBookState", &BOOK_STATES)?.unwrap_or_default();
    // Before anything happens, all that is wrong with the request is said.
    let (_, asked) = new_market(&app.catalog, symbol, &written)?;
    let terms = written.terms(&asked, &asked)?;
    let market = listed(&app, symbol, &written).await?;
    let known = app.listing.get();
    let is_done = is_as_asked(&known, &terms, market.id, state);
    let began_closed = known.book_states.get(&market.id) == Some(&BookState::Closed)
        && known.listed_us.contains_key(&market.id);
    if !is_done && !began_closed {
        return Err(exists());
    }
    let terms = MarketSpec { id: market.id, ..terms };
    set_price_terms(&app, &terms).await?;
    set_lot_terms(&app, &terms).await?;
    let sequence = set_state(&app, market.id, state).await?;
    told(&app, market.id, sequence).await
}

/// The listing of a new market, and the market it would be without terms.
fn new_market(
    catalog: &Catalog,
    symbol: &str,
    written: &Written<'_>,
) -> Result<(Listing, MarketSpec), ApiError> {
    let asset = |name: &str| catalog.asset_by_symbol(name).map(|asset| asset.id);
    let assets = symbol.split_once('_').map(|(base, quote)| (asset(base), asset(quote)));
    let Some((Some(base), Some(quote))) = assets else {
        return Err(ApiError::field("symbol", "must be two listed assets, such as SOL_USDC"));
    };
    if base == quote {
        return Err(ApiError::field("symbol", "must name two different assets"));
    }
    let (tick, step) = (written.increment("tickSize")?, written.increment("stepSize")?);
    let used = |id: &u16| catalog.market(MarketId(*id)).is_none();
    let Some(id) = (1..=MarketId::MAX.0).find(used) else {
        return Err(ApiError::new(Code::PreconditionFailed, "The exchange takes no more markets"));
    };
    let listing = Listing { market: MarketId(id), base, quote, tick, step };
    // Of the assets alone, so that one that is listed already is found to be possible.
    let spec = Catalog::new(catalog.assets().to_vec(), Vec::new())
        .and_then(|mut alone| alone.list(&listing).cloned());
    let spec = spec.map_err(|_| {
        let rule = "times stepSize, and stepSize itself, must be whole units of the assets";
        ApiError::field("tickSize", rule)
    })?;
    Ok((listing, spec))
}

/// The market of this symbol, listed now or by an earlier call.
async fn listed(
    app: &SharedApp,
    symbol: &str,
    written: &Written<'_>,
) -> Result<MarketSpec, ApiError> {
    for _ in 0..TRIES_MAX {
        let known = app.listing.get();
        let (listing, _) = new_market(&known.catalog, symbol, written)?;
        if let Some(market) = known.catalog.market_by_symbol(symbol) {
            let is_same = (market.tick, market.step) == (listing.tick, listing.step);
            return if is_same { Ok(market.clone()) } else { Err(exists()) };
        }
        let action = Action::ListMarket(listing);
        match app.submissions.submit(MarketId::ACCOUNTS, action).await {
            Ok(decision) => expect(&decision, Outcome::MarketListed)?,
            // Another gateway was faster, and we are to hear of it.
            Err(error) if error.code() == Code::PreconditionFailed => {
                let version = known.version;
                let heard = hear(app, |known| version < known.version).await;
                if heard.is_none() {
                    return Err(error);
                }
                continue;
            }
            Err(error) => return Err(error),
        }
        let is_there = |known: &Known| known.catalog.market_by_symbol(symbol).is_some();
        if hear(app, is_there).await.is_none() {
            return Err(ApiError::timeout());
        }
    }
    Err(ApiError::overloaded())
}

/// Halts a market or opens it again, and changes what orders are held to and what they pay.
#[utoipa::path(
    patch, path = "/admin/v1/markets/{symbol}", operation_id = "changeMarket",
    tag = "Administration",
    params(MarketPath),
    request_body = ChangeMarket,
    responses((status = 200, description = "Success", body = Changed<'static>)),
)]
async fn change(
    State(app): State<SharedApp>,
    symbol: Result<Path<String>, PathRejection>,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let Path(symbol) = symbol.map_err(|_| ApiError::unknown_market())?;
    let market = app.catalog.market_by_symbol(&symbol).ok_or_else(ApiError::unknown_market)?;
    let written = Written::read(&body)?;
    let state = written.outer().choice("orderBookState", &BOOK_STATES)?;
    let defaults = market.without_terms();
    let terms = written.terms(market, &defaults)?;
    let (prices, lots) = (written.says(&PRICE_TERMS), written.says(&LOT_TERMS));
    let mut sequence = None;
    if prices {
        sequence = Some(set_price_terms(&app, &terms).await?);
    }
    if lots {
        sequence = Some(set_lot_terms(&app, &terms).await?);
    }
    if let Some(state) = state {
        sequence = Some(set_state(&app, market.id, state).await?);
    }
    match sequence {
        Some(sequence) => told(&app, market.id, sequence).await,
        None => Err(ApiError::invalid("one of orderBookState, fees, filters is required")),
    }
}

/// How the engine's parts stood within the last second or so.
#[utoipa::path(
    get, path = "/admin/v1/engine", operation_id = "getEngine", tag = "Administration",
    responses((status = 200, description = "Success", body = EngineStanding)),
)]
async fn engine(State(app): State<SharedApp>) -> Result<Response, ApiError> {
    let away = || ApiError::maintenance("The engine cannot be reached now");
    let heartbeat = app.link.heartbeat().ok_or_else(away)?;
    let mut connection = app.link.connection()?;
    let found: redis::RedisResult<Option<Vec<u8>>> =
        redis::cmd("GET").arg(keys::STATUS).query_async(&mut connection).await;
    let found = found.map_err(|error| away().because(error))?.ok_or_else(away)?;
    let status: EngineStatus = serde_json::from_slice(&found).map_err(ApiError::bug)?;
    json(&standing(&status, &heartbeat).map_err(ApiError::bug)?)
}

fn standing(status: &EngineStatus, heartbeat: &Heartbeat) -> serde_json::Result<Value> {
    let mut told = serde_json::to_value(status)?;
    told["life"] = heartbeat.life.to_string().into();
    told["sequence"] = heartbeat.sequence.to_string().into();
    Ok(told)
}

async fn set_price_terms(app: &SharedApp, spec: &MarketSpec) -> Result<Sequence, ApiError> {
    let action = Action::SetPriceTerms { market: spec.id, terms: spec.price_terms() };
    let decision = app.submissions.submit(spec.id, action).await?;
    expect(&decision, Outcome::TermsSet)?;
    Ok(decision.sequence)
}

async fn set_lot_terms(app: &SharedApp, spec: &MarketSpec) -> Result<Sequence, ApiError> {
    let action = Action::SetLotTerms { market: spec.id, terms: spec.lot_terms() };
    let decision = app.submissions.submit(spec.id, action).await?;
    expect(&decision, Outcome::TermsSet)?;
    Ok(decision.sequence)
}

async fn set_state(
    app: &SharedApp,
    market: MarketId,
    state: BookState,
) -> Result<Sequence, ApiError> {
    let action = Action::SetBookState { market, state };
    let decision = app.submissions.submit(market, action).await?;
    expect(&decision, Outcome::BookStateSet)?;
    app.book_states.note(market, state);
    Ok(decision.sequence)
}

fn expect(decision: &Decision, outcome: Outcome) -> Result<(), ApiError> {
    if decision.outcome == outcome {
        return Ok(());
    }
    let found = decision.outcome;
    Err(ApiError::bug(format_args!("a market's change became {found:?}")))
}

fn exists() -> ApiError {
    ApiError::new(Code::PreconditionFailed, "symbol: is listed already, and otherwise")
}

fn is_as_asked(known: &Known, asked: &MarketSpec, market: MarketId, state: BookState) -> bool {
    known.catalog.market(market).is_some_and(|found| {
        found.price_terms() == asked.price_terms() && found.lot_terms() == asked.lot_terms()
    }) && known.book_states.get(&market) == Some(&state)
}

/// What is listed once it is so; `None`: not in time.
async fn hear(app: &SharedApp, so: impl Fn(&Known) -> bool) -> Option<()> {
    let mut changes = app.listing.subscribe();
    let heard = timeout(FOLLOW_MAX, changes.wait_for(|known| so(known))).await;
    matches!(heard, Ok(Ok(_))).then_some(())
}

/// The market as it is after `sequence`. It is so even if this gateway does not hear of it in time.
async fn told(app: &SharedApp, market: MarketId, sequence: Sequence) -> Result<Response, ApiError> {
    // An engine that has never said what is listed will not do so now.
    let says_nothing = app.listing.get().version == Sequence(0);
    if !says_nothing && hear(app, |known| sequence <= known.version).await.is_none() {
        tracing::warn!(%market, sequence = sequence.0, "a change of a market is not heard of");
    }
    let known = app.listing.get();
    let spec = known.catalog.market(market).ok_or_else(ApiError::unknown_market)?;
    let listed_us = known.listed_us.get(&market).copied();
    let market = market_json(spec, app.book_states.of(market), listed_us);
    json(&Changed { market, sequence: sequence.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::tests::assert_described;
    use protocol::query::{JournalStatus, ShardStatus, SnapshotStatus};

    #[test]
    fn how_the_engine_stands_is_as_described() {
        let (frames, bytes) = (9, 1_000);
        for (core, age_ms) in [(Some(1), Some(5)), (None, None)] {
            let shard = ShardStatus {
                core,
                markets: vec!["SOL_USDC".to_owned()],
                commands: 7,
                stalls: 0,
                inbound_depth: 1,
                outbound_depth: 2,
            };
            let status = EngineStatus {
                sequence: Sequence(9),
                time_us: 1_735_689_600_123_456,
                shards: vec![shard],
                journal: JournalStatus { sequence: 9, frames, bytes },
                snapshot: SnapshotStatus { sequence: Sequence(0), age_ms },
            };
            let heartbeat = Heartbeat { life: 1, sequence: Sequence(9), queued: None, time_us: 1 };
            assert_described("Engine", &standing(&status, &heartbeat).unwrap());
        }
    }
}
