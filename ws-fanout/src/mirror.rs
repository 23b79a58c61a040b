//! A copy of one market's book, as those who hear its depth know it: what makes it possible to tell
//! them in one frame what they missed.

use std::collections::BTreeMap;

use protocol::book_checksum::book_checksum;
use protocol::query::{DEPTH_LEVELS_MAX, Depth};
use protocol::{Lots, MarketSpec, Price};

use crate::continuity::{Reached, Span};
use crate::depth_update::DepthUpdate;

type Levels = BTreeMap<Price, Lots>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mirror {
    asks: Levels,
    bids: Levels,
    update_id: u64,
    /// Engine time of that update.
    time_us: u64,
    /// No level is missing behind the ones known here. A book deeper than an answer of the replica
    /// is known in part, and of the rest nobody can say what became of it in a gap.
    is_whole: bool,
}

/// What leads from one state of a book to a later one cannot be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NoWay {
    /// The counter of updates went back, or says the same of another book.
    FellBack,
    /// The book is deeper than what is known of it.
    TooDeep,
}

impl Mirror {
    /// Of an answer that was asked for as deep as answers go.
    pub fn of(depth: &Depth) -> Mirror {
        let is_cut = |levels: &[(Price, Lots)]| DEPTH_LEVELS_MAX as usize <= levels.len();
        Mirror {
            asks: depth.asks.iter().copied().collect(),
            bids: depth.bids.iter().copied().collect(),
            update_id: depth.update_id,
            time_us: depth.time_us,
            is_whole: !is_cut(&depth.asks) && !is_cut(&depth.bids),
        }
    }

    pub fn reached(&self) -> Reached {
        Reached { id: self.update_id, time_us: Some(self.time_us) }
    }

    /// The update is the next one.
    pub fn apply(&mut self, update: &DepthUpdate) {
        for (levels, changes) in [(&mut self.asks, &update.asks), (&mut self.bids, &update.bids)] {
            for (price, lots) in changes {
                if lots.is_zero() {
                    levels.remove(price);
                } else {
                    levels.insert(*price, *lots);
                }
            }
        }
        self.update_id = update.span.last;
        self.time_us = update.span.time_us;
    }

    /// All that changed from here to `now`, as one update; `None`: nothing did.
    pub fn difference(
        &self,
        now: &Mirror,
        market: &MarketSpec,
    ) -> Result<Option<DepthUpdate>, NoWay> {
        if now.update_id < self.update_id {
            return Err(NoWay::FellBack);
        }
        if !self.is_whole || !now.is_whole {
            // Nothing was missed at all, so neither was a level that nobody sees.
            let is_same = now.update_id == self.update_id && now.time_us == self.time_us;
            return if is_same { Ok(None) } else { Err(NoWay::TooDeep) };
        }
        let asks: Vec<_> = changes(&self.asks, &now.asks).collect();
        let mut bids: Vec<_> = changes(&self.bids, &now.bids).collect();
        bids.reverse();
        if now.update_id == self.update_id {
            let is_same = asks.is_empty() && bids.is_empty();
            return if is_same { Ok(None) } else { Err(NoWay::FellBack) };
        }
        let first = self.update_id + 1;
        let span = Span { first, last: now.update_id, time_us: now.time_us };
        Ok(Some(DepthUpdate { span, checksum: now.checksum(market), asks, bids }))
    }

    fn checksum(&self, market: &MarketSpec) -> u32 {
        let pair = |(price, lots): (&Price, &Lots)| (*price, *lots);
        book_checksum(market, self.asks.iter().map(pair), self.bids.iter().rev().map(pair))
    }
}

/// By rising price.
fn changes(before: &Levels, now: &Levels) -> impl Iterator<Item = (Price, Lots)> {
    let gone = before.keys().filter(|price| !now.contains_key(price)).map(|it| (*it, Lots::ZERO));
    let other = now.iter().filter(|(price, lots)| before.get(price) != Some(lots));
    let changes: Levels = gone.chain(other.map(|(price, lots)| (*price, *lots))).collect();
    changes.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::fixture::{market, price};

    type Book = [BTreeMap<u64, u64>; 2];

    fn depth(book: &Book, update_id: u64) -> Depth {
        let levels = |side: &BTreeMap<u64, u64>| -> Vec<(Price, Lots)> {
            side.iter().map(|(ticks, lots)| (price(*ticks), Lots(*lots))).collect()
        };
        let [asks, mut bids] = [levels(&book[0]), levels(&book[1])];
        bids.reverse();
        Depth { bids, asks, update_id, time_us: update_id }
    }

    fn checksum(book: &Book) -> u32 {
        let Depth { bids, asks, .. } = depth(book, 0);
        book_checksum(&market(), asks.into_iter(), bids.into_iter())
    }

    /// One change of a book, with the update that tells it.
    fn change(book: &mut Book, id: u64, changes: &[(bool, u64, u64)]) -> DepthUpdate {
        let mut told = [Levels::new(), Levels::new()];
        for (is_bid, ticks, lots) in changes {
            let side = usize::from(*is_bid);
            told[side].insert(price(*ticks), Lots(*lots));
            if *lots == 0 {
                book[side].remove(ticks);
            } else {
                book[side].insert(*ticks, *lots);
            }
        }
        let [asks, bids] = told.map(|levels| levels.into_iter().collect());
        let span = Span { first: id, last: id, time_us: id };
        DepthUpdate { span, checksum: checksum(book), asks, bids }
    }

    proptest! {
        #[test]
        fn whatever_is_missed_one_update_makes_up_for_it(
            updates in prop::collection::vec(
                prop::collection::vec((any::<bool>(), 95u64..130, 0u64..4), 0..6), 2..60,
            ),
            lost_from in 0usize..60,
            lost in 1usize..30,
        ) {
            let (mut book, mut client) = (Book::default(), Mirror::of(&depth(&Book::default(), 0)));
            let lost_from = lost_from % updates.len();
            let lost_to = (lost_from + lost).min(updates.len());
            for (at, changes) in updates.iter().enumerate() {
                let id = at as u64 + 1;
                let update = change(&mut book, id, changes);
                if (lost_from..lost_to).contains(&at) {
                    if at + 1 == lost_to {
                        let now = Mirror::of(&depth(&book, id));
                        let mend = client.difference(&now, &market()).unwrap().unwrap();
                        prop_assert_eq!(mend.checksum, checksum(&book));
                        prop_assert_eq!((mend.span.first, mend.span.last),
                            (lost_from as u64 + 1, id));
                        let frame = mend.write(&market(), 0);
                        client.apply(&DepthUpdate::read(&frame, &market()).unwrap());
                        prop_assert_eq!(&client, &now);
                    }
                    continue;
                }
                client.apply(&update);
                prop_assert_eq!(&client, &Mirror::of(&depth(&book, id)));
                prop_assert_eq!(client.checksum(&market()), update.checksum);
            }
        }
    }

    #[test]
    fn a_counter_that_went_back_cannot_be_made_up_for() {
        let mirror = |lots: u64, update_id: u64| {
            Mirror::of(&depth(&[BTreeMap::from([(100, lots)]), BTreeMap::new()], update_id))
        };
        let difference = |now: Mirror| mirror(5, 10).difference(&now, &market());
        assert_eq!(difference(mirror(5, 9)), Err(NoWay::FellBack));
        assert_eq!(difference(mirror(5, 10)), Ok(None));
        assert_eq!(difference(mirror(6, 10)), Err(NoWay::FellBack));
        let empty = difference(mirror(5, 11)).unwrap().unwrap();
        assert!(empty.asks.is_empty() && empty.bids.is_empty(), "its number is told all the same");
    }

    #[test]
    fn a_book_deeper_than_an_answer_is_not_made_up_for() {
        let deep: BTreeMap<u64, u64> =
            (1..=u64::from(DEPTH_LEVELS_MAX)).map(|at| (at, 1)).collect();
        let deep = |update_id| Mirror::of(&depth(&[deep.clone(), BTreeMap::new()], update_id));
        let small = Mirror::of(&depth(&Book::default(), 10));
        assert_eq!(small.difference(&deep(11), &market()), Err(NoWay::TooDeep));
        assert_eq!(deep(10).difference(&deep(11), &market()), Err(NoWay::TooDeep));
        assert_eq!(deep(10).difference(&deep(10), &market()), Ok(None));
    }
}
