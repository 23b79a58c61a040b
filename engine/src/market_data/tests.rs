//! What becomes public of a frame, and when.

use protocol::Action;
use serde_json::{Value, json};

use super::*;
use crate::durable::DurableBlock;
use crate::replica_loop::fixture::{TestExchange, limit};

mod books;

/// A replica and its market data, fed block by block on a clock of the test's own.
struct Stand {
    exchange: TestExchange,
    replica: Replica,
    market_data: MarketData,
    now_us: u64,
}

impl Stand {
    fn new() -> Self {
        let (exchange, funding) = TestExchange::funded();
        let mut replica = Replica::new(exchange.catalog.clone());
        let now_us = exchange.time_us;
        let market_data = MarketData::new(&replica, now_us);
        each_frame(&funding, |frame| assert!(replica.apply(frame).is_ok()));
        Stand { exchange, replica, market_data, now_us }
    }

    /// The streams' data, by channel.
    fn block(&mut self, actions: &[Action], pace: Pace) -> Vec<(String, Value)> {
        let block = self.exchange.block(actions);
        let mut out = Vec::new();
        let Stand { replica, market_data, now_us, .. } = self;
        each_frame(&block, |frame| {
            replica.apply(frame).unwrap();
            let (applied, market) = (replica.applied(), replica.market(MarketId(1)).unwrap());
            market_data.frame(market, frame, applied, pace, *now_us, &mut out);
        });
        market_data.end_of_block(replica, *now_us, &mut out);
        read(out)
    }

    fn tick(&mut self, now_us: u64) -> Vec<(String, Value)> {
        self.now_us = now_us;
        let mut out = Vec::new();
        self.market_data.tick(&self.replica, now_us, &mut out);
        read(out)
    }

    /// Klines of the minute, as (trades, closed).
    fn minutes(found: &[(String, Value)]) -> Vec<(u64, bool)> {
        let minutes = found.iter().filter(|(channel, _)| channel == "kline.1m@B_Q");
        let fields = |(_, data): &(String, Value)| {
            (data["n"].as_u64().unwrap(), data["X"].as_bool().unwrap())
        };
        minutes.map(fields).collect()
    }
}

fn each_frame(block: &DurableBlock, mut take: impl FnMut(&Frame<'_>)) {
    Frame::each_of(&block.frames).for_each(|frame| take(&frame.unwrap()));
}

fn read(publications: Vec<Publication>) -> Vec<(String, Value)> {
    let read = |publication: Publication| {
        let mut json: Value = serde_json::from_slice(&publication.payload).unwrap();
        assert_eq!(json["stream"], publication.channel, "the stream is the channel");
        (publication.channel, json["data"].take())
    };
    publications.into_iter().map(read).collect()
}

fn channels(found: &[(String, Value)]) -> Vec<&str> {
    found.iter().map(|(channel, _)| channel.as_str()).collect()
}

const TICK_US: u64 = 100_000;

#[test]
fn each_change_is_a_depth_frame_and_only_best_changes_a_book_ticker() {
    let mut stand = Stand::new();
    let actions =
        [limit(1, Side::Bid, 50, 2), limit(1, Side::Bid, 49, 3), limit(1, Side::Bid, 50, 1)];
    let found = stand.block(&actions, Pace::Realtime);
    let expected = ["depth@B_Q", "bookTicker@B_Q", "depth@B_Q", "depth@B_Q", "bookTicker@B_Q"];
    assert_eq!(channels(&found), expected);
    for (at, update) in [(0, 1), (2, 2), (3, 3)] {
        assert_eq!((&found[at].1["U"], &found[at].1["u"]), (&update.into(), &update.into()));
    }
    assert_eq!(found[3].1["b"], json!([["5.0", "0.3"]]));
    assert_eq!((&found[4].1["B"], &found[4].1["a"]), (&"0.3".into(), &Value::Null));
}

#[test]
fn under_backlog_a_block_is_one_depth_frame_but_every_trade_and_best_price() {
    let mut stand = Stand::new();
    let actions = [
        limit(1, Side::Ask, 60, 2),
        limit(1, Side::Ask, 61, 2),
        limit(2, Side::Bid, 61, 3),
        limit(2, Side::Bid, 40, 1),
    ];
    let found = stand.block(&actions, Pace::Joined);
    let fields = |channel: &str, names: [&str; 3]| {
        let data = found.iter().filter(|(name, _)| name == channel).map(|(_, data)| data);
        data.map(|data| names.map(|name| data[name].clone())).collect::<Vec<_>>()
    };
    let trades = fields("trade@B_Q", ["t", "p", "q"]);
    assert_eq!(json!(trades), json!([[1, "6.0", "0.2"], [2, "6.1", "0.1"]]));
    let best = fields("bookTicker@B_Q", ["b", "a", "u"]);
    assert_eq!(json!(best), json!([[null, "6.0", 1], [null, "6.1", 3], ["4.0", "6.1", 4]]));
    let (last, depth) = found.last().unwrap();
    assert_eq!((found.len(), last.as_str()), (6, "depth@B_Q"));
    assert_eq!((&depth["U"], &depth["u"]), (&1.into(), &4.into()));
    assert_eq!(depth["a"], json!([["6.0", "0.0"], ["6.1", "0.1"]]));
    assert_eq!(depth["b"], json!([["4.0", "0.1"]]));
    let found = stand.block(&[limit(2, Side::Bid, 41, 1)], Pace::Realtime);
    assert_eq!((&found[0].1["U"], &found[0].1["u"]), (&5.into(), &5.into()));
}

#[test]
fn a_ticker_comes_once_a_second_whatever_happens() {
    let mut stand = Stand::new();
    let start = stand.now_us;
    let seen = (0..50).filter(|step| {
        let found = stand.tick(start + step * TICK_US);
        channels(&found).contains(&"ticker@B_Q")
    });
    assert_eq!(seen.count(), 5);
    assert!(!stand.tick(start + 60_000_000).is_empty(), "after a pause at once");
    assert!(stand.tick(start + 60_100_000).is_empty(), "without making up for it");
    assert!(!stand.tick(start + 10_000_000).is_empty(), "after the clock was set back at once");
    assert!(stand.tick(start + 10_100_000).is_empty());
}

#[test]
fn a_candle_is_told_at_most_once_a_second_and_closed_soon_after_its_end() {
    let mut stand = Stand::new();
    let start = stand.exchange.time_us;
    stand.block(&[limit(1, Side::Ask, 60, 9), limit(2, Side::Bid, 60, 1)], Pace::Realtime);
    assert_eq!(Stand::minutes(&stand.tick(start + TICK_US)), [(1, false)]);
    stand.block(&[limit(2, Side::Bid, 60, 1)], Pace::Realtime);
    assert_eq!(Stand::minutes(&stand.tick(start + 2 * TICK_US)), []);
    assert_eq!(Stand::minutes(&stand.tick(start + 11 * TICK_US)), [(2, false)]);
    assert_eq!(Stand::minutes(&stand.tick(start + 30 * TICK_US)), [], "nothing new");
    let end = start + 60_000_000;
    assert_eq!(Stand::minutes(&stand.tick(end)), [], "trades may still be under way");
    stand.exchange.time_us = end - 1;
    stand.block(&[limit(2, Side::Bid, 60, 1)], Pace::Realtime);
    assert_eq!(Stand::minutes(&stand.tick(end + 5 * TICK_US)), [(3, true)]);
    assert_eq!(Stand::minutes(&stand.tick(end + 6 * TICK_US)), []);
    // A trade later than the grace allows: the candle is told again, still closed.
    stand.block(&[limit(2, Side::Bid, 60, 1)], Pace::Realtime);
    assert_eq!(Stand::minutes(&stand.tick(end + 7 * TICK_US)), [(4, true)]);
}

#[test]
fn a_trade_in_the_next_candle_closes_the_one_before_at_once() {
    let mut stand = Stand::new();
    let start = stand.exchange.time_us;
    stand.block(&[limit(1, Side::Ask, 60, 9), limit(2, Side::Bid, 60, 1)], Pace::Realtime);
    stand.exchange.time_us = start + 61_000_000;
    let found = stand.block(&[limit(2, Side::Bid, 60, 2)], Pace::Realtime);
    assert_eq!(Stand::minutes(&found), [(1, true)]);
    assert_eq!(Stand::minutes(&stand.tick(start + 61_100_000)), [(1, false)]);
    let closings = stand.tick(start + 200_000_000);
    assert_eq!(Stand::minutes(&closings), [(1, true)]);
    let data = &closings.iter().find(|(channel, _)| channel == "kline.1m@B_Q").unwrap().1;
    assert_eq!((&data["t"], &data["v"]), (&"1970-01-01T00:02:00".into(), &"0.2".into()));
}

#[test]
fn what_ended_before_the_start_is_not_told_again() {
    let mut stand = Stand::new();
    let start = stand.exchange.time_us;
    stand.block(&[limit(1, Side::Ask, 60, 9), limit(2, Side::Bid, 60, 1)], Pace::Realtime);
    stand.market_data = MarketData::new(&stand.replica, start + 100_000_000);
    let found = stand.tick(start + 100_000_000);
    assert_eq!(Stand::minutes(&found), []);
    let later = stand.tick(start + 241_000_000);
    assert_eq!(channels(&later), ["kline.3m@B_Q", "kline.5m@B_Q", "ticker@B_Q"]);
}
