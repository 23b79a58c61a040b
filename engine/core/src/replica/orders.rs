//! The open orders of one market, in the slots their ids name, each on its account's list; of those
//! that wait, which one fires next.

use std::collections::BTreeMap;

use protocol::{
    AccountId, ClientId, MarketId, OpenOrder, OrderId, Price, Sequence, Standing, TriggerDirection,
    Triggered, WaitingOrder,
};

use super::error::Inconsistency;
use crate::touched::Touched;

#[derive(Clone, Debug)]
pub struct Orders {
    market: MarketId,
    slots: Vec<Slot>,
    /// Newest open order of each account, by [`AccountId::index`].
    newest: Vec<Option<u32>>,
    /// How many rest, and how many wait.
    resting: usize,
    waiting: usize,
    /// Who waits for a rise and who for a fall, by trigger price and then by time.
    rises: BTreeMap<(Price, Sequence), OrderId>,
    falls: BTreeMap<(Price, Sequence), OrderId>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// Of the last order that was given this slot; 0 before the first.
    generation: u32,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    standing: Standing,
    /// The frame by which it came to rest, or began to wait: its time priority.
    since: Sequence,
    /// Neighbours among the account's orders in this market.
    older: Option<u32>,
    newer: Option<u32>,
}

impl Orders {
    pub(super) fn new(market: MarketId) -> Self {
        Orders {
            market,
            slots: Vec::new(),
            newest: Vec::new(),
            resting: 0,
            waiting: 0,
            rises: BTreeMap::new(),
            falls: BTreeMap::new(),
        }
    }

    /// Takes note that `order` was given out.
    pub(super) fn give_out(&mut self, order: OrderId) -> Result<(), Inconsistency> {
        let at = order.slot() as usize;
        if self.slots.len() <= at {
            self.slots.resize_with(at + 1, Slot::default);
        }
        let slot = &mut self.slots[at];
        if let Some(open) = &slot.open {
            let resting = open.standing.order();
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

    /// An order was given out and comes to rest, or begins to wait.
    pub(super) fn stand(&mut self, standing: Standing, since: Sequence) {
        let (order, account) = (standing.order(), standing.account().index());
        let at = order.slot();
        if self.newest.len() <= account {
            self.newest.resize(account + 1, None);
        }
        let older = self.newest[account].replace(at);
        if let Some(older) = older {
            self.at_mut(older).newer = Some(at);
        }
        self.slots[at as usize].open = Some(Open { standing, since, older, newer: None });
        match &standing {
            Standing::Rests(..) => self.resting += 1,
            Standing::Waits(waiting) => {
                self.waiting += 1;
                let key = (waiting.trigger.price, since);
                self.line(waiting.direction).insert(key, order);
            }
        }
    }

    fn line(&mut self, direction: TriggerDirection) -> &mut BTreeMap<(Price, Sequence), OrderId> {
        match direction {
            TriggerDirection::Rise => &mut self.rises,
            TriggerDirection::Fall => &mut self.falls,
        }
    }

    fn open(&self, order: OrderId) -> Option<&Open> {
        let open = self.slots.get(order.slot() as usize)?.open.as_ref()?;
        Some(open).filter(|found| found.standing.order() == order)
    }

    #[inline]
    fn open_mut(&mut self, order: OrderId) -> Option<&mut Open> {
        let open = self.slots.get_mut(order.slot() as usize)?.open.as_mut()?;
        Some(open).filter(|found| found.standing.order() == order)
    }

    /// The order, whether it rests or waits.
    #[inline]
    pub fn standing(&self, order: OrderId) -> Option<&Standing> {
        self.open(order).map(|open| &open.standing)
    }

    /// The order in the book.
    #[inline]
    pub fn get(&self, order: OrderId) -> Option<&OpenOrder> {
        self.standing(order)?.resting()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, order: OrderId) -> Option<&mut OpenOrder> {
        match &mut self.open_mut(order)?.standing {
            Standing::Rests(resting, _) => Some(resting),
            Standing::Waits(_) => None,
        }
    }

    pub(super) fn waiting_mut(&mut self, order: OrderId) -> Option<&mut WaitingOrder> {
        match &mut self.open_mut(order)?.standing {
            Standing::Waits(waiting) => Some(waiting),
            Standing::Rests(..) => None,
        }
    }

    /// Takes an order out of the book.
    pub(super) fn remove(&mut self, order: OrderId) -> Option<(OpenOrder, Option<Triggered>)> {
        let Standing::Rests(resting, triggered) = *self.standing(order)? else { return None };
        self.take_out(order)?;
        self.resting -= 1;
        Some((resting, triggered))
    }

    /// Takes an order out that waits.
    pub(super) fn remove_waiting(&mut self, order: OrderId) -> Option<WaitingOrder> {
        let Standing::Waits(waiting) = *self.standing(order)? else { return None };
        let since = self.take_out(order)?;
        self.waiting -= 1;
        self.line(waiting.direction).remove(&(waiting.trigger.price, since));
        Some(waiting)
    }

    /// The frame since which it stood.
    fn take_out(&mut self, order: OrderId) -> Option<Sequence> {
        let removed = self.slots[order.slot() as usize].open.take()?;
        match removed.newer {
            Some(newer) => self.at_mut(newer).older = removed.older,
            None => self.newest[removed.standing.account().index()] = removed.older,
        }
        if let Some(older) = removed.older {
            self.at_mut(older).newer = removed.newer;
        }
        Some(removed.since)
    }

    /// The order that fires next, of those that `touched` reaches.
    #[inline]
    pub(super) fn reached(&self, touched: &Touched) -> Option<OrderId> {
        if self.waiting == 0 {
            return None;
        }
        let reaches = |direction, price| touched.reaches(direction, price);
        let rises = self.rises.first_key_value();
        let rises = rises.filter(|((at, _), _)| reaches(TriggerDirection::Rise, *at));
        let falls = || {
            let (price, _) = *self.falls.last_key_value()?.0;
            // The earliest of those with the highest trigger.
            let first = self.falls.range((price, Sequence(0))..).next();
            first.filter(|((at, _), _)| reaches(TriggerDirection::Fall, *at))
        };
        rises.or_else(falls).map(|(_, order)| *order)
    }

    /// How many rest.
    pub fn len(&self) -> usize {
        self.resting
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether none rests.
    pub fn is_empty(&self) -> bool {
        self.resting == 0
    }

    /// An account's open orders with the frame each stands since, newest first.
    pub fn of_account(
        &self,
        account: AccountId,
    ) -> impl Iterator<Item = (Sequence, &Standing)> + '_ {
        let mut next = self.newest.get(account.index()).copied().flatten();
        std::iter::from_fn(move || {
            let open = self.at(next?);
            next = open.older;
            Some((open.since, &open.standing))
        })
    }

    /// The newest open order of the account with this client id.
    pub fn by_client_id(&self, account: AccountId, client_id: ClientId) -> Option<&Standing> {
        let mut orders = self.of_account(account).map(|(_, order)| order);
        orders.find(|order| order.client_id() == Some(client_id))
    }

    /// All open orders as they came to rest or began to wait, hence each price in its time
    /// priority.
    pub fn by_priority(&self) -> Vec<Standing> {
        self.by_arrival().into_iter().map(|(_, order)| order).collect()
    }

    /// As [`Orders::by_priority`], each with the frame it stands since.
    pub(super) fn by_arrival(&self) -> Vec<(Sequence, Standing)> {
        let open = self.slots.iter().filter_map(|slot| slot.open.as_ref());
        let mut orders: Vec<_> = open.map(|open| (open.since, open.standing)).collect();
        orders.sort_unstable_by_key(|(since, _)| *since);
        orders
    }

    /// Of the slots behind those known so far.
    pub(super) fn restore_generations(&mut self, generations: &[u32]) {
        let slot = |generation: &u32| Slot { generation: *generation, open: None };
        self.slots.extend(generations.iter().map(slot));
    }

    /// Whether `order` can be what stands in its slot, where nothing stands yet.
    pub(super) fn fits(&self, order: OrderId) -> bool {
        let slot = self.slots.get(order.slot() as usize);
        slot.is_some_and(|slot| slot.open.is_none() && slot.generation == order.generation())
    }

    /// Those that rest and those that wait.
    pub fn all(&self) -> impl Iterator<Item = &Standing> + '_ {
        self.slots.iter().filter_map(|slot| slot.open.as_ref()).map(|open| &open.standing)
    }

    /// Those that rest.
    pub fn iter(&self) -> impl Iterator<Item = &OpenOrder> + '_ {
        self.all().filter_map(Standing::resting)
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
        let occupied = self.slots.iter().filter(|slot| slot.open.is_some()).count();
        let counted = self.resting + self.waiting;
        assert_eq!(occupied, counted, "Invariant: open orders are counted");
        let in_line = self.rises.len() + self.falls.len();
        assert_eq!(in_line, self.waiting, "Invariant: who waits stands in a line");
        for (at, slot) in self.slots.iter().enumerate() {
            let Some(open) = &slot.open else { continue };
            let id = open.standing.order();
            assert_eq!(id.slot() as usize, at, "Invariant: an order is in the slot it names");
            assert_eq!(id.generation(), slot.generation, "Invariant: it is the slot's last order");
            if let Standing::Rests(resting, _) = &open.standing {
                assert!(!resting.lots_left.is_zero(), "Invariant: a resting order has lots left");
            }
        }
        let accounts = (1..=self.newest.len() as u32).filter_map(AccountId::new);
        let mut listed = 0;
        for account in accounts {
            let mut newer: Option<Sequence> = None;
            for (since, order) in self.of_account(account) {
                assert_eq!(order.account(), account, "Invariant: an account lists its own orders");
                assert!(newer.is_none_or(|newer| since < newer), "Invariant: newest first");
                newer = Some(since);
                listed += 1;
            }
        }
        assert_eq!(listed, counted, "Invariant: every order is on its account's list");
    }

    fn at(&self, slot: u32) -> &Open {
        match &self.slots[slot as usize].open {
            Some(open) => open,
            None => unreachable!("Invariant: an account's list names open orders only"),
        }
    }

    fn at_mut(&mut self, slot: u32) -> &mut Open {
        match &mut self.slots[slot as usize].open {
            Some(open) => open,
            None => unreachable!("Invariant: an account's list names open orders only"),
        }
    }
}
