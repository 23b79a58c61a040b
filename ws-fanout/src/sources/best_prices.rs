//! Book tickers of one market: passed on as they come. What they say stands until the next, so that
//! after a gap the best prices are asked for and told once.

use protocol::query::{AnswerBody, Ask, Depth};
use protocol::stream_json::{self, BookTicker};

use super::{Act, Life, Moment, Source};
use crate::continuity::book_ticker_update;

#[derive(Debug, Default)]
pub struct BestPrices {
    is_heard: bool,
    /// Somebody may have joined.
    has_begun: bool,
    gap: Gap,
    attempts: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Gap {
    #[default]
    None,
    /// To be asked about.
    Open,
    /// Asked about. `heard` is the latest update that was told since.
    Asked { attempt: u64, heard: u64 },
    /// Told up to this update: what was published before it comes too late.
    Told { update: u64 },
}

impl BestPrices {
    fn ask(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        let Some(market) = at.market.filter(|_| self.is_heard && self.gap == Gap::Open) else {
            return;
        };
        self.attempts += 1;
        self.gap = Gap::Asked { attempt: self.attempts, heard: 0 };
        let ask = Ask::Depth { market: market.id, levels: 1 };
        acts.push(Act::Ask { attempt: self.attempts, ask });
    }

    fn tell(&mut self, heard: u64, depth: &Depth, at: Moment<'_>, acts: &mut Vec<Act>) {
        let Some(market) = at.market else { return };
        if depth.update_id <= heard {
            // What was heard meanwhile is as new.
            self.gap = Gap::None;
            return;
        }
        self.gap = Gap::Told { update: depth.update_id };
        let ticker = BookTicker {
            time_us: depth.time_us,
            bid: depth.bids.first().copied(),
            ask: depth.asks.first().copied(),
            update: depth.update_id,
        };
        acts.push(Act::Frame(stream_json::book_ticker(market, at.now_us, &ticker)));
        metrics::counter!("fanout_mends_total", "stream" => "bookTicker").increment(1);
    }
}

impl Source for BestPrices {
    fn confirmed(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        self.is_heard = true;
        if self.has_begun {
            self.gap = Gap::Open;
            self.ask(at, acts);
        }
        self.has_begun = true;
        acts.push(Act::Begin);
    }

    fn lost(&mut self, _: Moment<'_>, _: &mut Vec<Act>) {
        self.is_heard = false;
        self.gap = Gap::Open;
    }

    fn message(&mut self, payload: Vec<u8>, _: Moment<'_>, acts: &mut Vec<Act>) {
        let Some(frame) = String::from_utf8(payload).ok().filter(|_| self.is_heard) else {
            return;
        };
        // Read only where it matters.
        let update = || book_ticker_update(&frame).unwrap_or(u64::MAX);
        match &mut self.gap {
            Gap::None | Gap::Open => (),
            Gap::Asked { heard, .. } => *heard = update(),
            Gap::Told { update: told } if update() <= *told => return,
            Gap::Told { .. } => self.gap = Gap::None,
        }
        acts.push(Act::Frame(frame));
    }

    fn answered(
        &mut self,
        attempt: u64,
        answer: Option<AnswerBody>,
        at: Moment<'_>,
        acts: &mut Vec<Act>,
    ) {
        let Gap::Asked { attempt: awaited, heard } = self.gap else { return };
        match answer {
            _ if awaited != attempt => (),
            Some(AnswerBody::Depth(depth)) => self.tell(heard, &depth, at, acts),
            // Asked again with the next tick.
            _ => self.gap = Gap::Open,
        }
    }

    fn heads(&mut self, life: Life, at: Moment<'_>, acts: &mut Vec<Act>) {
        if let Life::Another { .. } = life {
            self.gap = Gap::Open;
            self.ask(at, acts);
        }
    }

    fn tick(&mut self, at: Moment<'_>, acts: &mut Vec<Act>) {
        self.ask(at, acts);
    }

    fn is_ready(&self) -> bool {
        self.is_heard
    }
}
