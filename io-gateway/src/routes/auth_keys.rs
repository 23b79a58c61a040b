//! The API keys of the account that is signed in.

use std::net::IpAddr;

use axum::extract::State;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::SigningKey;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::json;
use crate::account_keys::AccountKey;
use crate::app::SharedApp;
use crate::auth::{self, Effect};
use crate::body::BoundedBody;
use crate::caller::Caller;
use crate::error::{ApiError, Body as Refused};
use crate::keys::KeyLimits;
use crate::openapi::bodies::{AddOwnKey, RevokeKey};
use crate::openapi::values::{AddressText, Label, Milliseconds, PublicKeyText, SecretText};
use crate::parameters::{Parameters, Value};

pub const LABEL_CHARS_MAX: usize = 200;
const ADDRESSES_MAX: usize = 20;

pub fn routes() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new().routes(routes!(list, add, revoke))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = OwnKey)]
struct KeyJson {
    #[schema(value_type = PublicKeyText)]
    public_key: String,
    /// Null of a key that the operator added without one.
    #[schema(value_type = Option<Label>, required)]
    label: Option<String>,
    read_only: bool,
    #[schema(value_type = Vec<AddressText>)]
    allowed_addresses: Vec<IpAddr>,
    #[schema(value_type = Milliseconds)]
    created_at: i64,
    /// Of a pair that the server made; told this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = SecretText, required = false)]
    secret: Option<String>,
}

fn key_json(key: AccountKey, secret: Option<String>) -> KeyJson {
    KeyJson {
        public_key: BASE64.encode(key.public_key),
        label: key.label,
        read_only: key.limits.read_only,
        allowed_addresses: key.limits.allowed_addresses.to_vec(),
        created_at: key.created_at.timestamp_millis(),
        secret,
    }
}

/// Keys of the account that may sign, the oldest first.
#[utoipa::path(
    get, path = "/auth/v1/keys", operation_id = "getOwnKeys", tag = "Browser accounts",
    security(("session" = [])),
    responses((status = 200, description = "Success", body = Vec<KeyJson>)),
)]
async fn list(State(app): State<SharedApp>, caller: Caller) -> Result<Response, ApiError> {
    let (_, session) = app.in_session(&caller, Effect::Reads).await?;
    let keys = app.keys.of_account(session.account).await?;
    json(&keys.into_iter().map(|key| key_json(key, None)).collect::<Vec<_>>())
}

/// Registers a public key that may sign for the account, or makes a pair.
///
/// The same key again with the same limits changes nothing.
#[utoipa::path(
    post, path = "/auth/v1/keys", operation_id = "addOwnKey", tag = "Browser accounts",
    security(("session" = [], "csrfToken" = [])),
    request_body = AddOwnKey,
    responses(
        (status = 200, description = "Success", body = KeyJson),
        (status = 409, body = Refused, description = "The account has as many keys as it may, or
            the key is registered in another way"),
    ),
)]
async fn add(
    State(app): State<SharedApp>,
    caller: Caller,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let (_, session) = app.in_session(&caller, Effect::Changes).await?;
    let parameters = Parameters::from_body(&body)?;
    let label = label(&parameters)?.to_owned();
    let limits = KeyLimits {
        read_only: parameters.flag("readOnly")?.unwrap_or(false),
        allowed_addresses: addresses(&parameters)?.into(),
    };
    let (public_key, secret) = match parameters.text("publicKey")? {
        Some(text) => {
            let key = auth::decode_key(text)
                .ok_or_else(|| ApiError::field("publicKey", "must be base64 of 32 bytes"))?;
            (key, None)
        }
        None => {
            let seed: [u8; 32] = rand::random();
            let public_key = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
            (public_key, Some(BASE64.encode(seed)))
        }
    };
    let worker = app.clone();
    let added = async move { worker.keys.add(session.account, public_key, &label, limits).await };
    json(&key_json(app.detached(added).await?, secret))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = KeyRevoked)]
struct Revoked {
    #[schema(value_type = PublicKeyText)]
    public_key: String,
}

/// Revokes a key for good, on every gateway within a second.
#[utoipa::path(
    delete, path = "/auth/v1/keys", operation_id = "revokeOwnKey", tag = "Browser accounts",
    security(("session" = [], "csrfToken" = [])),
    request_body = RevokeKey,
    responses(
        (status = 200, description = "Success", body = Revoked),
        (status = 404, body = Refused, description = "No such key of yours"),
    ),
)]
async fn revoke(
    State(app): State<SharedApp>,
    caller: Caller,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let (_, session) = app.in_session(&caller, Effect::Changes).await?;
    let parameters = Parameters::from_body(&body)?;
    let public_key = auth::decode_key(parameters.required_text("publicKey")?)
        .ok_or_else(|| ApiError::field("publicKey", "must be base64 of 32 bytes"))?;
    let worker = app.clone();
    app.detached(async move { worker.keys.revoke(session.account, public_key).await }).await?;
    json(&Revoked { public_key: BASE64.encode(public_key) })
}

pub fn label<'p>(parameters: &'p Parameters<'_>) -> Result<&'p str, ApiError> {
    let label = parameters.required_text("label")?;
    let fits = (1..=LABEL_CHARS_MAX).contains(&label.chars().count());
    if !fits || label.chars().any(char::is_control) {
        return Err(ApiError::field("label", "must be 1 to 200 characters of text"));
    }
    Ok(label)
}

/// IPv4 in IPv6 clothes is IPv4, as it is in what requests come from.
pub fn addresses(parameters: &Parameters<'_>) -> Result<Vec<IpAddr>, ApiError> {
    let refuse = || ApiError::field("allowedAddresses", "must be at most 20 IP addresses");
    let texts: Vec<String> = match parameters.get("allowedAddresses")? {
        None => return Ok(Vec::new()),
        Some(Value::Nested(json)) => serde_json::from_str(json).map_err(|_| refuse())?,
        Some(_) => return Err(refuse()),
    };
    if ADDRESSES_MAX < texts.len() {
        return Err(refuse());
    }
    let address = |text: &String| text.parse::<IpAddr>().map(|address| address.to_canonical());
    texts.iter().map(address).collect::<Result<_, _>>().map_err(|_| refuse())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_a_short_list_of_whole_addresses() {
        let of = |text: &str| {
            let body = format!(r#"{{"allowedAddresses":{text}}}"#);
            addresses(&Parameters::from_body(body.as_bytes()).unwrap())
        };
        let texts: Vec<String> = of(r#"["10.0.0.1","::1","::ffff:10.0.0.2"]"#)
            .unwrap()
            .iter()
            .map(IpAddr::to_string)
            .collect();
        assert_eq!(texts, ["10.0.0.1", "::1", "10.0.0.2"]);
        assert_eq!(of("null"), Ok(Vec::new()));
        let many = format!("[{}]", vec![r#""::1""#; 21].join(","));
        for text in [r#""::1""#, r#"["10.0.0.0/8"]"#, r#"["home"]"#, "[1]", "{}", &many] {
            assert!(of(text).unwrap_err().message.starts_with("allowedAddresses: "), "{text}");
        }
    }
}
