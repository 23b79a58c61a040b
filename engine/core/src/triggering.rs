//! Hot path. Orders that wait for their trigger: taken, and fired when the last price has reached
//! it. Waiting they hold nothing; firing they are new orders in all but their id.

use protocol::{
    OrderKind, Outcome, Place, Refusal, TimeInForce, TriggerDirection, TriggerPlace, Units,
    WaitingOrder,
};

use crate::market::Market;
use crate::placing::{Entrant, check, check_sending, enter, hold};
use crate::shard::{Decision, Desk};

pub(crate) fn place_trigger(
    desk: &mut Desk<'_>,
    market: &mut Market,
    trigger_place: &TriggerPlace,
    time_us: u64,
) -> Decision {
    let TriggerPlace { place, trigger } = trigger_place;
    let direction = direction_of(market, trigger_place);
    let checked = check_waiting(desk, market, place, time_us).and_then(|()| {
        let spec = &market.spec;
        if trigger.price < spec.price_min || spec.price_max < trigger.price {
            return Err(Refusal::PriceOutOfRange);
        }
        if desk.limits.open_orders_per_account_max <= market.open_orders(place.account) {
            return Err(Refusal::TooManyOpenOrders);
        }
        let has_room = market.book.has_room_to_wait(direction);
        has_room.then_some(()).ok_or(Refusal::BookFull)
    });
    if let Err(refusal) = checked {
        return desk.refuse(refusal);
    }
    let sequence = desk.sequencer.draw();
    let order = market.book.allocate();
    market.sum.generation(order);
    let place = Place { valid_until_us: 0, ..*place };
    market.wait(&WaitingOrder { order, place, trigger: *trigger, direction, created_us: time_us });
    Decision { sequence, outcome: Outcome::Waits { order, direction }, held: Units::ZERO }
}

/// Towards the trigger from where the last price is; before the first trade, by the side.
fn direction_of(market: &Market, trigger_place: &TriggerPlace) -> TriggerDirection {
    let TriggerPlace { place, trigger } = trigger_place;
    TriggerDirection::of(trigger.price, market.touched.map(|it| it.last), place.side)
}

/// Everything that an order can be refused for that is not to trade yet: what it meets when it
/// fires, and what that costs, nobody knows now.
pub(crate) fn check_waiting(
    desk: &Desk<'_>,
    market: &Market,
    place: &Place,
    time_us: u64,
) -> Result<(), Refusal> {
    let spec = &market.spec;
    check_sending(desk, market, place, time_us)?;
    match place.kind {
        OrderKind::Limit { price, lots, post_only } => {
            if price < spec.price_min || spec.price_max < price {
                return Err(Refusal::PriceOutOfRange);
            }
            if lots < spec.lots_min || spec.lots_max < lots {
                return Err(Refusal::LotsOutOfRange);
            }
            if post_only && place.time_in_force != TimeInForce::GoodTillCancelled {
                return Err(Refusal::PostOnlyNotAllowed);
            }
            spec.hold(place.side, price, lots).map(drop).ok_or(Refusal::AmountOutOfRange)
        }
        OrderKind::MarketByLots { lots } if lots < spec.lots_min || spec.lots_max < lots => {
            Err(Refusal::LotsOutOfRange)
        }
        OrderKind::MarketByQuote { quote } if quote.is_zero() || Units::SUPPLY_MAX < quote => {
            Err(Refusal::AmountOutOfRange)
        }
        OrderKind::MarketByLots { .. } | OrderKind::MarketByQuote { .. } => Ok(()),
    }
}

/// What waits in `slot` waits no more: it trades, rests, expires or fails.
pub(crate) fn fire(desk: &mut Desk<'_>, market: &mut Market, slot: u32, time_us: u64) -> Decision {
    let WaitingOrder { order, place, created_us, .. } = market.wait_no_more(slot);
    let checked = check(desk, market, &place, time_us).and_then(|()| {
        let has_room = market.book.has_room_on(place.side);
        has_room.then_some(()).ok_or(Refusal::BookFull)
    });
    let plan = match checked.and_then(|()| hold(desk, market, &place)) {
        Ok(plan) => plan,
        Err(refusal) => return failed(desk, market, order, refusal),
    };
    let sequence = desk.sequencer.draw();
    let entrant = Entrant { place: &place, order, created_us, executed_quote: Units::ZERO };
    let (outcome, unused) = enter(desk, market, &entrant, &plan);
    let paid = market.spec.paid_asset(place.side);
    market.sum.hold(place.account, paid, Units(plan.hold.0 - unused.0));
    Decision { sequence, outcome, held: plan.hold }
}

/// As [`fire`] of an order that is known to have been refused.
pub(crate) fn fail(
    desk: &mut Desk<'_>,
    market: &mut Market,
    slot: u32,
    refusal: Refusal,
) -> Decision {
    let order = market.wait_no_more(slot).order;
    failed(desk, market, order, refusal)
}

fn failed(
    desk: &mut Desk<'_>,
    market: &mut Market,
    order: protocol::OrderId,
    refusal: Refusal,
) -> Decision {
    let sequence = desk.sequencer.draw();
    market.drop_fired(order);
    let outcome = Outcome::TriggerFailed { order, refusal };
    Decision { sequence, outcome, held: Units::ZERO }
}
