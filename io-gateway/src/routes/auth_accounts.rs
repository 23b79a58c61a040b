//! The browser's own paths, `/auth/v1`: sign up, in and out.
//!
//! A sign-up opens an account in the engine first and writes the login last: what fails in between
//! leaves at most an account that nobody can enter, and the same sign-up may be sent again.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use protocol::{AccountId, Action, MarketId, Outcome};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{auth_keys, faucet, json};
use crate::app::{App, SharedApp};
use crate::auth::Effect;
use crate::body::BoundedBody;
use crate::caller::Caller;
use crate::error::{ApiError, Body as Refused, Code};
use crate::logins::{self, Email, Login};
use crate::openapi::bodies::{SignIn, SignUp};
use crate::openapi::values::{AccountIdText, CsrfToken, Email as EmailText};
use crate::parameters::Parameters;

pub const PASSWORD_CHARS_MIN: usize = 10;
pub const PASSWORD_CHARS_MAX: usize = 128;

pub fn routes(app: &App) -> OpenApiRouter<SharedApp> {
    let mut router = OpenApiRouter::new()
        .routes(routes!(sign_up))
        .routes(routes!(sign_in))
        .routes(routes!(sign_out))
        .routes(routes!(me))
        .merge(auth_keys::routes());
    if app.browser.faucet.is_on() {
        router = router.merge(faucet::routes());
    }
    router.layer(middleware::from_fn(guard))
}

/// Laid around every path: nothing here is for a cache, and no form of a page may post here. A form
/// needs no leave of ours, and could sign its reader in as somebody else.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = match is_form(request.headers()) {
        true => ApiError::field("Content-Type", "must be application/json").into_response(),
        false => next.run(request).await,
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The three types that a form can have.
fn is_form(headers: &HeaderMap) -> bool {
    let sent = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let essence = sent.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let forms = ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"];
    forms.iter().any(|form| essence.eq_ignore_ascii_case(form.as_bytes()))
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SignedIn)]
struct SignedIn<'a> {
    #[schema(value_type = AccountIdText)]
    account_id: String,
    #[schema(value_type = EmailText)]
    email: &'a str,
    #[schema(value_type = CsrfToken)]
    csrf_token: String,
}

/// E-mail address and password of a body.
pub fn named(parameters: &Parameters<'_>) -> Result<(Email, String), ApiError> {
    let email = Email::parse(parameters.required_text("email")?)?;
    let password = parameters.required_text("password")?;
    if PASSWORD_CHARS_MAX < password.chars().count() {
        return Err(ApiError::field("password", "must be 10 to 128 characters"));
    }
    Ok((email, password.to_owned()))
}

/// Opens a trading account with a login, and signs in.
///
/// After a 503 or 504 repeat it; if it is 409 then, sign in.
#[utoipa::path(
    post, path = "/auth/v1/signup", operation_id = "signUp", tag = "Browser accounts",
    request_body = SignUp,
    responses(
        (status = 200, description = "Success", body = SignedIn<'static>,
            headers(("Set-Cookie" = String, description = "The session's cookie, for 30 days"))),
        (status = 409, body = Refused, description = "The e-mail address is registered already,
            or there is no room for more accounts"),
    ),
)]
async fn sign_up(
    State(app): State<SharedApp>,
    caller: Caller,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let (email, password) = named(&Parameters::from_body(&body)?)?;
    if password.chars().count() < PASSWORD_CHARS_MIN {
        return Err(ApiError::field("password", "must be 10 to 128 characters"));
    }
    app.browser.limits.admit(caller.address, &email)?;
    if app.browser.logins.find(&email).await?.is_some() {
        return Err(logins::taken());
    }
    app.browser.limits.admit_sign_up(caller.address)?;
    let worker = app.clone();
    let login = app.detached(async move { created(&worker, &email, password).await }).await?;
    signed_in(&app, &login).await
}

async fn created(app: &App, email: &Email, password: String) -> Result<Login, ApiError> {
    let hash = app.browser.passwords.hash(password).await?;
    let account = open_account(app).await?;
    app.browser.logins.create(email, &hash, account).await
}

/// A new account of the engine, with nothing in it.
pub(super) async fn open_account(app: &App) -> Result<AccountId, ApiError> {
    let decision = app.submissions.submit(MarketId::ACCOUNTS, Action::CreateAccount).await?;
    match decision.outcome {
        Outcome::AccountCreated { account } => Ok(account),
        _ => Err(ApiError::bug("an account was asked for and not created")),
    }
}

/// Signs in, which opens a session of 30 days.
#[utoipa::path(
    post, path = "/auth/v1/login", operation_id = "signIn", tag = "Browser accounts",
    request_body = SignIn,
    responses(
        (status = 200, description = "Success", body = SignedIn<'static>,
            headers(("Set-Cookie" = String, description = "The session's cookie, for 30 days"))),
        (status = 401, body = Refused, description = "Wrong e-mail address or password"),
    ),
)]
async fn sign_in(
    State(app): State<SharedApp>,
    caller: Caller,
    BoundedBody(body): BoundedBody,
) -> Result<Response, ApiError> {
    let (email, password) = named(&Parameters::from_body(&body)?)?;
    app.browser.limits.admit(caller.address, &email)?;
    let login = app.browser.logins.find(&email).await?;
    // The same for an address that nobody has, to the hash.
    let kept = login.as_ref().map(|login| login.password_hash.as_str());
    let is_right = app.browser.passwords.verify(password, kept).await?;
    match login.filter(|_| is_right) {
        Some(login) => signed_in(&app, &login).await,
        None => {
            metrics::counter!("gateway_sign_ins_refused_total").increment(1);
            Err(ApiError::new(Code::Unauthorized, "Wrong e-mail address or password"))
        }
    }
}

async fn signed_in(app: &App, login: &Login) -> Result<Response, ApiError> {
    let token = app.browser.sessions.open(login).await?;
    let body = SignedIn {
        account_id: login.account.to_string(),
        email: &login.email,
        csrf_token: token.csrf(),
    };
    let mut response = json(&body)?;
    let cookie = app.browser.sessions.cookie(Some(token))?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

#[derive(Serialize, ToSchema)]
#[schema(max_properties = 0)]
struct Nothing {}

/// Ends the session, on every gateway within a second.
#[utoipa::path(
    post, path = "/auth/v1/logout", operation_id = "signOut", tag = "Browser accounts",
    security(("session" = [], "csrfToken" = [])),
    responses((status = 200, description = "Success", body = Nothing,
        headers(("Set-Cookie" = String, description = "Takes the session's cookie away")))),
)]
async fn sign_out(State(app): State<SharedApp>, caller: Caller) -> Result<Response, ApiError> {
    let (token, _) = app.in_session(&caller, Effect::Changes).await?;
    let worker = app.clone();
    app.detached(async move { worker.browser.sessions.revoke(token).await }).await?;
    let mut response = json(&Nothing {})?;
    let cookie = app.browser.sessions.cookie(None)?;
    response.headers_mut().insert(header::SET_COOKIE, cookie);
    Ok(response)
}

/// Who has signed in.
#[utoipa::path(
    get, path = "/auth/v1/me", operation_id = "getSignedIn", tag = "Browser accounts",
    security(("session" = [])),
    responses((status = 200, description = "Success", body = SignedIn<'static>)),
)]
async fn me(State(app): State<SharedApp>, caller: Caller) -> Result<Response, ApiError> {
    let (token, session) = app.in_session(&caller, Effect::Reads).await?;
    json(&SignedIn {
        account_id: session.account.to_string(),
        email: &session.email,
        csrf_token: token.csrf(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_form_can_send_is_told_from_json() {
        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(text));
            is_form(&headers)
        };
        assert!(of("text/plain") && of("Text/Plain; charset=utf-8"));
        assert!(of("multipart/form-data; boundary=x") && of("application/x-www-form-urlencoded"));
        assert!(!of("application/json") && !of("application/json; charset=utf-8"));
        assert!(!is_form(&HeaderMap::new()));
    }
}
