//! The state's digest: checked frame by frame, and worked out anew from the whole state.

use protocol::{BookState, Frame, Outcome, Refusal, Sequence, Standing, Units};

use super::{Inconsistency, Replica};
use crate::digest::StateSum;
use crate::recognition::{Recognition, Verdict};

/// Whether the command was carried out (or refused) for the first time by this frame. Errors: the
/// engine recognised what it could not know, or did not recognise what it must.
#[inline]
pub(super) fn check_recognition(
    known: &Recognition,
    frame: &Frame<'_>,
) -> Result<bool, Inconsistency> {
    let expected = match known.look(&frame.command.origin) {
        Verdict::New => {
            return match frame.header.outcome {
                Outcome::Recognised { .. }
                | Outcome::Refused(Refusal::Stale | Refusal::TooManyGateways) => {
                    Err(Inconsistency::Recognition)
                }
                _ => Ok(true),
            };
        }
        Verdict::Decided(first) => Outcome::Recognised { first },
        Verdict::Stale => Outcome::Refused(Refusal::Stale),
        Verdict::TooManyGateways => Outcome::Refused(Refusal::TooManyGateways),
    };
    let is_right = frame.header.outcome == expected && frame.header.held == Units::ZERO;
    if is_right { Ok(false) } else { Err(Inconsistency::Recognition) }
}

#[inline]
pub(super) fn check_digest(sum: StateSum, frame: &Frame<'_>) -> Result<(), Inconsistency> {
    let (expected, found) = (sum.digest(), frame.header.digest);
    if expected == found { Ok(()) } else { Err(Inconsistency::Digest { expected, found }) }
}

impl Replica {
    /// All streams' sums together, as kept step by step and checked against the engine's.
    pub fn sum(&self) -> StateSum {
        let markets = self.markets().map(|market| market.sum);
        markets.fold(self.accounts.sum, StateSum::with)
    }

    /// As [`Replica::sum`], worked out from the state as it is. Walks all of it.
    pub fn sum_recounted(&self) -> StateSum {
        let mut sum = StateSum::default();
        sum.accounts(u64::from(self.accounts.count()));
        self.accounts.transfers().iter().for_each(|done| sum.transfer(done));
        self.listed().iter().for_each(|it| sum.listing(&it.listing));
        self.accounts.recognition.add_to(&mut sum);
        self.accounts.cancel_afters().add_to(&mut sum);
        for balance in self.balances() {
            sum.give(balance.account, balance.asset, balance.available);
        }
        for (asset, units) in self.fees() {
            sum.fee(asset, units);
        }
        for market in self.markets() {
            market.orders().all().for_each(|standing| match standing {
                Standing::Rests(order, _) => sum.rest(order),
                Standing::Waits(waiting) => sum.wait(waiting),
            });
            market.orders().last_given().for_each(|order| sum.generations(order));
            sum.trades(market.last_trade());
            sum.book_state(BookState::Open, market.book_state());
            market.price_terms.into_iter().for_each(|terms| sum.price_terms(None, terms));
            market.lot_terms.into_iter().for_each(|terms| sum.lot_terms(None, terms));
            market.recognition.add_to(&mut sum);
        }
        sum
    }

    /// The last frame that is part of the state; 0 before the first.
    pub fn position(&self) -> Sequence {
        self.last.unwrap_or(Sequence(0))
    }
}
