//! Every path of the gateway, and what surrounds them all: CORS, counting, and an answer in the
//! contract's shape whatever happens.

pub mod system;
pub mod markets;
pub mod market_json;
pub mod history;
pub mod orders;
pub mod amend;
pub mod cancel_after;
pub mod order_history;
pub mod paging;
pub mod fills;
pub mod batch;
pub mod accounts;
pub mod capital;
pub mod deposits;
pub mod withdrawals;
pub mod admin;
pub mod conservation;
pub mod auth_accounts;
pub mod auth_keys;
pub mod faucet;
pub mod admin_markets;
pub mod web;
pub mod docs;

use std::any::Any;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{Any as AnyOrigin, CorsLayer};
use utoipa_axum::router::OpenApiRouter;

use crate::app::SharedApp;
use crate::error::ApiError;
use crate::limits;
use crate::openapi;

/// All routes. Requests must have gone through [`single_slash`] first.
pub fn router(app: SharedApp, web_dir: Option<&std::path::Path>) -> Router {
    let mut router = OpenApiRouter::with_openapi(openapi::foundation())
        .merge(system::routes())
        .merge(markets::routes())
        .merge(history::routes())
        .merge(orders::routes())
        .merge(amend::routes())
        .merge(cancel_after::routes())
        .merge(order_history::routes())
        .merge(fills::routes())
        .merge(batch::routes())
        .merge(accounts::routes())
        .merge(capital::routes())
        .merge(deposits::routes())
        .merge(withdrawals::routes())
        .merge(auth_accounts::routes(&app))
        .merge(web::routes());
    if app.admin_token.is_some() {
        router = router.merge(admin::routes(&app));
    }
    let (router, document) = router.split_for_parts();
    let router = router
        .merge(docs::routes(&document, &app.catalog))
        .method_not_allowed_fallback(|| async {
            ApiError::invalid("Method not allowed").with_status(StatusCode::METHOD_NOT_ALLOWED)
        })
        .with_state(app.clone());
    let router = match web_dir.filter(|dir| dir.is_dir()) {
        Some(dir) => router.fallback_service(web::files(dir)),
        None => router.fallback(|| async { ApiError::not_found() }),
    };
    router
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(app, limits::guard))
        .layer(middleware::map_response(in_shape))
        .layer(middleware::from_fn(count))
        .layer(cors())
}

/// Some clients want a base URL that ends with a slash, others one that does not, and users mix
/// them up: `//api/v1/time` is `/api/v1/time`.
pub fn single_slash<B>(mut request: axum::http::Request<B>) -> axum::http::Request<B> {
    let path = request.uri().path();
    if path.starts_with("//") {
        let single = format!("/{}", path.trim_start_matches('/'));
        let target = match request.uri().query() {
            Some(query) => format!("{single}?{query}"),
            None => single,
        };
        if let Ok(uri) = target.parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// A success, with JSON as the contract wants it.
pub(crate) fn json(body: &impl Serialize) -> Result<Response, ApiError> {
    Ok(json_text(serde_json::to_string(body).map_err(ApiError::bug)?))
}

pub(crate) fn json_text(text: String) -> Response {
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    ([(header::CONTENT_TYPE, json)], text).into_response()
}

/// Any page may call, with a key; none of another origin may use a session: no credentials are
/// allowed, and `X-CSRF-Token` is not among the headers.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(AnyOrigin)
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::CONTENT_TYPE,
            HeaderName::from_static("x-api-key"),
            HeaderName::from_static("x-signature"),
            HeaderName::from_static("x-timestamp"),
            HeaderName::from_static("x-window"),
            HeaderName::from_static("x-broker-id"),
            HeaderName::from_static("x-broker-key"),
        ])
        .expose_headers([header::RETRY_AFTER])
}

fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let message = panic.downcast_ref::<&str>().copied().unwrap_or("no message");
    ApiError::bug(format_args!("a handler panicked: {message}")).into_response()
}

/// Refusals that axum or hyper wrote in plain text get the contract's body.
async fn in_shape(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    let shape = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !is_error || shape.is_some_and(|shape| shape.starts_with(b"application/json")) {
        return response;
    }
    match status {
        StatusCode::NOT_FOUND => ApiError::not_found(),
        status if status.is_server_error() => ApiError::bug(status),
        status => ApiError::invalid("Bad request").with_status(status),
    }
    .into_response()
}

/// Counts each request by route and status; the path of none is its own series.
async fn count(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "other".to_owned());
    let method = match *request.method() {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::counter!(
        "gateway_requests_total", "method" => method, "route" => route.clone(), "status" => status
    )
    .increment(1);
    metrics::histogram!("gateway_request_seconds", "method" => method, "route" => route)
        .record(started.elapsed());
    response
}
