//! The description of the REST surface: as a document, and as a page to browse it in.
//!
//! The page and its scripts are part of this binary, so it needs no other host; its policy lets a
//! browser load from no other one.

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::IntoResponse;
use axum::routing::get;
use protocol::Catalog;
use tower_http::set_header::SetResponseHeaderLayer;
use utoipa::openapi::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::app::SharedApp;
use crate::openapi;

const DOCUMENT_PATH: &str = "/openapi.json";
/// The page writes styles into its elements.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

pub fn routes(document: &OpenApi, catalog: &Catalog) -> Router<SharedApp> {
    let document = match openapi::complete(document, catalog) {
        Ok(document) => Bytes::from(document.to_string()),
        Err(error) => {
            tracing::error!(%error, "the API cannot be described");
            return Router::new();
        }
    };
    let serve = move || {
        let document = document.clone();
        async move {
            let json = HeaderValue::from_static("application/json; charset=utf-8");
            ([(header::CONTENT_TYPE, json)], document).into_response()
        }
    };
    Router::new().route(DOCUMENT_PATH, get(serve)).merge(page())
}

fn page() -> Router<SharedApp> {
    let config = Config::from(DOCUMENT_PATH)
        .validator_url("none")
        // A browser holds no signing key here; what is public can be tried.
        .supported_submit_methods(["get"])
        .display_request_duration(true)
        .display_operation_id(false)
        .show_common_extensions(true)
        .doc_expansion("list")
        .default_models_expand_depth(0)
        .deep_linking(true)
        .filter(true)
        .use_base_layout();
    let header = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
    };
    Router::from(SwaggerUi::new("/docs").config(config))
        .layer(header(header::CONTENT_SECURITY_POLICY, POLICY))
        .layer(header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
}
