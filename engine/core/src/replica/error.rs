//! Why a frame cannot follow what was applied before it.

use protocol::effects::EffectsError;
use protocol::{AccountId, AssetId, MarketId, OrderId, Sequence, StateDigest, TradeId, TransferId};

/// The frame named contradicts the state before it: journal, engine or replica is wrong. The
/// replica may have taken part of the frame and is of no use any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("frame {sequence} contradicts the state before it")]
pub struct ReplicaError {
    pub sequence: Sequence,
    #[source]
    pub cause: Inconsistency,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Inconsistency {
    #[error("frame {expected} was to come next")]
    Sequence { expected: Sequence },
    #[error(
        "it names frame {} as the one before it on its stream, which is {}",
        number(*.found), number(*.expected)
    )]
    Previous { expected: Option<Sequence>, found: Option<Sequence> },
    #[error("its outcome is none of its command's")]
    Outcome,
    #[error("it says the command came before, or is new, and it is otherwise")]
    Recognition,
    #[error("after it the engine's state came to {found}, the replica's to {expected}")]
    Digest { expected: StateDigest, found: StateDigest },
    #[error("a market took what it does not take in the state it is in")]
    BookState,
    #[error("order {0} was taken at a price outside the market's band")]
    PriceBand(OrderId),
    #[error("order {0} is said to have ended at a price it may not pass, and there is none")]
    PriceImpact(OrderId),
    #[error("what orders hold overflows or falls below zero")]
    HeldByOrders,
    #[error("market {0} is not listed")]
    UnknownMarket(MarketId),
    #[error("market {0} is listed, and there is one of its id or its assets already")]
    Listing(MarketId),
    #[error("account {0} does not exist")]
    UnknownAccount(AccountId),
    #[error("asset {0} is not listed")]
    UnknownAsset(AssetId),
    #[error("account {found} is created where {expected} comes next")]
    AccountNumber { expected: u32, found: AccountId },
    #[error("transfer {0:?} is carried out a second time")]
    TransferTwice(TransferId),
    #[error("transfer {0:?} is said to be carried out before, by another frame than it was")]
    TransferFirst(TransferId),
    #[error("supply of asset {0} leaves its range")]
    Supply(AssetId),
    #[error("order {0} belongs to another market")]
    ForeignOrder(OrderId),
    #[error("order {found} takes a slot whose next generation is {expected}")]
    Generation { found: OrderId, expected: u32 },
    #[error("order {found} takes the slot of order {resting}, which still rests")]
    SlotTaken { found: OrderId, resting: OrderId },
    #[error("order {0} does not rest in the book")]
    UnknownOrder(OrderId),
    #[error("order {0} is closed as something it is not")]
    ClosedOtherwise(OrderId),
    #[error("order {0} is not among what the command names")]
    ClosedUnasked(OrderId),
    #[error("a single order was to be cancelled, not {0}")]
    CancelledCount(usize),
    #[error("order {0} fires, and the last price has not reached its trigger")]
    FiredUnreached(OrderId),
    #[error("the last price has reached the trigger of order {0}, which is to fire first")]
    Unfired(OrderId),
    #[error("order {0} waits for the last price to go the other way")]
    Direction(OrderId),
    #[error("the time at which orders of account {0} are cancelled is another one")]
    CancelAfter(AccountId),
    #[error("trade {found} follows trade {last}")]
    TradeId { last: u64, found: TradeId },
    #[error("trade {trade} does not fit maker {maker}")]
    Maker { trade: TradeId, maker: OrderId },
    #[error("trade {0} is worse than the taker's limit")]
    BeyondLimit(TradeId),
    #[error("fees of trade {0} are more than what was received")]
    Fee(TradeId),
    #[error("lots or quote of order {0} do not add up")]
    Amount(OrderId),
    #[error("order {0} rests where it could trade")]
    Crossed(OrderId),
    #[error("level total overflows or falls below zero")]
    Level,
    #[error("command held {held} of asset {asset}, account {account} had {available}")]
    Held { account: AccountId, asset: AssetId, held: u64, available: u64 },
    #[error("balance of account {account} in asset {asset} leaves its range")]
    Balance { account: AccountId, asset: AssetId },
    #[error("fees in asset {0} leave their range")]
    Fees(AssetId),
    #[error(transparent)]
    Effects(#[from] EffectsError),
}

/// 0 for none, as in the frame.
fn number(sequence: Option<Sequence>) -> u64 {
    sequence.map_or(0, |sequence| sequence.0)
}
