//! What leaves the naive exchange without a trade.

use protocol::*;

use super::rules::held_by;
use super::{NaiveExchange, NaiveMarket};

impl NaiveMarket {
    /// All open orders in order of coming to rest or beginning to wait.
    pub(super) fn standing(&self) -> Vec<(OrderId, Place, u64)> {
        let resting = self.orders.iter().map(|it| (it.since, it.id, it.place, it.created_us));
        let waiting = self.waiting.iter();
        let waiting = waiting.map(|(since, it)| (*since, it.order, it.place, it.created_us));
        let mut all: Vec<_> = resting.chain(waiting).collect();
        all.sort_by_key(|(since, ..)| *since);
        all.into_iter().map(|(_, id, place, created_us)| (id, place, created_us)).collect()
    }

    /// How many open orders the account has.
    pub(super) fn open(&self, account: AccountId) -> usize {
        self.standing().iter().filter(|(_, place, _)| place.account == account).count()
    }

    pub(super) fn waits(&self, id: OrderId) -> bool {
        self.waiting.iter().any(|(_, waiting)| waiting.order == id)
    }

    /// The newest open order of the account that is named so.
    pub(super) fn find(&self, account: AccountId, target: Target) -> Option<OrderId> {
        let standing = self.standing();
        let named = standing.iter().rev().find(|(id, place, _)| {
            place.account == account
                && match target {
                    Target::Order(named) => *id == named,
                    Target::Client(client_id) => place.client_id == Some(client_id),
                }
        });
        named.map(|(id, ..)| *id)
    }
}

impl NaiveExchange {
    pub(super) fn cancel(
        &mut self,
        market: MarketId,
        account: AccountId,
        target: Target,
        events: &mut Vec<Event>,
    ) -> Result<(Outcome, i128), Refusal> {
        let known = self.market_to_cancel_in(market)?;
        let id = known.find(account, target).ok_or(Refusal::OrderNotFound)?;
        events.push(self.cancel_one(market, id));
        Ok((Outcome::Cancelled, 0))
    }

    pub(super) fn cancel_all(
        &mut self,
        all: &CancelAll,
        events: &mut Vec<Event>,
    ) -> Result<(Outcome, i128), Refusal> {
        let market = self.market_to_cancel_in(all.market)?.clone();
        if all.account.get() > self.limits.accounts_max {
            return Err(Refusal::UnknownAccount);
        }
        for (id, place, created_us) in market.standing() {
            let kind = match all.kinds {
                CancelKinds::All => true,
                CancelKinds::Resting => !market.waits(id),
                CancelKinds::Waiting => market.waits(id),
            };
            let in_time = all.created_until_us == 0 || created_us <= all.created_until_us;
            if place.account == all.account && kind && in_time {
                events.push(self.cancel_one(all.market, id));
            }
        }
        Ok((Outcome::Cancelled, 0))
    }

    fn market_to_cancel_in(&self, market: MarketId) -> Result<&NaiveMarket, Refusal> {
        let market = self.markets.get(&market).ok_or(Refusal::UnknownMarket)?;
        match market.state {
            BookState::Closed => Err(Refusal::MarketClosed),
            _ => Ok(market),
        }
    }

    fn cancel_one(&mut self, market: MarketId, id: OrderId) -> Event {
        let reason = ClosedReason::ByRequest;
        if !self.markets[&market].waits(id) {
            return self.close(market, id, reason);
        }
        let waiting = self.markets.get_mut(&market).unwrap().take_waiting(id);
        Event::Withdrawn(Withdrawn { waiting, reason })
    }

    pub(super) fn close(&mut self, market: MarketId, id: OrderId, reason: ClosedReason) -> Event {
        let book = self.markets.get_mut(&market).unwrap();
        let at = book.orders.iter().position(|order| order.id == id).unwrap();
        let order = book.orders.remove(at);
        let spec = book.spec.clone();
        let held = held_by(&spec, order.place.side, order.price, order.lots_left);
        *self.balance(order.place.account, spec.paid_asset(order.place.side)) += held;
        Event::Closed(order.closed(reason))
    }
}

impl super::NaiveOrder {
    pub(super) fn closed(&self, reason: ClosedReason) -> Closed {
        let OrderKind::Limit { post_only, .. } = self.place.kind else { panic!("a limit order") };
        Closed {
            order: self.id,
            account: self.place.account,
            client_id: self.place.client_id,
            side: self.place.side,
            time_in_force: self.place.time_in_force,
            self_trade_prevention: self.place.self_trade_prevention,
            post_only,
            reason,
            price: self.price,
            lots: self.lots,
            lots_left: self.lots_left,
            executed_quote: Units(self.executed_quote),
            created_us: self.created_us,
        }
    }

    /// As it rests.
    pub fn open(&self, market: MarketId) -> OpenOrder {
        OpenOrder {
            order: self.id,
            account: self.place.account,
            client_id: self.place.client_id,
            market,
            side: self.place.side,
            time_in_force: self.place.time_in_force,
            self_trade_prevention: self.place.self_trade_prevention,
            post_only: matches!(self.place.kind, OrderKind::Limit { post_only: true, .. }),
            price: self.price,
            lots: self.lots,
            lots_left: self.lots_left,
            executed_quote: Units(self.executed_quote),
            created_us: self.created_us,
        }
    }
}
