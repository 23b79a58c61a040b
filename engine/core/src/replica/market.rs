//! One market as its frames tell it: open orders, levels, last trade, figures and candles.

mod amending;
mod taking;
mod triggering;

use protocol::{
    AccountId, BookState, CancelAll, CancelKinds, Closed, ClosedReason, Event, Frame, Interval,
    LotTerms, Lots, MarketSpec, OpenOrder, OrderId, Outcome, Place, Price, PriceTerms, Sequence,
    Side, Standing, Target, Triggered, Units,
};

use super::StreamPosition;
use super::applied::{Applied, BothBest};
use super::candles::{Candle, Candles};
use super::error::Inconsistency;
use super::finished::FinishedOrders;
use super::levels::Levels;
use super::orders::Orders;
use super::statistics::{Statistics, WindowFigures};
use crate::digest::StateSum;
use crate::recognition::Recognition;
use crate::rules;
use crate::state::MarketState;
use crate::touched::Touched;
pub(super) use taking::Entrant;

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
    pub(super) touched: Option<Touched>,
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
            touched: None,
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
            touched: self.touched,
            last_price: self.last_price(),
            previous: self.stream.previous,
            cursor: self.stream.cursor,
            time_us: self.stream.time_us,
            book_state: self.book_state,
            senders: self.recognition.state(),
            sum: self.sum,
            price_terms: self.price_terms,
            lot_terms: self.lot_terms,
        }
    }

    /// An order stands again as it did; the levels are worked out when all are there. What it
    /// holds.
    pub(super) fn restore_order(
        &mut self,
        since: Sequence,
        standing: Standing,
    ) -> Result<Units, Inconsistency> {
        let order = standing.order();
        if standing.market() != self.spec.id || !self.orders.fits(order) {
            return Err(Inconsistency::UnknownOrder(order));
        }
        self.orders.stand(standing, since);
        let Standing::Rests(order, _) = standing else { return Ok(Units::ZERO) };
        self.held.add(&self.spec, &order)?;
        self.levels.add(order.side, order.price, order.lots_left)?;
        self.best = self.levels.best();
        let held = self.spec.hold(order.side, order.price, order.lots_left);
        held.ok_or(Inconsistency::HeldByOrders)
    }

    pub(super) fn place(
        &mut self,
        frame: &Frame<'_>,
        place: &Place,
        applied: &mut Applied,
    ) -> Result<(), Inconsistency> {
        let (order, lots_left) = self.order_of(frame)?;
        self.check_place(place, order)?;
        applied.best_before = self.best;
        let taken = self.take(frame, place, frame.events(), applied)?;
        // After the events: a maker that left may have made room for this order's own slot.
        self.orders.give_out(order)?;
        self.sum.generation(order);
        let entrant = Entrant {
            place,
            order,
            created_us: frame.command.time_us,
            executed: Lots::ZERO,
            executed_quote: Units::ZERO,
            triggered: None,
        };
        self.conclude(frame, &entrant, lots_left, taken, applied)?;
        self.finish(applied);
        Ok(())
    }

    pub(super) fn cancel(
        &mut self,
        frame: &Frame<'_>,
        account: AccountId,
        target: Target,
        applied: &mut Applied,
    ) -> Result<(), Inconsistency> {
        let count = self.cancelled(frame, account, applied, |standing| match target {
            Target::Order(order) => standing.order() == order,
            Target::Client(client_id) => standing.client_id() == Some(client_id),
        })?;
        if count == 1 { Ok(()) } else { Err(Inconsistency::CancelledCount(count)) }
    }

    pub(super) fn cancel_all(
        &mut self,
        frame: &Frame<'_>,
        all: &CancelAll,
        applied: &mut Applied,
    ) -> Result<(), Inconsistency> {
        let is_meant = |standing: &Standing| {
            let is_of_kind = match all.kinds {
                CancelKinds::All => true,
                CancelKinds::Resting => standing.resting().is_some(),
                CancelKinds::Waiting => standing.resting().is_none(),
            };
            let until_us = all.created_until_us;
            is_of_kind && (until_us == 0 || standing.created_us() <= until_us)
        };
        self.cancelled(frame, all.account, applied, is_meant).map(drop)
    }

    /// Takes out what the frame says was cancelled; how many orders.
    fn cancelled(
        &mut self,
        frame: &Frame<'_>,
        account: AccountId,
        applied: &mut Applied,
        is_asked: impl Fn(&Standing) -> bool,
    ) -> Result<usize, Inconsistency> {
        if frame.header.outcome != Outcome::Cancelled {
            return Err(Inconsistency::Outcome);
        }
        rules::admits_cancel(self.book_state).map_err(|_| Inconsistency::BookState)?;
        applied.best_before = self.best;
        let mut count = 0;
        for event in frame.events() {
            let (order, reason) = match event {
                Event::Closed(closed) => (closed.order, closed.reason),
                Event::Withdrawn(withdrawn) => (withdrawn.waiting.order, withdrawn.reason),
                Event::Trade(_) => return Err(Inconsistency::Outcome),
            };
            let standing = self.orders.standing(order).ok_or(Inconsistency::UnknownOrder(order))?;
            let is_by_request = reason == ClosedReason::ByRequest;
            if !is_asked(standing) || !is_by_request || standing.account() != account {
                return Err(Inconsistency::ClosedUnasked(order));
            }
            match event {
                Event::Closed(closed) => self.close(frame, &closed, applied)?,
                Event::Withdrawn(withdrawn) => self.withdraw(frame, &withdrawn)?,
                Event::Trade(_) => return Err(Inconsistency::Outcome),
            }
            count += 1;
        }
        self.finish(applied);
        Ok(count)
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

    /// An order left the book without a trade.
    fn close(
        &mut self,
        frame: &Frame<'_>,
        closed: &Closed,
        applied: &mut Applied,
    ) -> Result<(), Inconsistency> {
        let (order, triggered) = self.take_out(closed, applied)?;
        self.finished.left(frame, &order, Some(closed.reason), triggered);
        Ok(())
    }

    /// Takes an order out of the book that stood as told.
    fn take_out(
        &mut self,
        closed: &Closed,
        applied: &mut Applied,
    ) -> Result<(OpenOrder, Option<Triggered>), Inconsistency> {
        let removed = self.orders.remove(closed.order);
        let (order, triggered) = removed.ok_or(Inconsistency::UnknownOrder(closed.order))?;
        self.check_told(closed, &order)?;
        self.held.take(&self.spec, order.side, order.price, order.lots_left)?;
        self.sum.leave(&order);
        applied.touch(self.levels.take(order.side, order.price, order.lots_left)?);
        Ok((order, triggered))
    }

    fn check_told(&self, closed: &Closed, order: &OpenOrder) -> Result<(), Inconsistency> {
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
        if told == *order { Ok(()) } else { Err(Inconsistency::ClosedOtherwise(closed.order)) }
    }

    /// The order of the frame and what is left of it, where it has one that went to market.
    fn order_of(&self, frame: &Frame<'_>) -> Result<(OrderId, Lots), Inconsistency> {
        let (order, lots_left) = match frame.header.outcome {
            Outcome::Rested { order, lots_left } => (order, lots_left),
            Outcome::Filled { order } => (order, Lots::ZERO),
            Outcome::Expired { order, lots_left, .. } => (order, lots_left),
            _ => return Err(Inconsistency::Outcome),
        };
        if order.market() != self.spec.id {
            return Err(Inconsistency::ForeignOrder(order));
        }
        Ok((order, lots_left))
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
