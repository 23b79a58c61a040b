//! The resting orders of one market, in the slots their ids name, each on its account's list.

use protocol::{AccountId, ClientId, MarketId, OpenOrder, OrderId, Sequence};

use super::error::Inconsistency;

#[derive(Clone, Debug)]
pub struct Orders {
    market: MarketId,
    slots: Vec<Slot>,
    /// Newest resting order of each account, by [`AccountId::index`].
    newest: Vec<Option<u32>>,
    resting: usize,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// Of the last order that was given this slot; 0 before the first.
    generation: u32,
    resting: Option<Resting>,
}

#[derive(Clone, Copy, Debug)]
struct Resting {
    order: OpenOrder,
    /// The frame by which it came to rest: its time priority.
    since: Sequence,
    /// Neighbours among the account's orders in this market.
    older: Option<u32>,
    newer: Option<u32>,
}

impl Orders {
    pub(super) fn new(market: MarketId) -> Self {
        Orders { market, slots: Vec::new(), newest: Vec::new(), resting: 0 }
    }

    /// Takes note that `order` was given out.
    pub(super) fn give_out(&mut self, order: OrderId) -> Result<(), Inconsistency> {
        let at = order.slot() as usize;
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, Slot::default);
        }
        let slot = &mut self.slots[at];
        if let Some(resting) = &slot.resting {
            let resting = resting.order.order;
            return Err(Inconsistency::SlotTaken { found: order, resting });
        }
        let expected = slot.generation.checked_add(1);
        if expected != Some(order.generation()) {
            let expected = expected.unwrap_or_default();
            return Err(Inconsistency::Generation { found: order, expected });
        }
        slot.generation = order.generation();
        Ok(())
    }

    /// `order` was given out and comes to rest.
    pub(super) fn rest(&mut self, order: OpenOrder, since: Sequence) {
        let (at, account) = (order.order.slot(), order.account.index());
        if self.newest.len() <= account {
            self.newest.resize(account + 1, None);
        }
        let older = self.newest[account].replace(at);
        if let Some(older) = older {
            self.at_mut(older).newer = Some(at);
        }
        self.slots[at as usize].resting = Some(Resting { order, since, older, newer: None });
        self.resting += 1;
    }

    #[inline]
    pub fn get(&self, order: OrderId) -> Option<&OpenOrder> {
        let resting = self.slots.get(order.slot() as usize)?.resting.as_ref()?;
        Some(&resting.order).filter(|found| found.order == order)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, order: OrderId) -> Option<&mut OpenOrder> {
        let resting = self.slots.get_mut(order.slot() as usize)?.resting.as_mut()?;
        Some(&mut resting.order).filter(|found| found.order == order)
    }

    pub(super) fn remove(&mut self, order: OrderId) -> Option<OpenOrder> {
        self.get(order)?;
        let removed = self.slots[order.slot() as usize].resting.take()?;
        match removed.newer {
            Some(newer) => self.at_mut(newer).older = removed.older,
            None => self.newest[removed.order.account.index()] = removed.older,
        }
        if let Some(older) = removed.older {
            self.at_mut(older).newer = removed.newer;
        }
        self.resting -= 1;
        Some(removed.order)
    }

    /// How many rest.
    pub fn len(&self) -> usize {
        self.resting
    }

    pub fn is_empty(&self) -> bool {
        self.resting == 0
    }

    /// An account's resting orders with the frame each came to rest by, newest first.
    pub fn of_account(
        &self,
        account: AccountId,
    ) -> impl Iterator<Item = (Sequence, &OpenOrder)> + '_ {
        let mut next = self.newest.get(account.index()).copied().flatten();
        std::iter::from_fn(move || {
            let resting = self.at(next?);
            next = resting.older;
            Some((resting.since, &resting.order))
        })
    }

    /// The newest resting order of the account with this client id.
    pub fn by_client_id(&self, account: AccountId, client_id: ClientId) -> Option<&OpenOrder> {
        let mut orders = self.of_account(account).map(|(_, order)| order);
        orders.find(|order| order.client_id == Some(client_id))
    }

    /// All resting orders as they came to rest, hence each price in its time priority.
    pub fn by_priority(&self) -> Vec<OpenOrder> {
        self.by_arrival().into_iter().map(|(_, order)| order).collect()
    }

    /// As [`Orders::by_priority`], each with the frame it came to rest by.
    pub(super) fn by_arrival(&self) -> Vec<(Sequence, OpenOrder)> {
        let resting = self.slots.iter().filter_map(|slot| slot.resting.as_ref());
        let mut orders: Vec<_> = resting.map(|resting| (resting.since, resting.order)).collect();
        orders.sort_unstable_by_key(|(since, _)| *since);
        orders
    }

    /// Of the slots behind those known so far.
    pub(super) fn restore_generations(&mut self, generations: &[u32]) {
        let slot = |generation: &u32| Slot { generation: *generation, resting: None };
        self.slots.extend(generations.iter().map(slot));
    }

    /// Whether `order` can be what rests in its slot, where nothing rests yet.
    pub(super) fn fits(&self, order: OrderId) -> bool {
        let slot = self.slots.get(order.slot() as usize);
        slot.is_some_and(|slot| slot.resting.is_none() && slot.generation == order.generation())
    }

    pub fn iter(&self) -> impl Iterator<Item = &OpenOrder> + '_ {
        self.slots.iter().filter_map(|slot| slot.resting.as_ref()).map(|resting| &resting.order)
    }

    /// The last order that each slot was given out to.
    pub fn last_given(&self) -> impl Iterator<Item = OrderId> + '_ {
        let id = |(slot, it): (u32, &Slot)| OrderId::from_parts(self.market, slot, it.generation);
        (0..).zip(&self.slots).filter_map(id)
    }

    pub fn generations(&self) -> Vec<u32> {
        self.slots.iter().map(|slot| slot.generation).collect()
    }

    pub fn assert_consistent(&self) {
        let occupied = self.slots.iter().filter(|slot| slot.resting.is_some()).count();
        assert_eq!(occupied, self.resting, "Invariant: resting orders are counted");
        for (at, slot) in self.slots.iter().enumerate() {
            let Some(resting) = &slot.resting else { continue };
            let id = resting.order.order;
            assert_eq!(id.slot() as usize, at, "Invariant: an order is in the slot it names");
            assert_eq!(id.generation(), slot.generation, "Invariant: it is the slot's last order");
            assert!(!resting.order.lots_left.is_zero(), "Invariant: a resting order has lots left");
        }
        let accounts = (1..=self.newest.len() as u32).filter_map(AccountId::new);
        let mut listed = 0;
        for account in accounts {
            let mut newer: Option<Sequence> = None;
            for (since, order) in self.of_account(account) {
                assert_eq!(order.account, account, "Invariant: an account lists its own orders");
                assert!(newer.is_none_or(|newer| since < newer), "Invariant: newest first");
                newer = Some(since);
                listed += 1;
            }
        }
        assert_eq!(listed, self.resting, "Invariant: every order is on its account's list");
    }

    fn at(&self, slot: u32) -> &Resting {
        match &self.slots[slot as usize].resting {
            Some(resting) => resting,
            None => unreachable!("Invariant: an account's list names resting orders only"),
        }
    }

    fn at_mut(&mut self, slot: u32) -> &mut Resting {
        match &mut self.slots[slot as usize].resting {
            Some(resting) => resting,
            None => unreachable!("Invariant: an account's list names resting orders only"),
        }
    }
}
