//! The account's orders that have ended, from the moment on in which they are open no more.
//!
//! Clients ask here first and then for open orders, so an order must never be in neither place:
//! what the database has not got yet comes from the engine's live copy.

use axum::extract::{RawQuery, State};
use axum::response::Response;
use protocol::{AccountId, FinishedOrder, OrderId, Target};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::paging::Page;
use super::{json, json_text, markets};
use crate::admission;
use crate::app::SharedApp;
use crate::auth::Instruction;
use crate::caller::Caller;
use crate::clock::now;
use crate::error::{ApiError, Code};
use crate::openapi::answers::PastOrder;
use crate::openapi::queries::PastOrdersQuery;
use crate::order_json::finished_json;
use crate::parameters::Parameters;
use crate::past_orders::{SortDirection, Wanted};

pub const DIRECTIONS: [(&str, SortDirection); 2] =
    [("Asc", SortDirection::Ascending), ("Desc", SortDirection::Descending)];

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new().routes(routes!(orders))
}

/// Orders that have ended: filled, cancelled and expired ones.
#[utoipa::path(
    get, path = "/wapi/v1/history/orders", operation_id = "getPastOrders", tag = "Orders",
    extensions(("x-instruction" = json!(Instruction::OrderHistoryQueryAll.name()))),
    params(PastOrdersQuery),
    responses((status = 200, description = "Success", body = Vec<PastOrder>)),
)]
async fn orders(
    State(app): State<SharedApp>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let (account, parameters) =
        app.signed_query(&caller, Instruction::OrderHistoryQueryAll, query.as_deref()).await?;
    match wanted(&app, account, &parameters)? {
        None => Ok(json_text("[]".to_owned())),
        Some(wanted) => {
            let mut rows = Vec::new();
            for order in &page(&app, &wanted).await? {
                // A market listed in the engine alone is not ours to describe.
                let Some(market) = app.catalog.market(order.market) else { continue };
                rows.push(finished_json(order, market, &app.catalog)?);
            }
            json(&rows)
        }
    }
}

/// `None`: nothing can be like that.
fn wanted(
    app: &SharedApp,
    account: AccountId,
    parameters: &Parameters<'_>,
) -> Result<Option<Wanted>, ApiError> {
    let market = match parameters.get("symbol")? {
        Some(_) => Some(admission::market(parameters, &app.catalog)?.id),
        None => None,
    };
    let Page { limit, offset } = Page::read(parameters)?;
    let direction = parameters.choice("sortDirection", &DIRECTIONS)?;
    let number = parameters.unsigned("orderId")?;
    let is_listed = |order: &OrderId| app.catalog.market(order.market()).is_some();
    let order = number.and_then(OrderId::from_u64).filter(is_listed);
    let is_impossible = number.is_some() && order.is_none()
        || order.zip(market).is_some_and(|(order, market)| order.market() != market)
        || parameters.get("strategyId")?.is_some()
        || !markets::wants_spot(parameters);
    let (Ok(limit), Ok(offset)) = (usize::try_from(limit), usize::try_from(offset)) else {
        return Err(ApiError::bug("a page out of range"));
    };
    let direction = direction.unwrap_or(SortDirection::Descending);
    let wanted = Wanted { account, market, order, limit, offset, direction };
    Ok(Some(wanted).filter(|_| !is_impossible))
}

async fn page(app: &SharedApp, wanted: &Wanted) -> Result<Vec<FinishedOrder>, ApiError> {
    let Some(order) = wanted.order else {
        let after = app.past_orders.positions_now().await?;
        let live = app.queries.finished_orders(wanted.account, wanted.market, after);
        let live = unless_away(live.await)?.unwrap_or_default();
        return app.past_orders.page(wanted, live, now()).await;
    };
    // Asked for before those that have ended: an order that ends in between is found among them.
    let (market, target) = (order.market(), Target::Order(order));
    let open = app.queries.order(wanted.account, market, target).await;
    if let Some(Some(_)) = unless_away(open)? {
        return Ok(Vec::new());
    }
    let live = app.queries.finished_orders(wanted.account, Some(market), Vec::new()).await;
    let mut live = unless_away(live)?.unwrap_or_default();
    live.retain(|ended| ended.order == order);
    if live.is_empty() {
        return app.past_orders.page(wanted, Vec::new(), now()).await;
    }
    // No order ends twice, so there is nothing to look for in the database.
    Ok(live.into_iter().skip(wanted.offset).take(wanted.limit).collect())
}

/// `None` while the engine is away: then the database alone answers.
fn unless_away<T>(answer: Result<T, ApiError>) -> Result<Option<T>, ApiError> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if matches!(error.code, Code::Maintenance | Code::Timeout) => Ok(None),
        Err(error) => Err(error),
    }
}
