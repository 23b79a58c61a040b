//! Doing again, command by command, what a journal says was done: how a journal is verified.
//!
//! What a command came to is a function of the frames before it, with two exceptions that the frame
//! itself tells: which of the free slots a new order got, and that a hold failed because another
//! shard's hold with a later number had been faster.

use protocol::{Action, Frame, Outcome, Record, Refusal};

use crate::shard::{Input, Shard};

/// What there is to compare with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Again<'a> {
    /// The records this command comes to now.
    Done(&'a [Record]),
    /// Funds were short because of how the shards interleaved: taken as told.
    AsTold,
}

impl Shard {
    /// Carries out the command of `frame`, the next of the journal, on a shard that owns all
    /// streams.
    pub fn apply_again(&mut self, frame: &Frame<'_>) -> Again<'_> {
        let (market, outcome) = (frame.command.market(), frame.header.outcome);
        // What has to fire does so before anything else.
        if matches!(frame.command.action, Action::Fire(_)) || self.has_to_fire(market) {
            let refusal = Refusal::InsufficientFunds;
            if matches!(outcome, Outcome::TriggerFailed { refusal: told, .. } if told == refusal) {
                self.fire_in(market, Some(refusal));
                return Again::AsTold;
            }
            return Again::Done(self.fire_in(market, None).unwrap_or_default());
        }
        let input = Input { cursor: frame.header.cursor, command: frame.command };
        if outcome == Outcome::Refused(Refusal::InsufficientFunds) {
            self.note_refused(&input);
            return Again::AsTold;
        }
        if let Some(order) = outcome.order() {
            self.prefer(order);
        }
        Again::Done(self.apply(&input))
    }
}
