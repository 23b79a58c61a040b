//! Whoever keeps a book by the depth stream has the book that REST shows, and the checksum of each
//! frame proves it.

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::{CancelKinds, text};

use super::*;
use crate::replica_loop::fixture::account;

/// Levels as clients see them, by the number that the price's digits make.
type Side = BTreeMap<u64, (String, String)>;

/// A book as a client keeps it.
#[derive(Default)]
struct Kept {
    asks: Side,
    bids: Side,
    last: u64,
}

impl Kept {
    fn take(&mut self, data: &Value) {
        let [first, last] = ["U", "u"].map(|name| data[name].as_u64().unwrap());
        assert!(first == self.last + 1 && first <= last, "{data}");
        self.last = last;
        for (side, levels) in [(&mut self.asks, &data["a"]), (&mut self.bids, &data["b"])] {
            for level in levels.as_array().unwrap() {
                let [price, lots] = [0, 1].map(|at| level[at].as_str().unwrap().to_owned());
                let key = price.replace('.', "").parse().unwrap();
                let is_gone = lots.bytes().all(|letter| b"0.".contains(&letter));
                if is_gone {
                    side.remove(&key)
                } else {
                    side.insert(key, (price, lots))
                };
            }
        }
        assert_eq!(data["k"], self.checksum(), "{data}");
    }

    /// As it is described: ten asks from the best up, ten bids from the best down.
    fn checksum(&self) -> u32 {
        let best = self.asks.values().take(10).chain(self.bids.values().rev().take(10));
        let shown = best.flat_map(|(price, lots)| [price, lots]);
        let digits = |text: &String| text.replace('.', "").trim_start_matches('0').to_owned();
        crc32(shown.map(digits).collect::<String>().as_bytes())
    }

    fn assert_is(&self, market: &MarketReplica) {
        assert_eq!(self.last, market.update_id());
        for (kept, side) in [(&self.asks, protocol::Side::Ask), (&self.bids, protocol::Side::Bid)] {
            let shown = market.levels().best_first(side).map(|(price, lots)| {
                let spec = market.spec();
                (price.ticks(), (text::price(price, spec), text::lots(lots, spec)))
            });
            assert_eq!(*kept, shown.collect());
        }
    }
}

/// CRC-32 bit by bit, as the ISO-HDLC variant is defined.
fn crc32(bytes: &[u8]) -> u32 {
    let mut rest = u32::MAX;
    for byte in bytes {
        rest ^= u32::from(*byte);
        for _ in 0..8 {
            rest = if rest & 1 == 1 { rest >> 1 ^ 0xEDB8_8320 } else { rest >> 1 };
        }
    }
    !rest
}

/// Mostly orders that rest, over more levels than a checksum has.
fn action() -> impl Strategy<Value = Action> {
    let order = (1u32..=2, 1u64..60, 1u64..40, 0u8..10);
    prop_oneof![
        20 => order.prop_map(|(id, ticks, lots, crossing)| {
            let is_bid = (ticks < 30) ^ (crossing == 0);
            let side = if is_bid { protocol::Side::Bid } else { protocol::Side::Ask };
            limit(id, side, 80 + ticks, lots)
        }),
        1 => (1u32..=2).prop_map(|id| Action::CancelAll(protocol::CancelAll {
            market: MarketId(1),
            account: account(id),
            kinds: CancelKinds::All,
            created_until_us: 0,
        })),
    ]
}

#[test]
fn the_checksum_of_the_test_is_the_one_that_is_meant() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926, "the check value of its definition");
}

proptest! {
    #[test]
    fn a_book_kept_by_the_stream_is_proved_by_every_frame(
        blocks in prop::collection::vec(
            (prop::collection::vec(action(), 1..8), any::<bool>()),
            1..25,
        ),
    ) {
        let mut stand = Stand::new();
        let (mut kept, mut best) = (Kept::default(), Default::default());
        for (actions, is_behind) in blocks {
            let pace = if is_behind { Pace::Joined } else { Pace::Realtime };
            let block = stand.exchange.block(&actions);
            let Stand { replica, market_data, now_us, .. } = &mut stand;
            let mut heard = |publications: Vec<Publication>| {
                let frames = read(publications);
                let depth = frames.iter().filter(|(channel, _)| channel == "depth@B_Q");
                depth.for_each(|(_, data)| kept.take(data));
                let tickers = frames.iter().filter(|(channel, _)| channel == "bookTicker@B_Q");
                tickers.map(|(_, data)| data["u"].as_u64().unwrap()).collect::<Vec<_>>()
            };
            each_frame(&block, |frame| {
                replica.apply(frame).unwrap();
                let (applied, market) = (replica.applied(), replica.market(MarketId(1)).unwrap());
                let mut out = Vec::new();
                market_data.frame(market, frame, applied, pace, *now_us, &mut out);
                let is_new = std::mem::replace(&mut best, market.best()) != market.best();
                let expected = is_new.then_some(market.update_id());
                assert_eq!(heard(out), expected.as_slice(), "a book ticker for each best price");
            });
            let mut out = Vec::new();
            market_data.end_of_block(replica, *now_us, &mut out);
            assert!(heard(out).is_empty());
            kept.assert_is(stand.replica.market(MarketId(1)).unwrap());
        }
    }
}
