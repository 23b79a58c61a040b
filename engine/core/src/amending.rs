//! Hot path. What becomes of an order that is to be changed. It goes on under its id; it keeps its
//! place in the queue where its price stays and what is left of it does not grow, and otherwise
//! goes to market once more as it is to be. What it needs beyond what it holds is taken before it
//! is numbered, so that it either is the order that was asked for or stays the one it was.

use protocol::{
    Amend, ClosedReason, Event, Lots, Outcome, Place, Price, Refusal, SelfTradePrevention, Side,
    Units, Withdrawn,
};

use crate::market::Market;
use crate::matching::{Taker, Wants};
use crate::placing::{Entrant, Plan, check, enter};
use crate::shard::{Decision, Desk};
use crate::triggering;

/// A resting order as it is to be.
struct Change {
    place: Place,
    price: Price,
    lots_left: Lots,
    /// What it holds, and is to hold.
    old: Units,
    new: Units,
    keeps_place: bool,
}

#[inline]
pub(crate) fn amend(
    desk: &mut Desk<'_>,
    market: &mut Market,
    amend: &Amend,
    time_us: u64,
) -> Decision {
    let Some(slot) = market.find(amend.account, amend.target) else {
        return desk.refuse(Refusal::OrderNotFound);
    };
    if market.book.waiting(slot).is_some() {
        return amend_waiting(desk, market, slot, amend, time_us);
    }
    let change = match change(desk, market, slot, amend, time_us) {
        Ok(change) => change,
        Err(refusal) => return desk.refuse(refusal),
    };
    let paid = market.spec.paid_asset(change.place.side);
    let extra = Units(change.new.0.saturating_sub(change.old.0));
    if desk.ledger.hold(amend.account, paid, extra).is_err() {
        return desk.refuse(Refusal::InsufficientFunds);
    }
    let sequence = desk.sequencer.draw();
    let (outcome, released) = if change.keeps_place {
        shrink(desk, market, slot, &change)
    } else {
        enter_again(desk, market, slot, &change, extra)
    };
    let moved = i128::from(released.0) - i128::from(extra.0);
    market.sum.moved(amend.account, paid, moved);
    Decision { sequence, outcome, held: extra }
}

fn change(
    desk: &Desk<'_>,
    market: &Market,
    slot: u32,
    amend: &Amend,
    time_us: u64,
) -> Result<Change, Refusal> {
    let before = market.closed(slot, ClosedReason::Amended);
    let executed = Lots(before.lots.0 - before.lots_left.0);
    let (price, lots) = (amend.price.unwrap_or(before.price), amend.lots.unwrap_or(before.lots));
    let valid_until_us = amend.valid_until_us;
    let place = Place { valid_until_us, ..amend.of_resting(&before) };
    check(desk, market, &place, time_us)?;
    let lots_left = lots.checked_sub(executed).filter(|left| !left.is_zero());
    let lots_left = lots_left.ok_or(Refusal::AlreadyExecuted)?;
    // Trades of it were of at most as many lots as it has now, at prices that could be counted.
    let held = |price, lots| market.spec.hold(before.side, price, lots);
    let (Some(old), Some(new)) = (held(before.price, before.lots_left), held(price, lots_left))
    else {
        return Err(Refusal::AmountOutOfRange);
    };
    let keeps_place = price == before.price && lots_left <= before.lots_left;
    if !keeps_place && !market.book.has_room_on(before.side) {
        return Err(Refusal::BookFull);
    }
    Ok(Change { place, price, lots_left, old, new, keeps_place })
}

/// Makes a resting order less where it stands.
fn shrink(
    desk: &mut Desk<'_>,
    market: &mut Market,
    slot: u32,
    change: &Change,
) -> (Outcome, Units) {
    let before = market.closed(slot, ClosedReason::Amended);
    desk.writer.push(&Event::Closed(before));
    let lots = Lots(before.lots.0 - before.lots_left.0 + change.lots_left.0);
    market.shrink(slot, lots, change.lots_left);
    let released = Units(change.old.0 - change.new.0);
    desk.ledger.release(before.account, market.spec.paid_asset(before.side), released);
    (Outcome::Rested { order: before.order, lots_left: change.lots_left }, released)
}

/// Takes an order out of the book and lets it come again.
fn enter_again(
    desk: &mut Desk<'_>,
    market: &mut Market,
    slot: u32,
    change: &Change,
    extra: Units,
) -> (Outcome, Units) {
    let before = market.take_out(slot, ClosedReason::Amended);
    desk.writer.push(&Event::Closed(before));
    let entrant = Entrant {
        place: &change.place,
        order: before.order,
        created_us: before.created_us,
        executed_quote: before.executed_quote,
    };
    let plan = Plan { hold: Units(change.old.0 + extra.0), taker: taker_of(change) };
    enter(desk, market, &entrant, &plan)
}

fn taker_of(change: &Change) -> Taker {
    let (side, account): (Side, _) = (change.place.side, change.place.account);
    let policy: SelfTradePrevention = change.place.self_trade_prevention;
    Taker {
        side,
        account,
        limit: Some(change.price),
        wants: Wants::Lots(change.lots_left),
        self_trade: Some(policy),
    }
}

/// An order that waits goes on doing so, as another one.
fn amend_waiting(
    desk: &mut Desk<'_>,
    market: &mut Market,
    slot: u32,
    amend: &Amend,
    time_us: u64,
) -> Decision {
    let Some(waiting) = market.waiting(slot) else {
        unreachable!("Invariant: it was found waiting")
    };
    let kind = amend.of_waiting(waiting.place.kind).ok_or(match amend.price {
        Some(_) => Refusal::PriceOutOfRange,
        None => Refusal::LotsOutOfRange,
    });
    let checked = kind.and_then(|kind| {
        let valid_until_us = amend.valid_until_us;
        let place = Place { kind, valid_until_us, ..waiting.place };
        triggering::check_waiting(desk, market, &place, time_us).map(|()| kind)
    });
    let kind = match checked {
        Ok(kind) => kind,
        Err(refusal) => return desk.refuse(refusal),
    };
    let sequence = desk.sequencer.draw();
    desk.writer.push(&Event::Withdrawn(Withdrawn { waiting, reason: ClosedReason::Amended }));
    market.exchange(slot, kind);
    let outcome = Outcome::Waits { order: waiting.order, direction: waiting.direction };
    Decision { sequence, outcome, held: Units::ZERO }
}
