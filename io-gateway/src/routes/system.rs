//! Ping, time, status, and the parts of the real venue that lie outside the spot subset: empty.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{json, json_text};
use crate::app::SharedApp;
use crate::auth::Instruction;
use crate::caller::Caller;
use crate::clock::now_ms;
use crate::error::ApiError;
use crate::openapi::queries::RestPath;
use crate::openapi::values::{Empty, Milliseconds, Pong, SystemStatusWord};

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new()
        .routes(routes!(ping))
        .routes(routes!(time))
        .routes(routes!(status))
        .routes(routes!(securities))
        .routes(routes!(wallets))
        .routes(routes!(collateral))
        .routes(routes!(borrow_lend))
        .routes(routes!(mark_prices))
        .routes(routes!(open_interest))
        .routes(routes!(funding_rates))
        .routes(routes!(position))
}

/// Whether the gateway answers.
#[utoipa::path(
    get, path = "/api/v1/ping", operation_id = "ping", tag = "System",
    responses((status = 200, description = "`pong`", body = Pong, content_type = "text/plain")),
)]
async fn ping() -> Response {
    plain("pong".to_owned())
}

/// The gateway's clock, ms.
#[utoipa::path(
    get, path = "/api/v1/time", operation_id = "getTime", tag = "System",
    responses((status = 200, description = "Success", body = Milliseconds,
        content_type = "text/plain")),
)]
async fn time() -> Response {
    plain(now_ms().to_string())
}

fn plain(text: String) -> Response {
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, plain)], text).into_response()
}

/// The answer of what lies outside the spot subset.
macro_rules! nothing {
    ($($name:ident: $path:literal, $operation:literal $(, $parameters:ident)?;)*) => {$(
        /// Not offered: always empty.
        #[utoipa::path(
            get, path = $path, operation_id = $operation, tag = "Not offered",
            $(params($parameters),)?
            responses((status = 200, description = "`[]`", body = Empty)),
        )]
        async fn $name() -> Response {
            json_text("[]".to_owned())
        }
    )*};
}

nothing! {
    securities: "/api/v1/securities", "getSecurities";
    wallets: "/api/v1/wallets", "getWallets";
    collateral: "/api/v1/collateral", "getCollateral";
    borrow_lend: "/api/v1/borrowLend/{*rest}", "getBorrowLend", RestPath;
    mark_prices: "/api/v1/markPrices", "getMarkPrices";
    open_interest: "/api/v1/openInterest", "getOpenInterest";
    funding_rates: "/api/v1/fundingRates", "getFundingRates";
}

#[derive(Serialize, ToSchema)]
#[schema(as = SystemStatus)]
struct Status {
    #[schema(value_type = SystemStatusWord)]
    status: &'static str,
    #[schema(required)]
    message: Option<&'static str>,
}

/// Whether orders are taken.
#[utoipa::path(
    get, path = "/api/v1/status", operation_id = "getStatus", tag = "System",
    responses((status = 200, description = "Success", body = Status)),
)]
async fn status(State(app): State<SharedApp>) -> Result<Response, ApiError> {
    json(&if app.link.health().is_whole() {
        Status { status: "Ok", message: None }
    } else {
        Status { status: "Maintenance", message: Some("Orders are not taken now") }
    })
}

/// Futures are not offered: always empty.
#[utoipa::path(
    get, path = "/api/v1/position", operation_id = "getPositions", tag = "Not offered",
    extensions(("x-instruction" = json!(Instruction::PositionQuery.name()))),
    responses((status = 200, description = "`[]`", body = Empty)),
)]
async fn position(
    State(app): State<SharedApp>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    app.signed_query(&caller, Instruction::PositionQuery, query.as_deref()).await?;
    Ok(json_text("[]".to_owned()))
}
