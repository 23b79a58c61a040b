//! Which updates of orders a frame causes, told from the frame and from the state before it.
//!
//! A frame has one order of its own, which is new, fires or is amended: what became of it is told
//! first, then each of its trades to both sides, and why it ended last. Other frames take orders
//! out. What a command was refused tells nobody anything.

use engine_core::replica::MarketReplica;
use protocol::account_json::{Fill, OrderEvent, OrderUpdate, ToldOrder};
use protocol::{
    AccountId, Action, Amend, Closed, ClosedReason, Event, Frame, Lots, OpenOrder, OrderId,
    OrderKind, OrderStatus, Outcome, Place, Standing, Trade, Trigger, Triggered, Units,
    WaitingOrder,
};

/// Who is told.
pub(super) trait Audience {
    fn hears(&self, account: AccountId) -> bool;
    fn tell(&mut self, account: AccountId, update: &OrderUpdate);
}

/// Tells everybody who hears it what `frame` does to his orders. `market` is the frame's, before
/// the frame is applied.
pub(super) fn tell(market: &MarketReplica, frame: &Frame<'_>, audience: &mut impl Audience) {
    if !frame.is_effective() {
        return;
    }
    let (outcome, mut telling) = (frame.header.outcome, Telling { market, frame, audience });
    match (&frame.command.action, outcome) {
        (Action::PlaceTrigger(placed), Outcome::Waits { order, .. }) => {
            let told = placed_order(order, &placed.place, Some(placed.trigger));
            telling.one(placed.place.account, OrderEvent::TriggerPlaced, told);
        }
        (Action::Fire(waiting), Outcome::TriggerFailed { .. }) => {
            telling.one(waiting.place.account, OrderEvent::TriggerFailed, waiting_order(waiting));
        }
        (Action::Fire(waiting), _) => {
            let account = waiting.place.account;
            telling.entering(account, OrderEvent::Accepted, waiting_order(waiting));
        }
        (Action::Place(place), _) => {
            if let Some(order) = outcome.order() {
                let told = placed_order(order, place, None);
                telling.entering(place.account, OrderEvent::Accepted, told);
            }
        }
        (Action::Amend(amend), _) => telling.amended(amend),
        (Action::Cancel { .. } | Action::CancelAll(_), _) => telling.cancelled(),
        _ => {}
    }
}

struct Telling<'a, A> {
    market: &'a MarketReplica,
    frame: &'a Frame<'a>,
    audience: &'a mut A,
}

impl<A: Audience> Telling<'_, A> {
    fn one(&mut self, account: AccountId, event: OrderEvent, order: ToldOrder) {
        if self.audience.hears(account) {
            let status = status_after(event, &order);
            self.audience.tell(account, &OrderUpdate { event, status, order });
        }
    }

    fn cancelled(&mut self) {
        for event in self.frame.events() {
            let (account, told) = match event {
                Event::Closed(closed) => (closed.account, self.closed_order(&closed)),
                Event::Withdrawn(withdrawn) => {
                    (withdrawn.waiting.place.account, waiting_order(&withdrawn.waiting))
                }
                Event::Trade(_) => continue,
            };
            self.one(account, OrderEvent::Cancelled, told);
        }
    }

    fn amended(&mut self, amend: &Amend) {
        match self.frame.events().next() {
            Some(Event::Closed(before)) => {
                let place = amend.of_resting(&before);
                let told = self.closed_order(&before);
                let told = ToldOrder { kind: place.kind, ..told };
                self.entering(amend.account, OrderEvent::Modified, told);
            }
            Some(Event::Withdrawn(withdrawn)) => {
                let before = waiting_order(&withdrawn.waiting);
                if let Some(kind) = amend.of_waiting(before.kind) {
                    let told = ToldOrder { kind, ..before };
                    if self.audience.hears(amend.account) {
                        let (event, status) = (OrderEvent::Modified, OrderStatus::TriggerPending);
                        let update = OrderUpdate { event, status, order: told };
                        self.audience.tell(amend.account, &update);
                    }
                }
            }
            Some(Event::Trade(_)) | None => {}
        }
    }

    /// The frame's own order goes to market.
    fn entering(&mut self, account: AccountId, opening: OrderEvent, told: ToldOrder) {
        self.one(account, opening, told);
        let (mut told, outcome) = (told, self.frame.header.outcome);
        let mut trades_left = self.frame.trades().count();
        for event in self.frame.events() {
            match event {
                Event::Trade(trade) => {
                    trades_left -= 1;
                    let fills = matches!(outcome, Outcome::Filled { .. }) && trades_left == 0;
                    self.traded(account, &mut told, &trade, fills);
                }
                Event::Closed(closed) if closed.reason != ClosedReason::Amended => {
                    let (order, event) =
                        (self.closed_order(&closed), OrderEvent::Expired(closed.reason));
                    self.one(closed.account, event, order);
                }
                Event::Closed(_) | Event::Withdrawn(_) => {}
            }
        }
        if let Outcome::Expired { reason, .. } = outcome {
            self.one(account, OrderEvent::Expired(reason), told);
        }
    }

    /// `told` is the taker's order, which `fills_taker` or not.
    fn traded(&mut self, taker: AccountId, told: &mut ToldOrder, trade: &Trade, fills_taker: bool) {
        let Trade { id, price, lots, .. } = *trade;
        let notional = self.market.spec().notional(price, lots).unwrap_or_default();
        let mut fill = Fill { trade: id, price, lots, is_maker: false, fee: trade.taker_fee };
        told.executed = plus(told.executed, lots);
        told.executed_quote = Units(told.executed_quote.0.saturating_add(notional.0));
        self.filled(taker, fill, *told, fills_taker);
        let maker = trade.maker_account;
        if !self.audience.hears(maker) {
            return;
        }
        // A maker stands in one trade of a frame at most: either it is used up, or the taker is
        // content. So it stands as it did before the frame.
        let Some(Standing::Rests(open, triggered)) =
            self.market.orders().standing(trade.maker_order)
        else {
            return;
        };
        let mut told = open_order(open, *triggered);
        told.executed = plus(told.executed, lots);
        told.executed_quote = Units(told.executed_quote.0.saturating_add(notional.0));
        (fill.is_maker, fill.fee) = (true, trade.maker_fee);
        self.filled(maker, fill, told, trade.maker_lots_left.is_zero());
    }

    fn filled(&mut self, account: AccountId, fill: Fill, order: ToldOrder, is_filled: bool) {
        if self.audience.hears(account) {
            let event = OrderEvent::Fill(fill);
            let status = if is_filled { OrderStatus::Filled } else { OrderStatus::PartiallyFilled };
            self.audience.tell(account, &OrderUpdate { event, status, order });
        }
    }

    /// The frame does not say what such an order waited for; the state before it does.
    fn closed_order(&self, closed: &Closed) -> ToldOrder {
        let trigger = match self.market.orders().standing(closed.order) {
            Some(Standing::Rests(_, triggered)) => triggered.map(|triggered| triggered.trigger),
            Some(Standing::Waits(_)) | None => None,
        };
        let Closed { price, lots, post_only, .. } = *closed;
        ToldOrder {
            order: closed.order,
            client_id: closed.client_id,
            side: closed.side,
            kind: OrderKind::Limit { price, lots, post_only },
            time_in_force: closed.time_in_force,
            self_trade_prevention: closed.self_trade_prevention,
            trigger,
            executed: closed.lots.checked_sub(closed.lots_left).unwrap_or_default(),
            executed_quote: closed.executed_quote,
        }
    }
}

/// Of an event that says no more about it by itself.
fn status_after(event: OrderEvent, order: &ToldOrder) -> OrderStatus {
    match event {
        OrderEvent::Accepted => OrderStatus::New,
        OrderEvent::Fill(_) => OrderStatus::PartiallyFilled,
        OrderEvent::Modified if order.executed.is_zero() => OrderStatus::New,
        OrderEvent::Modified => OrderStatus::PartiallyFilled,
        OrderEvent::Cancelled => OrderStatus::Cancelled,
        OrderEvent::Expired(_) => OrderStatus::Expired,
        OrderEvent::TriggerPlaced => OrderStatus::TriggerPending,
        OrderEvent::TriggerFailed => OrderStatus::TriggerFailed,
    }
}

fn placed_order(order: OrderId, place: &Place, trigger: Option<Trigger>) -> ToldOrder {
    ToldOrder {
        order,
        client_id: place.client_id,
        side: place.side,
        kind: place.kind,
        time_in_force: place.time_in_force,
        self_trade_prevention: place.self_trade_prevention,
        trigger,
        executed: Lots::ZERO,
        executed_quote: Units::ZERO,
    }
}

fn waiting_order(waiting: &WaitingOrder) -> ToldOrder {
    placed_order(waiting.order, &waiting.place, Some(waiting.trigger))
}

fn open_order(open: &OpenOrder, triggered: Option<Triggered>) -> ToldOrder {
    let OpenOrder { price, lots, post_only, .. } = *open;
    ToldOrder {
        order: open.order,
        client_id: open.client_id,
        side: open.side,
        kind: OrderKind::Limit { price, lots, post_only },
        time_in_force: open.time_in_force,
        self_trade_prevention: open.self_trade_prevention,
        trigger: triggered.map(|triggered| triggered.trigger),
        executed: open.lots.checked_sub(open.lots_left).unwrap_or_default(),
        executed_quote: open.executed_quote,
    }
}

fn plus(lots: Lots, more: Lots) -> Lots {
    Lots(lots.0.saturating_add(more.0))
}
