//! Orders of one market that wait for their trigger, and what becomes of them.

use protocol::{
    Action, Frame, Lots, OrderId, Outcome, Place, Standing, TriggerDirection, TriggerPlace,
    Triggered, Units, WaitingOrder, Withdrawn,
};

use super::super::applied::Applied;
use super::super::error::Inconsistency;
use super::MarketReplica;
use super::taking::Entrant;
use crate::rules;

impl MarketReplica {
    /// The order that has to fire before the market's next command.
    pub fn reached(&self) -> Option<OrderId> {
        self.orders.reached(&self.touched?)
    }

    /// What has to fire does so before anything else.
    #[inline]
    pub(in super::super) fn check_fires(&self, frame: &Frame<'_>) -> Result<(), Inconsistency> {
        match (self.reached(), &frame.command.action) {
            (Some(order), Action::Fire(fired)) if fired.order == order => Ok(()),
            (None, Action::Fire(fired)) => Err(Inconsistency::FiredUnreached(fired.order)),
            (Some(order), _) => Err(Inconsistency::Unfired(order)),
            (None, _) => Ok(()),
        }
    }

    /// After each frame: once all that was reached has fired, only the last price counts.
    #[inline]
    pub(in super::super) fn settle_touched(&mut self) {
        if self.reached().is_none()
            && let Some(touched) = &mut self.touched
        {
            touched.settle();
        }
    }

    pub(in super::super) fn place_trigger(
        &mut self,
        frame: &Frame<'_>,
        placed: &TriggerPlace,
    ) -> Result<(), Inconsistency> {
        let Outcome::Waits { order, direction } = frame.header.outcome else {
            return Err(Inconsistency::Outcome);
        };
        if order.market() != self.spec.id {
            return Err(Inconsistency::ForeignOrder(order));
        }
        rules::admits(self.book_state, &placed.place.kind).map_err(|_| Inconsistency::BookState)?;
        let TriggerPlace { place, trigger } = *placed;
        let last = self.touched.map(|touched| touched.last);
        if direction != TriggerDirection::of(trigger.price, last, place.side) {
            return Err(Inconsistency::Direction(order));
        }
        self.orders.give_out(order)?;
        self.sum.generation(order);
        let place = Place { valid_until_us: 0, ..place };
        let created_us = frame.command.time_us;
        let waiting = WaitingOrder { order, place, trigger, direction, created_us };
        self.sum.wait(&waiting);
        self.orders.stand(Standing::Waits(waiting), frame.header.sequence);
        Ok(())
    }

    pub(in super::super) fn fire(
        &mut self,
        frame: &Frame<'_>,
        fired: &WaitingOrder,
        applied: &mut Applied,
    ) -> Result<(), Inconsistency> {
        let waiting = self.wait_no_more(fired)?;
        let triggered =
            Triggered { trigger: waiting.trigger, fired_us: Some(frame.command.time_us) };
        if frame.header.outcome.order() != Some(waiting.order) {
            return Err(Inconsistency::Outcome);
        }
        if let Outcome::TriggerFailed { refusal, .. } = frame.header.outcome {
            let is_bare = frame.events().next().is_none() && frame.header.held.is_zero();
            self.finished.failed(frame, &waiting, refusal, triggered);
            return if is_bare { Ok(()) } else { Err(Inconsistency::Outcome) };
        }
        let (order, lots_left) = self.order_of(frame)?;
        self.check_place(&waiting.place, order)?;
        applied.best_before = self.best;
        let taken = self.take(frame, &waiting.place, frame.events(), applied)?;
        let entrant = Entrant {
            place: &waiting.place,
            order,
            created_us: waiting.created_us,
            executed: Lots::ZERO,
            executed_quote: Units::ZERO,
            triggered: Some(triggered),
        };
        self.conclude(frame, &entrant, lots_left, taken, applied)?;
        self.finish(applied);
        Ok(())
    }

    /// A waiting order was cancelled.
    pub(super) fn withdraw(
        &mut self,
        frame: &Frame<'_>,
        withdrawn: &Withdrawn,
    ) -> Result<(), Inconsistency> {
        let waiting = self.wait_no_more(&withdrawn.waiting)?;
        let triggered = Triggered { trigger: waiting.trigger, fired_us: None };
        self.finished.withdrawn(frame, &waiting, withdrawn.reason, triggered);
        Ok(())
    }

    /// Takes an order out that waited as told.
    fn wait_no_more(&mut self, told: &WaitingOrder) -> Result<WaitingOrder, Inconsistency> {
        let waiting = self.orders.remove_waiting(told.order);
        let waiting = waiting.ok_or(Inconsistency::UnknownOrder(told.order))?;
        if waiting != *told {
            return Err(Inconsistency::ClosedOtherwise(told.order));
        }
        self.sum.wait_no_more(&waiting);
        Ok(waiting)
    }
}
