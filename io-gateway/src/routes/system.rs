//! Ping, time, status, and the parts of the real venue that lie outside the spot subset: empty.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::{json, json_text};
use crate::app::SharedApp;
use crate::auth::Instruction;
use crate::caller::Caller;
use crate::clock::now_ms;
use crate::error::ApiError;

pub fn routes() -> Router<SharedApp> {
    Router::new()
        .route("/api/v1/ping", get(|| async { plain("pong".to_owned()) }))
        .route("/api/v1/time", get(|| async { plain(now_ms().to_string()) }))
        .route("/api/v1/status", get(status))
        .route("/api/v1/securities", get(nothing))
        .route("/api/v1/wallets", get(nothing))
        .route("/api/v1/collateral", get(nothing))
        .route("/api/v1/borrowLend/{*rest}", get(nothing))
        .route("/api/v1/markPrices", get(nothing))
        .route("/api/v1/openInterest", get(nothing))
        .route("/api/v1/fundingRates", get(nothing))
        .route("/api/v1/position", get(position))
}

fn plain(text: String) -> Response {
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    ([(header::CONTENT_TYPE, plain)], text).into_response()
}

async fn nothing() -> Response {
    json_text("[]".to_owned())
}

#[derive(Serialize)]
struct Status {
    status: &'static str,
    message: Option<&'static str>,
}

async fn status(State(app): State<SharedApp>) -> Result<Response, ApiError> {
    json(&if app.link.health().is_whole() {
        Status { status: "Ok", message: None }
    } else {
        Status { status: "Maintenance", message: Some("Orders are not taken now") }
    })
}

async fn position(
    State(app): State<SharedApp>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    app.signed_query(&caller, Instruction::PositionQuery, query.as_deref()).await?;
    Ok(nothing().await)
}
