//! One order at a time: place, look, cancel; and all open orders at once.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use protocol::{
    AccountId, Action, CancelAll, CancelKinds, ClosedReason, MarketId, MarketSpec, OrderId,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{json, json_text, markets};
use crate::admission::{self, NewOrder};
use crate::app::SharedApp;
use crate::auth::Instruction;
use crate::body::BoundedBody;
use crate::caller::Caller;
use crate::error::{ApiError, Body as Refused};
use crate::openapi::answers::{PlacedOrder, PresentOrder};
use crate::openapi::order_bodies::{CancelOrder, CancelOrders, PlaceOrder};
use crate::openapi::queries::{OpenOrdersQuery, OrderQuery};
use crate::order_json::{OrderJson, OrderState, fills};
use crate::parameters::Parameters;
use crate::replies::Decision;

/// What a cancel of all orders may be limited to.
pub const KINDS: [(&str, CancelKinds); 2] =
    [("RestingLimitOrder", CancelKinds::Resting), ("ConditionalOrder", CancelKinds::Waiting)];

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
    let order = admission::new_order(&parameters[0], &app.catalog, account)?;
    let decision = submit(&app, order.place.market, order.action()).await?;
    json(&placed(&app, &order, &decision)?)
}

/// The order as it now is, and its trades of this step.
pub(super) fn placed<'a>(
    app: &'a SharedApp,
    order: &NewOrder,
    decision: &Decision,
) -> Result<OrderJson<'a>, ApiError> {
    let market = app.catalog.market(order.place.market).ok_or_else(ApiError::unknown_market)?;
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
    let open = open.filter(|open| open.account() == account).ok_or_else(ApiError::not_found)?;
    json(&OrderState::standing(&open).json(market, &app.catalog)?)
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
    let (_, order) = cancelled(&decision, account).next().ok_or_else(ApiError::not_found)?;
    json(&order.json(market, &app.catalog)?)
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
    app: &SharedApp,
    account: AccountId,
    market: Option<MarketId>,
) -> Result<Vec<OrderJson<'_>>, ApiError> {
    let orders = app.queries.open_orders(account, market).await?;
    let mut rows = Vec::with_capacity(orders.len());
    for open in &orders {
        let (order, market) = (open.order(), open.market());
        let market = app.catalog.market(market).ok_or_else(|| {
            ApiError::bug(format_args!("open order {order} is of market {market}"))
        })?;
        rows.push(OrderState::standing(open).json(market, &app.catalog)?);
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
    let kinds = parameters[0].choice("orderType", &KINDS)?.unwrap_or(CancelKinds::All);
    let all = CancelAll { market: market.id, account, kinds, created_until_us: 0 };
    let decision = submit(&app, market.id, Action::CancelAll(all)).await?;
    json(&cancelled_json(&app, &decision, account, market)?)
}

/// The cancelled orders, the oldest first.
fn cancelled_json<'a>(
    app: &'a SharedApp,
    decision: &Decision,
    account: AccountId,
    market: &'a MarketSpec,
) -> Result<Vec<OrderJson<'a>>, ApiError> {
    let mut orders: Vec<_> = cancelled(decision, account).collect();
    orders.sort_by_key(|((created_us, order), _)| (*created_us, *order));
    orders.iter().map(|(_, order)| order.json(market, &app.catalog)).collect()
}

pub(super) async fn submit(
    app: &SharedApp,
    market: MarketId,
    action: Action,
) -> Result<Decision, ApiError> {
    let submissions = app.submissions.clone();
    app.detached(async move { submissions.submit(market, action).await }).await
}

/// Those that rested and those that waited, each with what tells its age.
fn cancelled(
    decision: &Decision,
    account: AccountId,
) -> impl Iterator<Item = ((u64, OrderId), OrderState)> {
    let closed = decision.closed.iter().filter(move |closed| {
        closed.reason == ClosedReason::ByRequest && closed.account == account
    });
    let withdrawn = decision.withdrawn.iter().filter(move |withdrawn| {
        let is_own = withdrawn.waiting.place.account == account;
        withdrawn.reason == ClosedReason::ByRequest && is_own
    });
    let closed = closed.map(|it| ((it.created_us, it.order), OrderState::cancelled(it)));
    let withdrawn = withdrawn
        .map(|it| ((it.waiting.created_us, it.waiting.order), OrderState::withdrawn(&it.waiting)));
    closed.chain(withdrawn)
}
