//! Tickers and klines: passed on as they come.
//!
//! A lost ticker is made up for by the next one, a second later. A lost kline may have been the
//! last of its candle, so that who hears klines is told.

use protocol::query::AnswerBody;

use super::{Act, Life, Moment, Source};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    MadeUpFor,
    Breaks,
}

#[derive(Debug)]
pub struct Plain {
    loss: Loss,
    is_heard: bool,
}

impl Plain {
    pub fn new(loss: Loss) -> Plain {
        Plain { loss, is_heard: false }
    }

    fn missed(&self, acts: &mut Vec<Act>) {
        if self.loss == Loss::Breaks {
            acts.push(Act::Break);
        }
    }
}

impl Source for Plain {
    fn confirmed(&mut self, _: Moment<'_>, acts: &mut Vec<Act>) {
        if self.is_heard {
            self.missed(acts);
        }
        self.is_heard = true;
        acts.push(Act::Begin);
    }

    fn lost(&mut self, _: Moment<'_>, acts: &mut Vec<Act>) {
        self.is_heard = false;
        self.missed(acts);
    }

    fn message(&mut self, payload: Vec<u8>, _: Moment<'_>, acts: &mut Vec<Act>) {
        if let Ok(frame) = String::from_utf8(payload)
            && self.is_heard
        {
            acts.push(Act::Frame(frame));
        }
    }

    fn answered(&mut self, _: u64, _: Option<AnswerBody>, _: Moment<'_>, _: &mut Vec<Act>) {}

    fn heads(&mut self, life: Life, _: Moment<'_>, acts: &mut Vec<Act>) {
        if let Life::Another { .. } = life {
            self.missed(acts);
        }
    }

    fn tick(&mut self, _: Moment<'_>, _: &mut Vec<Act>) {}

    fn is_ready(&self) -> bool {
        self.is_heard
    }
}
