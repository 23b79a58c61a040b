//! Windowed depth: the realtime frames of a period joined into one.
//!
//! Quantities are absolute, so the last one of a price stands. `U` is the first frame's, `u` and
//! `T` the last one's; one stream's frames follow each other because the realtime ones do.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Deserialize;

/// A realtime depth frame.
#[derive(Debug, Deserialize)]
pub struct DepthFrame<'a> {
    #[serde(borrow)]
    pub data: DepthData<'a>,
}

/// Levels as (price, quantity); a quantity of zero removes the level.
#[derive(Debug, Deserialize)]
pub struct DepthData<'a> {
    #[serde(rename = "s")]
    pub symbol: &'a str,
    #[serde(rename = "U")]
    pub first: u64,
    #[serde(rename = "u")]
    pub last: u64,
    #[serde(rename = "T")]
    pub time_us: u64,
    #[serde(borrow, rename = "a")]
    pub asks: Vec<(&'a str, &'a str)>,
    #[serde(borrow, rename = "b")]
    pub bids: Vec<(&'a str, &'a str)>,
}

/// Prices of one market have equally many decimals: the longer text is the higher price.
type PriceText = (usize, Box<str>);
type Levels = BTreeMap<PriceText, Box<str>>;

/// What happened since the last flush; empty in between.
#[derive(Debug, Default)]
pub struct Joined {
    span: Option<(u64, u64)>,
    time_us: u64,
    asks: Levels,
    bids: Levels,
}

impl Joined {
    pub fn add(&mut self, frame: &DepthData<'_>) {
        let first = self.span.map_or(frame.first, |(first, _)| first);
        self.span = Some((first, frame.last));
        self.time_us = frame.time_us;
        for (levels, changed) in [(&mut self.asks, &frame.asks), (&mut self.bids, &frame.bids)] {
            for (price, quantity) in changed {
                levels.insert((price.len(), Box::from(*price)), Box::from(*quantity));
            }
        }
    }

    /// The joined frame under `stream`; `None` when nothing happened.
    pub fn flush(&mut self, stream: &str, symbol: &str, now_us: u64) -> Option<String> {
        let (first, last) = self.span.take()?;
        let mut out = String::with_capacity(160 + 32 * (self.asks.len() + self.bids.len()));
        let time_us = self.time_us;
        // Writing to a String cannot fail.
        write!(
            out,
            "{{\"stream\":\"{stream}\",\"data\":{{\"e\":\"depth\",\"E\":{now_us},\
             \"T\":{time_us},\"s\":\"{symbol}\",\"a\":["
        )
        .unwrap_or_default();
        push_levels(&mut out, self.asks.iter());
        out.push_str("],\"b\":[");
        push_levels(&mut out, self.bids.iter().rev());
        write!(out, "],\"U\":{first},\"u\":{last}}}}}").unwrap_or_default();
        self.asks.clear();
        self.bids.clear();
        Some(out)
    }
}

fn push_levels<'a>(out: &mut String, levels: impl Iterator<Item = (&'a PriceText, &'a Box<str>)>) {
    for (at, ((_, price), quantity)) in levels.enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(out, "{comma}[\"{price}\",\"{quantity}\"]").unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    type Changes = Vec<(u64, u64)>;
    type Book = HashMap<(bool, String), String>;

    fn text(price: u64) -> String {
        format!("{}.{:02}", price / 100, price % 100)
    }

    fn frame(id: u64, asks: &Changes, bids: &Changes) -> String {
        let levels = |changes: &Changes| {
            let levels: Vec<[String; 2]> =
                changes.iter().map(|(price, lots)| [text(*price), text(*lots)]).collect();
            serde_json::to_string(&levels).unwrap()
        };
        let (asks, bids) = (levels(asks), levels(bids));
        format!(
            r#"{{"stream":"depth@SOL_USDC","data":{{"e":"depth","E":1,"T":{id},"s":"SOL_USDC",
            "a":{asks},"b":{bids},"U":{id},"u":{id}}}}}"#
        )
    }

    /// A client's book: apply absolute quantities, zero removes.
    fn apply(book: &mut Book, frame: &str) -> (u64, u64) {
        let frame: DepthFrame<'_> = serde_json::from_str(frame).unwrap();
        for (is_bid, levels) in [(false, &frame.data.asks), (true, &frame.data.bids)] {
            for (price, quantity) in levels {
                if *quantity == "0.00" {
                    book.remove(&(is_bid, (*price).to_owned()));
                } else {
                    book.insert((is_bid, (*price).to_owned()), (*quantity).to_owned());
                }
            }
        }
        (frame.data.first, frame.data.last)
    }

    fn changes() -> impl Strategy<Value = Changes> {
        // Prices around a change of length, and often a removal.
        prop::collection::vec((990u64..1010, 0u64..3), 0..6)
    }

    proptest! {
        #[test]
        fn joined_frames_give_the_book_that_single_frames_give(
            frames in prop::collection::vec((changes(), changes()), 1..40),
            flush_after in prop::collection::vec(any::<bool>(), 40),
        ) {
            let (mut naive, mut windowed) = (Book::new(), Book::new());
            let (mut joined, mut previous) = (Joined::default(), 100);
            for (at, (asks, bids)) in frames.iter().enumerate() {
                let text = frame(101 + at as u64, asks, bids);
                apply(&mut naive, &text);
                joined.add(&serde_json::from_str::<DepthFrame<'_>>(&text).unwrap().data);
                if !flush_after[at] {
                    continue;
                }
                let made = joined.flush("depth.200ms@SOL_USDC", "SOL_USDC", 7).unwrap();
                let (first, last) = apply(&mut windowed, &made);
                prop_assert_eq!((first, last), (previous + 1, 101 + at as u64));
                prop_assert_eq!(&naive, &windowed);
                previous = last;
                prop_assert!(joined.flush("x", "SOL_USDC", 7).is_none());
            }
        }
    }

    #[test]
    fn a_price_appears_once_and_the_best_first() {
        let mut joined = Joined::default();
        for (id, asks, bids) in [
            (5, vec![(1000, 1), (999, 2)], vec![(998, 1)]),
            (6, vec![(1000, 3)], vec![(98, 1), (998, 0)]),
        ] {
            let text = frame(id, &asks, &bids);
            joined.add(&serde_json::from_str::<DepthFrame<'_>>(&text).unwrap().data);
        }
        let made = joined.flush("depth.600ms@SOL_USDC", "SOL_USDC", 9).unwrap();
        let expected = r#"{"stream":"depth.600ms@SOL_USDC","data":{"e":"depth","E":9,"T":6,"#
            .to_owned()
            + r#""s":"SOL_USDC","a":[["9.99","0.02"],["10.00","0.03"]],"#
            + r#""b":[["9.98","0.00"],["0.98","0.01"]],"U":5,"u":6}}"#;
        assert_eq!(made, expected);
    }
}
