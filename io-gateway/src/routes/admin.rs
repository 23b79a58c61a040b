//! Administration: accounts, their keys, deposits and withdrawals; what a market takes; whether the
//! books add up. Absent unless a token is set.
//!
//! Every call bears the token and is written to the audit before it does anything.

use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use protocol::{
    AccountId, Action, AssetSpec, Conservation, MarketId, Outcome, Sequence, Transfer, TransferId,
    text,
};
use serde::Serialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{accounts, admin_markets, json, orders};
use crate::admission;
use crate::app::SharedApp;
use crate::auth;
use crate::body::BoundedBody;
use crate::error::{ApiError, Code};
use crate::order_json::asset;
use crate::parameters::Parameters;
use crate::server::Remote;

const LABEL_CHARS_MAX: usize = 200;
const TRANSFER_ID_CHARS_MAX: usize = 128;

pub fn routes(app: &SharedApp) -> Router<SharedApp> {
    Router::new()
        .route("/admin/v1/accounts", post(create_account))
        .route("/admin/v1/accounts/{id}/keys", post(add_key))
        .route("/admin/v1/accounts/{id}/deposits", post(deposit))
        .route("/admin/v1/accounts/{id}/withdrawals", post(withdraw))
        .route("/admin/v1/accounts/{id}/capital", get(capital))
        .route("/admin/v1/accounts/{id}/orders", get(open_orders))
        .merge(admin_markets::routes())
        .route("/admin/v1/audit/conservation", get(conservation))
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

#[derive(Serialize)]
struct AccountCreated<'a> {
    id: String,
    label: Option<&'a str>,
}

async fn create_account(
    State(app): State<SharedApp>,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let parameters = Parameters::from_body(&body)?;
    let label = label(&parameters)?;
    let decision = app.submissions.submit(MarketId::ACCOUNTS, Action::CreateAccount).await?;
    let Outcome::AccountCreated { account } = decision.outcome else {
        return Err(ApiError::bug("an account was asked for and not created"));
    };
    if let Err(error) = app.audit.opened(account, label).await {
        // The account is there all the same; its first key writes the row.
        tracing::error!(%account, ?error, "an account was opened, but not its label written");
    }
    json(&AccountCreated { id: account.to_string(), label })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct KeyAdded<'a> {
    account_id: String,
    public_key: &'a str,
    label: Option<&'a str>,
}

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

async fn deposit(
    State(app): State<SharedApp>,
    id: Result<Path<String>, PathRejection>,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    transfer(&app, account_id(id)?, &body, Direction::In).await
}

async fn withdraw(
    State(app): State<SharedApp>,
    id: Result<Path<String>, PathRejection>,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    transfer(&app, account_id(id)?, &body, Direction::Out).await
}

/// The same for the first call and for each repetition of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Transferred<'a> {
    transfer_id: &'a str,
    account_id: String,
    asset: &'a str,
    quantity: String,
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

async fn capital(
    State(app): State<SharedApp>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    json(&accounts::capital_json(&app, existing(&app, id).await?).await?)
}

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

#[derive(Serialize)]
struct ConservationJson<'a> {
    sequence: String,
    /// Of every asset: nothing is missing, nothing too much, and orders hold what is locked.
    holds: bool,
    assets: Vec<AssetConservation<'a>>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct AssetConservation<'a> {
    asset: &'a str,
    deposits: String,
    withdrawals: String,
    available: String,
    locked: String,
    held: String,
    fees: String,
    difference: String,
    holds: bool,
}

async fn conservation(State(app): State<SharedApp>) -> Result<Response, ApiError> {
    let (sequence, rows) = app.queries.conservation().await?;
    let mut assets = Vec::with_capacity(rows.len());
    for row in &rows {
        assets.push(conserved(row, asset(&app.catalog, row.asset)?));
    }
    let holds = rows.iter().all(Conservation::holds);
    json(&ConservationJson { sequence: sequence.to_string(), holds, assets })
}

fn conserved<'a>(row: &Conservation, asset: &'a AssetSpec) -> AssetConservation<'a> {
    let difference = row.difference();
    let sign = if difference < 0 { "-" } else { "" };
    AssetConservation {
        asset: &asset.symbol,
        deposits: text::units(row.deposited, asset),
        withdrawals: text::units(row.withdrawn, asset),
        available: text::units(row.available, asset),
        locked: text::units(row.locked, asset),
        held: text::units(row.held, asset),
        fees: text::units(row.fees, asset),
        difference: format!("{sign}{}", text::units(difference.unsigned_abs(), asset)),
        holds: row.holds(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn what_is_missing_or_too_much_is_told_with_its_sign() {
        let catalog = fixture::catalog();
        let usdc = &catalog.assets()[0];
        let whole = Conservation {
            asset: usdc.id,
            deposited: 10_000_000,
            withdrawn: 1_000_000,
            available: 6_500_000,
            locked: 2_000_000,
            fees: 500_000,
            held: 2_000_000,
        };
        let json = conserved(&whole, usdc);
        assert_eq!((json.deposits.as_str(), json.fees.as_str()), ("10", "0.5"));
        assert_eq!((json.difference.as_str(), json.holds), ("0", true));
        let missing = Conservation { available: 6_499_999, ..whole };
        let json = conserved(&missing, usdc);
        assert_eq!((json.difference.as_str(), json.holds), ("-0.000001", false));
        let unheld = Conservation { held: 0, ..whole };
        let json = conserved(&unheld, usdc);
        assert_eq!((json.difference.as_str(), json.holds), ("0", false));
    }

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
