//! Browser sessions: a random token in a cookie; PostgreSQL keeps its hash.
//!
//! Invariant: a session that was revoked anywhere opens nothing after [`SEEN_FOR`] and one query,
//! together less than a second; while the database is away no session opens anything.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cookie::{Cookie, SameSite};
use moka::future::Cache;
use protocol::AccountId;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgRow;
use sqlx::{PgPool, Row};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::error::{ApiError, Code};
use crate::logins::{Login, unavailable};

const LIVES_DAYS: i32 = 30;
/// How long one look into the database holds.
const SEEN_FOR: Duration = Duration::from_millis(400);
/// Sessions remembered at a time.
const SEEN_MAX: u64 = 10_000;
/// Look-ups at a time: a flood of forged cookies must not take every connection.
const LOOKUPS_MAX: usize = 2;
const LOOKUP_WAIT_MAX: Duration = Duration::from_secs(1);
/// Of one login; opening one more ends the oldest.
const OPEN_MAX: i64 = 20;

pub const CSRF_HEADER: &str = "x-csrf-token";

/// Whether browsers send the cookie over plain HTTP as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CookieTransport {
    Any,
    HttpsOnly,
}

impl CookieTransport {
    /// The prefix makes browsers refuse a cookie of this name that another host or plain HTTP set.
    const fn cookie_name(self) -> &'static str {
        match self {
            CookieTransport::Any => "exchange_session",
            CookieTransport::HttpsOnly => "__Host-exchange_session",
        }
    }
}

/// The secret in the cookie.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl Token {
    fn hash(self) -> [u8; 32] {
        Sha256::digest(self.0).into()
    }

    /// Known to who can read our answers, which no page of another origin can. Made from the token
    /// in another way than what the database keeps, so that neither follows from the other.
    pub fn csrf(self) -> String {
        let digest = Sha256::new().chain_update(b"csrf token of ").chain_update(self.0).finalize();
        URL_SAFE_NO_PAD.encode(digest)
    }

    /// Whether the header bears it.
    pub fn check_csrf(self, headers: &HeaderMap) -> Result<(), ApiError> {
        let sent = headers.get(CSRF_HEADER).map_or(&b""[..], HeaderValue::as_bytes);
        match bool::from(sent.ct_eq(self.csrf().as_bytes())) {
            true => Ok(()),
            false => Err(ApiError::new(Code::Forbidden, "X-CSRF-Token: missing or wrong")),
        }
    }
}

/// Who a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    pub account: AccountId,
    pub email: Arc<str>,
}

#[derive(Debug)]
pub struct Sessions {
    pool: PgPool,
    transport: CookieTransport,
    seen: Cache<[u8; 32], Session>,
    lookups: Semaphore,
}

impl Sessions {
    pub fn new(pool: PgPool, transport: CookieTransport) -> Self {
        let seen = Cache::builder().max_capacity(SEEN_MAX).time_to_live(SEEN_FOR).build();
        Sessions { pool, transport, seen, lookups: Semaphore::new(LOOKUPS_MAX) }
    }

    /// The token a request bears, if it has our cookie at all.
    pub fn token(&self, headers: &HeaderMap) -> Option<Result<Token, ApiError>> {
        let name = self.transport.cookie_name();
        let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let value = lines
            .flat_map(Cookie::split_parse)
            .filter_map(Result::ok)
            .find(|cookie| cookie.name() == name)?
            .value()
            .to_owned();
        let bytes = URL_SAFE_NO_PAD.decode(value).ok().and_then(|bytes| bytes.try_into().ok());
        Some(bytes.map(Token).ok_or_else(no_session))
    }

    /// Errors: Unauthorized for a token that is forged, expired or revoked.
    pub async fn find(&self, token: Token) -> Result<Session, ApiError> {
        let hash = token.hash();
        let found = self.seen.try_get_with(hash, self.look_up(hash)).await;
        found.map_err(|error| ApiError::clone(&error))
    }

    async fn look_up(&self, hash: [u8; 32]) -> Result<Session, ApiError> {
        let Ok(Ok(_permit)) = timeout(LOOKUP_WAIT_MAX, self.lookups.acquire()).await else {
            return Err(ApiError::overloaded());
        };
        let row = sqlx::query(
            "SELECT account_id, email FROM sessions JOIN logins ON logins.id = login_id \
             WHERE token_hash = $1 AND revoked_at IS NULL AND now() < expires_at",
        )
        .bind(&hash[..])
        .fetch_optional(&self.pool)
        .await
        .map_err(|error| unavailable(&error))?;
        read(&row.ok_or_else(no_session)?)
    }

    pub async fn open(&self, login: &Login) -> Result<Token, ApiError> {
        let token = Token(rand::random());
        let mut transaction = self.pool.begin().await.map_err(|error| unavailable(&error))?;
        sqlx::query(
            "DELETE FROM sessions WHERE login_id = $1 AND (expires_at < now() OR token_hash IN \
             (SELECT token_hash FROM sessions WHERE login_id = $1 \
              ORDER BY created_at DESC OFFSET $2))",
        )
        .bind(login.id)
        .bind(OPEN_MAX - 1)
        .execute(&mut *transaction)
        .await
        .map_err(|error| unavailable(&error))?;
        sqlx::query(
            "INSERT INTO sessions (token_hash, login_id, expires_at) \
             VALUES ($1, $2, now() + make_interval(days => $3))",
        )
        .bind(&token.hash()[..])
        .bind(login.id)
        .bind(LIVES_DAYS)
        .execute(&mut *transaction)
        .await
        .map_err(|error| unavailable(&error))?;
        transaction.commit().await.map_err(|error| unavailable(&error))?;
        Ok(token)
    }

    pub async fn revoke(&self, token: Token) -> Result<(), ApiError> {
        sqlx::query("UPDATE sessions SET revoked_at = now() WHERE token_hash = $1")
            .bind(&token.hash()[..])
            .execute(&self.pool)
            .await
            .map_err(|error| unavailable(&error))?;
        self.seen.invalidate(&token.hash()).await;
        Ok(())
    }

    /// `Set-Cookie` that gives the token to the browser; of `None`, that takes it away.
    pub fn cookie(&self, token: Option<Token>) -> Result<HeaderValue, ApiError> {
        let value = token.map(|token| URL_SAFE_NO_PAD.encode(token.0)).unwrap_or_default();
        let days = if token.is_some() { LIVES_DAYS } else { 0 };
        let cookie = Cookie::build((self.transport.cookie_name(), value))
            .http_only(true)
            .same_site(SameSite::Strict)
            .secure(self.transport == CookieTransport::HttpsOnly)
            .path("/")
            .max_age(cookie::time::Duration::days(days.into()));
        HeaderValue::from_str(&cookie.build().to_string()).map_err(ApiError::bug)
    }
}

fn no_session() -> ApiError {
    ApiError::new(Code::Unauthorized, "The session has ended; sign in again")
}

fn read(row: &PgRow) -> Result<Session, ApiError> {
    let account: i64 = row.try_get(0).map_err(ApiError::bug)?;
    let account = u32::try_from(account).ok().and_then(AccountId::new);
    let account = account.ok_or_else(|| ApiError::bug("a login's account is out of range"))?;
    let email: String = row.try_get(1).map_err(ApiError::bug)?;
    Ok(Session { account, email: email.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use sqlx::postgres::PgPoolOptions;

    fn sessions(transport: CookieTransport) -> Sessions {
        let pool = PgPoolOptions::new().connect_lazy("postgres://nobody@127.0.0.1:1/x").unwrap();
        Sessions::new(pool, transport)
    }

    #[tokio::test]
    async fn a_cookie_is_read_as_it_was_given() {
        let token = Token([7; 32]);
        for (transport, expected) in [
            (CookieTransport::Any, "HttpOnly; SameSite=Strict; Path=/; Max-Age=2592000"),
            (
                CookieTransport::HttpsOnly,
                "HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=2592000",
            ),
        ] {
            let sessions = sessions(transport);
            let given = sessions.cookie(Some(token)).unwrap();
            let (pair, attributes) = given.to_str().unwrap().split_once("; ").unwrap();
            assert_eq!(attributes, expected);
            let mut headers = HeaderMap::new();
            headers.append(header::COOKIE, HeaderValue::from_static("a=b; c"));
            headers.append(header::COOKIE, HeaderValue::from_str(pair).unwrap());
            assert!(sessions.token(&headers).unwrap().is_ok_and(|found| found == token));
        }
        let cleared = sessions(CookieTransport::Any).cookie(None).unwrap();
        assert!(cleared.to_str().unwrap().ends_with("Max-Age=0"), "{cleared:?}");
    }

    #[tokio::test]
    async fn a_cookie_that_is_no_token_is_refused_without_asking_anybody() {
        let sessions = sessions(CookieTransport::Any);
        let mut headers = HeaderMap::new();
        assert!(sessions.token(&headers).is_none());
        for value in ["", "AAAA", "'; DROP TABLE sessions; --", "%00", "=,="] {
            let line = format!("exchange_session={value}");
            headers.insert(header::COOKIE, HeaderValue::from_str(&line).unwrap());
            let refused = sessions.token(&headers).unwrap().err().unwrap();
            assert_eq!(refused.code, Code::Unauthorized, "{value}");
        }
    }

    #[test]
    fn only_its_own_csrf_token_goes_with_a_session() {
        let token = Token([7; 32]);
        let mut headers = HeaderMap::new();
        assert_eq!(token.check_csrf(&headers).unwrap_err().code, Code::Forbidden);
        for (sent, is_right) in [
            (token.csrf(), true),
            (Token([8; 32]).csrf(), false),
            (URL_SAFE_NO_PAD.encode(token.hash()), false),
            (String::new(), false),
        ] {
            headers.insert(CSRF_HEADER, HeaderValue::from_str(&sent).unwrap());
            assert_eq!(token.check_csrf(&headers).is_ok(), is_right, "{sent}");
        }
    }
}
