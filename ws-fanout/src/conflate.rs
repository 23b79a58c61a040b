//! Windowed depth: the realtime updates of a period joined into one.
//!
//! Quantities are absolute, so the last one of a price stands. `U` is the first update's, `u`, `T`
//! and `k` the last one's; one stream's frames follow each other because the realtime ones do. Who
//! joins in the middle of a period gets all of it: its first frame may begin before what it knows,
//! which takes nothing away, since the procedure of clients asks for `U <= L + 1 <= u` only.

use std::collections::BTreeMap;

use protocol::{Lots, MarketSpec, Price};

use crate::continuity::Span;
use crate::depth_update::DepthUpdate;

/// What happened since the last frame; empty in between.
#[derive(Debug, Default)]
pub struct Window {
    span: Option<Span>,
    checksum: u32,
    asks: BTreeMap<Price, Lots>,
    bids: BTreeMap<Price, Lots>,
}

impl Window {
    pub fn add(&mut self, update: &DepthUpdate) {
        let first = self.span.map_or(update.span.first, |span| span.first);
        self.span = Some(Span { first, ..update.span });
        self.checksum = update.checksum;
        self.asks.extend(update.asks.iter().copied());
        self.bids.extend(update.bids.iter().copied());
    }

    /// The joined frame under the name of the realtime stream; `None` when nothing happened.
    pub fn flush(&mut self, market: &MarketSpec, now_us: u64) -> Option<String> {
        let span = self.span.take()?;
        let asks = std::mem::take(&mut self.asks).into_iter().collect();
        let bids = std::mem::take(&mut self.bids).into_iter().rev().collect();
        let joined = DepthUpdate { span, checksum: self.checksum, asks, bids };
        Some(joined.write(market, now_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::fixture::{market, price};
    use std::collections::HashMap;

    type Changes = Vec<(u64, u64)>;
    type Book = HashMap<(bool, u64), u64>;

    fn update(id: u64, asks: &Changes, bids: &Changes) -> DepthUpdate {
        let levels = |changes: &Changes| -> Vec<(Price, Lots)> {
            changes.iter().map(|(ticks, lots)| (price(*ticks), Lots(*lots))).collect()
        };
        let span = Span { first: id, last: id, time_us: id };
        DepthUpdate { span, checksum: id as u32, asks: levels(asks), bids: levels(bids) }
    }

    /// A client's book: apply absolute quantities, zero removes.
    fn apply(book: &mut Book, update: &DepthUpdate) {
        for (is_bid, levels) in [(false, &update.asks), (true, &update.bids)] {
            for (price, lots) in levels {
                if lots.is_zero() {
                    book.remove(&(is_bid, price.ticks()));
                } else {
                    book.insert((is_bid, price.ticks()), lots.0);
                }
            }
        }
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
            let (mut window, mut previous) = (Window::default(), 100);
            for (at, (asks, bids)) in frames.iter().enumerate() {
                let id = 101 + at as u64;
                let update = update(id, asks, bids);
                apply(&mut naive, &update);
                window.add(&update);
                if !flush_after[at] {
                    continue;
                }
                let made = window.flush(&market(), 7).unwrap();
                let joined = DepthUpdate::read(&made, &market()).unwrap();
                apply(&mut windowed, &joined);
                prop_assert_eq!(joined.span, Span { first: previous + 1, last: id, time_us: id });
                prop_assert_eq!(joined.checksum, id as u32);
                prop_assert_eq!(&naive, &windowed);
                previous = id;
                prop_assert!(window.flush(&market(), 7).is_none());
            }
        }
    }

    #[test]
    fn a_price_appears_once_and_the_best_first() {
        let mut window = Window::default();
        window.add(&update(5, &vec![(1000, 1), (999, 2)], &vec![(998, 1)]));
        window.add(&update(6, &vec![(1000, 3)], &vec![(98, 1), (998, 0)]));
        let made = window.flush(&market(), 9).unwrap();
        let expected = r#"{"stream":"depth@SOL_USDC","data":{"e":"depth","E":9,"T":6,"#.to_owned()
            + r#""s":"SOL_USDC","a":[["9.99","0.02"],["10.00","0.03"]],"#
            + r#""b":[["9.98","0.00"],["0.98","0.01"]],"U":5,"u":6,"k":6}}"#;
        assert_eq!(made, expected);
    }
}
