//! Hot path. The book of one market: two ladders of price levels and the orders that rest on them,
//! first come first served. It knows nothing of balances, fees or who may trade with whom.
//!
//! Two ladders more hold what waits for the last price to rise or to fall ([`waiting`]); nobody
//! meets those.
//!
//! Invariant: a book at rest is not crossed. Memory is reserved at the start; nothing here
//! allocates.

mod slab;
mod ladder;
mod waiting;

use protocol::{AccountId, Lots, MarketId, OrderId, Price, Side};

use ladder::Ladder;
pub use slab::Resting;
use slab::{Line, NIL, Slab};
pub use waiting::Waiting;

#[derive(Debug)]
pub struct Book {
    slab: Slab,
    /// By [`Line`].
    ladders: [Ladder; 4],
    orders: u32,
    waiting: u32,
}

/// Bids are kept by the complement of their price, so that on both sides the best key is smallest.
#[inline]
pub(crate) const fn key_of(side: Side, price: Price) -> u64 {
    match side {
        Side::Bid => price.ticks() ^ Price::TICKS_MAX,
        Side::Ask => price.ticks(),
    }
}

#[inline]
fn price_of(side: Side, key: u64) -> Price {
    let ticks = match side {
        Side::Bid => key ^ Price::TICKS_MAX,
        Side::Ask => key,
    };
    match Price::from_ticks(ticks) {
        Some(price) => price,
        None => unreachable!("Invariant: a level has the price of an order"),
    }
}

/// The order an incoming one meets first: the oldest at the best price.
#[derive(Clone, Copy, Debug)]
pub struct Front {
    pub slot: u32,
    pub order: OrderId,
    pub price: Price,
    pub account: AccountId,
    pub lots_left: Lots,
}

impl Book {
    /// Room for `orders_max` resting orders, at most [`OrderId::SLOTS_MAX`].
    pub fn new(market: MarketId, orders_max: u32) -> Self {
        let levels_max = orders_max as usize;
        let nodes_max = ladder::nodes_max(levels_max);
        Book {
            slab: Slab::new(market, orders_max),
            ladders: [(); 4].map(|()| Ladder::new(levels_max, nodes_max)),
            orders: 0,
            waiting: 0,
        }
    }

    /// Whether one more order surely fits on `side`.
    #[inline]
    pub fn has_room(&self, side: Side) -> bool {
        self.slab.has_room() && self.ladder(side).has_room()
    }

    /// An id for an incoming order. It must be rested or dropped.
    #[inline]
    pub fn allocate(&mut self) -> OrderId {
        self.slab.allocate()
    }

    /// Lets the next order have the slot of this one, if it is free; for doing again what an
    /// earlier process did.
    pub fn prefer(&mut self, order: OrderId) {
        self.slab.prefer(order.slot());
    }

    /// Gives back the slot of an order that does not come to rest.
    #[inline]
    pub fn drop_unrested(&mut self, order: OrderId) {
        self.slab.free(order.slot());
    }

    /// Puts an order behind all others at its price.
    #[inline]
    pub fn rest(
        &mut self,
        order: OrderId,
        side: Side,
        price: Price,
        lots: Lots,
        account: AccountId,
    ) {
        assert!(!lots.is_zero(), "Invariant: an order at rest has something left");
        self.enqueue(order, Line::of_side(side), key_of(side, price), lots, account);
        self.orders += 1;
    }

    /// Puts an order behind all others of its key in its line.
    #[inline]
    fn enqueue(&mut self, order: OrderId, line: Line, key: u64, lots: Lots, account: AccountId) {
        let ladder = &mut self.ladders[line as usize];
        let level = ladder.find_or_insert(key);
        let slot = order.slot();
        let tail = std::mem::replace(&mut ladder.level_mut(level).tail, slot);
        if tail == NIL {
            ladder.level_mut(level).head = slot;
        } else {
            self.slab.get_mut(tail).next = slot;
        }
        let queued = self.slab.get_mut(slot);
        queued.lots_left = lots.0;
        queued.account = account.get();
        queued.next = NIL;
        queued.previous = tail;
        queued.level = level;
        queued.line = line;
    }

    /// Slot of an order that rests or waits here; `None` for any other id.
    #[inline]
    pub fn find(&self, order: OrderId) -> Option<u32> {
        self.slab.find(order)
    }

    #[inline]
    pub fn resting(&self, slot: u32) -> Resting {
        self.slab.resting(slot)
    }

    pub fn side_and_price(&self, slot: u32) -> (Side, Price) {
        let order = self.slab.get(slot);
        let Some(side) = order.line.side() else {
            unreachable!("Invariant: an order that waits is on no side of the book")
        };
        (side, price_of(side, self.ladder(side).level(order.level).key))
    }

    /// Takes a resting order out and frees its slot.
    #[inline]
    pub fn remove(&mut self, slot: u32) {
        self.take_out(slot);
        self.slab.free(slot);
    }

    /// Takes a resting order out. Its id stays given out: it must be rested or dropped.
    #[inline]
    pub fn take_out(&mut self, slot: u32) {
        self.dequeue(slot);
        self.orders -= 1;
    }

    /// Takes an order out of its line.
    #[inline]
    fn dequeue(&mut self, slot: u32) {
        let order = *self.slab.get(slot);
        let ladder = &mut self.ladders[order.line as usize];
        if order.previous == NIL && order.next == NIL {
            ladder.remove(order.level);
        } else if order.previous == NIL {
            ladder.level_mut(order.level).head = order.next;
            self.slab.get_mut(order.next).previous = NIL;
        } else if order.next == NIL {
            ladder.level_mut(order.level).tail = order.previous;
            self.slab.get_mut(order.previous).next = NIL;
        } else {
            self.slab.get_mut(order.previous).next = order.next;
            self.slab.get_mut(order.next).previous = order.previous;
        }
        self.slab.get_mut(slot).lots_left = 0;
    }

    /// Takes `lots` off a resting order, which keeps its place; `lots` is less than what is left.
    #[inline]
    pub fn reduce(&mut self, slot: u32, lots: Lots) {
        let order = self.slab.get_mut(slot);
        assert!(lots.0 < order.lots_left, "Invariant: a reduced order has something left");
        order.lots_left -= lots.0;
    }

    /// Takes `lots` off the front order, and the order out when nothing is left of it.
    #[inline]
    pub fn fill(&mut self, slot: u32, lots: Lots) -> Lots {
        let order = self.slab.get_mut(slot);
        assert!(lots.0 <= order.lots_left, "Invariant: no order trades more than it has");
        let left = order.lots_left - lots.0;
        if left == 0 {
            self.remove(slot);
        } else {
            order.lots_left = left;
        }
        Lots(left)
    }

    #[inline]
    pub fn best(&self, side: Side) -> Option<Price> {
        let ladder = self.ladder(side);
        ladder.best().map(|level| price_of(side, ladder.level(level).key))
    }

    /// The order of `side` that an incoming one meets first, if its key is at most `limit`.
    #[inline]
    pub(crate) fn front(&self, side: Side, limit: u64) -> Option<Front> {
        let ladder = self.ladder(side);
        let level = ladder.level(ladder.best()?);
        if limit < level.key {
            return None;
        }
        Some(self.front_at(side, level.head, level.key))
    }

    #[inline]
    fn front_at(&self, side: Side, slot: u32, key: u64) -> Front {
        let Resting { order, account, lots_left } = self.slab.resting(slot);
        Front { slot, order, price: price_of(side, key), account, lots_left }
    }

    /// All orders of `side`, best price first and oldest first.
    pub fn walk(&self, side: Side) -> impl Iterator<Item = Front> + '_ {
        let ladder = self.ladder(side);
        let mut level = ladder.best();
        let mut slot = level.map_or(NIL, |level| ladder.level(level).head);
        std::iter::from_fn(move || {
            let here = level?;
            let front = self.front_at(side, slot, ladder.level(here).key);
            slot = self.slab.get(slot).next;
            if slot == NIL {
                level = ladder.behind(here);
                slot = level.map_or(NIL, |level| ladder.level(level).head);
            }
            Some(front)
        })
    }

    pub fn orders(&self) -> usize {
        self.orders as usize
    }

    pub fn levels(&self, side: Side) -> usize {
        self.ladder(side).len()
    }

    /// Prepares an empty book for [`Book::restore_order`].
    pub fn restore_generations(&mut self, generations: &[u32]) {
        self.slab.restore(generations);
    }

    /// Rests an order of an earlier life under its id; `false` if its slot is not free for it.
    pub fn restore_order(
        &mut self,
        order: OrderId,
        side: Side,
        price: Price,
        lots: Lots,
        account: AccountId,
    ) -> bool {
        let fits = self.slab.occupy(order) && !lots.is_zero();
        if fits {
            self.rest(order, side, price, lots, account);
        }
        fits
    }

    /// Ends a restoration: every slot without an order may be used.
    pub fn restored(&mut self) {
        self.slab.free_unused();
    }

    /// Generation of the last order in each slot ever used.
    pub fn generations(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.slab.len() as u32).map(|slot| self.slab.get(slot).generation)
    }

    #[inline]
    fn ladder(&self, side: Side) -> &Ladder {
        &self.ladders[Line::of_side(side) as usize]
    }

    /// Walks the whole book; for tests and snapshots.
    pub fn assert_consistent(&self) {
        if let (Some(bid), Some(ask)) = (self.best(Side::Bid), self.best(Side::Ask)) {
            assert!(bid < ask, "Invariant: a book at rest is not crossed");
        }
        let mut walked = 0;
        for side in [Side::Bid, Side::Ask] {
            let mut last: Option<u64> = None;
            let mut levels = 0;
            for front in self.walk(side) {
                let key = key_of(side, front.price);
                assert!(last.is_none_or(|last| last <= key), "Invariant: best first");
                levels += usize::from(last != Some(key));
                last = Some(key);
                assert!(!front.lots_left.is_zero(), "Invariant: something is left");
                walked += 1;
            }
            assert_eq!(levels, self.levels(side), "Invariant: every level has an order");
        }
        assert_eq!(walked, self.orders(), "Invariant: every order is on a level");
        self.assert_waiting_consistent();
    }
}
