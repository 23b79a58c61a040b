//! An open order is changed in place: it keeps its id, and never stands in the book twice.

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::patch;
use protocol::{Action, Amend};

use super::{json, orders};
use crate::admission;
use crate::app::SharedApp;
use crate::auth::Instruction;
use crate::body::BoundedBody;
use crate::caller::Caller;
use crate::error::ApiError;
use crate::order_json::{OrderState, fills};
use crate::parameters::Parameters;

pub fn routes() -> Router<SharedApp> {
    Router::new().route("/api/v1/order", patch(amend))
}

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
