//! Hot path. One market as its shard owns it: specification, book, and what a book need not know of
//! its orders.

mod account_orders;
mod client_ids;

use std::borrow::{Borrow, BorrowMut};

use protocol::{
    AccountId, BookState, Closed, ClosedReason, LotTerms, Lots, MarketSpec, OpenOrder, OrderId,
    OrderKind, Place, Price, PriceTerms, Refusal, Sequence, Side, Target, Units,
};

use crate::book::{Book, Front};
use crate::digest::StateSum;
use crate::recognition::Recognition;
use crate::rules;
use crate::state::MarketState;
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
    /// Of that trade.
    pub last_price: Option<Price>,
    /// The last frame on the event stream.
    pub previous: Option<Sequence>,
    pub book_state: BookState,
    pub recognition: Recognition,
    pub sum: StateSum,
    /// Set while the market traded; part of `spec` since.
    price_terms: Option<PriceTerms>,
    lot_terms: Option<LotTerms>,
    /// By slot; meaningful where an order rests.
    details: Vec<Option<Details>>,
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
            last_price: None,
            previous: None,
            book_state: BookState::default(),
            recognition: Recognition::default(),
            sum: StateSum::default(),
            price_terms: None,
            lot_terms: None,
            details: Vec::with_capacity(orders_max as usize),
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
        for open in &state.orders {
            if accounts_max < open.account.get() {
                let account = open.account;
                return Err(RestoreError::Account { account, accounts_max });
            }
            let OpenOrder { order, side, price, lots_left, account, .. } = *open;
            if !self.book.restore_order(order, side, price, lots_left, account) {
                return Err(RestoreError::Order { market: self.spec.symbol.clone(), order });
            }
            self.index(order, details_of(open));
        }
        self.book.restored();
        self.last_trade = state.last_trade;
        self.last_price = state.last_price;
        self.previous = state.previous;
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

    /// Whether one more order of this account may come to rest.
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
            None => unreachable!("Invariant: a resting order has details"),
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
        let resting = self.book.resting(slot);
        let (side, price) = self.book.side_and_price(slot);
        let open = self.details(slot).open_order(resting.order, resting.lots_left);
        self.sum.leave(&open);
        self.book.remove(slot);
        self.forget(slot);
        Closed {
            order: open.order,
            account: open.account,
            client_id: open.client_id,
            side,
            time_in_force: open.time_in_force,
            self_trade_prevention: open.self_trade_prevention,
            post_only: open.post_only,
            reason,
            price,
            lots: open.lots,
            lots_left: open.lots_left,
            executed_quote: open.executed_quote,
            created_us: open.created_us,
        }
    }

    /// Slot of an account's own resting order.
    pub fn find(&self, account: AccountId, target: Target) -> Option<u32> {
        match target {
            Target::Order(order) => {
                let slot = self.book.find(order)?;
                (self.book.resting(slot).account == account).then_some(slot)
            }
            Target::Client(client_id) => self.client_ids.newest(account, client_id),
        }
    }

    /// The account's oldest resting order.
    pub fn oldest(&self, account: AccountId) -> Option<u32> {
        self.account_orders.oldest(account)
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
        let detailed = self.details.iter().flatten().count();
        assert_eq!(indexed, detailed, "Invariant: details exist for resting orders alone");
        let listed = self.account_orders.total();
        assert_eq!(indexed, listed, "Invariant: every resting order is listed with its account");
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
