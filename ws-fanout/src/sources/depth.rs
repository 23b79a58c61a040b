//! Depth of one market: a mirror of the book stands behind it, so that whatever is missed is made
//! up for by one update.
//!
//! ```text
//! confirmed ─▶ catching up ──answer──▶ live ──gap, heads ahead, another life──▶ catching up …
//!                  ▲                    │
//!                  └── lost ◀───────────┘
//! ```
//!
//! The book stands still for its listeners while it catches up. It breaks when there is no way from
//! what they know to what is, or none is found in time.

use protocol::feed::Head;
use protocol::query::{AnswerBody, Ask};
use protocol::{MarketSpec, query};

use super::catching_up::CatchingUp;
use super::{Act, Life, Moment, Source};
use crate::continuity::Verdict;
use crate::depth_update::DepthUpdate;
use crate::mirror::Mirror;

#[derive(Debug, Default)]
pub struct Depth {
    is_heard: bool,
    /// What those who joined know; `None`: nobody was promised anything.
    mirror: Option<Mirror>,
    /// `None`: live.
    catching_up: Option<CatchingUp<Published>>,
    attempts: u64,
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
            let ask = Ask::Depth { market: market.id, levels: u32::MAX };
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
        let Some(mirror) = &mut self.mirror else { return };
        match mirror.reached().check(published.update.span) {
            Verdict::Next => {
                mirror.apply(&published.update);
                let Published { frame, update } = published;
                acts.push(Act::Depth { frame, update });
            }
            Verdict::Repeat => metrics::counter!("fanout_repeats_total").increment(1),
            verdict @ (Verdict::Apart | Verdict::FellBack) => {
                metrics::counter!("fanout_gaps_total").increment(1);
                let (expected, found) = (mirror.reached().id + 1, published.update.span.first);
                tracing::warn!(expected, found, "gap in depth: asking for the book");
                let catching_up = self.catching_up.get_or_insert_with(|| CatchingUp::new(at));
                if verdict == Verdict::Apart {
                    catching_up.hold(published);
                }
                self.catch_up(at, acts);
            }
        }
    }

    /// Whoever waits joins at `now`, and whoever had joined is led there.
    fn stand(&mut self, now: &query::Depth, at: Moment<'_>, acts: &mut Vec<Act>) {
        let Some(market) = at.market else { return };
        let now = Mirror::of(now);
        if let Some(before) = &self.mirror {
            lead(before, &now, market, at.now_us, acts);
        }
        self.mirror = Some(now);
        let held = self.catching_up.take().map(CatchingUp::into_held);
        acts.push(Act::Begin);
        for published in held.into_iter().flatten() {
            self.take(published, at, acts);
        }
    }
}

fn lead(before: &Mirror, now: &Mirror, market: &MarketSpec, now_us: u64, acts: &mut Vec<Act>) {
    match before.difference(now, market) {
        Ok(None) => (),
        Ok(Some(update)) => {
            metrics::counter!("fanout_mends_total", "stream" => "depth").increment(1);
            acts.push(Act::Depth { frame: update.write(market, now_us), update });
        }
        Err(cause) => {
            tracing::warn!(market = market.symbol, ?cause, "depth cannot be made up for");
            acts.push(Act::Break);
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
        if let Some(AnswerBody::Depth(depth)) = answer
            && is_awaited
        {
            self.stand(&depth, at, acts);
        }
    }

    fn heads(&mut self, life: Life, at: Moment<'_>, acts: &mut Vec<Act>) {
        let reached = self.mirror.as_ref().map_or(u64::MAX, |mirror| mirror.reached().id);
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
        if catching_up.is_over(at) && self.mirror.take().is_some() {
            acts.push(Act::Break);
        }
        // The last question may have come to nothing.
        self.catch_up(at, acts);
    }

    fn is_ready(&self) -> bool {
        self.mirror.is_some() && self.catching_up.is_none()
    }
}

#[cfg(test)]
mod tests;
