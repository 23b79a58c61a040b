//! One order at a time: place, look, cancel; and all open orders at once.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use protocol::{AccountId, Action, Closed, ClosedReason, MarketId, Place};

use super::{json, json_text, markets};
use crate::admission;
use crate::app::SharedApp;
use crate::auth::Instruction;
use crate::body::BoundedBody;
use crate::error::ApiError;
use crate::order_json::{OrderJson, OrderState, fills};
use crate::parameters::Parameters;
use crate::replies::Decision;

/// What a cancel of all orders may be limited to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Resting,
    Conditional,
}

const KINDS: [(&str, Kind); 2] =
    [("RestingLimitOrder", Kind::Resting), ("ConditionalOrder", Kind::Conditional)];

pub fn routes() -> Router<SharedApp> {
    Router::new()
        .route("/api/v1/order", get(look).post(place).delete(cancel))
        .route("/api/v1/orders", get(open_orders).delete(cancel_all))
}

async fn place(
    State(app): State<SharedApp>,
    headers: HeaderMap,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let parameters = [Parameters::from_body(&body)?];
    let account = app.signed(&headers, Instruction::OrderExecute, &parameters).await?;
    let (order, _) = admission::place(&parameters[0], &app.catalog, account)?;
    let decision = submit(&app, order.market, Action::Place(order)).await?;
    json(&placed(&app, &order, &decision)?)
}

/// The order as it now is, and its trades of this step.
pub(super) fn placed<'a>(
    app: &'a SharedApp,
    order: &Place,
    decision: &Decision,
) -> Result<OrderJson<'a>, ApiError> {
    let market = app.catalog.market(order.market).ok_or_else(ApiError::unknown_market)?;
    let state = OrderState::placed(decision, order, market)?;
    let mut answer = state.json(market, &app.catalog)?;
    answer.fills = Some(fills(&decision.trades, market, &app.catalog)?);
    Ok(answer)
}

async fn look(
    State(app): State<SharedApp>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (account, parameters) =
        app.signed_query(&headers, Instruction::OrderQuery, query.as_deref()).await?;
    let market = admission::market(&parameters, &app.catalog)?;
    let target = admission::target(&parameters, market)?;
    let open = app.queries.order(account, market.id, target).await?;
    let open = open.filter(|open| open.account == account).ok_or_else(ApiError::not_found)?;
    json(&OrderState::open(&open).json(market, &app.catalog)?)
}

async fn cancel(
    State(app): State<SharedApp>,
    headers: HeaderMap,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let parameters = [Parameters::from_body(&body)?];
    let account = app.signed(&headers, Instruction::OrderCancel, &parameters).await?;
    let market = admission::market(&parameters[0], &app.catalog)?;
    let target = admission::target(&parameters[0], market)?;
    let action = Action::Cancel { market: market.id, account, target };
    let decision = submit(&app, market.id, action).await?;
    let closed = cancelled(&decision, account).next().ok_or_else(ApiError::not_found)?;
    json(&OrderState::cancelled(closed).json(market, &app.catalog)?)
}

async fn open_orders(
    State(app): State<SharedApp>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (account, parameters) =
        app.signed_query(&headers, Instruction::OrderQueryAll, query.as_deref()).await?;
    let market = match parameters.get("symbol")? {
        Some(_) => Some(admission::market(&parameters, &app.catalog)?.id),
        None => None,
    };
    if !markets::wants_spot(&parameters) {
        return Ok(json_text("[]".to_owned()));
    }
    json(&open_orders_json(&app, account, market).await?)
}

/// All open orders of an account, of one market or of all.
pub(super) async fn open_orders_json(
    app: &SharedApp,
    account: AccountId,
    market: Option<MarketId>,
) -> Result<Vec<OrderJson<'_>>, ApiError> {
    let orders = app.queries.open_orders(account, market).await?;
    let mut rows = Vec::with_capacity(orders.len());
    for open in &orders {
        let market = app.catalog.market(open.market).ok_or_else(|| {
            ApiError::bug(format_args!("open order {} is of market {}", open.order, open.market))
        })?;
        rows.push(OrderState::open(open).json(market, &app.catalog)?);
    }
    Ok(rows)
}

async fn cancel_all(
    State(app): State<SharedApp>,
    headers: HeaderMap,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let parameters = [Parameters::from_body(&body)?];
    let account = app.signed(&headers, Instruction::OrderCancelAll, &parameters).await?;
    let market = admission::market(&parameters[0], &app.catalog)?;
    // No order here is conditional, so there is none of that kind to cancel.
    if parameters[0].choice("orderType", &KINDS)? == Some(Kind::Conditional) {
        return Ok(json_text("[]".to_owned()));
    }
    let action = Action::cancel_all(market.id, account);
    let decision = submit(&app, market.id, action).await?;
    let rows = cancelled(&decision, account)
        .map(|closed| OrderState::cancelled(closed).json(market, &app.catalog));
    json(&rows.collect::<Result<Vec<_>, _>>()?)
}

async fn submit(app: &SharedApp, market: MarketId, action: Action) -> Result<Decision, ApiError> {
    let submissions = app.submissions.clone();
    app.detached(async move { submissions.submit(market, action).await }).await
}

fn cancelled(decision: &Decision, account: AccountId) -> impl Iterator<Item = &Closed> {
    let by_request = move |closed: &&Closed| {
        closed.reason == ClosedReason::ByRequest && closed.account == account
    };
    decision.closed.iter().filter(by_request)
}
