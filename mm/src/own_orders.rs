//! The market maker's open orders, as far as it knows.
//!
//! Replies tell what its own commands did. What others did to its orders it learns from asking the
//! replica, whose answer contains every frame up to a sequence number: what a reply said at a later
//! number stands, everything else gives way to the answer.

use std::collections::HashMap;

use protocol::{
    AccountId, Action, Event, Frame, Lots, MarketId, OpenOrder, OrderId, OrderKind, Outcome,
    Sequence, Side,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnOrder {
    pub account: AccountId,
    pub side: Side,
    pub lots_left: Lots,
    pub created_us: u64,
    /// A cancel is on its way.
    pub cancelling: bool,
    /// The latest frame that is known to have changed it.
    changed: Sequence,
}

#[derive(Debug, Default)]
pub struct OwnOrders {
    open: HashMap<OrderId, OwnOrder>,
    /// Left the book by this frame, which the next answer may not contain yet.
    closed: HashMap<OrderId, (AccountId, Sequence)>,
}

impl OwnOrders {
    /// Applies a reply of one of `accounts`.
    pub fn hear(&mut self, frame: &Frame<'_>, is_own: impl Fn(AccountId) -> bool) {
        let sequence = frame.header.sequence;
        for event in frame.events() {
            match event {
                Event::Closed(closed) if is_own(closed.account) => {
                    self.close(closed.order, closed.account, sequence);
                }
                Event::Trade(trade) if is_own(trade.maker_account) => {
                    if trade.maker_lots_left.is_zero() {
                        self.close(trade.maker_order, trade.maker_account, sequence);
                    } else if let Some(order) = self.open.get_mut(&trade.maker_order) {
                        order.lots_left = trade.maker_lots_left;
                        order.changed = sequence;
                    }
                }
                Event::Closed(_) | Event::Trade(_) | Event::Withdrawn(_) => (),
            }
        }
        if let (Outcome::Rested { order, lots_left }, Action::Place(place)) =
            (frame.header.outcome, &frame.command.action)
            && matches!(place.kind, OrderKind::Limit { .. })
            && is_own(place.account)
            && !self.closed.contains_key(&order)
        {
            let own = OwnOrder {
                account: place.account,
                side: place.side,
                lots_left,
                created_us: frame.command.time_us,
                cancelling: false,
                changed: sequence,
            };
            self.open.insert(order, own);
        }
    }

    /// Takes over the replica's list of all open orders of `account` at `sequence`.
    pub fn reconcile(&mut self, account: AccountId, sequence: Sequence, listed: &[OpenOrder]) {
        self.closed.retain(|_, (owner, closed)| *owner != account || sequence < *closed);
        self.open.retain(|id, order| {
            let is_later = sequence < order.changed;
            order.account != account || is_later || listed.iter().any(|it| it.order == *id)
        });
        for order in listed.iter().filter(|order| order.account == account) {
            if self.closed.contains_key(&order.order) {
                continue;
            }
            let listed = OwnOrder {
                account,
                side: order.side,
                lots_left: order.lots_left,
                created_us: order.created_us,
                cancelling: false,
                changed: sequence,
            };
            let own = self.open.entry(order.order).or_insert(listed);
            if own.changed <= sequence {
                *own = OwnOrder { cancelling: own.cancelling, ..listed };
            }
        }
    }

    pub fn count(&self, market: MarketId) -> usize {
        self.open.keys().filter(|id| id.market() == market).count()
    }

    /// The oldest order of `market`, on `side` if given, that is not being cancelled; from now on
    /// it is.
    pub fn cancel_oldest(
        &mut self,
        market: MarketId,
        side: Option<Side>,
    ) -> Option<(OrderId, AccountId)> {
        let fits = |id: &OrderId, order: &OwnOrder| {
            id.market() == market && !order.cancelling && side.is_none_or(|side| order.side == side)
        };
        let (id, order) = self
            .open
            .iter_mut()
            .filter(|(id, order)| fits(id, order))
            .min_by_key(|(id, order)| (order.created_us, **id))?;
        order.cancelling = true;
        Some((*id, order.account))
    }

    /// A cancel found nothing, or got lost.
    pub fn cancel_failed(&mut self, id: OrderId, is_gone: bool) {
        if is_gone {
            self.open.remove(&id);
        } else if let Some(order) = self.open.get_mut(&id) {
            order.cancelling = false;
        }
    }

    pub fn get(&self, id: OrderId) -> Option<&OwnOrder> {
        self.open.get(&id)
    }

    /// The engine started anew: its numbers may too. What is open is learned by asking.
    pub fn forget_sequences(&mut self) {
        self.closed.clear();
        for order in self.open.values_mut() {
            (order.changed, order.cancelling) = (Sequence(0), false);
        }
    }

    fn close(&mut self, id: OrderId, account: AccountId, sequence: Sequence) {
        self.open.remove(&id);
        self.closed.insert(id, (account, sequence));
    }
}
