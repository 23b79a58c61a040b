//! Depth of one market: whatever is missed is made up for by one update, of all levels that changed
//! meanwhile, which the replica tells.
//!
//! ```text
//! confirmed ─▶ catching up ──answer──▶ live ──gap, heads ahead, another life──▶ catching up …
//!                  ▲                    │
//!                  └── lost ◀───────────┘
//! ```
//!
//! All levels, and not what differs in the end: a client may have taken its snapshot in between,
//! when levels were what they are no more. The book stands still for its listeners while it catches
//! up. It breaks when the replica does not remember that far back, when the counter of updates has
//! fallen back, or when no answer comes in time.

use protocol::feed::Head;
use protocol::query::{AnswerBody, Ask, DepthSince};

use super::catching_up::CatchingUp;
use super::{Act, Life, Moment, Source};
use crate::continuity::{Reached, Span, Verdict};
use crate::depth_update::DepthUpdate;

/// An update that none has: what is asked behind it is where the book stands.
const NONE: u64 = u64::MAX;

#[derive(Debug, Default)]
pub struct Depth {
    is_heard: bool,
    /// What those who joined know; `None`: nobody was promised anything.
    stand: Option<Stand>,
    /// `None`: live.
    catching_up: Option<CatchingUp<Published>>,
    attempts: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Stand {
    reached: Reached,
    /// Of the book there.
    checksum: u32,
}

impl Stand {
    fn after(update: &DepthUpdate) -> Stand {
        let Span { last: id, time_us, .. } = update.span;
        Stand { reached: Reached { id, time_us: Some(time_us) }, checksum: update.checksum }
    }
}

#[derive(Debug)]
struct Published {
    frame: String,
    update: DepthUpdate,
}

impl Depth {
    /// From here on it is held back what comes; what had been held back stays where it is.
    fn catch_up(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        let Some(market) = at.market else { return };
        let catching_up = self.catching_up.get_or_insert_with(|| CatchingUp::new(at));
        if self.is_heard && !catching_up.is_asking() {
            let after = self.stand.map_or(NONE, |stand| stand.reached.id);
            let ask = Ask::DepthSince { market: market.id, after };
            catching_up.ask(ask, &mut self.attempts, acts);
        }
    }

    /// What was held back may have holes.
    fn start_over(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        self.catching_up.get_or_insert_with(|| CatchingUp::new(at)).restart();
        self.catch_up(at, acts);
    }

    fn take(&mut self, published: Published, at: Moment<'_>, acts: &mut Vec<Act>) {
        if let Some(catching_up) = &mut self.catching_up {
            return catching_up.hold(published);
        }
        let Some(Stand { reached, .. }) = self.stand else { return };
        match reached.check(published.update.span) {
            Verdict::Next => {
                self.stand = Some(Stand::after(&published.update));
                let Published { frame, update } = published;
                acts.push(Act::Depth { frame, update });
            }
            Verdict::Repeat => metrics::counter!("fanout_repeats_total").increment(1),
            verdict @ (Verdict::Apart | Verdict::FellBack) => {
                metrics::counter!("fanout_gaps_total").increment(1);
                let (expected, found) = (reached.id + 1, published.update.span.first);
                tracing::warn!(expected, found, "gap in depth: asking for the book");
                let catching_up = self.catching_up.get_or_insert_with(|| CatchingUp::new(at));
                if verdict == Verdict::Apart {
                    catching_up.hold(published);
                }
                self.catch_up(at, acts);
            }
        }
    }

    /// Whoever had joined is led to where the book stands, and whoever waits joins there.
    fn stand(&mut self, since: DepthSince, at: Moment<'_>, acts: &mut Vec<Act>) {
        let Some(market) = at.market else { return };
        let DepthSince { bids, asks, update_id, time_us, checksum, is_whole } = since;
        let reached = Reached { id: update_id, time_us: Some(time_us) };
        if let Some(before) = self.stand {
            let first = before.reached.id + 1;
            if is_whole && first <= update_id {
                let span = Span { first, last: update_id, time_us };
                let update = DepthUpdate { span, checksum, asks, bids };
                metrics::counter!("fanout_mends_total", "stream" => "depth").increment(1);
                acts.push(Act::Depth { frame: update.write(market, at.now_us), update });
            } else if (before.reached.id, before.checksum) != (update_id, checksum) {
                let (known, found) = (before.reached.id, update_id);
                tracing::warn!(market = market.symbol, known, found, "depth cannot be made up for");
                acts.push(Act::Break);
            }
        }
        self.stand = Some(Stand { reached, checksum });
        let held = self.catching_up.take().map(CatchingUp::into_held);
        acts.push(Act::Begin);
        for published in held.into_iter().flatten() {
            self.take(published, at, acts);
        }
    }
}

impl Source for Depth {
    fn confirmed(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        self.is_heard = true;
        self.start_over(at, acts);
    }

    fn lost(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        self.is_heard = false;
        self.start_over(at, acts);
    }

    fn message(&mut self, payload: Vec<u8>, at: Moment<'_>, acts: &mut Vec<Act>) {
        let Some(market) = at.market.filter(|_| self.is_heard) else { return };
        let frame = String::from_utf8(payload).unwrap_or_default();
        match DepthUpdate::read(&frame, market) {
            Ok(update) => self.take(Published { frame, update }, at, acts),
            Err(error) => {
                tracing::error!(market = market.symbol, %error, "a depth frame cannot be read");
                metrics::counter!("fanout_malformed_frames_total").increment(1);
                self.catch_up(at, acts);
            }
        }
    }

    fn answered(
        &mut self,
        attempt: u64,
        answer: Option<AnswerBody>,
        at: Moment<'_>,
        acts: &mut Vec<Act>,
    ) {
        let is_awaited = self.catching_up.as_mut().is_some_and(|it| it.takes(attempt));
        if let Some(AnswerBody::DepthSince(since)) = answer
            && is_awaited
        {
            self.stand(since, at, acts);
        }
    }

    fn heads(&mut self, life: Life, at: Moment<'_>, acts: &mut Vec<Act>) {
        let reached = self.stand.map_or(NONE, |stand| stand.reached.id);
        let is_ahead = |head: Head| reached < head.update_id;
        if let Life::Another { .. } = life {
            self.start_over(at, acts);
        } else if self.catching_up.is_none() && at.head.is_some_and(is_ahead) {
            metrics::counter!("fanout_gaps_total").increment(1);
            self.catch_up(at, acts);
        }
    }

    fn tick(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        let Some(catching_up) = &mut self.catching_up else { return };
        if catching_up.is_over(at) && self.stand.take().is_some() {
            acts.push(Act::Break);
        }
        // The last question may have come to nothing.
        self.catch_up(at, acts);
    }

    fn is_ready(&self) -> bool {
        self.stand.is_some() && self.catching_up.is_none()
    }
}

#[cfg(test)]
mod tests;
