//! A book as a client keeps it: a snapshot from REST, then the stream, each frame checked to follow
//! on from the one before and to prove what has become of the book.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rust_decimal::Decimal;
use serde_json::Value;

use crate::listing::decimal;

type Levels = BTreeMap<Decimal, Decimal>;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DepthBook {
    pub bids: Levels,
    pub asks: Levels,
    pub last_update: u64,
}

impl DepthBook {
    /// From the answer of GET depth; checks the order of its rows.
    pub fn snapshot(depth: &Value) -> DepthBook {
        for side in ["bids", "asks"] {
            let prices: Vec<Decimal> = rows(&depth[side]).map(|(price, _)| price).collect();
            assert!(prices.is_sorted(), "{side} are not ascending: {prices:?}");
        }
        assert!(depth["timestamp"].is_u64(), "{depth}");
        let last_update = depth["lastUpdateId"].as_str().and_then(|id| id.parse().ok());
        DepthBook {
            bids: rows(&depth["bids"]).collect(),
            asks: rows(&depth["asks"]).collect(),
            last_update: last_update.expect("lastUpdateId is a string of digits"),
        }
    }

    /// Applies a frame; one that the snapshot has already is left out. A frame that does not follow
    /// on is a panic, and so is one whose checksum is of another book.
    pub fn apply(&mut self, frame: &Value) {
        let (first, last) = (frame["U"].as_u64().unwrap(), frame["u"].as_u64().unwrap());
        assert!(first <= last, "{frame}");
        if last <= self.last_update {
            return;
        }
        assert!(
            first <= self.last_update + 1,
            "updates {} to {} are missing before {frame}",
            self.last_update + 1,
            first - 1
        );
        let before = self.last_update;
        for (side, changes) in [(&mut self.bids, &frame["b"]), (&mut self.asks, &frame["a"])] {
            for (price, quantity) in rows(changes) {
                if quantity.is_zero() {
                    side.remove(&price);
                } else {
                    side.insert(price, quantity);
                }
            }
        }
        self.last_update = last;
        let (bid, ask) = (self.bids.last_key_value(), self.asks.first_key_value());
        let crossed = bid.zip(ask).is_some_and(|((bid, _), (ask, _))| ask <= bid);
        assert!(!crossed, "the book of {before} is crossed after {frame}");
        assert_eq!(frame["k"], self.checksum(), "another book than after {before} and {frame}");
    }

    /// As its description says, from the text that clients see.
    fn checksum(&self) -> u32 {
        let mut ascii = String::new();
        let best = self.asks.iter().take(10).chain(self.bids.iter().rev().take(10));
        for (price, quantity) in best {
            // What was read of a text has as many decimals as it, so this is the text without dot.
            write!(ascii, "{}{}", price.mantissa(), quantity.mantissa()).unwrap();
        }
        crc32fast::hash(ascii.as_bytes())
    }
}

fn rows(levels: &Value) -> impl Iterator<Item = (Decimal, Decimal)> + '_ {
    levels.as_array().unwrap().iter().map(|level| {
        let read = |at: usize| decimal(level[at].as_str().unwrap());
        (read(0), read(1))
    })
}
