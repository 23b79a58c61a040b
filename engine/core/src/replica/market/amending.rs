//! Open orders of one market that are changed.

use protocol::{
    Amend, Closed, ClosedReason, Event, Frame, Lots, OrderKind, Outcome, Standing, Target,
    Withdrawn,
};

use super::super::applied::Applied;
use super::super::error::Inconsistency;
use super::MarketReplica;
use super::taking::Entrant;
use crate::rules;

impl MarketReplica {
    pub(in super::super) fn amend(
        &mut self,
        frame: &Frame<'_>,
        amend: &Amend,
        applied: &mut Applied,
    ) -> Result<(), Inconsistency> {
        let order = frame.header.outcome.order().ok_or(Inconsistency::Outcome)?;
        let standing = self.orders.standing(order).ok_or(Inconsistency::UnknownOrder(order))?;
        let is_asked = match amend.target {
            Target::Order(asked) => asked == order,
            Target::Client(client_id) => standing.client_id() == Some(client_id),
        };
        if !is_asked || standing.account() != amend.account {
            return Err(Inconsistency::ClosedUnasked(order));
        }
        let mut events = frame.events();
        match events.next() {
            Some(Event::Closed(closed))
                if closed.order == order && closed.reason == ClosedReason::Amended =>
            {
                self.amend_resting(frame, amend, &closed, events, applied)
            }
            Some(Event::Withdrawn(withdrawn))
                if withdrawn.waiting.order == order
                    && withdrawn.reason == ClosedReason::Amended
                    && events.next().is_none() =>
            {
                self.amend_waiting(frame, amend, &withdrawn)
            }
            _ => Err(Inconsistency::Outcome),
        }
    }

    fn amend_resting(
        &mut self,
        frame: &Frame<'_>,
        amend: &Amend,
        closed: &Closed,
        mut events: impl Iterator<Item = Event>,
        applied: &mut Applied,
    ) -> Result<(), Inconsistency> {
        let (order, lots_left) = self.order_of(frame)?;
        applied.best_before = self.best;
        let place = amend.of_resting(closed);
        let OrderKind::Limit { price, lots, .. } = place.kind else {
            return Err(Inconsistency::Outcome);
        };
        let amount = Inconsistency::Amount(order);
        let executed = closed.lots.checked_sub(closed.lots_left).ok_or(amount)?;
        let left = lots.checked_sub(executed).filter(|left| !left.is_zero()).ok_or(amount)?;
        self.check_place(&place, order)?;
        if price == closed.price && left <= closed.lots_left {
            let is_right = frame.header.outcome == Outcome::Rested { order, lots_left: left };
            if !is_right || events.next().is_some() {
                return Err(Inconsistency::Outcome);
            }
            self.shrink(closed, lots, left, applied)?;
            self.finish(applied);
            return Ok(());
        }
        let (before, triggered) = self.take_out(closed, applied)?;
        let taken = self.take(frame, &place, events, applied)?;
        let entrant = Entrant {
            place: &place,
            order,
            created_us: before.created_us,
            executed,
            executed_quote: before.executed_quote,
            triggered,
        };
        self.conclude(frame, &entrant, lots_left, taken, applied)?;
        self.finish(applied);
        Ok(())
    }

    /// The order keeps its place.
    fn shrink(
        &mut self,
        closed: &Closed,
        lots: Lots,
        lots_left: Lots,
        applied: &mut Applied,
    ) -> Result<(), Inconsistency> {
        let unknown = Inconsistency::UnknownOrder(closed.order);
        let before = *self.orders.get(closed.order).ok_or(unknown)?;
        self.check_told(closed, &before)?;
        let order = self.orders.get_mut(closed.order).ok_or(unknown)?;
        (order.lots, order.lots_left) = (lots, lots_left);
        self.sum.leave(&before);
        self.sum.rest(order);
        let less = Lots(before.lots_left.0 - lots_left.0);
        if !less.is_zero() {
            self.held.take(&self.spec, before.side, before.price, less)?;
            applied.touch(self.levels.take(before.side, before.price, less)?);
        }
        Ok(())
    }

    fn amend_waiting(
        &mut self,
        frame: &Frame<'_>,
        amend: &Amend,
        withdrawn: &Withdrawn,
    ) -> Result<(), Inconsistency> {
        let before = withdrawn.waiting;
        let (order, direction) = (before.order, before.direction);
        if frame.header.outcome != (Outcome::Waits { order, direction }) {
            return Err(Inconsistency::Outcome);
        }
        if self.orders.standing(order) != Some(&Standing::Waits(before)) {
            return Err(Inconsistency::ClosedOtherwise(order));
        }
        let kind = amend.of_waiting(before.place.kind).ok_or(Inconsistency::Outcome)?;
        rules::admits(self.book_state, &kind).map_err(|_| Inconsistency::BookState)?;
        let unknown = Inconsistency::UnknownOrder(order);
        let waiting = self.orders.waiting_mut(order).ok_or(unknown)?;
        waiting.place.kind = kind;
        let after = *waiting;
        self.sum.wait_no_more(&before);
        self.sum.wait(&after);
        Ok(())
    }
}
