//! Candles of a batch of trades, in every interval. Pure.
//!
//! A candle is a sum over trades: joining two candles of the same interval and start is associative
//! and does not depend on order, and the database joins in the same way (`insert.rs`). So how
//! trades are cut into batches makes no difference, as long as each trade comes in once, which the
//! position sees to.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use protocol::Interval;

use crate::tables::TradeRow;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct CandleKey {
    pub market_id: i16,
    pub resolution: i16,
    /// Seconds since the epoch.
    pub open_time_s: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Candle {
    pub first_trade_id: i64,
    pub last_trade_id: i64,
    pub open_ticks: i64,
    pub high_ticks: i64,
    pub low_ticks: i64,
    pub close_ticks: i64,
    pub lots: i128,
    pub quote_units: i128,
    pub trades: i64,
}

impl Candle {
    fn of(trade: &TradeRow) -> Candle {
        Candle {
            first_trade_id: trade.trade_id,
            last_trade_id: trade.trade_id,
            open_ticks: trade.price_ticks,
            high_ticks: trade.price_ticks,
            low_ticks: trade.price_ticks,
            close_ticks: trade.price_ticks,
            lots: i128::from(trade.lots),
            quote_units: i128::from(trade.quote_units),
            trades: 1,
        }
    }

    /// Adds the trades of `other`, none of which may be in this candle already.
    pub fn join(&mut self, other: &Candle) {
        if other.first_trade_id < self.first_trade_id {
            self.first_trade_id = other.first_trade_id;
            self.open_ticks = other.open_ticks;
        }
        if self.last_trade_id < other.last_trade_id {
            self.last_trade_id = other.last_trade_id;
            self.close_ticks = other.close_ticks;
        }
        self.high_ticks = self.high_ticks.max(other.high_ticks);
        self.low_ticks = self.low_ticks.min(other.low_ticks);
        self.lots += other.lots;
        self.quote_units += other.quote_units;
        self.trades += other.trades;
    }
}

pub type Candles = BTreeMap<CandleKey, Candle>;

/// The number of an interval in column `resolution`: its place in [`Interval::ALL`].
pub const fn resolution(interval: Interval) -> i16 {
    interval as i16
}

/// Candles of `trades` in all intervals. Each trade is looked at once: the longer intervals are
/// made of the seconds.
pub fn candles(trades: &[TradeRow]) -> Candles {
    let seconds = seconds(trades);
    let mut candles = Candles::new();
    for interval in Interval::ALL {
        for (market_id, second, candle) in &seconds {
            let key = CandleKey {
                market_id: *market_id,
                resolution: resolution(interval),
                open_time_s: interval.start_of(*second),
            };
            add(&mut candles, key, candle);
        }
    }
    candles
}

/// Runs of trades in the same second; a second may come up more than once.
fn seconds(trades: &[TradeRow]) -> Vec<(i16, i64, Candle)> {
    let mut runs: Vec<(i16, i64, Candle)> = Vec::new();
    for trade in trades {
        let second = trade.ts.timestamp();
        let candle = Candle::of(trade);
        match runs.last_mut() {
            Some((market_id, last, run)) if (*market_id, *last) == (trade.market_id, second) => {
                run.join(&candle);
            }
            _ => runs.push((trade.market_id, second, candle)),
        }
    }
    runs
}

/// Joins `candle` into what is there.
pub fn add(candles: &mut Candles, key: CandleKey, candle: &Candle) {
    candles.entry(key).and_modify(|there| there.join(candle)).or_insert(*candle);
}

impl CandleKey {
    pub fn open_time(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.open_time_s, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_numbers_of_the_intervals_are_fixed() {
        // Written into the database: klines.resolution.
        for (interval, number) in Interval::ALL.into_iter().zip(0..) {
            assert_eq!(resolution(interval), number);
        }
        assert_eq!(resolution(Interval::Second1), 0);
        assert_eq!(resolution(Interval::Minute1), 1);
        assert_eq!(resolution(Interval::Day1), 12);
        assert_eq!(resolution(Interval::Month1), 15);
    }

    /// Straight from the definition: one candle at a time, all its trades looked for.
    fn naive(trades: &[TradeRow]) -> Candles {
        let mut candles = Candles::new();
        for interval in Interval::ALL {
            for any in trades {
                let start = interval.start_of(any.ts.timestamp());
                let mut inside: Vec<_> = trades
                    .iter()
                    .filter(|trade| trade.market_id == any.market_id)
                    .filter(|trade| interval.start_of(trade.ts.timestamp()) == start)
                    .collect();
                inside.sort_by_key(|trade| trade.trade_id);
                let prices = || inside.iter().map(|trade| trade.price_ticks);
                let key = CandleKey {
                    market_id: any.market_id,
                    resolution: resolution(interval),
                    open_time_s: start,
                };
                let candle = Candle {
                    first_trade_id: inside[0].trade_id,
                    last_trade_id: inside[inside.len() - 1].trade_id,
                    open_ticks: inside[0].price_ticks,
                    high_ticks: prices().max().unwrap(),
                    low_ticks: prices().min().unwrap(),
                    close_ticks: inside[inside.len() - 1].price_ticks,
                    lots: inside.iter().map(|trade| i128::from(trade.lots)).sum(),
                    quote_units: inside.iter().map(|trade| i128::from(trade.quote_units)).sum(),
                    trades: inside.len() as i64,
                };
                candles.insert(key, candle);
            }
        }
        candles
    }

    fn trades() -> impl Strategy<Value = Vec<TradeRow>> {
        let one = (1i16..=2, 1i64..200, 1i64..50, 0i64..200_000_000);
        proptest::collection::vec(one, 1..60).prop_map(|parts| {
            let mut time_us = 1_767_225_590_000_000i64;
            let trade = |((market_id, price_ticks, lots, gap_us), at): ((i16, _, _, _), i64)| {
                // Mostly dense, now and then a jump of days.
                time_us += if at % 9 == 8 { gap_us * 10_000 } else { gap_us / 100 };
                TradeRow {
                    market_id,
                    taker_side: 0,
                    ts: DateTime::from_timestamp_micros(time_us).unwrap(),
                    trade_id: at + 1,
                    sequence: at + 1,
                    price_ticks,
                    lots,
                    quote_units: price_ticks * lots,
                    maker_order_id: 1,
                    taker_order_id: 2,
                }
            };
            parts.into_iter().zip(0..).map(trade).collect()
        })
    }

    proptest! {
        #[test]
        fn batches_cut_anywhere_and_repeated_make_the_naive_candles(
            all in trades(),
            deliveries in proptest::collection::vec((0usize..60, 0usize..60), 0..30),
        ) {
            // Deliveries start where they like; what stands at or below the position is dropped.
            let mut position = 0i64;
            let mut stored = Candles::new();
            let mut deliver = |from: usize, to: usize| {
                let fresh = all[from..to].iter().filter(|trade| position < trade.sequence);
                let fresh: Vec<_> = fresh.copied().collect();
                for (key, candle) in candles(&fresh) {
                    add(&mut stored, key, &candle);
                }
                position = position.max(all[..to].last().map_or(0, |trade| trade.sequence));
                position as usize
            };
            let mut done = 0usize;
            for (back, ahead) in deliveries {
                let from = done.saturating_sub(back);
                done = deliver(from, all.len().min(done + ahead)).max(done);
            }
            deliver(0, all.len());
            prop_assert_eq!(stored, naive(&all));
        }

        #[test]
        fn the_order_of_joining_makes_no_difference(all in trades(), cut in 0usize..60) {
            let (early, late) = all.split_at(cut.min(all.len()));
            let mut stored = candles(late);
            for (key, candle) in candles(early) {
                add(&mut stored, key, &candle);
            }
            prop_assert_eq!(stored, naive(&all));
        }
    }
}
