//! What can be asked of the engine.

use crate::ids::{AccountId, AssetId, ClientId, MarketId, OrderId, Origin, TransferId};
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
    CancelAll {
        market: MarketId,
        account: AccountId,
    },
    CreateAccount,
    Deposit(Transfer),
    Withdraw(Transfer),
    /// By the operator, or by the engine when its books do not add up.
    SetBookState {
        market: MarketId,
        state: BookState,
    },
}

/// A new order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

/// A deposit or a withdrawal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Transfer {
    pub account: AccountId,
    pub asset: AssetId,
    pub units: Units,
    pub id: TransferId,
}

impl Command {
    /// The stream it belongs to.
    pub const fn market(&self) -> MarketId {
        match self.action {
            Action::Place(Place { market, .. })
            | Action::Cancel { market, .. }
            | Action::CancelAll { market, .. }
            | Action::SetBookState { market, .. } => market,
            Action::CreateAccount | Action::Deposit(_) | Action::Withdraw(_) => MarketId::ACCOUNTS,
        }
    }

    pub const fn account(&self) -> Option<AccountId> {
        match self.action {
            Action::Place(Place { account, .. })
            | Action::Cancel { account, .. }
            | Action::CancelAll { account, .. }
            | Action::Deposit(Transfer { account, .. })
            | Action::Withdraw(Transfer { account, .. }) => Some(account),
            Action::CreateAccount | Action::SetBookState { .. } => None,
        }
    }
}
