//! The description of the REST surface in OpenAPI 3.1, made from the handlers themselves.
//!
//! A handler carries `#[utoipa::path(…)]` with its path, an `operation_id` of its own and a `tag`,
//! and is registered with `routes!` on an `OpenApiRouter`: so no route can be left out. Its doc
//! comment becomes its text. It says
//! - `params(…)`: a type of [`queries`]; `request_body = …`: a type of [`bodies`], `Option` of it
//!   where an empty body will do; both of the forms in [`values`], which are as strict as the code;
//! - `responses(…)`: 200 with the struct it serialises, which derives `ToSchema` with a form of
//!   [`values`] on each text, and only such refusals (404, 409) as are its own;
//! - `extensions(("x-instruction" = json!(Instruction::X.name())))` if it is signed.
//! - `security(("session" = [], "csrfToken" = []))`, or the session alone, if only a browser that
//!   has signed in may call.
//!
//! What follows from that is added here: who may call, and the refusals all such calls share. The
//! forms that only a query names are listed in [`Forms`].

pub mod values;
pub mod queries;
pub mod bodies;
pub mod order_bodies;
pub mod market_bodies;
pub mod answers;
mod refusals;

use protocol::Catalog;
use serde_json::{Map, Value, json};
use utoipa::OpenApi;
use utoipa::openapi::OpenApi as Document;

/// Paths that ask for the token.
const ADMINISTRATION: &str = "/admin/";

/// What is in no handler: the forms of queries, and the shape of refusals.
#[derive(OpenApi)]
#[openapi(
    info(title = "CryptoExchange", description = include_str!("openapi/introduction.md"),
        license(name = "MIT")),
    tags(
        (name = "Markets", description = "What is traded, and how it stands. Public."),
        (name = "Orders", description = "Placing, looking, cancelling. Signed."),
        (name = "Account", description = "What an account has and what it pays. Signed."),
        (name = "Browser accounts", description = "Of the exchange's own page: signing up and in, \
            own keys, demo funds."),
        (name = "System", description = "Whether and how the exchange runs. Public."),
        (name = "Not offered", description = "Always empty, for clients that ask."),
    ),
    components(schemas(
        crate::error::Body,
        values::Amount,
        values::Blockchain,
        values::FillKind,
        values::ListedAsset,
        values::MillisecondsInput,
        values::SideWord,
        values::WithdrawalClientId,
        values::ClientNumberText,
        values::DepthLevels,
        values::KlineInterval,
        values::ListedMarket,
        values::MarketKind,
        values::OffsetNumber,
        values::TradesOffset,
        values::OrderIdText,
        values::PositiveNumber,
        values::PriceTypeWord,
        values::RowsNumber,
        values::Seconds,
        values::SortDirectionWord,
        values::WindowWord,
    ))
)]
struct Forms;

/// What the routes are added to.
pub fn foundation() -> Document {
    Forms::openapi()
}

/// The whole document: what the handlers said, and what follows from it and from the listing.
pub fn complete(routes: &Document, catalog: &Catalog) -> serde_json::Result<Value> {
    let mut document = serde_json::to_value(routes)?;
    let markets = catalog.markets().iter().map(|market| market.symbol.as_str());
    document["components"]["schemas"]["ListedMarket"]["enum"] = markets.collect();
    let assets = catalog.assets().iter().map(|asset| asset.symbol.as_str());
    if let Some(form) = document["components"]["schemas"].get_mut("ListedAsset") {
        form["enum"] = assets.collect();
    }
    document["components"]["responses"] = refusals::responses();
    document["components"]["securitySchemes"] = security_schemes();
    let Some(Value::Object(paths)) = document.get_mut("paths") else { return Ok(document) };
    *paths = std::mem::take(paths).into_iter().map(complete_path).collect();
    if paths.keys().any(|path| path.starts_with(ADMINISTRATION)) {
        document["components"]["securitySchemes"]["adminToken"] = json!({
            "type": "http", "scheme": "bearer",
            "description": "The gateway's `EXCHANGE_ADMIN_TOKEN`.",
        });
        let tag = json!({"name": "Administration", "description": "For the operator."});
        document["tags"].as_array_mut().into_iter().for_each(|tags| tags.push(tag.clone()));
    }
    Ok(document)
}

/// `{*rest}` is the router's own notation.
fn complete_path((path, mut item): (String, Value)) -> (String, Value) {
    for operation in item.as_object_mut().into_iter().flat_map(Map::values_mut) {
        complete_operation(&path, operation);
    }
    (path.replace("{*", "{"), item)
}

fn complete_operation(path: &str, operation: &mut Value) {
    let access = Access::of(path, operation);
    if operation.get("security").is_none() {
        operation["security"] = access.security();
    }
    if let Access::Signed(instruction) = &access {
        let text = operation["description"].as_str().unwrap_or_default();
        let text = format!("{text}\n\nSigned with the instruction `{instruction}`.");
        operation["description"] = text.trim().into();
    }
    for (status, name) in refusals::of(access != Access::Public, operation) {
        let refusal = json!({"$ref": format!("#/components/responses/{name}")});
        if operation["responses"].get(status).is_none() {
            operation["responses"][status] = refusal;
        }
    }
}

/// Who may call.
#[derive(PartialEq, Eq)]
enum Access {
    Public,
    Signed(String),
    /// Said by the operation itself, since only some of them ask for the CSRF token.
    InSession,
    Administration,
}

impl Access {
    fn of(path: &str, operation: &Value) -> Access {
        match operation["x-instruction"].as_str() {
            Some(instruction) => Access::Signed(instruction.to_owned()),
            None if operation.get("security").is_some() => Access::InSession,
            None if path.starts_with(ADMINISTRATION) => Access::Administration,
            None => Access::Public,
        }
    }

    /// Unless the operation itself says it.
    fn security(&self) -> Value {
        match self {
            Access::Public | Access::InSession => json!([]),
            Access::Signed(_) => {
                // `X-Window` may be left out.
                let required = json!({"apiKey": [], "signature": [], "timestamp": []});
                let mut windowed = required.clone();
                windowed["window"] = json!([]);
                json!([windowed, required, {"session": [], "csrfToken": []}])
            }
            Access::Administration => json!([{"adminToken": []}]),
        }
    }
}

fn security_schemes() -> Value {
    json!({
        "apiKey": header("X-API-Key", "The public key, base64 of 32 bytes."),
        "signature": header("X-Signature", SIGNATURE),
        "timestamp": header("X-Timestamp", "Your clock, ms; may run ahead by at most 5000."),
        "session": {"type": "apiKey", "in": "cookie", "name": "exchange_session",
            "description": SESSION},
        "csrfToken": header("X-CSRF-Token", "What signing in answered; with a session."),
        "window": header("X-Window", "Ms for which the request holds, 1 to 60000; else 5000."),
    })
}

/// A signing header, or one like it.
fn header(name: &str, description: &str) -> Value {
    json!({"type": "apiKey", "in": "header", "name": name, "description": description})
}

const SESSION: &str = "Of a browser that has signed in. Where cookies are for HTTPS alone, it is \
    named `__Host-exchange_session`.";

const SIGNATURE: &str = "Base64 of an ED25519 signature over \
    `instruction=<name>&<k>=<v>…&timestamp=<ms>&window=<ms>`: every parameter sent, by name.";

#[cfg(test)]
#[path = "openapi/tests.rs"]
pub mod tests;

#[cfg(test)]
#[path = "openapi/body_tests.rs"]
mod body_tests;
