//! An order as it stands: resting in a book, waiting for its trigger, or finished.

use crate::command::{OrderKind, Place};
use crate::event::{ClosedReason, Refusal};
use crate::ids::{AccountId, ClientId, MarketId, OrderId, Sequence};
use crate::trigger::{Triggered, WaitingOrder};
use crate::units::{Lots, Price, SelfTradePrevention, Side, TimeInForce, Units};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OpenOrder {
    pub order: OrderId,
    pub account: AccountId,
    pub client_id: Option<ClientId>,
    pub market: MarketId,
    pub side: Side,
    pub time_in_force: TimeInForce,
    pub self_trade_prevention: SelfTradePrevention,
    pub post_only: bool,
    pub price: Price,
    /// As placed.
    pub lots: Lots,
    pub lots_left: Lots,
    /// Quote units that its trades amounted to.
    pub executed_quote: Units,
    /// `time_us` of the command that placed it.
    pub created_us: u64,
}

impl OpenOrder {
    /// The order that was placed so; `None`: it cannot rest, since it has no limit price.
    #[inline]
    pub const fn of(
        place: &Place,
        order: OrderId,
        lots_left: Lots,
        executed_quote: Units,
        created_us: u64,
    ) -> Option<OpenOrder> {
        let OrderKind::Limit { price, lots, post_only } = place.kind else { return None };
        Some(OpenOrder {
            order,
            account: place.account,
            client_id: place.client_id,
            market: place.market,
            side: place.side,
            time_in_force: place.time_in_force,
            self_trade_prevention: place.self_trade_prevention,
            post_only,
            price,
            lots,
            lots_left,
            executed_quote,
            created_us,
        })
    }
}

/// An order that is open. One that waited and rests since then keeps how it came to do so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Standing {
    Rests(OpenOrder, Option<Triggered>),
    Waits(WaitingOrder),
}

impl Standing {
    pub const fn order(&self) -> OrderId {
        match self {
            Standing::Rests(open, _) => open.order,
            Standing::Waits(waiting) => waiting.order,
        }
    }

    pub const fn account(&self) -> AccountId {
        match self {
            Standing::Rests(open, _) => open.account,
            Standing::Waits(waiting) => waiting.place.account,
        }
    }

    pub const fn market(&self) -> MarketId {
        match self {
            Standing::Rests(open, _) => open.market,
            Standing::Waits(waiting) => waiting.place.market,
        }
    }

    pub const fn client_id(&self) -> Option<ClientId> {
        match self {
            Standing::Rests(open, _) => open.client_id,
            Standing::Waits(waiting) => waiting.place.client_id,
        }
    }

    /// `time_us` of the command that placed it.
    pub const fn created_us(&self) -> u64 {
        match self {
            Standing::Rests(open, _) => open.created_us,
            Standing::Waits(waiting) => waiting.created_us,
        }
    }

    /// The order in the book; `None` for one that waits.
    pub const fn resting(&self) -> Option<&OpenOrder> {
        match self {
            Standing::Rests(open, _) => Some(open),
            Standing::Waits(_) => None,
        }
    }
}

/// An order that rests or waits no more, or never did: filled, cancelled, expired or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FinishedOrder {
    pub order: OrderId,
    pub account: AccountId,
    pub client_id: Option<ClientId>,
    pub market: MarketId,
    pub side: Side,
    pub time_in_force: TimeInForce,
    pub self_trade_prevention: SelfTradePrevention,
    pub kind: OrderKind,
    /// How much it was when it ended; [`Lots::ZERO`] for one by quote.
    pub lots_left: Lots,
    pub executed: Lots,
    /// Quote units that its trades amounted to.
    pub executed_quote: Units,
    /// `None`: filled, or refused when it fired.
    pub reason: Option<ClosedReason>,
    /// Why it was refused when it fired.
    pub refusal: Option<Refusal>,
    /// Of an order that waited.
    pub triggered: Option<Triggered>,
    pub created_us: u64,
    /// The frame that ended it, and its time.
    pub ended: Sequence,
    pub ended_us: u64,
}
