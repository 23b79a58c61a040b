//! Hot path. What becomes of a new order: checks, hold, number, match, rest or expire.

use protocol::{
    ClosedReason, Event, Lots, MarketSpec, OrderId, OrderKind, Outcome, Place, Price, Refusal,
    Side, TimeInForce, Trade, TradeId, Units,
};

use crate::market::Market;
use crate::matching::{Step, Stopped, Taker, Wants, cross, preview};
use crate::rules;
use crate::shard::{Decision, Desk, close};

/// What an order takes from the account before it is numbered, and how it then goes to market.
pub(crate) struct Plan {
    pub hold: Units,
    pub taker: Taker,
}

/// A numbered order that goes to market.
pub(crate) struct Entrant<'a> {
    pub place: &'a Place,
    pub order: OrderId,
    pub created_us: u64,
    /// Quote units that earlier trades of it amounted to.
    pub executed_quote: Units,
}

/// What its trades have brought the taker so far.
#[derive(Default)]
struct Proceeds {
    spent: Units,
    received: Units,
    quote: Units,
    lots: Lots,
}

#[inline]
pub(crate) fn place(
    desk: &mut Desk<'_>,
    market: &mut Market,
    place: &Place,
    time_us: u64,
) -> Decision {
    let checked = check(desk, market, place, time_us);
    let checked = checked.and_then(|()| check_room(desk, market, place));
    let plan = match checked.and_then(|()| hold(desk, market, place)) {
        Ok(plan) => plan,
        Err(refusal) => return desk.refuse(refusal),
    };
    let sequence = desk.sequencer.draw();
    let order = market.book.allocate();
    market.sum.generation(order);
    let entrant = Entrant { place, order, created_us: time_us, executed_quote: Units::ZERO };
    let (outcome, unused) = enter(desk, market, &entrant, &plan);
    let paid = market.spec.paid_asset(place.side);
    market.sum.hold(place.account, paid, Units(plan.hold.0 - unused.0));
    Decision { sequence, outcome, held: plan.hold }
}

/// Takes what an order needs before it is numbered.
#[inline]
pub(crate) fn hold(desk: &Desk<'_>, market: &Market, place: &Place) -> Result<Plan, Refusal> {
    let plan = plan(desk, market, place)?;
    let paid = market.spec.paid_asset(place.side);
    let held = desk.ledger.hold(place.account, paid, plan.hold);
    held.map(|()| plan).map_err(|_| Refusal::InsufficientFunds)
}

/// Matches a numbered order that holds what is planned and settles it with its account; returns
/// what of the hold was released again.
#[inline]
pub(crate) fn enter(
    desk: &mut Desk<'_>,
    market: &mut Market,
    entrant: &Entrant<'_>,
    plan: &Plan,
) -> (Outcome, Units) {
    let (outcome, kept, proceeds) = execute(desk, market, entrant, &plan.taker);
    let Place { side, account, .. } = *entrant.place;
    let received = market.spec.received_asset(side);
    desk.ledger.credit(account, received, proceeds.received);
    market.sum.give(account, received, proceeds.received);
    let used = proceeds.spent.checked_add(kept);
    let Some(unused) = used.and_then(|used| plan.hold.checked_sub(used)) else {
        unreachable!("Invariant: an order spends and keeps no more than it held")
    };
    desk.ledger.release(account, market.spec.paid_asset(side), unused);
    (outcome, unused)
}

/// Whether the market takes such orders now, from this account, and at this time.
#[inline]
pub(crate) fn check_sending(
    desk: &Desk<'_>,
    market: &Market,
    place: &Place,
    time_us: u64,
) -> Result<(), Refusal> {
    rules::admits(market.book_state, &place.kind)?;
    if desk.limits.accounts_max < place.account.get() {
        return Err(Refusal::UnknownAccount);
    }
    if place.valid_until_us != 0 && place.valid_until_us < time_us {
        return Err(Refusal::TooLate);
    }
    Ok(())
}

/// Everything that can be refused without looking at balances.
#[inline]
pub(crate) fn check(
    desk: &Desk<'_>,
    market: &Market,
    place: &Place,
    time_us: u64,
) -> Result<(), Refusal> {
    let spec = &market.spec;
    check_sending(desk, market, place, time_us)?;
    let lots_in_range = |lots| (spec.lots_min..=spec.lots_max).contains(&lots);
    match place.kind {
        OrderKind::Limit { price, lots, post_only } => {
            if price < spec.price_min || spec.price_max < price {
                return Err(Refusal::PriceOutOfRange);
            }
            if !rules::is_within_band(spec.band, market.last_price, price) {
                return Err(Refusal::OutsidePriceBand);
            }
            if !lots_in_range(lots) {
                return Err(Refusal::LotsOutOfRange);
            }
            if post_only && place.time_in_force != TimeInForce::GoodTillCancelled {
                return Err(Refusal::PostOnlyNotAllowed);
            }
            if post_only && crosses(market, place.side, price) {
                return Err(Refusal::PostOnlyWouldTake);
            }
        }
        OrderKind::MarketByLots { lots } if !lots_in_range(lots) => {
            return Err(Refusal::LotsOutOfRange);
        }
        OrderKind::MarketByQuote { quote } if quote.is_zero() || Units::SUPPLY_MAX < quote => {
            return Err(Refusal::AmountOutOfRange);
        }
        OrderKind::MarketByLots { .. } | OrderKind::MarketByQuote { .. } => {}
    }
    Ok(())
}

/// Whether one more order may come to rest.
#[inline]
fn check_room(desk: &Desk<'_>, market: &Market, place: &Place) -> Result<(), Refusal> {
    let may_rest = matches!(place.kind, OrderKind::Limit { .. })
        && place.time_in_force == TimeInForce::GoodTillCancelled;
    let open_max = desk.limits.open_orders_per_account_max;
    if may_rest && open_max <= market.open_orders(place.account) {
        return Err(Refusal::TooManyOpenOrders);
    }
    if !market.book.has_room(place.side) {
        return Err(Refusal::BookFull);
    }
    Ok(())
}

fn crosses(market: &Market, side: Side, price: Price) -> bool {
    market.book.best(side.opposite()).is_some_and(|best| match side {
        Side::Bid => best <= price,
        Side::Ask => price <= best,
    })
}

/// How much to hold. The shard owns the book, so what a preview finds is what the match will meet.
#[inline]
fn plan(desk: &Desk<'_>, market: &Market, place: &Place) -> Result<Plan, Refusal> {
    let spec = &market.spec;
    let mut taker = Taker {
        side: place.side,
        account: place.account,
        limit: impact_limit(market, place),
        wants: Wants::Lots(Lots::ZERO),
        self_trade: Some(place.self_trade_prevention),
    };
    let steps_max = desk.steps_max();
    let hold = match (place.kind, place.side) {
        (OrderKind::Limit { price, lots, .. }, side) => {
            taker.limit = Some(price);
            taker.wants = Wants::Lots(lots);
            spec.hold(side, price, lots)
        }
        (OrderKind::MarketByLots { lots }, Side::Ask) => {
            taker.wants = Wants::Lots(lots);
            spec.base_units(lots)
        }
        (OrderKind::MarketByLots { lots }, Side::Bid) => {
            taker.wants = Wants::Lots(lots);
            preview(&market.book, &taker, steps_max, spec).quote
        }
        (OrderKind::MarketByQuote { quote }, Side::Bid) => {
            taker.wants = by_quote(quote, spec);
            Some(quote)
        }
        (OrderKind::MarketByQuote { quote }, Side::Ask) => {
            taker.wants = by_quote(quote, spec);
            spec.base_units(preview(&market.book, &taker, steps_max, spec).lots)
        }
    };
    hold.map(|hold| Plan { hold, taker }).ok_or(Refusal::AmountOutOfRange)
}

/// How far a market order may eat from here. A limit order has a limit of its own.
#[inline]
fn impact_limit(market: &Market, place: &Place) -> Option<Price> {
    let best = market.book.best(place.side.opposite());
    rules::impact_limit(market.spec.impact, place.side, best)
}

fn by_quote(quote: Units, spec: &MarketSpec) -> Wants {
    Wants::Quote { left: quote, per_tick_lot: spec.quote_units_per_tick_lot }
}

/// Matches a numbered order; returns its outcome, what it keeps holding, and its proceeds.
#[inline]
fn execute(
    desk: &mut Desk<'_>,
    market: &mut Market,
    entrant: &Entrant<'_>,
    taker: &Taker,
) -> (Outcome, Units, Proceeds) {
    let Entrant { place, order, created_us, executed_quote } = *entrant;
    let steps_max = desk.steps_max();
    let mut proceeds = Proceeds::default();
    if place.time_in_force == TimeInForce::FillOrKill
        && let OrderKind::Limit { lots, .. } = place.kind
        && preview(&market.book, taker, steps_max, &market.spec).lots < lots
    {
        market.book.drop_unrested(order);
        let reason = ClosedReason::FillOrKill;
        return (Outcome::Expired { order, lots_left: lots, reason }, Units::ZERO, proceeds);
    }
    let (wants, stopped) = cross_and_settle(desk, market, taker, steps_max, &mut proceeds);
    let lots_left = match wants {
        Wants::Lots(left) => left,
        Wants::Quote { .. } => Lots::ZERO,
    };
    let rests =
        stopped == Stopped::NothingCrosses && place.time_in_force == TimeInForce::GoodTillCancelled;
    if rests && let OrderKind::Limit { price, .. } = place.kind {
        let executed_quote = Units(executed_quote.0 + proceeds.quote.0);
        market.rest(order, place, price, lots_left, executed_quote, created_us);
        let Some(kept) = market.spec.hold(place.side, price, lots_left) else {
            unreachable!("Invariant: a part of what was held can be counted")
        };
        return (Outcome::Rested { order, lots_left }, kept, proceeds);
    }
    market.book.drop_unrested(order);
    // What is left of a quote amount and buys no lot counts as done, if anything was.
    if stopped == Stopped::Satisfied && !proceeds.lots.is_zero() {
        return (Outcome::Filled { order }, Units::ZERO, proceeds);
    }
    let reason = match (stopped, place.kind) {
        (Stopped::SelfTrade, _) => ClosedReason::SelfTradePrevention,
        (Stopped::StepsMax, _) => ClosedReason::TradesLimit,
        (_, OrderKind::Limit { .. }) => ClosedReason::ImmediateOrCancel,
        (Stopped::NothingCrosses, _) if market.book.best(place.side.opposite()).is_some() => {
            ClosedReason::PriceImpact
        }
        _ => ClosedReason::InsufficientLiquidity,
    };
    (Outcome::Expired { order, lots_left, reason }, Units::ZERO, proceeds)
}

/// Crosses the book and settles every trade with its maker; the taker is settled by the caller.
#[inline]
fn cross_and_settle(
    desk: &mut Desk<'_>,
    market: &mut Market,
    taker: &Taker,
    steps_max: usize,
    proceeds: &mut Proceeds,
) -> (Wants, Stopped) {
    cross(market, taker, steps_max, |market, step| match step {
        Step::RemoveMaker { maker } => {
            close(desk, market, maker.slot, ClosedReason::SelfTradePrevention);
        }
        Step::Trade { maker, lots, lots_left } => {
            let spec = &market.spec;
            let (Some(quote), Some(base)) =
                (spec.notional(maker.price, lots), spec.base_units(lots))
            else {
                unreachable!("Invariant: a part of what was held can be counted")
            };
            let (maker_gets, taker_gets) = match taker.side {
                Side::Bid => (quote, base),
                Side::Ask => (base, quote),
            };
            let maker_fee = spec.maker_fee.fee_on(maker_gets);
            let taker_fee = spec.taker_fee.fee_on(taker_gets);
            let maker_receives = spec.received_asset(taker.side.opposite());
            let after_fee = Units(maker_gets.0 - maker_fee.0);
            desk.ledger.credit(maker.account, maker_receives, after_fee);
            let taker_receives = spec.received_asset(taker.side);
            market.sum.give(maker.account, maker_receives, after_fee);
            market.sum.fee(maker_receives, maker_fee);
            market.sum.fee(taker_receives, taker_fee);
            market.sum.trades(1);
            proceeds.spent.0 += maker_gets.0;
            proceeds.received.0 += taker_gets.0 - taker_fee.0;
            proceeds.quote.0 += quote.0;
            proceeds.lots.0 += lots.0;
            market.last_trade += 1;
            market.touch(maker.price);
            market.last_price = Some(maker.price);
            let trade = Trade {
                id: TradeId(market.last_trade),
                maker_account: maker.account,
                maker_order: maker.order,
                taker_side: taker.side,
                price: maker.price,
                lots,
                maker_fee,
                taker_fee,
                maker_lots_left: lots_left,
            };
            desk.writer.push(&Event::Trade(trade));
            market.executed(&maker, lots, lots_left, quote);
        }
    })
}
