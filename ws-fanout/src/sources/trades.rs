//! Trades of one market: what is missed is asked for by its number, as far back as the replica
//! remembers.
//!
//! Where it begins: the engine's heads name a trade, and the replica is asked, after Redis has
//! confirmed the subscription, what came behind it. The last one of the answer was before whoever
//! joins then, and every later one comes.

use protocol::TradeId;
use protocol::query::{AnswerBody, Ask, PublicTrade};
use protocol::stream_json;

use super::catching_up::CatchingUp;
use super::{Act, Life, Moment, Source};
use crate::continuity::{Reached, Span, Verdict, trade_span};

#[derive(Debug, Default)]
pub struct Trades {
    is_heard: bool,
    /// What those who joined have heard; `None`: nobody was promised anything.
    reached: Option<Reached>,
    /// `None`: live.
    catching_up: Option<CatchingUp<Published>>,
    /// Behind which trade the question on its way asks.
    asked_behind: u64,
    /// The last trade that was known to have happened when it was asked.
    owed: u64,
    attempts: u64,
}

#[derive(Debug)]
struct Published {
    frame: String,
    span: Span,
}

impl Trades {
    fn catch_up(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        let Some(market) = at.market else { return };
        let catching_up = self.catching_up.get_or_insert_with(|| CatchingUp::new(at));
        if !self.is_heard || catching_up.is_asking() {
            return;
        }
        // Without either there is nothing to ask for until the engine speaks.
        let head = at.head.map(|head| head.trade.0);
        if let Some(behind) = self.reached.map(|reached| reached.id).or(head) {
            self.asked_behind = behind;
            self.owed = head.max(catching_up.first_held().map(before)).unwrap_or(0);
            let ask = Ask::Trades { market: market.id, after: TradeId(behind) };
            catching_up.ask(ask, &mut self.attempts, acts);
        }
    }

    /// What was held back may have holes.
    fn start_over(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        self.catching_up.get_or_insert_with(|| CatchingUp::new(at)).restart();
        self.catch_up(at, acts);
    }

    fn break_off(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        tracing::warn!(market = at.market.map(|it| &it.symbol), "trades cannot be made up for");
        self.reached = None;
        acts.push(Act::Break);
        self.start_over(at, acts);
    }

    fn take(&mut self, published: Published, at: Moment<'_>, acts: &mut Vec<Act>) {
        if let Some(catching_up) = &mut self.catching_up {
            return catching_up.hold(published);
        }
        let Some(reached) = self.reached else { return };
        let Span { first: found, last: id, time_us } = published.span;
        match reached.check(published.span) {
            Verdict::Next => {
                self.reached = Some(Reached { id, time_us: Some(time_us) });
                acts.push(Act::Frame(published.frame));
            }
            Verdict::Repeat => metrics::counter!("fanout_repeats_total").increment(1),
            Verdict::Apart => {
                metrics::counter!("fanout_gaps_total").increment(1);
                tracing::warn!(expected = reached.id + 1, found, "gap in trades: asking for them");
                self.catching_up.get_or_insert_with(|| CatchingUp::new(at)).hold(published);
                self.catch_up(at, acts);
            }
            Verdict::FellBack => self.break_off(at, acts),
        }
    }

    fn answer(&mut self, trades: &[PublicTrade], at: Moment<'_>, acts: &mut Vec<Act>) {
        let Some(mut reached) = self.reached else {
            let last = trades.last();
            self.reached = Some(Reached {
                id: last.map_or(self.asked_behind, |trade| trade.id.0.max(self.asked_behind)),
                time_us: last.map(|trade| trade.time_us),
            });
            return self.go_live(at, acts);
        };
        let Some(market) = at.market else { return };
        let told = reached.id;
        for trade in trades.iter().filter(|trade| told < trade.id.0) {
            if trade.id.0 != reached.id + 1 {
                return self.break_off(at, acts);
            }
            reached = Reached { id: trade.id.0, time_us: Some(trade.time_us) };
            acts.push(Act::Frame(stream_json::trade(market, at.now_us, trade)));
        }
        self.reached = Some(reached);
        if told < reached.id {
            metrics::counter!("fanout_mends_total", "stream" => "trade").increment(1);
        }
        let held = self.catching_up.as_ref().and_then(CatchingUp::first_held);
        let needed = held.map(before).unwrap_or(0).max(self.owed);
        if needed <= reached.id {
            self.go_live(at, acts);
        } else if told < reached.id || self.owed <= reached.id {
            // An answer has so many trades and no more, or was given before the last of them.
            self.catch_up(at, acts);
        } else {
            self.break_off(at, acts);
        }
    }

    fn go_live(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        let held = self.catching_up.take().map(CatchingUp::into_held);
        acts.push(Act::Begin);
        for published in held.into_iter().flatten() {
            self.take(published, at, acts);
        }
    }
}

fn before(published: &Published) -> u64 {
    published.span.first.saturating_sub(1)
}

impl Source for Trades {
    fn confirmed(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        self.is_heard = true;
        self.start_over(at, acts);
    }

    fn lost(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        self.is_heard = false;
        self.start_over(at, acts);
    }

    fn message(&mut self, payload: Vec<u8>, at: Moment<'_>, acts: &mut Vec<Act>) {
        if !self.is_heard {
            return;
        }
        let frame = String::from_utf8(payload).unwrap_or_default();
        match trade_span(&frame) {
            Ok(span) => self.take(Published { frame, span }, at, acts),
            Err(error) => {
                tracing::error!(%error, "a trade frame cannot be read");
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
        if let Some(AnswerBody::Trades(trades)) = answer
            && is_awaited
        {
            self.answer(&trades, at, acts);
        }
    }

    fn heads(&mut self, life: Life, at: Moment<'_>, acts: &mut Vec<Act>) {
        let told = at.head.map_or(0, |head| head.trade.0);
        if let Life::Another { .. } = life {
            self.start_over(at, acts);
        } else if self.catching_up.is_some() {
            self.catch_up(at, acts);
        } else if self.reached.is_some_and(|reached| reached.id < told) {
            metrics::counter!("fanout_gaps_total").increment(1);
            self.catch_up(at, acts);
        }
    }

    fn tick(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        let Some(catching_up) = &mut self.catching_up else { return };
        if catching_up.is_over(at) && self.reached.take().is_some() {
            acts.push(Act::Break);
        }
        // The last question may have come to nothing.
        self.catch_up(at, acts);
    }

    fn is_ready(&self) -> bool {
        self.reached.is_some() && self.catching_up.is_none()
    }
}

#[cfg(test)]
mod tests;
