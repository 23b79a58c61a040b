//! Hot path. The open orders of one market: 32 bytes each in memory reserved at the start, linked
//! by slot number. The slot with its generation is the order's id, so nothing is looked up.

use protocol::{AccountId, Lots, MarketId, OrderId, Side, TriggerDirection};

/// No slot, level or node: ends a chain of links.
pub(crate) const NIL: u32 = u32::MAX;

/// Where an order stands in line: on a side of the book, or waiting for the last price to rise or
/// to fall.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Line {
    Bids = 0,
    Asks = 1,
    Rises = 2,
    Falls = 3,
}

impl Line {
    #[inline]
    pub const fn of_side(side: Side) -> Line {
        match side {
            Side::Bid => Line::Bids,
            Side::Ask => Line::Asks,
        }
    }

    #[inline]
    pub const fn of_direction(direction: TriggerDirection) -> Line {
        match direction {
            TriggerDirection::Rise => Line::Rises,
            TriggerDirection::Fall => Line::Falls,
        }
    }

    /// The side of the book; `None` for orders that wait.
    #[inline]
    pub const fn side(self) -> Option<Side> {
        match self {
            Line::Bids => Some(Side::Bid),
            Line::Asks => Some(Side::Ask),
            Line::Rises | Line::Falls => None,
        }
    }

    /// Which way the last price has to go; `None` for orders that rest.
    #[inline]
    pub const fn direction(self) -> Option<TriggerDirection> {
        match self {
            Line::Rises => Some(TriggerDirection::Rise),
            Line::Falls => Some(TriggerDirection::Fall),
            Line::Bids | Line::Asks => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    /// Zero while the slot is free or its order stands in no line; of one that waits, one.
    pub lots_left: u64,
    pub account: u32,
    /// Generation of the order in the slot, or of the last one that was.
    pub generation: u32,
    /// Neighbours in time at the same price; of a free slot, `next` is the next free one.
    pub next: u32,
    pub previous: u32,
    pub level: u32,
    pub line: Line,
}
const _: () = assert!(size_of::<Order>() == 32);

#[derive(Debug)]
pub(crate) struct Slab {
    market: MarketId,
    orders: Vec<Order>,
    free: u32,
    /// Slots that have held an order of the last generation are never used again.
    orders_max: u32,
}

const FREE: Order = Order {
    lots_left: 0,
    account: 0,
    generation: 0,
    next: NIL,
    previous: NIL,
    level: NIL,
    line: Line::Bids,
};

impl Slab {
    pub fn new(market: MarketId, orders_max: u32) -> Self {
        assert!(orders_max <= OrderId::SLOTS_MAX, "Invariant: a slot fits an order id");
        let orders = Vec::with_capacity(orders_max as usize);
        Slab { market, orders, free: NIL, orders_max }
    }

    /// Continues the generations of an earlier life; all slots are free afterwards.
    pub fn restore(&mut self, generations: &[u32]) {
        self.orders.clear();
        let restored = generations.iter().map(|&generation| Order { generation, ..FREE });
        self.orders.extend(restored);
        self.free = NIL;
    }

    /// Takes every slot that holds no order into the free list, the lowest first in use.
    pub fn free_unused(&mut self) {
        self.free = NIL;
        for slot in (0..self.orders.len() as u32).rev() {
            let order = &mut self.orders[slot as usize];
            if order.lots_left == 0 && order.generation != u32::MAX {
                order.next = self.free;
                self.free = slot;
            }
        }
    }

    #[inline]
    pub fn has_room(&self) -> bool {
        self.free != NIL || (self.orders.len() as u32) < self.orders_max
    }

    /// A slot for a new order, and the id it gets. The caller has looked at [`Slab::has_room`].
    #[inline]
    pub fn allocate(&mut self) -> OrderId {
        let slot = if self.free == NIL {
            assert!(
                self.has_room(),
                "Invariant: room for an order is looked at before it is taken"
            );
            self.orders.push(FREE);
            self.orders.len() as u32 - 1
        } else {
            let slot = self.free;
            self.free = self.orders[slot as usize].next;
            slot
        };
        let order = &mut self.orders[slot as usize];
        order.generation += 1;
        match OrderId::from_parts(self.market, slot, order.generation) {
            Some(id) => id,
            None => unreachable!("Invariant: slot, market and generation fit an order id"),
        }
    }

    /// Lets the next order have this slot, if it is free. Which free slot comes next depends on the
    /// past of the process; for doing again what an earlier one did. Walks the free slots.
    pub fn prefer(&mut self, slot: u32) {
        let (mut before, mut at) = (NIL, self.free);
        while at != slot && at != NIL {
            (before, at) = (at, self.orders[at as usize].next);
        }
        if at == NIL || before == NIL {
            return;
        }
        self.orders[before as usize].next = self.orders[slot as usize].next;
        self.orders[slot as usize].next = self.free;
        self.free = slot;
    }

    /// Puts an order whose id was given out in an earlier life into its slot.
    pub fn occupy(&mut self, id: OrderId) -> bool {
        let Some(order) = self.orders.get_mut(id.slot() as usize) else { return false };
        id.market() == self.market && order.lots_left == 0 && order.generation == id.generation()
    }

    #[inline]
    pub fn free(&mut self, slot: u32) {
        let order = &mut self.orders[slot as usize];
        order.lots_left = 0;
        order.level = NIL;
        if order.generation != u32::MAX {
            order.next = self.free;
            self.free = slot;
        }
    }

    #[inline]
    pub fn get(&self, slot: u32) -> &Order {
        &self.orders[slot as usize]
    }

    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> &mut Order {
        &mut self.orders[slot as usize]
    }

    /// Slot of an order that rests or waits; `None` when it does so no more.
    #[inline]
    pub fn find(&self, id: OrderId) -> Option<u32> {
        let order = self.orders.get(id.slot() as usize)?;
        let stands = order.generation == id.generation()
            && order.lots_left != 0
            && id.market() == self.market;
        stands.then_some(id.slot())
    }

    /// Id of the order in a slot in use.
    #[inline]
    pub fn id(&self, slot: u32) -> OrderId {
        match OrderId::from_parts(self.market, slot, self.orders[slot as usize].generation) {
            Some(id) => id,
            None => unreachable!("Invariant: a slot in use has had a generation"),
        }
    }

    pub fn len(&self) -> usize {
        self.orders.len()
    }
}

/// An order at rest, as others see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resting {
    pub order: OrderId,
    pub account: AccountId,
    pub lots_left: Lots,
}

impl Slab {
    #[inline]
    pub fn resting(&self, slot: u32) -> Resting {
        let (order, account) = (self.id(slot), self.account(slot));
        Resting { order, account, lots_left: Lots(self.orders[slot as usize].lots_left) }
    }

    /// Whose order is in a slot in use.
    #[inline]
    pub fn account(&self, slot: u32) -> AccountId {
        match AccountId::new(self.orders[slot as usize].account) {
            Some(account) => account,
            None => unreachable!("Invariant: an order in a line has an account"),
        }
    }
}
