//! Hot path. One market as its shard owns it: specification, book, and what a book need not know of
//! its orders.

mod account_orders;
mod client_ids;
mod waiting;

use std::borrow::{Borrow, BorrowMut};

use protocol::{
    AccountId, BookState, CancelAll, CancelKinds, Closed, ClosedReason, LotTerms, Lots, MarketSpec,
    OpenOrder, OrderId, OrderKind, Place, Price, PriceTerms, Refusal, Sequence, Side, Standing,
    StreamCursor, Target, TriggerBy, Units,
};

use crate::book::{Book, Front};
use crate::digest::StateSum;
use crate::recognition::Recognition;
use crate::rules;
use crate::state::MarketState;
use crate::touched::Touched;
use account_orders::AccountOrders;
use client_ids::ClientIds;

/// What an order carries that matching does not look at.
#[derive(Clone, Copy, Debug)]
struct Details {
    place: Place,
    executed_quote: Units,
    created_us: u64,
}

#[derive(Debug)]
pub(crate) struct Market {
    pub spec: MarketSpec,
    pub book: Book,
    pub last_trade: u64,
    /// What trades have touched since all that they reached had fired; `None` before the first.
    pub touched: Option<Touched>,
    /// Of that trade.
    pub last_price: Option<Price>,
    /// The last frame on the event stream.
    pub previous: Option<Sequence>,
    /// Of the last command: what then fires bears them as well.
    pub cursor: StreamCursor,
    pub time_us: u64,
    pub book_state: BookState,
    pub recognition: Recognition,
    pub sum: StateSum,
    /// Set while the market traded; part of `spec` since.
    price_terms: Option<PriceTerms>,
    lot_terms: Option<LotTerms>,
    /// By slot; meaningful where an order rests or waits.
    details: Vec<Option<Details>>,
    /// By slot; meaningful where an order waits.
    watched: Vec<TriggerBy>,
    account_orders: AccountOrders,
    client_ids: ClientIds,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    #[error("order {order} of market {market} does not fit the slots of a book")]
    Order { market: String, order: OrderId },
    #[error("market {market} had {slots} slots of orders in use, and may have {orders_max}")]
    Slots { market: String, slots: usize, orders_max: u32 },
    #[error("account {account} is beyond the {accounts_max} accounts that the ledger has")]
    Account { account: AccountId, accounts_max: u32 },
}

impl Borrow<Book> for Market {
    fn borrow(&self) -> &Book {
        &self.book
    }
}

impl BorrowMut<Book> for Market {
    #[inline]
    fn borrow_mut(&mut self) -> &mut Book {
        &mut self.book
    }
}

impl Market {
    pub fn new(spec: MarketSpec, orders_max: u32, accounts_max: u32) -> Self {
        Market {
            book: Book::new(spec.id, orders_max),
            last_trade: 0,
            touched: None,
            last_price: None,
            previous: None,
            cursor: StreamCursor::START,
            time_us: 0,
            book_state: BookState::default(),
            recognition: Recognition::default(),
            sum: StateSum::default(),
            price_terms: None,
            lot_terms: None,
            details: Vec::with_capacity(orders_max as usize),
            watched: Vec::with_capacity(orders_max as usize),
            account_orders: AccountOrders::new(orders_max, accounts_max),
            client_ids: ClientIds::new(orders_max),
            spec,
        }
    }

    pub fn restore(
        &mut self,
        state: &MarketState,
        orders_max: u32,
        accounts_max: u32,
    ) -> Result<(), RestoreError> {
        let market = || self.spec.symbol.clone();
        let slots = state.generations.len();
        if (orders_max as usize) < slots {
            return Err(RestoreError::Slots { market: market(), slots, orders_max });
        }
        self.book.restore_generations(&state.generations);
        for standing in &state.orders {
            let (order, account) = (standing.order(), standing.account());
            if accounts_max < account.get() {
                return Err(RestoreError::Account { account, accounts_max });
            }
            let is_restored = match standing {
                Standing::Rests(open, _) => self.restore_resting(open),
                Standing::Waits(waiting) => self.restore_waiting(waiting),
            };
            if !is_restored {
                return Err(RestoreError::Order { market: self.spec.symbol.clone(), order });
            }
        }
        self.book.restored();
        self.last_trade = state.last_trade;
        self.touched = state.touched;
        self.last_price = state.last_price;
        self.previous = state.previous;
        self.cursor = state.cursor;
        self.time_us = state.time_us;
        self.book_state = state.book_state;
        self.recognition = Recognition::restore(&state.senders);
        self.sum = state.sum;
        (self.price_terms, self.lot_terms) = (state.price_terms, state.lot_terms);
        state.price_terms.into_iter().for_each(|terms| self.spec.set_price_terms(terms));
        state.lot_terms.into_iter().for_each(|terms| self.spec.set_lot_terms(terms));
        Ok(())
    }

    /// Orders at rest stay as they are.
    pub fn set_price_terms(&mut self, terms: PriceTerms) -> Result<(), Refusal> {
        rules::check_price_terms(&terms)?;
        self.sum.price_terms(self.price_terms, terms);
        self.price_terms = Some(terms);
        self.spec.set_price_terms(terms);
        Ok(())
    }

    /// Fees are taken by the terms at the moment of the trade.
    pub fn set_lot_terms(&mut self, terms: LotTerms) -> Result<(), Refusal> {
        rules::check_lot_terms(&self.spec, &terms)?;
        self.sum.lot_terms(self.lot_terms, terms);
        self.lot_terms = Some(terms);
        self.spec.set_lot_terms(terms);
        Ok(())
    }

    fn restore_resting(&mut self, open: &OpenOrder) -> bool {
        let OpenOrder { order, side, price, lots_left, account, .. } = *open;
        let fits = self.book.restore_order(order, side, price, lots_left, account);
        if fits {
            self.index(order, details_of(open));
        }
        fits
    }

    /// How many orders of this account rest or wait.
    #[inline]
    pub fn open_orders(&self, account: AccountId) -> u32 {
        self.account_orders.count(account)
    }

    /// Rests an order at its limit price.
    #[inline]
    pub fn rest(
        &mut self,
        order: OrderId,
        place: &Place,
        price: Price,
        lots_left: Lots,
        executed_quote: Units,
        created_us: u64,
    ) {
        self.book.rest(order, place.side, price, lots_left, place.account);
        let details = Details { place: *place, executed_quote, created_us };
        self.sum.rest(&details.open_order(order, lots_left));
        self.index(order, details);
    }

    fn index(&mut self, order: OrderId, details: Details) {
        let slot = order.slot();
        if self.details.len() <= slot as usize {
            self.details.resize(slot as usize + 1, None);
        }
        self.account_orders.push(slot, details.place.account);
        if let Some(client_id) = details.place.client_id {
            self.client_ids.push(slot, details.place.account, client_id);
        }
        self.details[slot as usize] = Some(details);
    }

    #[inline]
    fn details(&self, slot: u32) -> &Details {
        match &self.details[slot as usize] {
            Some(details) => details,
            None => unreachable!("Invariant: an open order has details"),
        }
    }

    /// Notes a trade of a resting order, which is left with `lots_left`: with none it has left.
    #[inline]
    pub fn executed(&mut self, maker: &Front, lots: Lots, lots_left: Lots, quote: Units) {
        let Some(details) = &mut self.details[maker.slot as usize] else {
            unreachable!("Invariant: a resting order has details")
        };
        if lots_left.is_zero() {
            self.sum.leave(&details.open_order(maker.order, lots));
            self.forget(maker.slot);
        } else {
            details.executed_quote = Units(details.executed_quote.0 + quote.0);
            self.sum.execute(maker.order, lots, quote);
        }
    }

    /// Forgets an order that has left the book.
    #[inline]
    fn forget(&mut self, slot: u32) {
        let Details { place, .. } = *self.details(slot);
        self.account_orders.remove(slot, place.account);
        if let Some(client_id) = place.client_id {
            self.client_ids.remove(slot, place.account, client_id);
        }
        self.details[slot as usize] = None;
    }

    /// Takes a resting order out without a trade and tells how it stood.
    #[inline]
    pub fn close(&mut self, slot: u32, reason: ClosedReason) -> Closed {
        let closed = self.take_out(slot, reason);
        self.book.drop_unrested(closed.order);
        closed
    }

    /// As [`Market::close`], but the order's id stays given out.
    #[inline]
    pub fn take_out(&mut self, slot: u32, reason: ClosedReason) -> Closed {
        let closed = self.closed(slot, reason);
        let open = self.details(slot).open_order(closed.order, closed.lots_left);
        self.sum.leave(&open);
        self.book.take_out(slot);
        self.forget(slot);
        closed
    }

    /// A resting order as it stands.
    #[inline]
    pub fn closed(&self, slot: u32, reason: ClosedReason) -> Closed {
        let resting = self.book.resting(slot);
        let open = self.details(slot).open_order(resting.order, resting.lots_left);
        Closed {
            order: open.order,
            account: open.account,
            client_id: open.client_id,
            side: open.side,
            time_in_force: open.time_in_force,
            self_trade_prevention: open.self_trade_prevention,
            post_only: open.post_only,
            reason,
            price: open.price,
            lots: open.lots,
            lots_left: open.lots_left,
            executed_quote: open.executed_quote,
            created_us: open.created_us,
        }
    }

    /// Lets a resting order have `lots` as a whole and `lots_left`, no more than it has; it keeps
    /// its place.
    pub fn shrink(&mut self, slot: u32, lots: Lots, lots_left: Lots) {
        let resting = self.book.resting(slot);
        let Some(details) = &mut self.details[slot as usize] else {
            unreachable!("Invariant: an open order has details")
        };
        self.sum.leave(&details.open_order(resting.order, resting.lots_left));
        if let OrderKind::Limit { lots: as_placed, .. } = &mut details.place.kind {
            *as_placed = lots;
        }
        self.sum.rest(&details.open_order(resting.order, lots_left));
        let Some(less) = resting.lots_left.checked_sub(lots_left) else {
            unreachable!("Invariant: an order that keeps its place does not grow")
        };
        self.book.reduce(slot, less);
    }

    /// Slot of an account's own open order.
    pub fn find(&self, account: AccountId, target: Target) -> Option<u32> {
        match target {
            Target::Order(order) => {
                let slot = self.book.find(order)?;
                (self.book.account(slot) == account).then_some(slot)
            }
            Target::Client(client_id) => self.client_ids.newest(account, client_id),
        }
    }

    /// The account's oldest open order, or the one that follows `after` in age, if that is `Some`.
    pub fn next_open(&self, account: AccountId, after: Option<u32>) -> Option<u32> {
        match after {
            None => self.account_orders.oldest(account),
            Some(slot) => self.account_orders.newer(slot),
        }
    }

    /// Whether an open order is one of those that are to be cancelled.
    pub fn is_meant(&self, slot: u32, all: &CancelAll) -> bool {
        let is_in_time = || self.details(slot).created_us <= all.created_until_us;
        let is_of_kind = match all.kinds {
            CancelKinds::All => true,
            CancelKinds::Resting => self.book.waiting(slot).is_none(),
            CancelKinds::Waiting => self.book.waiting(slot).is_some(),
        };
        is_of_kind && (all.created_until_us == 0 || is_in_time())
    }

    /// Walks everything; for tests.
    pub fn assert_consistent(&self) {
        self.book.assert_consistent();
        let mut indexed = 0;
        for side in [Side::Bid, Side::Ask] {
            for front in self.book.walk(side) {
                let details = self.details(front.slot);
                assert_eq!(details.place.account, front.account, "Invariant: one owner");
                assert_eq!(details.place.side, side, "Invariant: one side");
                indexed += 1;
            }
        }
        indexed += self.assert_waiting_consistent();
        let detailed = self.details.iter().flatten().count();
        assert_eq!(indexed, detailed, "Invariant: details exist for open orders alone");
        let listed = self.account_orders.total();
        assert_eq!(indexed, listed, "Invariant: every open order is listed with its account");
    }
}

impl Details {
    /// The order as it rests.
    #[inline]
    fn open_order(&self, order: OrderId, lots_left: Lots) -> OpenOrder {
        let Details { place, executed_quote, created_us } = self;
        match OpenOrder::of(place, order, lots_left, *executed_quote, *created_us) {
            Some(open) => open,
            None => unreachable!("Invariant: only limit orders rest"),
        }
    }
}

fn details_of(open: &OpenOrder) -> Details {
    let kind = OrderKind::Limit { price: open.price, lots: open.lots, post_only: open.post_only };
    Details {
        place: Place {
            market: open.market,
            account: open.account,
            side: open.side,
            kind,
            time_in_force: open.time_in_force,
            self_trade_prevention: open.self_trade_prevention,
            client_id: open.client_id,
            valid_until_us: 0,
        },
        executed_quote: open.executed_quote,
        created_us: open.created_us,
    }
}
