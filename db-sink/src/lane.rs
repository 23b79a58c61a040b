//! One stream as the feed reads it: from where its queue is read on, and when the engine is asked
//! for frames.
//!
//! The engine is asked at once where the queue shows a gap. It is asked, too, where the queue may
//! have lost its end and nothing behind shows it: after each connect, and when the queue no longer
//! reaches as far as it did.

use std::time::Duration;

use protocol::keys::HEARTBEAT_EVERY_MS;
use protocol::refill::Content;
use protocol::{Sequence, StreamCursor};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::chain::{Chain, Gap};
use crate::error::StreamFault;
use crate::refill::Page;

/// A heartbeat read so long after a doubt arose tells no less than what was durable then.
const DOUBT_RIPE_AFTER: Duration = Duration::from_millis(2 * HEARTBEAT_EVERY_MS);

#[derive(Debug)]
pub struct Lane {
    pub chain: Chain,
    /// The last entry read.
    pub cursor: StreamCursor,
    /// The last read took all there was.
    pub is_drained: bool,
    /// The furthest that the queue is known to have reached.
    reached: u64,
    /// Since when the queue may lack frames at its end.
    doubt: Option<Instant>,
    /// When the order was placed whose page has not come yet.
    ordered: Option<Instant>,
    not_before: Instant,
    backoff: Backoff,
}

impl Lane {
    /// Goes on from what is committed.
    pub fn new(committed: u64, retry_max: Duration) -> Self {
        Lane {
            chain: Chain::new(committed),
            cursor: cursor(committed),
            is_drained: false,
            reached: 0,
            doubt: None,
            ordered: None,
            not_before: Instant::now(),
            backoff: Backoff::new(retry_max),
        }
    }

    /// Reads on from the last frame handed on, and asks whether that was all.
    pub fn doubt(&mut self, now: Instant) {
        self.doubt = Some(now);
        self.is_drained = false;
        self.rewind();
    }

    pub fn rewind(&mut self) {
        self.cursor = cursor(self.chain.handed());
    }

    /// How far the queue reaches now; whether it once reached further.
    pub fn queue_reaches(&mut self, last: u64, now: Instant) -> bool {
        let is_lost = last < self.reached;
        self.reached = last;
        if is_lost {
            self.doubt(now);
        }
        is_lost
    }

    /// An entry was read.
    pub fn passes(&mut self, id: StreamCursor) {
        self.cursor = self.cursor.max(id);
        self.reached = self.reached.max(id.milliseconds);
    }

    /// What to ask for now, if anything: frames behind this one. It counts as ordered.
    pub fn order(&mut self, now: Instant) -> Option<Sequence> {
        let is_ripe = |since| self.is_drained && since + DOUBT_RIPE_AFTER <= now;
        let wants = self.chain.gap().is_some() || self.doubt.is_some_and(is_ripe);
        if !wants || self.ordered.is_some() || now < self.not_before {
            return None;
        }
        self.ordered = Some(now);
        Some(Sequence(self.chain.known_until()))
    }

    /// After the page's frames; the gap if it is closed by them.
    pub fn page_ends(&mut self, page: &Page, now: Instant) -> Result<Option<Gap>, StreamFault> {
        let ordered = self.ordered.take();
        let closed = self.chain.page_ends(page.content)?;
        let was_ripe = |since| ordered.is_some_and(|ordered| since + DOUBT_RIPE_AFTER <= ordered);
        let is_all = page.engine_at.0 <= self.chain.known_until();
        // A market the engine does not list has no frames that could be missing.
        let settles = is_all || page.content == Content::UnknownMarket;
        if settles && self.doubt.is_some_and(was_ripe) {
            self.doubt = None;
        }
        if page.after.0 < self.chain.known_until() {
            self.backoff.reset();
        } else {
            self.not_before = now + self.backoff.pause();
        }
        if closed.is_some() {
            self.rewind();
        }
        Ok(closed)
    }
}

/// Ids of event queues are sequences.
pub fn cursor(sequence: u64) -> StreamCursor {
    StreamCursor { milliseconds: sequence, counter: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    fn up_to(sequence: u64) -> Content {
        Content::UpTo(Sequence(sequence))
    }

    /// Connected at `now` to a queue that has nothing.
    fn connected(committed: u64, now: Instant) -> Lane {
        let mut lane = Lane::new(committed, Duration::from_millis(20));
        lane.doubt(now);
        lane.is_drained = true;
        lane
    }

    #[test]
    fn a_doubt_is_asked_about_when_the_queue_is_read_and_the_heartbeat_is_new() {
        let now = Instant::now();
        let mut lane = connected(40, now);
        assert_eq!(lane.order(now), None);
        let ripe = now + DOUBT_RIPE_AFTER;
        lane.is_drained = false;
        assert_eq!(lane.order(ripe), None);
        lane.is_drained = true;
        assert_eq!(lane.order(ripe), Some(Sequence(40)));
        assert_eq!(lane.order(ripe), None, "one order at a time");
        // The engine has searched its journal only in part, and goes on.
        let page = Page::without_frames(40, 90, up_to(70));
        assert_eq!(lane.page_ends(&page, ripe).unwrap(), None);
        assert_eq!(lane.order(ripe), Some(Sequence(70)));
        // It comes no further: asked again, but not at once.
        let page = Page::without_frames(70, 90, up_to(70));
        lane.page_ends(&page, ripe).unwrap();
        assert_eq!(lane.order(ripe), None);
        let later = ripe + Duration::from_secs(1);
        assert_eq!(lane.order(later), Some(Sequence(70)));
        lane.page_ends(&Page::without_frames(70, 90, up_to(90)), later).unwrap();
        assert_eq!(lane.order(later + Duration::from_secs(9)), None, "settled");
    }

    #[test]
    fn a_page_asked_for_before_the_doubt_arose_does_not_settle_it() {
        let now = Instant::now();
        let mut lane = connected(40, now);
        let ripe = now + DOUBT_RIPE_AFTER;
        assert!(lane.order(ripe).is_some());
        // Another connect, while the page is under way.
        lane.doubt(ripe);
        lane.is_drained = true;
        lane.page_ends(&Page::without_frames(40, 50, up_to(60)), ripe + MOMENT).unwrap();
        assert_eq!(lane.order(ripe + MOMENT), None);
        assert_eq!(lane.order(ripe + DOUBT_RIPE_AFTER), Some(Sequence(60)));
    }

    #[test]
    fn a_queue_that_ends_earlier_than_it_did_is_doubted_once() {
        let now = Instant::now();
        let mut lane = connected(40, now);
        assert!(!lane.queue_reaches(0, now), "nobody knows that it ever reached further");
        lane.passes(cursor(60));
        assert!(!lane.queue_reaches(70, now));
        assert!(lane.queue_reaches(0, now));
        assert_eq!(lane.cursor, cursor(40), "read on from what was handed on");
        assert!(!lane.queue_reaches(0, now));
    }

    #[test]
    fn a_market_the_engine_does_not_list_is_left_alone_until_the_next_connect() {
        let now = Instant::now();
        let mut lane = connected(0, now);
        let ripe = now + DOUBT_RIPE_AFTER;
        assert!(lane.order(ripe).is_some());
        lane.page_ends(&Page::without_frames(0, 50, Content::UnknownMarket), ripe).unwrap();
        assert_eq!(lane.order(ripe + Duration::from_secs(9)), None);
    }
}
