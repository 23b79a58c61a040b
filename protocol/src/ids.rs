//! Who and what a record is about.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};

macro_rules! display_inner {
    ($($name:ident),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_inner!(AccountId, AssetId, MarketId, GatewayId, ClientId, OrderId, TradeId, Sequence);

/// Owner of balances. Dense from 1, so that the ledger is a table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AccountId(NonZeroU32);

impl AccountId {
    pub const fn new(id: u32) -> Option<Self> {
        match NonZeroU32::new(id) {
            Some(id) => Some(AccountId(id)),
            None => None,
        }
    }

    #[inline]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// Place in a table of accounts: the first account is 0.
    #[inline]
    pub const fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// An asset of the catalog; fixed by the operator, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct AssetId(pub u16);

impl AssetId {
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A market of the catalog, 1 to [`MarketId::MAX`]; [`MarketId::ACCOUNTS`] names the stream that
/// carries deposits, withdrawals and account commands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct MarketId(pub u16);

impl MarketId {
    pub const ACCOUNTS: MarketId = MarketId(0);
    /// Ten bits of an order id.
    pub const MAX: MarketId = MarketId(1023);
}

/// The client's own name of an order; the contract allows any `u32`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct ClientId(pub u32);

/// Names an order for ever: which slot of which market it takes in memory, and the how-manieth
/// order that slot has held. 63 bits, so that it fits a signed database column.
///
/// ```text
/// bit 63 | 62 .. 31 generation (never 0) | 30 .. 21 market | 20 .. 0 slot
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OrderId(NonZeroU64);

impl OrderId {
    pub const SLOT_BITS: u32 = 21;
    pub const SLOTS_MAX: u32 = 1 << Self::SLOT_BITS;
    const MARKET_BITS: u32 = 10;

    /// `None` when a part is out of its range: slot, market, or a generation of zero.
    #[inline]
    pub const fn from_parts(market: MarketId, slot: u32, generation: u32) -> Option<Self> {
        if slot >= Self::SLOTS_MAX || market.0 > MarketId::MAX.0 || generation == 0 {
            return None;
        }
        let id = (generation as u64) << (Self::SLOT_BITS + Self::MARKET_BITS)
            | (market.0 as u64) << Self::SLOT_BITS
            | slot as u64;
        Self::from_u64(id)
    }

    /// `None` for what no market could have given out.
    #[inline]
    pub const fn from_u64(id: u64) -> Option<Self> {
        if id >> 63 != 0 || id >> (Self::SLOT_BITS + Self::MARKET_BITS) == 0 {
            return None;
        }
        match NonZeroU64::new(id) {
            Some(id) => Some(OrderId(id)),
            None => None,
        }
    }

    #[inline]
    pub const fn get(self) -> u64 {
        self.0.get()
    }

    #[inline]
    pub const fn slot(self) -> u32 {
        (self.0.get() & (Self::SLOTS_MAX as u64 - 1)) as u32
    }

    #[inline]
    pub const fn market(self) -> MarketId {
        MarketId((self.0.get() >> Self::SLOT_BITS & ((1 << Self::MARKET_BITS) - 1)) as u16)
    }

    #[inline]
    pub const fn generation(self) -> u32 {
        (self.0.get() >> (Self::SLOT_BITS + Self::MARKET_BITS)) as u32
    }
}

/// Consecutive per market from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TradeId(pub u64);

/// A command's place in the engine's one causal order, from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Sequence(pub u64);

/// A process that sends commands and waits for replies on a channel of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GatewayId(pub u32);

impl GatewayId {
    /// The engine itself, when it sends a command.
    pub const ENGINE: GatewayId = GatewayId(0);
}

/// Names a command for ever: its sender, which life of the sender, and the how-manieth of that
/// life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Origin {
    pub gateway: GatewayId,
    /// Rises with every start of the gateway; no two lives of it have the same.
    pub epoch: u32,
    pub sequence: u64,
}

impl Origin {
    /// Of what the engine does by itself, without a command of anybody.
    pub const INTERNAL: Origin = Origin { gateway: GatewayId::ENGINE, epoch: 0, sequence: 0 };
}

/// Id of an entry in a Redis stream, `<milliseconds>-<counter>`. Zero is before the first entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct StreamCursor {
    pub milliseconds: u64,
    pub counter: u64,
}

impl StreamCursor {
    pub const START: StreamCursor = StreamCursor { milliseconds: 0, counter: 0 };

    pub fn parse(text: &str) -> Option<Self> {
        let (milliseconds, counter) = text.split_once('-')?;
        Some(StreamCursor {
            milliseconds: milliseconds.parse().ok()?,
            counter: counter.parse().ok()?,
        })
    }
}

impl fmt::Display for StreamCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.milliseconds, self.counter)
    }
}

/// What one event stream's market (or the accounts) came to, as shard and replica each work it out
/// on their own: 48 bits of a sum of hashes. Equal states have equal digests.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct StateDigest(u64);

impl StateDigest {
    /// The upper bits of `sum`, in which every bit of what was summed up has had a part.
    #[inline]
    pub const fn of(sum: u64) -> Self {
        StateDigest(sum >> 16)
    }

    /// As carried in a frame; `None` above 48 bits.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        if bits >> 48 != 0 {
            return None;
        }
        Some(StateDigest(bits))
    }

    #[inline]
    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl fmt::Display for StateDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:012x}", self.0)
    }
}

/// Names a deposit or withdrawal: the first 128 bits of a cryptographic hash of the caller's own
/// transfer id, so that a transfer asked for twice happens once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TransferId(pub u128);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_id_gives_back_its_parts() {
        for (market, slot, generation) in [(1, 0, 1), (1023, (1 << 21) - 1, u32::MAX), (7, 5, 9)] {
            let id = OrderId::from_parts(MarketId(market), slot, generation).unwrap();
            assert_eq!((id.market().0, id.slot(), id.generation()), (market, slot, generation));
            assert_eq!(OrderId::from_u64(id.get()), Some(id));
            assert!(i64::try_from(id.get()).is_ok());
        }
    }

    #[test]
    fn impossible_order_ids_are_refused() {
        assert_eq!(OrderId::from_parts(MarketId(1), 1 << 21, 1), None);
        assert_eq!(OrderId::from_parts(MarketId(1024), 0, 1), None);
        assert_eq!(OrderId::from_parts(MarketId(1), 0, 0), None);
        assert_eq!(OrderId::from_u64(0), None);
        assert_eq!(OrderId::from_u64(u64::MAX), None);
    }

    #[test]
    fn a_stream_cursor_reads_what_it_writes() {
        let cursor = StreamCursor { milliseconds: 1767225600000, counter: 3 };
        assert_eq!(StreamCursor::parse(&cursor.to_string()), Some(cursor));
        assert_eq!(StreamCursor::parse("12"), None);
        assert_eq!(StreamCursor::parse("a-1"), None);
    }
}
