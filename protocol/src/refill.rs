//! Frames that a reader of event queues lacks, read again from the journal.
//!
//! ```text
//! reader ─▶ LPUSH refills (a request) ─▶ engine ─▶ RPUSH refill:<asker> (a page) ─▶ reader ─▶ …
//! ```
//!
//! One request asks for one page; the reader asks for the next after the last frame it got, until
//! it has reached what its queue holds. Pages expire: an asker that is gone leaves nothing behind.

use serde::{Deserialize, Serialize};

use crate::ids::{MarketId, Sequence};

/// Bytes of frames in one page, about: a page ends after the frame that reaches it.
pub const PAGE_BYTES: usize = 1 << 20;
/// How long a page waits for its asker.
pub const PAGE_EXPIRES_MS: u64 = 30_000;

/// JSON on the list [`crate::keys::REFILLS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Names the list that the page goes to; a name of the asker's own.
    pub asker: String,
    /// Repeated in the page.
    pub id: u64,
    pub market: MarketId,
    /// Frames behind this one.
    pub after: Sequence,
    /// After this the asker has gone; the request is dropped.
    pub deadline_us: u64,
}

/// What a page begins with: JSON in one line, ended by a line feed. Frames of the stream follow one
/// behind the other, only those that had an effect, as on the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageHead {
    pub id: u64,
    pub market: MarketId,
    pub after: Sequence,
    pub content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    /// Everything of the stream behind `after` up to here is in this page; ask on from here.
    UpTo(Sequence),
    /// The journal begins only behind this frame: what came before was removed.
    BeginsAfter(Sequence),
    /// No such stream.
    UnknownMarket,
}
