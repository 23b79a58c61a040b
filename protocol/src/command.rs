//! What can be asked of the engine.

use crate::event::Closed;
use crate::ids::{AccountId, AssetId, ClientId, GatewayId, MarketId, OrderId, Origin, TransferId};
use crate::terms::{Listing, LotTerms, PriceTerms};
use crate::trigger::{TriggerPlace, WaitingOrder};
use crate::units::{BookState, Lots, Price, SelfTradePrevention, Side, TimeInForce, Units};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Command {
    pub origin: Origin,
    /// Microseconds since the epoch, stamped by the ingress: the only clock a shard knows. Zero on
    /// the way there.
    pub time_us: u64,
    pub action: Action,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    Place(Place),
    Cancel {
        market: MarketId,
        account: AccountId,
        target: Target,
    },
    CancelAll(CancelAll),
    /// An order that is to wait for its trigger.
    PlaceTrigger(TriggerPlace),
    /// Changes an open order; what it then crosses it trades.
    Amend(Amend),
    /// By the shard itself, when the last price has reached the order's trigger. Its origin is
    /// [`Origin::INTERNAL`].
    Fire(WaitingOrder),
    CreateAccount,
    Deposit(Transfer),
    Withdraw(Transfer),
    /// All open orders of the account are to be cancelled after this time unless its holder says it
    /// again; 0 switches that off. Holders do not touch each other's times.
    SetCancelAfter {
        account: AccountId,
        /// The fan-out that holds it while sockets live, or [`Action::OWN_SWITCH`]: the account.
        holder: GatewayId,
        timeout_ms: u32,
    },
    /// By the engine, when that time has come: nothing happens if it was moved meanwhile. A fan-out
    /// says 0 when a socket has closed: its time has come now, whether it had set one or not.
    ExpireCancelAfter {
        account: AccountId,
        holder: GatewayId,
        deadline_us: u64,
    },
    /// A new market, by the operator.
    ListMarket(Listing),
    SetPriceTerms {
        market: MarketId,
        terms: PriceTerms,
    },
    SetLotTerms {
        market: MarketId,
        terms: LotTerms,
    },
    /// By the operator, or by the engine when its books do not add up.
    SetBookState {
        market: MarketId,
        state: BookState,
    },
}

/// A new order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Place {
    pub market: MarketId,
    pub account: AccountId,
    pub side: Side,
    pub kind: OrderKind,
    /// Of no effect on a market order, and repeated in its answer.
    pub time_in_force: TimeInForce,
    pub self_trade_prevention: SelfTradePrevention,
    pub client_id: Option<ClientId>,
    /// Refused when the ingress reads it later than this; 0 = no bound.
    pub valid_until_us: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum OrderKind {
    Limit {
        price: Price,
        lots: Lots,
        post_only: bool,
    },
    MarketByLots {
        lots: Lots,
    },
    /// The most quote to spend (bid) or, before the fee, to receive (ask).
    MarketByQuote {
        quote: Units,
    },
}

/// How a client names an order of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Target {
    Order(OrderId),
    /// The newest open order of the account in this market with this client id.
    Client(ClientId),
}

/// Cancels the open orders of an account in one market.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CancelAll {
    pub market: MarketId,
    pub account: AccountId,
    pub kinds: CancelKinds,
    /// Only orders placed at this time or before it; 0 = no bound.
    pub created_until_us: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum CancelKinds {
    All = 0,
    /// Those in the book.
    Resting = 1,
    /// Those that wait for a trigger.
    Waiting = 2,
}

impl CancelKinds {
    pub const ALL: [CancelKinds; 3] =
        [CancelKinds::All, CancelKinds::Resting, CancelKinds::Waiting];
}

/// A change of an open order. It keeps its place in the queue only if its price stays and what is
/// left of it does not grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Amend {
    pub market: MarketId,
    pub account: AccountId,
    pub target: Target,
    /// The new limit price; `None`: as it is.
    pub price: Option<Price>,
    /// The new quantity as a whole, what has traded included; `None`: as it is.
    pub lots: Option<Lots>,
    /// Refused when the ingress reads it later than this; 0 = no bound. In whole milliseconds.
    pub valid_until_us: u64,
}

impl Amend {
    /// A resting order, told as it stood, as it is to be from here on. Its bound is none.
    pub fn of_resting(&self, before: &Closed) -> Place {
        let kind = OrderKind::Limit {
            price: self.price.unwrap_or(before.price),
            lots: self.lots.unwrap_or(before.lots),
            post_only: before.post_only,
        };
        Place {
            market: before.order.market(),
            account: before.account,
            side: before.side,
            kind,
            time_in_force: before.time_in_force,
            self_trade_prevention: before.self_trade_prevention,
            client_id: before.client_id,
            valid_until_us: 0,
        }
    }

    /// What a waiting order is to be; `None`: its kind has no price, or no lots, to be changed.
    pub fn of_waiting(&self, before: OrderKind) -> Option<OrderKind> {
        match before {
            OrderKind::Limit { price, lots, post_only } => Some(OrderKind::Limit {
                price: self.price.unwrap_or(price),
                lots: self.lots.unwrap_or(lots),
                post_only,
            }),
            OrderKind::MarketByLots { lots } if self.price.is_none() => {
                Some(OrderKind::MarketByLots { lots: self.lots.unwrap_or(lots) })
            }
            OrderKind::MarketByQuote { .. } if self.price.is_none() && self.lots.is_none() => {
                Some(before)
            }
            OrderKind::MarketByLots { .. } | OrderKind::MarketByQuote { .. } => None,
        }
    }
}

/// A deposit or a withdrawal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transfer {
    pub account: AccountId,
    pub asset: AssetId,
    pub units: Units,
    pub id: TransferId,
}

impl Action {
    /// The holder of the dead man's switch that an account sets for itself; no fan-out has it.
    pub const OWN_SWITCH: GatewayId = GatewayId::ENGINE;

    /// Every open order of the account in the market, of every kind and time.
    pub const fn cancel_all(market: MarketId, account: AccountId) -> Action {
        let kinds = CancelKinds::All;
        Action::CancelAll(CancelAll { market, account, kinds, created_until_us: 0 })
    }
}

impl Command {
    /// The stream it belongs to.
    pub const fn market(&self) -> MarketId {
        match self.action {
            Action::Place(Place { market, .. })
            | Action::PlaceTrigger(TriggerPlace { place: Place { market, .. }, .. })
            | Action::Fire(WaitingOrder { place: Place { market, .. }, .. })
            | Action::Amend(Amend { market, .. })
            | Action::Cancel { market, .. }
            | Action::CancelAll(CancelAll { market, .. })
            | Action::SetPriceTerms { market, .. }
            | Action::SetLotTerms { market, .. }
            | Action::SetBookState { market, .. } => market,
            Action::CreateAccount
            | Action::Deposit(_)
            | Action::Withdraw(_)
            | Action::SetCancelAfter { .. }
            | Action::ExpireCancelAfter { .. }
            | Action::ListMarket(_) => MarketId::ACCOUNTS,
        }
    }

    pub const fn account(&self) -> Option<AccountId> {
        match self.action {
            Action::Place(Place { account, .. })
            | Action::PlaceTrigger(TriggerPlace { place: Place { account, .. }, .. })
            | Action::Fire(WaitingOrder { place: Place { account, .. }, .. })
            | Action::Amend(Amend { account, .. })
            | Action::Cancel { account, .. }
            | Action::CancelAll(CancelAll { account, .. })
            | Action::SetCancelAfter { account, .. }
            | Action::ExpireCancelAfter { account, .. }
            | Action::Deposit(Transfer { account, .. })
            | Action::Withdraw(Transfer { account, .. }) => Some(account),
            Action::CreateAccount
            | Action::SetBookState { .. }
            | Action::ListMarket(_)
            | Action::SetPriceTerms { .. }
            | Action::SetLotTerms { .. } => None,
        }
    }
}
