//! Hot path. Orders of one market that wait for their trigger, and which of them fires next.

use protocol::{
    OrderId, OrderKind, Place, Price, Trigger, TriggerBy, TriggerDirection, WaitingOrder,
};

use super::{Details, Market};
use crate::book::Waiting;
use crate::touched::Touched;

impl Market {
    /// Notes a trade's price.
    #[inline]
    pub fn touch(&mut self, price: Price) {
        match &mut self.touched {
            Some(touched) => touched.touch(price),
            None => self.touched = Some(Touched::at(price)),
        }
    }

    /// Slot of the order that fires next; `None`: the trades so far reach none that waits.
    #[inline]
    pub fn reached(&self) -> Option<u32> {
        let touched = self.touched?;
        self.book.reached(touched.low, touched.high)
    }

    /// After a frame: once all that was reached has fired, only the last price counts.
    #[inline]
    pub fn settle_touched(&mut self) {
        if self.reached().is_none()
            && let Some(touched) = &mut self.touched
        {
            touched.settle();
        }
    }

    /// Lets an order wait whose id is given out.
    pub fn wait(&mut self, waiting: &WaitingOrder) {
        let WaitingOrder { order, place, trigger, direction, .. } = waiting;
        self.book.wait(*order, *direction, trigger.price, place.account);
        self.sum.wait(waiting);
        self.index_waiting(waiting);
    }

    pub(super) fn restore_waiting(&mut self, waiting: &WaitingOrder) -> bool {
        let WaitingOrder { order, place, trigger, direction, .. } = *waiting;
        let in_line = Waiting { order, direction, trigger: trigger.price, account: place.account };
        let fits = self.book.restore_waiting(&in_line);
        if fits {
            self.index_waiting(waiting);
        }
        fits
    }

    fn index_waiting(&mut self, waiting: &WaitingOrder) {
        let WaitingOrder { order, place, trigger, created_us, .. } = *waiting;
        let slot = order.slot() as usize;
        if self.watched.len() <= slot {
            self.watched.resize(slot + 1, TriggerBy::Unsaid);
        }
        self.watched[slot] = trigger.by;
        self.index(order, Details { place, executed_quote: protocol::Units::ZERO, created_us });
    }

    /// What waits in a slot; `None` where an order rests.
    pub fn waiting(&self, slot: u32) -> Option<WaitingOrder> {
        let Waiting { order, direction, trigger, .. } = self.book.waiting(slot)?;
        let Details { place, created_us, .. } = *self.details(slot);
        let trigger = Trigger { price: trigger, by: self.watched[slot as usize] };
        Some(WaitingOrder { order, place, trigger, direction, created_us })
    }

    /// Takes an order out that waits; its id stays given out.
    pub fn wait_no_more(&mut self, slot: u32) -> WaitingOrder {
        let Some(waiting) = self.waiting(slot) else {
            unreachable!("Invariant: who is to wait no more has waited")
        };
        self.sum.wait_no_more(&waiting);
        self.book.wait_no_more(slot);
        self.forget(slot);
        waiting
    }

    /// Lets a waiting order be another one when it fires; it keeps its place.
    pub fn exchange(&mut self, slot: u32, kind: OrderKind) {
        let Some(before) = self.waiting(slot) else {
            unreachable!("Invariant: who waits otherwise has waited")
        };
        let after = WaitingOrder { place: Place { kind, ..before.place }, ..before };
        self.sum.wait_no_more(&before);
        self.sum.wait(&after);
        if let Some(details) = &mut self.details[slot as usize] {
            details.place = after.place;
        }
    }

    /// How many wait; walks them.
    pub(super) fn assert_waiting_consistent(&self) -> usize {
        let mut count = 0;
        for direction in [TriggerDirection::Rise, TriggerDirection::Fall] {
            for (slot, waiting) in self.book.walk_waiting(direction) {
                let details = self.details(slot);
                assert_eq!(details.place.account, waiting.account, "Invariant: one owner");
                count += 1;
            }
        }
        if self.reached().is_none()
            && let Some(touched) = self.touched
        {
            assert_eq!(touched, Touched::at(touched.last), "Invariant: what fired is forgotten");
        }
        count
    }

    /// Gives back the slot of an order that waits no more and does not come to rest.
    pub fn drop_fired(&mut self, order: OrderId) {
        self.book.drop_unrested(order);
    }
}
