//! An open order is changed in place: it keeps its id, and never stands in the book twice.

use axum::extract::State;
use axum::response::Response;
use protocol::{Action, Amend};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{json, orders};
use crate::admission;
use crate::app::SharedApp;
use crate::auth::Instruction;
use crate::body::BoundedBody;
use crate::caller::Caller;
use crate::error::{ApiError, Body as Refused};
use crate::openapi::answers::PlacedOrder;
use crate::openapi::order_bodies::AmendOrder;
use crate::order_json::{OrderState, fills};
use crate::parameters::Parameters;

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new().routes(routes!(amend))
}

/// Changes one open order in place: its price, its quantity or both.
///
/// It keeps its id. The answer comes when the decision is made.
#[utoipa::path(
    patch, path = "/api/v1/order", operation_id = "amendOrder", tag = "Orders",
    extensions(("x-instruction" = json!(Instruction::OrderModify.name()))),
    request_body = AmendOrder,
    responses(
        (status = 200, description = "Success", body = PlacedOrder),
        (status = 404, body = Refused, description = "No such open order of yours"),
    ),
)]
async fn amend(
    State(app): State<SharedApp>,
    caller: Caller,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let parameters = [Parameters::from_body(&body)?];
    let account = app.signed(&caller, Instruction::OrderModify, &parameters).await?;
    let market = admission::market(&parameters[0], &app.catalog)?;
    let target = admission::target(&parameters[0], market)?;
    let (price, lots) = admission::change(&parameters[0], market)?;
    let amend = Amend { market: market.id, account, target, price, lots, valid_until_us: 0 };
    let decision = orders::submit(&app, market.id, Action::Amend(amend)).await?;
    let order = OrderState::amended(&decision, &amend, market)?;
    let mut answer = order.json(market, &app.catalog)?;
    answer.fills = Some(fills(&decision.trades, market, &app.catalog)?);
    json(&answer)
}
