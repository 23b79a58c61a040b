//! What the engine publishes for fan-outs alone, beside the public frames
//! ([`crate::stream_json`]): by it a fan-out notices what it has not heard.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ids::{MarketId, Sequence, TradeId};

/// Up to where the public streams have come, on [`crate::keys::HEADS`]: all that was published
/// before it, and nothing that comes after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heads {
    /// Of the engine, as its heartbeat says. Another life may have kept to itself what the one
    /// before had decided.
    pub life: u64,
    pub sequence: Sequence,
    pub markets: Vec<Head>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub market: MarketId,
    /// `u` of the last depth frame; 0 before the first.
    pub update_id: u64,
    /// `t` of the last trade frame; 0 before the first.
    pub trade: TradeId,
}

/// What one command changed of one account, on [`crate::keys::account`].
#[derive(Debug, Serialize, Deserialize)]
pub struct AccountMessage<'a> {
    /// Of the engine.
    pub life: u64,
    /// Consecutive in one life, of each account by itself.
    pub number: u64,
    /// In the order in which they are to be told.
    #[serde(borrow)]
    pub updates: Vec<AccountUpdate<'a>>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct AccountUpdate<'a> {
    pub about: About,
    /// `data` of the frame as clients get it.
    #[serde(borrow)]
    pub data: &'a RawValue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum About {
    /// An order of that market.
    Order(MarketId),
    Balance,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_passed_on_as_they_were_written() {
        let data: &RawValue = serde_json::from_str(r#"{"e":"orderFill", "l":"1.50"}"#).unwrap();
        let about = About::Order(MarketId(3));
        let updates = vec![AccountUpdate { about, data }];
        let text = serde_json::to_string(&AccountMessage { life: 7, number: 2, updates }).unwrap();
        let read: AccountMessage<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!((read.life, read.number, read.updates[0].about), (7, 2, about));
        assert_eq!(read.updates[0].data.get(), r#"{"e":"orderFill", "l":"1.50"}"#);
    }
}
