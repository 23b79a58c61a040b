//! Administration: accounts, their keys, deposits and withdrawals; what a market takes; whether the
//! books add up. Absent unless a token is set.
//!
//! Every call bears the token and is written to the audit before it does anything.

use std::net::SocketAddr;

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use protocol::{AccountId, Action, MarketId, Outcome, Sequence, Transfer, TransferId, text};
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::accounts::BalanceJson;
use super::{accounts, admin_markets, auth_accounts, conservation, json, orders};
use crate::admission;
use crate::app::SharedApp;
use crate::auth;
use crate::body::BoundedBody;
use crate::error::{ApiError, Body as Refused, Code};
use crate::openapi::answers::PresentOrder;
use crate::openapi::bodies::{AddKey, CreateAccount, Transfer as TransferBody};
use crate::openapi::queries::AccountPath;
use crate::openapi::values::Sequence as SequenceText;
use crate::openapi::values::{
    AccountIdText, AssetSymbol, DecimalText, Label, PublicKeyText, TransferIdText,
};
use crate::parameters::Parameters;
use crate::server::Remote;

pub const LABEL_CHARS_MAX: usize = 200;
pub const TRANSFER_ID_CHARS_MAX: usize = 128;

pub fn routes(app: &SharedApp) -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new()
        .routes(routes!(create_account))
        .routes(routes!(add_key))
        .routes(routes!(deposit))
        .routes(routes!(withdraw))
        .routes(routes!(capital))
        .routes(routes!(open_orders))
        .merge(admin_markets::routes())
        .merge(conservation::routes())
        .layer(middleware::from_fn_with_state(SharedApp::clone(app), guard))
}

/// Laid around every route: who does not bear the token learns nothing, and who does is written
/// down.
async fn guard(State(app): State<SharedApp>, request: Request, next: Next) -> Response {
    let remote = request.extensions().get::<Remote>().map(|remote| remote.0);
    match admitted(&app, request, remote).await {
        Ok((entry, request)) => {
            // Detached: a caller that hangs up must not leave a call without its end in the audit.
            let worker = SharedApp::clone(&app);
            let call = async move {
                let response = next.run(request).await;
                worker.audit.end(entry, response.status().as_u16()).await;
                Ok(response)
            };
            app.detached(call).await.unwrap_or_else(IntoResponse::into_response)
        }
        Err(error) => error.into_response(),
    }
}

async fn admitted(
    app: &SharedApp,
    request: Request,
    remote: Option<SocketAddr>,
) -> Result<(crate::audit::Entry, Request), ApiError> {
    if !bears_token(request.headers(), app.admin_token.as_deref()) {
        metrics::counter!("gateway_admin_refused_total").increment(1);
        tracing::warn!(?remote, path = request.uri().path(), "admin call without the token");
        return Err(ApiError::new(Code::Unauthorized, "Authorization: a bearer token is required"));
    }
    let (parts, body) = request.into_parts();
    let whole = Request::from_parts(parts.clone(), body);
    let BoundedBody(body) = BoundedBody::from_request(whole, app).await?;
    let (method, path) = (parts.method.as_str(), parts.uri.path());
    let entry = app.audit.begin(remote, method, path, &body).await?;
    Ok((entry, Request::from_parts(parts, Body::from(body))))
}

fn bears_token(headers: &HeaderMap, token: Option<&str>) -> bool {
    let sent = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let sent = sent.and_then(|value| value.strip_prefix(b"Bearer "));
    match (sent, token) {
        // Hashes have one length, so that not even the token's length shows in the time taken.
        (Some(sent), Some(token)) => Sha256::digest(sent).ct_eq(&Sha256::digest(token)).into(),
        _ => false,
    }
}

fn account_id(id: Result<Path<String>, PathRejection>) -> Result<AccountId, ApiError> {
    let Path(id) = id.map_err(|_| ApiError::not_found())?;
    let plain = id.bytes().all(|byte| byte.is_ascii_digit());
    let id = if plain { id.parse().ok().and_then(AccountId::new) } else { None };
    id.ok_or_else(|| ApiError::field("account id", "must be a positive whole number"))
}

fn label<'p>(parameters: &'p Parameters<'_>) -> Result<Option<&'p str>, ApiError> {
    let label = parameters.text("label")?;
    let fits = |label: &str| label.chars().count() <= LABEL_CHARS_MAX && !label.contains('\0');
    if label.is_some_and(|label| !fits(label)) {
        return Err(ApiError::field("label", "must be at most 200 characters of text"));
    }
    Ok(label)
}

#[derive(Serialize, ToSchema)]
#[schema(as = AccountCreated)]
struct AccountCreated<'a> {
    #[schema(value_type = AccountIdText)]
    id: String,
    #[schema(value_type = Option<Label>, required)]
    label: Option<&'a str>,
}

/// Opens an account.
///
/// After a 504 there may be one account more.
#[utoipa::path(
    post, path = "/admin/v1/accounts", operation_id = "createAccount", tag = "Administration",
    request_body = Option<CreateAccount>,
    responses(
        (status = 200, description = "Success", body = AccountCreated<'static>),
        (status = 409, body = Refused, description = "No room for more accounts"),
    ),
)]
async fn create_account(
    State(app): State<SharedApp>,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let parameters = Parameters::from_body(&body)?;
    let label = label(&parameters)?;
    let account = auth_accounts::open_account(&app).await?;
    if let Err(error) = app.audit.opened(account, label).await {
        // The account is there all the same; its first key writes the row.
        tracing::error!(%account, ?error, "an account was opened, but not its label written");
    }
    json(&AccountCreated { id: account.to_string(), label })
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KeyAdded)]
struct KeyAdded<'a> {
    #[schema(value_type = AccountIdText)]
    account_id: String,
    #[schema(value_type = PublicKeyText)]
    public_key: &'a str,
    #[schema(value_type = Option<Label>, required)]
    label: Option<&'a str>,
}

/// Registers a public key that may sign for an account.
///
/// The same again changes nothing.
#[utoipa::path(
    post, path = "/admin/v1/accounts/{id}/keys", operation_id = "addKey", tag = "Administration",
    params(AccountPath),
    request_body = AddKey,
    responses(
        (status = 200, description = "Success", body = KeyAdded<'static>),
        (status = 404, body = Refused, description = "Unknown account"),
        (status = 409, body = Refused, description = "The key is disabled,
            or another account has it"),
    ),
)]
async fn add_key(
    State(app): State<SharedApp>,
    id: Result<Path<String>, PathRejection>,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let account = account_id(id)?;
    let parameters = Parameters::from_body(&body)?;
    let text = parameters.required_text("publicKey")?;
    let key = auth::decode_key(text)
        .ok_or_else(|| ApiError::field("publicKey", "must be base64 of 32 bytes"))?;
    let label = label(&parameters)?;
    if !app.queries.account_exists(account).await? {
        return Err(ApiError::new(Code::ResourceNotFound, "Unknown account"));
    }
    app.keys.register(key, account, label).await?;
    json(&KeyAdded { account_id: account.to_string(), public_key: text, label })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

/// Credits an account, once per `transferId`.
///
/// After a 504 repeat it, unchanged.
#[utoipa::path(
    post, path = "/admin/v1/accounts/{id}/deposits", operation_id = "deposit",
    tag = "Administration",
    params(AccountPath),
    request_body = TransferBody,
    responses(
        (status = 200, description = "Success", body = Transferred<'static>),
        (status = 404, body = Refused, description = "Unknown account"),
        (status = 409, body = Refused, description = "The id was used before with other content"),
    ),
)]
async fn deposit(
    State(app): State<SharedApp>,
    id: Result<Path<String>, PathRejection>,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    transfer(&app, account_id(id)?, &body, Direction::In).await
}

/// Debits an account, once per `transferId`.
///
/// After a 504 repeat it, unchanged.
#[utoipa::path(
    post, path = "/admin/v1/accounts/{id}/withdrawals", operation_id = "withdraw",
    tag = "Administration",
    params(AccountPath),
    request_body = TransferBody,
    responses(
        (status = 200, description = "Success", body = Transferred<'static>),
        (status = 404, body = Refused, description = "Unknown account"),
        (status = 409, body = Refused, description = "The id was used before with other content"),
    ),
)]
async fn withdraw(
    State(app): State<SharedApp>,
    id: Result<Path<String>, PathRejection>,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    transfer(&app, account_id(id)?, &body, Direction::Out).await
}

/// The same for the first call and for each repetition of it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Transferred)]
struct Transferred<'a> {
    #[schema(value_type = TransferIdText)]
    transfer_id: &'a str,
    #[schema(value_type = AccountIdText)]
    account_id: String,
    #[schema(value_type = AssetSymbol)]
    asset: &'a str,
    #[schema(value_type = DecimalText)]
    quantity: String,
    #[schema(value_type = SequenceText)]
    sequence: String,
}

async fn transfer(
    app: &SharedApp,
    account: AccountId,
    body: &Bytes,
    direction: Direction,
) -> Result<Response, ApiError> {
    let parameters = Parameters::from_body(body)?;
    let transfer_id = parameters.required_text("transferId")?;
    if !(1..=TRANSFER_ID_CHARS_MAX).contains(&transfer_id.chars().count()) {
        return Err(ApiError::field("transferId", "must be 1 to 128 characters"));
    }
    let symbol = parameters.required_text("asset")?;
    let asset = app
        .catalog
        .asset_by_symbol(symbol)
        .ok_or_else(|| ApiError::new(Code::InvalidAsset, "asset: is not listed"))?;
    let units = admission::amount(&parameters, asset)?;
    let transfer = Transfer { account, asset: asset.id, units, id: transfer_id_of(transfer_id) };
    let action = match direction {
        Direction::In => Action::Deposit(transfer),
        Direction::Out => Action::Withdraw(transfer),
    };
    let decision = app.submissions.submit(MarketId::ACCOUNTS, action).await?;
    let sequence: Sequence = match decision.outcome {
        Outcome::Transferred => decision.sequence,
        Outcome::Repeated { first } => first,
        other => return Err(ApiError::bug(format_args!("a transfer became {other:?}"))),
    };
    json(&Transferred {
        transfer_id,
        account_id: account.to_string(),
        asset: &asset.symbol,
        quantity: text::units(u128::from(units.0), asset),
        sequence: sequence.to_string(),
    })
}

/// The first 128 bits of SHA-256, the least significant byte first.
fn transfer_id_of(text: &str) -> TransferId {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Sha256::digest(text)[..16]);
    TransferId(u128::from_le_bytes(bytes))
}

/// What an account has, by asset it ever held.
#[utoipa::path(
    get, path = "/admin/v1/accounts/{id}/capital", operation_id = "getCapitalOf",
    tag = "Administration",
    params(AccountPath),
    responses(
        (status = 200, description = "Success", body = BTreeMap<String, BalanceJson>),
        (status = 404, body = Refused, description = "Unknown account"),
    ),
)]
async fn capital(
    State(app): State<SharedApp>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    json(&accounts::capital_json(&app, existing(&app, id).await?).await?)
}

/// Open orders of an account, in all markets.
#[utoipa::path(
    get, path = "/admin/v1/accounts/{id}/orders", operation_id = "getOpenOrdersOf",
    tag = "Administration",
    params(AccountPath),
    responses(
        (status = 200, description = "Success", body = Vec<PresentOrder>),
        (status = 404, body = Refused, description = "Unknown account"),
    ),
)]
async fn open_orders(
    State(app): State<SharedApp>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    json(&orders::open_orders_json(&app, existing(&app, id).await?, None).await?)
}

async fn existing(
    app: &SharedApp,
    id: Result<Path<String>, PathRejection>,
) -> Result<AccountId, ApiError> {
    let account = account_id(id)?;
    match app.queries.account_exists(account).await? {
        true => Ok(account),
        false => Err(ApiError::new(Code::ResourceNotFound, "Unknown account")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_opens() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            headers
        };
        let token = Some("a-token-of-some-length");
        assert!(bears_token(&with("Bearer a-token-of-some-length"), token));
        for wrong in ["Bearer a-token", "Bearer ", "a-token-of-some-length", "Basic xyz"] {
            assert!(!bears_token(&with(wrong), token), "{wrong}");
        }
        assert!(!bears_token(&HeaderMap::new(), token));
        assert!(!bears_token(&with("Bearer a-token-of-some-length"), None));
    }

    #[test]
    fn a_transfer_id_is_the_beginning_of_a_hash() {
        // SHA-256 of "abc" begins ba7816bf 8f01cfea 414140de 5dae2223.
        let expected = 0x2322_ae5d_de40_4141_eacf_018f_bf16_78ba;
        assert_eq!(transfer_id_of("abc"), TransferId(expected));
    }
}
