//! Who is behind a socket: fan-outs, which know neither keys nor sessions, ask any gateway.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, GatewayId};

/// On the list [`crate::keys::ACCESS`]. The answer comes on [`crate::keys::access`] of the asker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The asker's own number, repeated in the answer.
    pub id: u64,
    pub asker: GatewayId,
    /// A random number of the asking process, so that it knows the answers to its own questions.
    pub life: u64,
    /// After this the asker has gone; the question is dropped unanswered.
    pub deadline_us: u64,
    /// Where the client's connection comes from.
    pub address: IpAddr,
    pub credentials: Credentials,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Credentials {
    /// `signature` of a SUBSCRIBE, as sent.
    Signature { key: String, signature: String, timestamp: String, window: String },
    /// The `Cookie` header of the handshake, as sent.
    Cookie(String),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub id: u64,
    pub life: u64,
    pub verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    Granted(Identity),
    /// Whatever is wrong with it: a client learns no more.
    Refused,
    /// It could not be found out now.
    Unavailable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    pub account: AccountId,
    /// It may have nothing changed.
    pub read_only: bool,
}
