//! An order that rests in a book.

use crate::ids::{AccountId, ClientId, MarketId, OrderId};
use crate::units::{Lots, Price, SelfTradePrevention, Side, TimeInForce, Units};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "json", derive(serde::Serialize, serde::Deserialize))]
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
