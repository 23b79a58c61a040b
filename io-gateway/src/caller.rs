//! Who sends a request: its headers, with the address it came from, and what these prove.
//!
//! A request speaks for an account by the signature of an API key, or by a browser session with its
//! CSRF token.

use std::convert::Infallible;
use std::net::IpAddr;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use protocol::AccountId;

use crate::app::App;
use crate::auth::{Credentials, Effect, Instruction};
use crate::client_address::client_address;
use crate::clock::now_ms;
use crate::error::{ApiError, Code};
use crate::parameters::Parameters;
use crate::server::Remote;
use crate::sessions::{Session, Token};

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

impl FromRequestParts<Arc<App>> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<Remote>().map(|remote| remote.0.ip());
        let proxies = &app.http.trusted_proxies;
        let address = peer.map(|peer| client_address(peer, &parts.headers, proxies));
        Ok(Caller { headers: parts.headers.clone(), address })
    }
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
        let session = self.browser.sessions.token(caller);
        if let (Some(token), false) = (session, Credentials::are_sent(caller)) {
            let token = token?;
            let session = self.browser.sessions.find(token).await?;
            token.check_csrf(caller)?;
            return Ok(session.account);
        }
        let credentials = Credentials::read(caller, now_ms())?;
        let key = self.keys.get(&credentials.key).await?;
        let turn = self.verifications.acquire().await.map_err(ApiError::bug)?;
        credentials.verify(&key.verifying, instruction, parameters)?;
        drop(turn);
        // Only now: what a key may not do is told to nobody but its owner.
        key.limits.check(instruction.effect(), caller.address)?;
        Ok(key.account)
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
