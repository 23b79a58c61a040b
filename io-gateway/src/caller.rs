//! Who sends a request: its headers, with the address it came from, and what these prove.
//!
//! A request speaks for an account by the signature of an API key, or by a browser session with its
//! CSRF token.

use std::convert::Infallible;
use std::net::IpAddr;
use std::ops::Deref;
use std::time::Instant;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use protocol::AccountId;

use crate::app::{App, SharedApp};
use crate::auth::{Credentials, Effect, Instruction};
use crate::clock::now_ms;
use crate::error::{ApiError, Code};
use crate::keys::ApiKey;
use crate::limits::weights;
use crate::parameters::Parameters;
use crate::server::Remote;
use crate::sessions::{Session, Token};
use service::client_address::client_address;

/// Reads as the headers it holds.
#[derive(Clone, Debug)]
pub struct Caller {
    headers: HeaderMap,
    /// `None` only for a request that came over no connection of ours.
    pub address: Option<IpAddr>,
}

impl Deref for Caller {
    type Target = HeaderMap;

    fn deref(&self) -> &HeaderMap {
        &self.headers
    }
}

impl FromRequestParts<SharedApp> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &SharedApp) -> Result<Self, Infallible> {
        let address = address_of(&parts.extensions, &parts.headers, &app.http.trusted_proxies);
        Ok(Caller { headers: parts.headers.clone(), address })
    }
}

/// Where a request came from, by its connection and what trusted proxies say.
pub fn address_of(
    extensions: &Extensions,
    headers: &HeaderMap,
    proxies: &[IpAddr],
) -> Option<IpAddr> {
    let peer = extensions.get::<Remote>()?.0.ip();
    Some(client_address(peer, headers, proxies))
}

impl App {
    /// The account that a request of the contract speaks for: it signed one set of parameters, or
    /// one an order of a batch; or it has a session. A signature counts before a session.
    pub async fn signed(
        &self,
        caller: &Caller,
        instruction: Instruction,
        parameters: &[Parameters<'_>],
    ) -> Result<AccountId, ApiError> {
        let weight = weights::of_signed(instruction, parameters.len());
        let session = self.browser.sessions.token(caller);
        if let (Some(token), false) = (session, Credentials::are_sent(caller)) {
            let token = token?;
            let session = self.browser.sessions.find(token).await?;
            token.check_csrf(caller)?;
            self.limits.take_of_account(session.account, weight)?;
            return Ok(session.account);
        }
        let credentials = Credentials::read(caller, now_ms())?;
        let key = self.keys.get(&credentials.key).await?;
        self.verify(&credentials, &key, instruction, parameters).await?;
        // Only now: what a key may not do is told to nobody but its owner.
        key.limits.check(instruction.effect(), caller.address)?;
        self.limits.take_of_signer(&credentials.key, key.account, weight)?;
        Ok(key.account)
    }

    /// Checks the signature when its turn has come.
    pub async fn verify(
        &self,
        credentials: &Credentials<'_>,
        key: &ApiKey,
        instruction: Instruction,
        parameters: &[Parameters<'_>],
    ) -> Result<(), ApiError> {
        let _turn = self.verifications.acquire().await.map_err(ApiError::bug)?;
        let began = Instant::now();
        let verified = credentials.verify(&key.verifying, instruction, parameters);
        metrics::histogram!("gateway_verify_seconds").record(began.elapsed());
        verified
    }

    /// As [`App::signed`], of a request whose parameters are its query; with these.
    pub async fn signed_query<'q>(
        &self,
        caller: &Caller,
        instruction: Instruction,
        query: Option<&'q str>,
    ) -> Result<(AccountId, Parameters<'q>), ApiError> {
        let parameters = [Parameters::from_query(query.unwrap_or_default())?];
        let account = self.signed(caller, instruction, &parameters).await?;
        let [parameters] = parameters;
        Ok((account, parameters))
    }

    /// The session of a request to the browser's own paths. Only what changes something needs the
    /// CSRF token there, since a page that was loaded anew has to ask for it.
    pub async fn in_session(
        &self,
        caller: &Caller,
        effect: Effect,
    ) -> Result<(Token, Session), ApiError> {
        let token = self
            .browser
            .sessions
            .token(caller)
            .unwrap_or_else(|| Err(ApiError::new(Code::Unauthorized, "Sign in first")))?;
        let session = self.browser.sessions.find(token).await?;
        if effect == Effect::Changes {
            token.check_csrf(caller)?;
        }
        Ok((token, session))
    }
}
