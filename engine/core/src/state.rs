//! What a shard starts from: the state the replica has rebuilt from snapshot and journal.

use protocol::{
    AccountId, AssetId, BookState, LotTerms, Price, PriceTerms, Sequence, Standing, StreamCursor,
    TransferId, Units,
};

use serde::{Deserialize, Serialize};

use crate::cancel_after::{Deadline, Expiry};
use crate::digest::StateSum;
use crate::recognition::SenderState;
use crate::touched::Touched;

/// One market's book and counters. The default is a market that never saw a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarketState {
    /// All open orders in the order in which they came to rest or began to wait, which is their
    /// time priority.
    pub orders: Vec<Standing>,
    /// Of each slot ever used, the generation of the last order in it.
    pub generations: Vec<u32>,
    /// Id of the last trade; 0 before the first.
    pub last_trade: u64,
    pub touched: Option<Touched>,
    /// Of that trade.
    pub last_price: Option<Price>,
    /// The last frame on the market's event stream.
    pub previous: Option<Sequence>,
    /// Of the last command.
    pub cursor: StreamCursor,
    pub time_us: u64,
    pub book_state: BookState,
    pub senders: Vec<SenderState>,
    pub sum: StateSum,
    /// Those that the operator set while the market traded, and which win over the config's.
    pub price_terms: Option<PriceTerms>,
    pub lot_terms: Option<LotTerms>,
}

/// What the shard that owns the accounts stream knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountsState {
    /// Accounts 1 to this exist.
    pub accounts: u32,
    pub transfers: Vec<TransferRecord>,
    /// Deposits less withdrawals.
    pub supply: Vec<(AssetId, Units)>,
    pub deadlines: Vec<Deadline>,
    pub expiries: Vec<Expiry>,
    /// The last frame on the accounts event stream.
    pub previous: Option<Sequence>,
    pub senders: Vec<SenderState>,
    pub sum: StateSum,
}

/// A transfer that was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransferRecord {
    pub id: TransferId,
    pub sequence: Sequence,
    pub direction: Direction,
    pub account: AccountId,
    pub asset: AssetId,
    pub units: Units,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Direction {
    Deposit,
    Withdrawal,
}
