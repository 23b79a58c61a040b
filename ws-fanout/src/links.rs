//! What the workers, which hold the sockets, and the upstream, which hears Redis, tell each other.
//!
//! A worker joins a stream when the first of its sockets asks for it and leaves it after the last.
//! Each time it joins it does so under a new token, so that what was on its way about an earlier
//! membership is told from what belongs to this one.

use bytes::Bytes;
use protocol::AccountId;

use crate::close_reason::CloseReason;
use crate::stream_name::StreamName;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WorkerId(pub usize);

/// Names one membership of a worker in a stream; no two of a worker are the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Token(pub u64);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ToUpstream {
    Join { worker: WorkerId, stream: StreamName, token: Token },
    Leave { worker: WorkerId, stream: StreamName, token: Token },
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToWorker {
    /// From here on every message of the stream comes, without a gap.
    Joined { stream: StreamName, token: Token },
    /// A whole WebSocket message, for all who hear the stream.
    Message { stream: StreamName, message: Bytes },
    /// The stream broke off: the membership has ended, and whoever hears it is to be closed. A
    /// membership that had not begun may end so, too.
    Broken { stream: StreamName, token: Token, reason: CloseReason },
}

/// Whose orders are to be cancelled when a socket closes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ToDisconnects {
    /// One more socket of the account lives.
    Armed(AccountId),
    /// Such a socket has thought better of it.
    Disarmed(AccountId),
    /// Such a socket has closed.
    Closed(AccountId),
}
