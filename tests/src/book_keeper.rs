//! A book kept by the published procedure alone and proved with every frame: what a careful client
//! of the depth streams does.
//!
//! Levels stay the texts they came as, and the checksum is worked out from them, so that nothing
//! here is of one mind with the exchange but the description. Whatever must not be is a panic.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;

use crate::listing::decimal;

/// Levels of each side that count for the checksum.
const PROVED: usize = 10;

/// Price to the texts of price and quantity.
pub type Levels = BTreeMap<Decimal, (String, String)>;

/// What a depth frame says.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Update {
    #[serde(rename = "U")]
    pub first: u64,
    #[serde(rename = "u")]
    pub last: u64,
    #[serde(rename = "k")]
    checksum: u32,
    #[serde(rename = "a")]
    asks: Vec<(String, String)>,
    #[serde(rename = "b")]
    bids: Vec<(String, String)>,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Book {
    pub asks: Levels,
    pub bids: Levels,
    pub last_update: u64,
}

/// One subscription from its beginning to the end of its socket.
#[derive(Debug, Default)]
pub struct Keeper {
    /// Its name in the words of a failure.
    name: String,
    /// What came before there is a book.
    early: Vec<Update>,
    book: Option<Book>,
    /// `u` of the last frame.
    heard: Option<u64>,
    /// Whether a frame was applied: from then on the book hangs on the stream.
    has_applied: bool,
}

/// What a keeper wants next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wants {
    Nothing,
    /// The one it was given, or has kept since, is older than the stream's beginning.
    Snapshot,
}

impl Book {
    /// From the answer of GET depth.
    pub fn of_answer(depth: &Value) -> Book {
        let side = |name: &str| -> Levels {
            let rows: Vec<(String, String)> = serde_json::from_value(depth[name].clone()).unwrap();
            rows.into_iter().map(|(price, lots)| (decimal(&price), (price, lots))).collect()
        };
        let last_update = depth["lastUpdateId"].as_str().unwrap().parse().unwrap();
        Book { asks: side("asks"), bids: side("bids"), last_update }
    }

    fn apply(&mut self, update: &Update) {
        for (levels, changes) in [(&mut self.asks, &update.asks), (&mut self.bids, &update.bids)] {
            for (price, quantity) in changes {
                let at = decimal(price);
                if quantity.bytes().all(|byte| matches!(byte, b'0' | b'.')) {
                    levels.remove(&at);
                } else {
                    levels.insert(at, (price.clone(), quantity.clone()));
                }
            }
        }
        self.last_update = update.last;
    }

    /// As docs/api.md says it in three sentences.
    pub fn checksum(&self) -> u32 {
        let asks = self.asks.values().take(PROVED);
        let bids = self.bids.values().rev().take(PROVED);
        let mut text = String::new();
        for (price, quantity) in asks.chain(bids) {
            for shown in [price, quantity] {
                text.push_str(shown.replace('.', "").trim_start_matches('0'));
            }
        }
        crc32fast::hash(text.as_bytes())
    }
}

impl Keeper {
    pub fn new(name: &str) -> Keeper {
        Keeper { name: name.to_owned(), ..Keeper::default() }
    }

    /// While there is one.
    pub fn book(&self) -> Option<&Book> {
        self.book.as_ref()
    }

    /// `u` of the last frame that came.
    pub fn heard(&self) -> Option<u64> {
        self.heard
    }

    /// Throws its book away, as whoever finds something wrong with it does, and hears on.
    pub fn begin_again(&mut self) {
        self.book = None;
        self.has_applied = false;
    }

    /// The next frame of the stream.
    pub fn take(&mut self, update: Update) -> Wants {
        let Update { first, last, .. } = update;
        assert!(first <= last, "{}: {update:?}", self.name);
        if let Some(heard) = self.heard.replace(last) {
            assert_eq!(first, heard + 1, "{}: a gap on an open socket", self.name);
        }
        if self.book.is_none() {
            self.early.push(update);
            return Wants::Nothing;
        }
        self.follow(update)
    }

    /// A snapshot, asked for when [`Keeper::heard`] was `heard_before`.
    pub fn start(&mut self, snapshot: Book, heard_before: Option<u64>) -> Wants {
        assert!(
            heard_before.is_none_or(|heard| heard <= snapshot.last_update),
            "{}: a snapshot of update {} behind a frame of {heard_before:?}",
            self.name,
            snapshot.last_update
        );
        self.book = Some(snapshot);
        self.has_applied = false;
        let mut wants = Wants::Nothing;
        for update in std::mem::take(&mut self.early) {
            if self.follow(update) == Wants::Snapshot {
                wants = Wants::Snapshot;
            }
        }
        wants
    }

    fn follow(&mut self, update: Update) -> Wants {
        let Some(book) = &mut self.book else {
            self.early.push(update);
            return Wants::Snapshot;
        };
        if update.last == book.last_update && !self.has_applied {
            assert_eq!(book.checksum(), update.checksum, "{}: the snapshot's k", self.name);
        }
        if update.last <= book.last_update {
            return Wants::Nothing;
        }
        if book.last_update + 1 < update.first {
            assert!(
                !self.has_applied,
                "{}: {} is followed by {update:?}",
                self.name, book.last_update
            );
            self.book = None;
            self.early.push(update);
            return Wants::Snapshot;
        }
        book.apply(&update);
        self.has_applied = true;
        assert_eq!(book.checksum(), update.checksum, "{}: k of {update:?} and {book:?}", self.name);
        Wants::Nothing
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use serde_json::json;

    use super::*;

    fn book() -> Book {
        Book::of_answer(&json!({
            "asks": [["20.51", "1.00"], ["20.60", "0.05"]],
            "bids": [["20.50", "12.34"]],
            "lastUpdateId": "7",
        }))
    }

    fn update(first: u64, last: u64, asks: &Value) -> Update {
        let mut after = book();
        let data = json!({"U": first, "u": last, "k": 0, "a": asks, "b": []});
        let mut update: Update = serde_json::from_value(data).unwrap();
        after.apply(&update);
        update.checksum = after.checksum();
        update
    }

    #[test]
    fn the_example_of_the_documentation_is_proved() {
        assert_eq!(book().checksum(), 2_224_129_986);
    }

    #[test]
    fn frames_are_taken_from_the_snapshot_on() {
        let mut keeper = Keeper::new("keeper");
        assert_eq!(keeper.take(update(6, 7, &json!([]))), Wants::Nothing);
        let next = update(8, 9, &json!([["20.51", "0.00"]]));
        assert_eq!(keeper.take(next), Wants::Nothing);
        assert_eq!(keeper.start(book(), Some(7)), Wants::Nothing);
        let kept = keeper.book().unwrap();
        assert_eq!((kept.last_update, kept.asks.len(), kept.bids.len()), (9, 1, 1));
    }

    #[test]
    fn a_snapshot_that_is_too_old_is_asked_for_again_and_then_never() {
        let mut keeper = Keeper::new("keeper");
        keeper.take(update(9, 9, &json!([])));
        assert_eq!(keeper.start(book(), None), Wants::Snapshot);
        assert!(keeper.book().is_none());
        let newer = Book { last_update: 8, ..book() };
        assert_eq!(keeper.start(newer, Some(8)), Wants::Nothing);
        let gap = AssertUnwindSafe(|| keeper.take(update(11, 11, &json!([]))));
        assert!(catch_unwind(gap).is_err());
    }

    #[test]
    fn a_wrong_checksum_is_a_failure() {
        let mut keeper = Keeper::new("keeper");
        keeper.start(book(), None);
        let mut wrong = update(8, 8, &json!([["20.51", "2.00"]]));
        wrong.checksum ^= 1;
        assert!(catch_unwind(AssertUnwindSafe(|| keeper.take(wrong))).is_err());
    }
}
