//! The web client: its files, and where it finds the streams.

use std::convert::Infallible;
use std::path::Path;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tower::{Service, ServiceExt};
use tower_http::services::ServeDir;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json;
use crate::app::SharedApp;
use crate::error::ApiError;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = WebConfig)]
struct WebConfig<'a> {
    /// Where the streams are; null where the operator has not said.
    #[schema(required)]
    ws_url: Option<&'a str>,
    faucet: bool,
}

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new().routes(routes!(config))
}

/// Where a browser finds the streams.
#[utoipa::path(
    get, path = "/web/config.json", operation_id = "getWebConfig", tag = "System",
    responses((status = 200, description = "Success", body = WebConfig<'static>)),
)]
async fn config(State(app): State<SharedApp>) -> Result<Response, ApiError> {
    json(&WebConfig { ws_url: app.ws_url.as_deref(), faucet: app.browser.faucet.is_on() })
}

/// The folder's files, index.html at `/`; what is not there answers as any unknown path does.
pub fn files(
    dir: &Path,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + use<> {
    let files = ServeDir::new(dir);
    ServiceExt::<Request>::map_response(files, |response: axum::http::Response<_>| {
        let status = response.status();
        if status.is_client_error() || status.is_server_error() {
            return ApiError::not_found().into_response();
        }
        response.map(Body::new)
    })
}
