//! One order at a time: place, look, cancel; and all open orders at once.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use protocol::{AccountId, Action, Closed, ClosedReason, MarketId, Place};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{json, json_text, markets};
use crate::admission;
use crate::app::{App, SharedApp};
use crate::auth::Instruction;
use crate::body::BoundedBody;
use crate::caller::Caller;
use crate::error::{ApiError, Body as Refused};
use crate::openapi::answers::{PlacedOrder, PresentOrder};
use crate::openapi::bodies::{CancelOrder, CancelOrders, PlaceOrder};
use crate::openapi::queries::{OpenOrdersQuery, OrderQuery};
use crate::order_json::{OrderJson, OrderState, fills};
use crate::parameters::Parameters;
use crate::replies::Decision;

/// What a cancel of all orders may be limited to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Resting,
    Conditional,
}

pub const KINDS: [(&str, Kind); 2] =
    [("RestingLimitOrder", Kind::Resting), ("ConditionalOrder", Kind::Conditional)];

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new()
        .routes(routes!(look, place, cancel))
        .routes(routes!(open_orders, cancel_all))
}

/// Places one order.
///
/// The answer comes when the decision is made. After a 504 it is not known whether it happened.
#[utoipa::path(
    post, path = "/api/v1/order", operation_id = "placeOrder", tag = "Orders",
    extensions(("x-instruction" = json!(Instruction::OrderExecute.name()))),
    request_body = PlaceOrder,
    responses((status = 200, description = "Success", body = PlacedOrder)),
)]
async fn place(
    State(app): State<SharedApp>,
    caller: Caller,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let parameters = [Parameters::from_body(&body)?];
    let account = app.signed(&caller, Instruction::OrderExecute, &parameters).await?;
    let (order, _) = admission::place(&parameters[0], &app.catalog, account)?;
    let decision = submit(&app, order.market, Action::Place(order)).await?;
    json(&placed(&app, &order, &decision)?)
}

/// The order as it now is, and its trades of this step.
pub(super) fn placed<'a>(
    app: &'a App,
    order: &Place,
    decision: &Decision,
) -> Result<OrderJson<'a>, ApiError> {
    let market = app.catalog.market(order.market).ok_or_else(ApiError::unknown_market)?;
    let state = OrderState::placed(decision, order, market)?;
    let mut answer = state.json(market, &app.catalog)?;
    answer.fills = Some(fills(&decision.trades, market, &app.catalog)?);
    Ok(answer)
}

/// One open order.
#[utoipa::path(
    get, path = "/api/v1/order", operation_id = "getOrder", tag = "Orders",
    extensions(("x-instruction" = json!(Instruction::OrderQuery.name()))),
    params(OrderQuery),
    responses(
        (status = 200, description = "Success", body = PresentOrder),
        (status = 404, body = Refused, description = "No such open order of yours"),
    ),
)]
async fn look(
    State(app): State<SharedApp>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (account, parameters) =
        app.signed_query(&caller, Instruction::OrderQuery, query.as_deref()).await?;
    let market = admission::market(&parameters, &app.catalog)?;
    let target = admission::target(&parameters, market)?;
    let open = app.queries.order(account, market.id, target).await?;
    let open = open.filter(|open| open.account == account).ok_or_else(ApiError::not_found)?;
    json(&OrderState::open(&open).json(market, &app.catalog)?)
}

/// Cancels one open order.
#[utoipa::path(
    delete, path = "/api/v1/order", operation_id = "cancelOrder", tag = "Orders",
    extensions(("x-instruction" = json!(Instruction::OrderCancel.name()))),
    request_body = CancelOrder,
    responses(
        (status = 200, description = "Success", body = PresentOrder),
        (status = 404, body = Refused, description = "No such open order of yours"),
    ),
)]
async fn cancel(
    State(app): State<SharedApp>,
    caller: Caller,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let parameters = [Parameters::from_body(&body)?];
    let account = app.signed(&caller, Instruction::OrderCancel, &parameters).await?;
    let market = admission::market(&parameters[0], &app.catalog)?;
    let target = admission::target(&parameters[0], market)?;
    let action = Action::Cancel { market: market.id, account, target };
    let decision = submit(&app, market.id, action).await?;
    let closed = cancelled(&decision, account).next().ok_or_else(ApiError::not_found)?;
    json(&OrderState::cancelled(closed).json(market, &app.catalog)?)
}

/// Open orders, oldest first.
#[utoipa::path(
    get, path = "/api/v1/orders", operation_id = "getOpenOrders", tag = "Orders",
    extensions(("x-instruction" = json!(Instruction::OrderQueryAll.name()))),
    params(OpenOrdersQuery),
    responses((status = 200, description = "Success", body = Vec<PresentOrder>)),
)]
async fn open_orders(
    State(app): State<SharedApp>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (account, parameters) =
        app.signed_query(&caller, Instruction::OrderQueryAll, query.as_deref()).await?;
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
    app: &App,
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

/// Cancels all open orders of a market.
#[utoipa::path(
    delete, path = "/api/v1/orders", operation_id = "cancelOrders", tag = "Orders",
    extensions(("x-instruction" = json!(Instruction::OrderCancelAll.name()))),
    request_body = CancelOrders,
    responses((status = 200, description = "Success", body = Vec<PresentOrder>)),
)]
async fn cancel_all(
    State(app): State<SharedApp>,
    caller: Caller,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let parameters = [Parameters::from_body(&body)?];
    let account = app.signed(&caller, Instruction::OrderCancelAll, &parameters).await?;
    let market = admission::market(&parameters[0], &app.catalog)?;
    // No order here is conditional, so there is none of that kind to cancel.
    if parameters[0].choice("orderType", &KINDS)? == Some(Kind::Conditional) {
        return Ok(json_text("[]".to_owned()));
    }
    let action = Action::CancelAll { market: market.id, account };
    let decision = submit(&app, market.id, action).await?;
    let rows = cancelled(&decision, account)
        .map(|closed| OrderState::cancelled(closed).json(market, &app.catalog));
    json(&rows.collect::<Result<Vec<_>, _>>()?)
}

async fn submit(app: &App, market: MarketId, action: Action) -> Result<Decision, ApiError> {
    let submissions = app.submissions.clone();
    app.detached(async move { submissions.submit(market, action).await }).await
}

fn cancelled(decision: &Decision, account: AccountId) -> impl Iterator<Item = &Closed> {
    let by_request = move |closed: &&Closed| {
        closed.reason == ClosedReason::ByRequest && closed.account == account
    };
    decision.closed.iter().filter(by_request)
}
