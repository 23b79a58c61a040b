//! An order as it stands: resting in a book, or finished.

use crate::command::{OrderKind, Place};
use crate::event::ClosedReason;
use crate::ids::{AccountId, ClientId, MarketId, OrderId, Sequence};
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

/// An order that rests no more, or never did: filled, cancelled or expired.
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
    /// `None`: filled.
    pub reason: Option<ClosedReason>,
    pub created_us: u64,
    /// The frame that ended it, and its time.
    pub ended: Sequence,
    pub ended_us: u64,
}
