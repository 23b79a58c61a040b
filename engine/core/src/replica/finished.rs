//! The latest orders of one market that rest no more, or never did.

use std::collections::VecDeque;

use protocol::{
    AccountId, ClosedReason, FinishedOrder, Frame, Lots, OpenOrder, OrderId, OrderKind, Place,
    Refusal, Triggered, Units, WaitingOrder,
};

use super::market::Entrant;

/// Kept of each market. What is older is the database's.
const FINISHED_MAX: usize = 10_000;

#[derive(Clone, Debug, Default)]
pub struct FinishedOrders {
    /// As they ended.
    latest: VecDeque<FinishedOrder>,
}

impl FinishedOrders {
    /// A resting order left the book by `frame`; `reason` is `None` when it was filled.
    pub(super) fn left(
        &mut self,
        frame: &Frame<'_>,
        order: &OpenOrder,
        reason: Option<ClosedReason>,
        triggered: Option<Triggered>,
    ) {
        let OpenOrder { price, lots, post_only, lots_left, .. } = *order;
        self.push(FinishedOrder {
            order: order.order,
            account: order.account,
            client_id: order.client_id,
            market: order.market,
            side: order.side,
            time_in_force: order.time_in_force,
            self_trade_prevention: order.self_trade_prevention,
            kind: OrderKind::Limit { price, lots, post_only },
            lots_left,
            executed: Lots(lots.0 - lots_left.0),
            executed_quote: order.executed_quote,
            reason,
            refusal: None,
            triggered,
            created_us: order.created_us,
            ended: frame.header.sequence,
            ended_us: frame.command.time_us,
        });
    }

    /// The frame's own order does not rest.
    pub(super) fn done(
        &mut self,
        frame: &Frame<'_>,
        entrant: &Entrant<'_>,
        executed: (Lots, Units),
        left: (Lots, Option<ClosedReason>),
    ) {
        let Entrant { place, order, created_us, triggered, .. } = *entrant;
        self.push(FinishedOrder {
            lots_left: left.0,
            executed: executed.0,
            executed_quote: executed.1,
            reason: left.1,
            triggered,
            ..unexecuted(frame, order, place, created_us)
        });
    }

    /// A waiting order was cancelled.
    pub(super) fn withdrawn(
        &mut self,
        frame: &Frame<'_>,
        waiting: &WaitingOrder,
        reason: ClosedReason,
        triggered: Triggered,
    ) {
        self.push(FinishedOrder {
            reason: Some(reason),
            triggered: Some(triggered),
            ..unexecuted(frame, waiting.order, &waiting.place, waiting.created_us)
        });
    }

    /// A waiting order fired and was refused.
    pub(super) fn failed(
        &mut self,
        frame: &Frame<'_>,
        waiting: &WaitingOrder,
        refusal: Refusal,
        triggered: Triggered,
    ) {
        self.push(FinishedOrder {
            refusal: Some(refusal),
            triggered: Some(triggered),
            ..unexecuted(frame, waiting.order, &waiting.place, waiting.created_us)
        });
    }

    pub(super) fn push(&mut self, order: FinishedOrder) {
        if self.latest.len() == FINISHED_MAX {
            self.latest.pop_front();
        }
        self.latest.push_back(order);
    }

    /// As they ended, the earliest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &FinishedOrder> + '_ {
        self.latest.iter()
    }

    /// Those of the account, the latest first.
    pub fn of_account(&self, account: AccountId) -> impl Iterator<Item = &FinishedOrder> + '_ {
        self.latest.iter().rev().filter(move |order| order.account == account)
    }
}

/// An order that `frame` ended and that did not trade.
fn unexecuted(frame: &Frame<'_>, order: OrderId, place: &Place, created_us: u64) -> FinishedOrder {
    FinishedOrder {
        order,
        account: place.account,
        client_id: place.client_id,
        market: place.market,
        side: place.side,
        time_in_force: place.time_in_force,
        self_trade_prevention: place.self_trade_prevention,
        kind: place.kind,
        lots_left: match place.kind {
            OrderKind::Limit { lots, .. } | OrderKind::MarketByLots { lots } => lots,
            OrderKind::MarketByQuote { .. } => Lots::ZERO,
        },
        executed: Lots::ZERO,
        executed_quote: Units::ZERO,
        reason: None,
        refusal: None,
        triggered: None,
        created_us,
        ended: frame.header.sequence,
        ended_us: frame.command.time_us,
    }
}
