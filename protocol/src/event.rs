//! What the engine decided, and what came of it.

use crate::ids::{AccountId, ClientId, OrderId, Sequence, TradeId};
use crate::trigger::{TriggerDirection, Withdrawn};
use crate::units::{Lots, Price, SelfTradePrevention, Side, TimeInForce, Units};

/// The decision on one command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The order stands in the book with what did not trade at once.
    Rested {
        order: OrderId,
        lots_left: Lots,
    },
    /// A limit or market order by lots traded whole; one by quote as far as whole lots allow.
    Filled {
        order: OrderId,
    },
    /// What did not trade at once was dropped. `lots_left` is 0 for an order by quote.
    Expired {
        order: OrderId,
        lots_left: Lots,
        reason: ClosedReason,
    },
    /// The order waits for the last price to go that way.
    Waits {
        order: OrderId,
        direction: TriggerDirection,
    },
    /// The order fired and was refused; it waits no more.
    TriggerFailed {
        order: OrderId,
        refusal: Refusal,
    },
    /// Cancel and cancel all: the orders taken out are the frame's [`Closed`] and [`Withdrawn`]
    /// events.
    Cancelled,
    AccountCreated {
        account: AccountId,
    },
    Transferred,
    /// A transfer that was carried out before, by the frame named; nothing happened now.
    Repeated {
        first: Sequence,
    },
    /// Nothing happened.
    Refused(Refusal),
    /// The command had come before and was decided by the frame named; nothing happened now.
    Recognised {
        first: Sequence,
    },
    BookStateSet,
    /// 0: there is no time at which orders are cancelled.
    CancelAfterSet {
        deadline_us: u64,
    },
    CancelAfterExpired,
    MarketListed,
    TermsSet,
}

impl Outcome {
    /// The order that was placed, amended or fired; `None` for anything else and for refusals.
    pub const fn order(&self) -> Option<OrderId> {
        match *self {
            Outcome::Rested { order, .. }
            | Outcome::Filled { order }
            | Outcome::Expired { order, .. }
            | Outcome::Waits { order, .. }
            | Outcome::TriggerFailed { order, .. } => Some(order),
            Outcome::Cancelled
            | Outcome::AccountCreated { .. }
            | Outcome::Transferred
            | Outcome::Repeated { .. }
            | Outcome::Refused(_)
            | Outcome::Recognised { .. }
            | Outcome::BookStateSet
            | Outcome::CancelAfterSet { .. }
            | Outcome::CancelAfterExpired
            | Outcome::MarketListed
            | Outcome::TermsSet => None,
        }
    }
}

/// Why a command was refused. The numbers are part of the journal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum Refusal {
    InsufficientFunds = 1,
    PostOnlyWouldTake = 2,
    OrderNotFound = 3,
    UnknownMarket = 4,
    UnknownAccount = 5,
    UnknownAsset = 6,
    PriceOutOfRange = 7,
    LotsOutOfRange = 8,
    /// Price times quantity, or an amount, beyond what the exchange can count.
    AmountOutOfRange = 9,
    /// The account has as many open orders in the market as it may.
    TooManyOpenOrders = 10,
    /// The market's preallocated memory is used up.
    BookFull = 11,
    /// Post-only with IOC or FOK or on a market order.
    PostOnlyNotAllowed = 12,
    /// The ingress read it after `valid_until_us`.
    TooLate = 13,
    /// The same transfer id with another content.
    TransferConflict = 14,
    /// A deposit that would bring an asset's supply above what balances can count.
    SupplyExceeded = 15,
    TooManyAccounts = 16,
    /// So old that nobody knows any more whether it came before: it is not carried out now.
    Stale = 17,
    /// Commands of more gateways have come than can be told apart.
    TooManyGateways = 18,
    /// The market takes nothing but cancels.
    CancelOnly = 19,
    /// The market takes nothing.
    MarketClosed = 20,
    /// The market takes no market orders.
    LimitOnly = 21,
    /// The market takes post-only limit orders alone.
    PostOnlyMarket = 22,
    /// A limit price too far from the last price.
    OutsidePriceBand = 23,
    /// An order amended to no more than what has traded of it.
    AlreadyExecuted = 24,
    /// The time at which orders are to be cancelled has been moved or has not come.
    NotDue = 25,
    /// Another market has this id, base and quote, or both.
    MarketExists = 26,
    /// A listing or terms that no market can have.
    TermsInvalid = 27,
    /// The engine has no memory for one more market.
    TooManyMarkets = 28,
    /// As many fan-outs as may hold a switch of one account.
    TooManyHolders = 29,
}

/// Why an order left the book, or never came to rest. The numbers are part of the journal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[repr(u8)]
pub enum ClosedReason {
    ByRequest = 1,
    ImmediateOrCancel = 2,
    FillOrKill = 3,
    SelfTradePrevention = 4,
    InsufficientLiquidity = 5,
    /// One command may cause only so many trades; the rest of it is dropped.
    TradesLimit = 6,
    /// It goes on as the frame's own order, as amended.
    Amended = 7,
    /// A market order came to the price beyond which it may not eat.
    PriceImpact = 8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Trade(Trade),
    Closed(Closed),
    Withdrawn(Withdrawn),
}

/// One maker and the frame's order exchanging lots at the maker's price.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trade {
    pub id: TradeId,
    pub maker_account: AccountId,
    pub maker_order: OrderId,
    /// The maker is on the other side.
    pub taker_side: Side,
    pub price: Price,
    pub lots: Lots,
    /// In units of what the maker receives: base for a bid, quote for an ask.
    pub maker_fee: Units,
    /// In units of what the taker receives.
    pub taker_fee: Units,
    /// Zero when this trade filled the maker.
    pub maker_lots_left: Lots,
}

/// A resting order that left the book without trading, as it then stood; what it held is released.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed {
    pub order: OrderId,
    pub account: AccountId,
    pub client_id: Option<ClientId>,
    pub side: Side,
    pub time_in_force: TimeInForce,
    pub self_trade_prevention: SelfTradePrevention,
    pub post_only: bool,
    pub reason: ClosedReason,
    pub price: Price,
    /// As placed.
    pub lots: Lots,
    pub lots_left: Lots,
    /// Quote units that its trades amounted to.
    pub executed_quote: Units,
    /// `time_us` of the command that placed it.
    pub created_us: u64,
}

impl Refusal {
    pub const ALL: [Refusal; 29] = [
        Refusal::InsufficientFunds,
        Refusal::PostOnlyWouldTake,
        Refusal::OrderNotFound,
        Refusal::UnknownMarket,
        Refusal::UnknownAccount,
        Refusal::UnknownAsset,
        Refusal::PriceOutOfRange,
        Refusal::LotsOutOfRange,
        Refusal::AmountOutOfRange,
        Refusal::TooManyOpenOrders,
        Refusal::BookFull,
        Refusal::PostOnlyNotAllowed,
        Refusal::TooLate,
        Refusal::TransferConflict,
        Refusal::SupplyExceeded,
        Refusal::TooManyAccounts,
        Refusal::Stale,
        Refusal::TooManyGateways,
        Refusal::CancelOnly,
        Refusal::MarketClosed,
        Refusal::LimitOnly,
        Refusal::PostOnlyMarket,
        Refusal::OutsidePriceBand,
        Refusal::AlreadyExecuted,
        Refusal::NotDue,
        Refusal::MarketExists,
        Refusal::TermsInvalid,
        Refusal::TooManyMarkets,
        Refusal::TooManyHolders,
    ];
}

impl ClosedReason {
    pub const ALL: [ClosedReason; 8] = [
        ClosedReason::ByRequest,
        ClosedReason::ImmediateOrCancel,
        ClosedReason::FillOrKill,
        ClosedReason::SelfTradePrevention,
        ClosedReason::InsufficientLiquidity,
        ClosedReason::TradesLimit,
        ClosedReason::Amended,
        ClosedReason::PriceImpact,
    ];
}
