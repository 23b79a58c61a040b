//! Hot path. The orders of one market that wait for their trigger, in the same slots as those that
//! rest: by trigger price, the first reached first, and first come first served within a price.

use protocol::{AccountId, Lots, OrderId, Price, Side, TriggerDirection};

use super::slab::{Line, NIL};
use super::{Book, key_of, price_of};

/// An order that waits, as the book knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiting {
    pub order: OrderId,
    pub direction: TriggerDirection,
    pub trigger: Price,
    pub account: AccountId,
}

/// A price that rises reaches the lowest trigger first, as an incoming bid the lowest ask.
#[inline]
const fn side_of(direction: TriggerDirection) -> Side {
    match direction {
        TriggerDirection::Rise => Side::Ask,
        TriggerDirection::Fall => Side::Bid,
    }
}

impl Book {
    /// Whether one more order surely can wait.
    #[inline]
    pub fn has_room_to_wait(&self, direction: TriggerDirection) -> bool {
        self.slab.has_room() && self.ladders[Line::of_direction(direction) as usize].has_room()
    }

    /// Whether an order whose id is given out surely fits on `side`.
    #[inline]
    pub fn has_room_on(&self, side: Side) -> bool {
        self.ladder(side).has_room()
    }

    /// Puts an order behind all others with its trigger.
    pub fn wait(
        &mut self,
        order: OrderId,
        direction: TriggerDirection,
        trigger: Price,
        account: AccountId,
    ) {
        let key = key_of(side_of(direction), trigger);
        self.enqueue(order, Line::of_direction(direction), key, Lots(1), account);
        self.waiting += 1;
    }

    /// Lets an order that was given its id in an earlier life wait; `false` if its slot is not free
    /// for it.
    pub fn restore_waiting(&mut self, waiting: &Waiting) -> bool {
        let Waiting { order, direction, trigger, account } = *waiting;
        let fits = self.slab.occupy(order);
        if fits {
            self.wait(order, direction, trigger, account);
        }
        fits
    }

    /// Takes a waiting order out of its line. Its id stays given out: it must be rested or dropped.
    pub fn wait_no_more(&mut self, slot: u32) {
        self.dequeue(slot);
        self.waiting -= 1;
    }

    /// Whose order rests or waits in a slot in use.
    #[inline]
    pub fn account(&self, slot: u32) -> AccountId {
        self.slab.account(slot)
    }

    /// What waits in a slot; `None` where an order rests.
    #[inline]
    pub fn waiting(&self, slot: u32) -> Option<Waiting> {
        let order = self.slab.get(slot);
        let direction = order.line.direction()?;
        let key = self.ladders[order.line as usize].level(order.level).key;
        Some(Waiting {
            order: self.slab.id(slot),
            direction,
            trigger: price_of(side_of(direction), key),
            account: self.slab.account(slot),
        })
    }

    /// Slot of the order that fires next, of all that a last price of `low` or one of `high`
    /// reaches: those that wait for a rise come first.
    #[inline]
    pub fn reached(&self, low: Price, high: Price) -> Option<u32> {
        if self.waiting == 0 {
            return None;
        }
        let of = |direction, last| {
            let ladder = &self.ladders[Line::of_direction(direction) as usize];
            let level = ladder.level(ladder.best()?);
            let is_reached = level.key <= key_of(side_of(direction), last);
            is_reached.then_some(level.head)
        };
        of(TriggerDirection::Rise, high).or_else(|| of(TriggerDirection::Fall, low))
    }

    /// How many wait.
    pub fn waiting_orders(&self) -> usize {
        self.waiting as usize
    }

    /// All that wait for the last price to go one way, the first reached first.
    pub fn walk_waiting(
        &self,
        direction: TriggerDirection,
    ) -> impl Iterator<Item = (u32, Waiting)> + '_ {
        let ladder = &self.ladders[Line::of_direction(direction) as usize];
        let mut level = ladder.best();
        let mut slot = level.map_or(NIL, |level| ladder.level(level).head);
        std::iter::from_fn(move || {
            let (here, at) = (level?, slot);
            slot = self.slab.get(at).next;
            if slot == NIL {
                level = ladder.behind(here);
                slot = level.map_or(NIL, |level| ladder.level(level).head);
            }
            Some((at, self.waiting(at)?))
        })
    }

    pub(super) fn assert_waiting_consistent(&self) {
        let directions = [TriggerDirection::Rise, TriggerDirection::Fall];
        let walked: usize = directions.map(|it| self.walk_waiting(it).count()).iter().sum();
        assert_eq!(walked, self.waiting_orders(), "Invariant: who waits stands in a line");
        for direction in directions {
            let keys = self.walk_waiting(direction);
            let keys = keys.map(|(_, it)| key_of(side_of(direction), it.trigger));
            assert!(keys.is_sorted(), "Invariant: the first reached first");
        }
    }
}
