//! One market as its frames tell it: resting orders, levels, last trade, figures and candles.

use protocol::{
    AccountId, BookState, Closed, ClosedReason, Event, Frame, Interval, LotTerms, Lots, MarketSpec,
    OpenOrder, OrderId, OrderKind, Outcome, Place, Price, PriceTerms, Sequence, Side, Target,
    TimeInForce, Trade, Units,
};

use super::StreamPosition;
use super::applied::{Applied, BothBest};
use super::candles::{Candle, Candles};
use super::error::Inconsistency;
use super::finished::FinishedOrders;
use super::levels::Levels;
use super::limits::reaches;
use super::orders::Orders;
use super::statistics::{Statistics, WindowFigures};
use crate::digest::StateSum;
use crate::recognition::Recognition;
use crate::rules;
use crate::state::MarketState;

#[derive(Clone, Debug)]
pub struct MarketReplica {
    /// Under the terms that apply.
    pub(super) spec: MarketSpec,
    pub(super) price_terms: Option<PriceTerms>,
    pub(super) lot_terms: Option<LotTerms>,
    pub(super) stream: StreamPosition,
    pub(super) orders: Orders,
    levels: Levels,
    best: BothBest,
    pub(super) last_trade: u64,
    pub(super) update_id: u64,
    pub(super) update_time_us: u64,
    pub(super) statistics: Statistics,
    pub(super) candles: Candles,
    pub(super) finished: FinishedOrders,
    pub(super) book_state: BookState,
    pub(super) recognition: Recognition,
    pub(super) sum: StateSum,
    held: HeldByOrders,
}

/// What the resting orders hold, in units of what each side pays with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HeldByOrders {
    pub bids: u128,
    pub asks: u128,
}

impl HeldByOrders {
    fn add(&mut self, spec: &MarketSpec, order: &OpenOrder) -> Result<(), Inconsistency> {
        let held = spec.hold(order.side, order.price, order.lots_left);
        let held = held.ok_or(Inconsistency::HeldByOrders)?;
        *self.side(order.side) += u128::from(held.0);
        Ok(())
    }

    fn take(
        &mut self,
        spec: &MarketSpec,
        side: Side,
        price: Price,
        lots: Lots,
    ) -> Result<(), Inconsistency> {
        let held = spec.hold(side, price, lots).ok_or(Inconsistency::HeldByOrders)?;
        let sum = self.side(side);
        *sum = sum.checked_sub(u128::from(held.0)).ok_or(Inconsistency::HeldByOrders)?;
        Ok(())
    }

    fn side(&mut self, side: Side) -> &mut u128 {
        match side {
            Side::Bid => &mut self.bids,
            Side::Ask => &mut self.asks,
        }
    }
}

/// What the trades of one frame come to, for its taker.
#[derive(Clone, Copy, Default)]
struct Taken {
    lots: Lots,
    quote: Units,
}

impl MarketReplica {
    pub(super) fn new(spec: MarketSpec) -> Self {
        MarketReplica {
            orders: Orders::new(spec.id),
            spec,
            price_terms: None,
            lot_terms: None,
            stream: StreamPosition::default(),
            levels: Levels::default(),
            best: BothBest::default(),
            last_trade: 0,
            update_id: 0,
            update_time_us: 0,
            statistics: Statistics::default(),
            candles: Candles::default(),
            finished: FinishedOrders::default(),
            book_state: BookState::default(),
            recognition: Recognition::default(),
            sum: StateSum::default(),
            held: HeldByOrders::default(),
        }
    }

    pub fn spec(&self) -> &MarketSpec {
        &self.spec
    }

    /// Those that the operator set while the market traded; `None`: those of the config apply.
    pub(super) fn price_terms(&self) -> Option<PriceTerms> {
        self.price_terms
    }

    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    pub fn finished(&self) -> &FinishedOrders {
        &self.finished
    }

    pub fn book_state(&self) -> BookState {
        self.book_state
    }

    /// Id of the last trade; 0 before the first.
    pub fn last_trade(&self) -> u64 {
        self.last_trade
    }

    pub fn held(&self) -> HeldByOrders {
        self.held
    }

    pub fn levels(&self) -> &Levels {
        &self.levels
    }

    pub fn best(&self) -> BothBest {
        self.best
    }

    /// How often a frame changed the levels: the depth stream's `u`.
    pub fn update_id(&self) -> u64 {
        self.update_id
    }

    /// Engine time of the last change of the levels.
    pub fn update_time_us(&self) -> u64 {
        self.update_time_us
    }

    pub fn last_price(&self) -> Option<Price> {
        self.statistics.last_price()
    }

    /// Rolling figures up to `now_us`; see [`super::DAY_MINUTES`] and [`super::WEEK_MINUTES`].
    pub fn figures(&self, now_us: u64, minutes: u64) -> WindowFigures {
        self.statistics.window(now_us, minutes)
    }

    /// The latest candle that had a trade; it may have ended already.
    pub fn candle(&self, interval: Interval) -> Option<&Candle> {
        self.candles.latest(interval)
    }

    pub(super) fn state(&self) -> MarketState {
        MarketState {
            orders: self.orders.by_priority(),
            generations: self.orders.generations(),
            last_trade: self.last_trade,
            last_price: self.last_price(),
            previous: self.stream.previous,
            book_state: self.book_state,
            senders: self.recognition.state(),
            sum: self.sum,
            price_terms: self.price_terms,
            lot_terms: self.lot_terms,
        }
    }

    /// An order rests again as it did; the levels are worked out when all are there. What it holds.
    pub(super) fn restore_order(
        &mut self,
        since: Sequence,
        order: OpenOrder,
    ) -> Result<Units, Inconsistency> {
        if order.market != self.spec.id || !self.orders.fits(order.order) {
            return Err(Inconsistency::UnknownOrder(order.order));
        }
        self.held.add(&self.spec, &order)?;
        self.levels.add(order.side, order.price, order.lots_left)?;
        self.best = self.levels.best();
        self.orders.rest(order, since);
        let held = self.spec.hold(order.side, order.price, order.lots_left);
        held.ok_or(Inconsistency::HeldByOrders)
    }

    pub(super) fn place(
        &mut self,
        frame: &Frame<'_>,
        place: &Place,
        applied: &mut Applied,
    ) -> Result<(), Inconsistency> {
        let (order, lots_left) = match frame.header.outcome {
            Outcome::Rested { order, lots_left } => (order, lots_left),
            Outcome::Filled { order } => (order, Lots::ZERO),
            Outcome::Expired { order, lots_left, .. } => (order, lots_left),
            _ => return Err(Inconsistency::Outcome),
        };
        if order.market() != self.spec.id {
            return Err(Inconsistency::ForeignOrder(order));
        }
        self.check_place(place, order)?;
        applied.best_before = self.best;
        let mut taken = Taken::default();
        for event in frame.events() {
            match event {
                Event::Trade(trade) => {
                    let quote = self.trade(frame, place, &trade, applied)?;
                    let amount = Inconsistency::Amount(order);
                    taken.lots = taken.lots.checked_add(trade.lots).ok_or(amount)?;
                    taken.quote = taken.quote.checked_add(quote).ok_or(amount)?;
                }
                Event::Closed(closed) => {
                    let is_own = closed.account == place.account;
                    if closed.reason != ClosedReason::SelfTradePrevention || !is_own {
                        return Err(Inconsistency::ClosedUnasked(closed.order));
                    }
                    self.close(frame, &closed, applied)?;
                }
                Event::Withdrawn(withdrawn) => {
                    return Err(Inconsistency::ClosedUnasked(withdrawn.waiting.order));
                }
            }
        }
        // After the events: a maker that left may have made room for this order's own slot.
        self.orders.give_out(order)?;
        self.sum.generation(order);
        check_amounts(place, taken, lots_left, frame.header.outcome)
            .then_some(())
            .ok_or(Inconsistency::Amount(order))?;
        let executed = (taken.lots, taken.quote);
        match frame.header.outcome {
            Outcome::Rested { .. } => self.rest(frame, place, order, lots_left, taken, applied)?,
            Outcome::Expired { reason, .. } => {
                if reason == ClosedReason::PriceImpact {
                    self.check_impact(place, order, applied.best_before)?;
                }
                let left = (lots_left, Some(reason));
                self.finished.done_at_once(frame, place, order, executed, left);
            }
            _ => self.finished.done_at_once(frame, place, order, executed, (Lots::ZERO, None)),
        }
        self.finish(applied);
        Ok(())
    }

    /// `target` is `None` for all orders of the account.
    pub(super) fn cancel(
        &mut self,
        frame: &Frame<'_>,
        account: AccountId,
        target: Option<Target>,
        applied: &mut Applied,
    ) -> Result<(), Inconsistency> {
        if frame.header.outcome != Outcome::Cancelled {
            return Err(Inconsistency::Outcome);
        }
        rules::admits_cancel(self.book_state).map_err(|_| Inconsistency::BookState)?;
        applied.best_before = self.best;
        let mut count = 0;
        for event in frame.events() {
            let Event::Closed(closed) = event else { return Err(Inconsistency::Outcome) };
            let is_asked = match target {
                Some(Target::Order(order)) => closed.order == order,
                Some(Target::Client(client_id)) => closed.client_id == Some(client_id),
                None => true,
            };
            let is_by_request = closed.reason == ClosedReason::ByRequest;
            if !is_asked || !is_by_request || closed.account != account {
                return Err(Inconsistency::ClosedUnasked(closed.order));
            }
            self.close(frame, &closed, applied)?;
            count += 1;
        }
        if target.is_some() && count != 1 {
            return Err(Inconsistency::CancelledCount(count));
        }
        self.finish(applied);
        Ok(())
    }

    pub(super) fn set_book_state(
        &mut self,
        frame: &Frame<'_>,
        state: BookState,
    ) -> Result<(), Inconsistency> {
        if frame.header.outcome != Outcome::BookStateSet {
            return Err(Inconsistency::Outcome);
        }
        self.sum.book_state(self.book_state, state);
        self.book_state = state;
        Ok(())
    }

    /// The quote units that changed hands.
    fn trade(
        &mut self,
        frame: &Frame<'_>,
        place: &Place,
        trade: &Trade,
        applied: &mut Applied,
    ) -> Result<Units, Inconsistency> {
        if Some(trade.id.0) != self.last_trade.checked_add(1) {
            return Err(Inconsistency::TradeId { last: self.last_trade, found: trade.id });
        }
        let maker_side = place.side.opposite();
        let limit = self.limit_of(place, applied.best_before);
        let unknown = Inconsistency::UnknownOrder(trade.maker_order);
        let maker = self.orders.get_mut(trade.maker_order).ok_or(unknown)?;
        let fits = trade.taker_side == place.side
            && (maker.side, maker.price) == (maker_side, trade.price)
            && maker.account == trade.maker_account
            && maker.account != place.account
            && !trade.lots.is_zero()
            && maker.lots_left.checked_sub(trade.lots) == Some(trade.maker_lots_left);
        if !fits {
            return Err(Inconsistency::Maker { trade: trade.id, maker: trade.maker_order });
        }
        if let Some(limit) = limit
            && !reaches(place.side, limit, trade.price)
        {
            return Err(Inconsistency::BeyondLimit(trade.id));
        }
        let amount = Inconsistency::Amount(trade.maker_order);
        let quote = self.spec.notional(trade.price, trade.lots).ok_or(amount)?;
        let base = self.spec.base_units(trade.lots).ok_or(amount)?;
        let (maker_gets, taker_gets) = match maker_side {
            Side::Bid => (base, quote),
            Side::Ask => (quote, base),
        };
        if maker_gets < trade.maker_fee || taker_gets < trade.taker_fee {
            return Err(Inconsistency::Fee(trade.id));
        }
        let before = *maker;
        maker.lots_left = trade.maker_lots_left;
        maker.executed_quote = maker.executed_quote.checked_add(quote).ok_or(amount)?;
        if maker.lots_left.is_zero() {
            let filled = *maker;
            self.finished.left(frame, &filled, None);
            self.sum.leave(&before);
            self.orders.remove(trade.maker_order);
        } else {
            self.sum.execute(trade.maker_order, trade.lots, quote);
        }
        self.held.take(&self.spec, maker_side, trade.price, trade.lots)?;
        self.sum.trades(1);
        let time_us = frame.command.time_us;
        applied.touch(self.levels.take(maker_side, trade.price, trade.lots)?);
        self.last_trade = trade.id.0;
        self.statistics.trade(time_us, trade.price, trade.lots, quote);
        let time_s = (time_us / 1_000_000).cast_signed();
        self.candles.trade(time_s, trade.price, trade.lots, &mut applied.ended);
        Ok(quote)
    }

    fn close(
        &mut self,
        frame: &Frame<'_>,
        closed: &Closed,
        applied: &mut Applied,
    ) -> Result<(), Inconsistency> {
        let order = self.orders.remove(closed.order);
        let order = order.ok_or(Inconsistency::UnknownOrder(closed.order))?;
        let told = OpenOrder {
            order: closed.order,
            account: closed.account,
            client_id: closed.client_id,
            market: self.spec.id,
            side: closed.side,
            time_in_force: closed.time_in_force,
            self_trade_prevention: closed.self_trade_prevention,
            post_only: closed.post_only,
            price: closed.price,
            lots: closed.lots,
            lots_left: closed.lots_left,
            executed_quote: closed.executed_quote,
            created_us: closed.created_us,
        };
        if told != order {
            return Err(Inconsistency::ClosedOtherwise(closed.order));
        }
        self.held.take(&self.spec, order.side, order.price, order.lots_left)?;
        self.sum.leave(&order);
        self.finished.left(frame, &order, Some(closed.reason));
        applied.touch(self.levels.take(order.side, order.price, order.lots_left)?);
        Ok(())
    }

    fn rest(
        &mut self,
        frame: &Frame<'_>,
        place: &Place,
        order: OrderId,
        lots_left: Lots,
        taken: Taken,
        applied: &mut Applied,
    ) -> Result<(), Inconsistency> {
        if place.time_in_force != TimeInForce::GoodTillCancelled {
            return Err(Inconsistency::Outcome);
        }
        let created_us = frame.command.time_us;
        let rested = OpenOrder::of(place, order, lots_left, taken.quote, created_us);
        let rested = rested.ok_or(Inconsistency::Outcome)?;
        self.held.add(&self.spec, &rested)?;
        self.sum.rest(&rested);
        self.orders.rest(rested, frame.header.sequence);
        applied.touch(self.levels.add(place.side, rested.price, lots_left)?);
        let best = self.levels.best();
        if let (Some((bid, _)), Some((ask, _))) = (best.bid, best.ask)
            && ask <= bid
        {
            return Err(Inconsistency::Crossed(order));
        }
        Ok(())
    }

    fn finish(&mut self, applied: &mut Applied) {
        if !applied.levels.is_empty() {
            applied.join_levels();
            self.update_id += 1;
            self.update_time_us = applied.time_us;
            self.best = self.levels.best();
        }
        applied.update_id = self.update_id;
        applied.best_after = self.best;
    }

    /// Walks the whole book.
    pub fn assert_consistent(&self) {
        self.orders.assert_consistent();
        let mut totals = Levels::default();
        for order in self.orders.iter() {
            let added = totals.add(order.side, order.price, order.lots_left);
            assert!(added.is_ok(), "Invariant: a level's total can be counted");
        }
        for side in [Side::Bid, Side::Ask] {
            let (summed, kept) = (totals.best_first(side), self.levels.best_first(side));
            assert!(summed.eq(kept), "Invariant: a level is the sum of its orders");
        }
        assert_eq!(self.best, self.levels.best(), "Invariant: the best prices are known");
        let mut held = HeldByOrders::default();
        for order in self.orders.iter() {
            assert_eq!(held.add(&self.spec, order), Ok(()), "Invariant: holds can be counted");
        }
        assert_eq!(self.held, held, "Invariant: what orders hold is known");
        if let (Some((bid, _)), Some((ask, _))) = (self.best.bid, self.best.ask) {
            assert!(bid < ask, "Invariant: a book at rest is not crossed");
        }
    }
}

/// Whether what was asked is what was taken and what is left.
fn check_amounts(place: &Place, taken: Taken, lots_left: Lots, outcome: Outcome) -> bool {
    let is_left = match outcome {
        Outcome::Rested { .. } => !lots_left.is_zero(),
        _ => true,
    };
    is_left
        && match place.kind {
            OrderKind::Limit { lots, .. } | OrderKind::MarketByLots { lots } => {
                taken.lots.checked_add(lots_left) == Some(lots)
            }
            OrderKind::MarketByQuote { quote } => lots_left.is_zero() && taken.quote <= quote,
        }
}
