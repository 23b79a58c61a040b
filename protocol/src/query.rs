//! Questions to the replica and its answers, as JSON on Redis; integers as in the engine.

use serde::{Deserialize, Serialize};

use crate::command::Target;
use crate::conservation::Conservation;
use crate::ids::{AccountId, AssetId, GatewayId, MarketId, OrderId, Sequence, TradeId};
use crate::order::{FinishedOrder, Standing};
use crate::units::{BookState, Lots, Price, Side, Units};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Query {
    /// The asker's own number, repeated in the answer.
    pub id: u64,
    /// Whose reply channel the answer goes to.
    pub gateway: GatewayId,
    /// A random number of the asking process, so that it knows the answers to its own questions.
    pub life: u64,
    /// The answer is not older than this.
    pub min_sequence: Sequence,
    /// After this the asker has gone; the query is dropped unanswered.
    pub deadline_us: u64,
    pub ask: Ask,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ask {
    Balances {
        account: AccountId,
    },
    Order {
        account: AccountId,
        market: MarketId,
        target: Target,
    },
    /// All open orders, or those of one market: those that rest and those that wait.
    OpenOrders {
        account: AccountId,
        market: Option<MarketId>,
    },
    /// At most `levels` a side.
    Depth {
        market: MarketId,
        levels: u32,
    },
    /// What leads to the book as it is from any moment behind that update of it. A number that no
    /// update has gives just where the book stands.
    DepthSince {
        market: MarketId,
        after: u64,
    },
    /// Rolling statistics of one market, or of all.
    Tickers {
        market: Option<MarketId>,
        window: Window,
    },
    /// Whether the account exists.
    Account {
        account: AccountId,
    },
    /// Orders of the account that ended lately, of one market or of all, the latest first: of each
    /// market named in `after` only those that ended behind that frame.
    FinishedOrders {
        account: AccountId,
        market: Option<MarketId>,
        after: Vec<(MarketId, Sequence)>,
    },
    /// What each market takes.
    BookStates,
    /// The highest epoch that commands of this gateway ever came with.
    Epoch {
        gateway: GatewayId,
    },
    /// Where all units of all assets are.
    Conservation,
    /// The latest trades of a market behind that one, as far as they are remembered.
    Trades {
        market: MarketId,
        after: TradeId,
    },
    /// From now on, for [`LISTEN_LEASE_MS`], what happens to the account is published on
    /// [`crate::keys::account`].
    Listen {
        account: AccountId,
    },
}

/// How long a [`Ask::Listen`] holds; asking again prolongs it.
pub const LISTEN_LEASE_MS: u64 = 30_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Window {
    Day,
    Week,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    pub id: u64,
    /// Of the query.
    pub life: u64,
    /// The last frame the answer contains.
    pub sequence: Sequence,
    pub body: AnswerBody,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnswerBody {
    Balances(Vec<Balance>),
    /// `None`: no such open order of this account.
    Order(Option<Standing>),
    OpenOrders(Vec<Standing>),
    Depth(Depth),
    DepthSince(DepthSince),
    Tickers(Vec<Ticker>),
    Account {
        exists: bool,
    },
    FinishedOrders(Vec<FinishedOrder>),
    BookStates(Vec<(MarketId, BookState)>),
    /// 0: none ever came.
    Epoch(u32),
    Conservation(Vec<Conservation>),
    Trades(Vec<PublicTrade>),
    Listening(Listening),
    /// The query names a market that is not listed.
    UnknownMarket,
}

/// Every asset the account ever held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    pub asset: AssetId,
    pub available: Units,
    pub locked: Units,
}

/// Levels best first on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Depth {
    pub bids: Vec<(Price, Lots)>,
    pub asks: Vec<(Price, Lots)>,
    /// Counts changes of the book's levels; the depth stream's `u`.
    pub update_id: u64,
    /// Engine time of that change.
    pub time_us: u64,
}

/// Levels best first on both sides: every one that changed behind the update that was named, as it
/// is now. Zero lots: it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DepthSince {
    pub bids: Vec<(Price, Lots)>,
    pub asks: Vec<(Price, Lots)>,
    /// As in [`Depth`].
    pub update_id: u64,
    pub time_us: u64,
    /// [`crate::book_checksum`]
    pub checksum: u32,
    /// Otherwise it is not remembered what changed, or that update has not been, and no level is
    /// told.
    pub is_whole: bool,
}

/// A trade as everybody may know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicTrade {
    pub id: TradeId,
    /// Engine time.
    pub time_us: u64,
    pub price: Price,
    pub lots: Lots,
    pub taker_side: Side,
    pub taker_order: OrderId,
    pub maker_order: OrderId,
}

/// Where the messages on an account's channel begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listening {
    /// Of the engine; in another life numbers begin anew.
    pub life: u64,
    /// [`crate::feed::AccountMessage::number`] of the last message before; 0: there was none.
    pub number: u64,
}

/// Trades of a rolling window. Without any, all prices are the last known one, or absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticker {
    pub market: MarketId,
    pub first: Option<Price>,
    pub last: Option<Price>,
    pub high: Option<Price>,
    pub low: Option<Price>,
    pub lots: u128,
    pub quote: u128,
    pub trades: u64,
}

/// How the engine's parts stand, under [`crate::keys::STATUS`]; written once a second.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EngineStatus {
    /// The last frame that queries know.
    pub sequence: Sequence,
    pub time_us: u64,
    pub shards: Vec<ShardStatus>,
    pub journal: JournalStatus,
    pub snapshot: SnapshotStatus,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShardStatus {
    /// `None`: wherever the system puts it.
    pub core: Option<usize>,
    pub markets: Vec<String>,
    /// In this life of the engine, as all that follows.
    pub commands: u64,
    pub stalls: u64,
    /// Commands that wait in front of it, and records behind it.
    pub inbound_depth: u64,
    pub outbound_depth: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JournalStatus {
    /// The last frame that is durable.
    pub sequence: u64,
    pub frames: u64,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotStatus {
    /// The last frame of the newest one on disk; 0: there is none.
    pub sequence: Sequence,
    /// `None`: it was written by an earlier life of the engine.
    pub age_ms: Option<u64>,
}

/// Sign of life under [`crate::keys::HEARTBEAT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Names this life of the engine: microseconds since the epoch at which it began.
    pub life: u64,
    /// Last durable frame.
    pub sequence: Sequence,
    /// Frames up to this one are on the event queues, as far as they belong there; those behind it
    /// wait in the journal, because a queue has reached its bound.
    #[serde(default)]
    pub queued: Option<Sequence>,
    pub time_us: u64,
}
