//! What a shard starts from: the state the replica has rebuilt from snapshot and journal.

use protocol::{
    AccountId, AssetId, BookState, LotTerms, OpenOrder, Price, PriceTerms, Sequence, TransferId,
    Units,
};

use serde::{Deserialize, Serialize};

use crate::digest::StateSum;
use crate::recognition::SenderState;

/// One market's book and counters. The default is a market that never saw a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarketState {
    /// All resting orders in the order in which they came to rest, which is their time priority.
    pub orders: Vec<OpenOrder>,
    /// Of each slot ever used, the generation of the last order in it.
    pub generations: Vec<u32>,
    /// Id of the last trade; 0 before the first.
    pub last_trade: u64,
    /// Of that trade.
    pub last_price: Option<Price>,
    /// The last frame on the market's event stream.
    pub previous: Option<Sequence>,
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
