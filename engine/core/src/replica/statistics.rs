//! Rolling figures of one market's trades, counted in buckets of a minute.

use std::collections::VecDeque;

use protocol::{Lots, Price, Units};
use serde::{Deserialize, Serialize};

const MINUTE_US: u64 = 60_000_000;
pub const DAY_MINUTES: u64 = 24 * 60;
pub const WEEK_MINUTES: u64 = 7 * DAY_MINUTES;

/// Trades of a rolling window. Without any, all prices are the last known one, or absent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct WindowFigures {
    pub first: Option<Price>,
    pub last: Option<Price>,
    pub high: Option<Price>,
    pub low: Option<Price>,
    pub lots: u128,
    /// In units of the quote asset.
    pub quote: u128,
    pub trades: u64,
}

/// At most a week of minutes, those with trades only.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    pub(super) buckets: VecDeque<Bucket>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Bucket {
    /// Since the epoch.
    minute: u64,
    first: Price,
    last: Price,
    high: Price,
    low: Price,
    lots: u128,
    quote: u128,
    trades: u64,
}

impl Statistics {
    /// Counts a trade. A time before the latest trade's, when a clock stepped back, counts there.
    pub(super) fn trade(&mut self, time_us: u64, price: Price, lots: Lots, quote: Units) {
        let minute = time_us / MINUTE_US;
        match self.buckets.back_mut() {
            Some(bucket) if minute <= bucket.minute => bucket.add(price, lots, quote),
            _ => {
                let mut bucket = Bucket::begin(minute, price);
                bucket.add(price, lots, quote);
                self.buckets.push_back(bucket);
                while self.buckets.front().is_some_and(|old| old.minute + WEEK_MINUTES <= minute) {
                    self.buckets.pop_front();
                }
            }
        }
    }

    pub fn last_price(&self) -> Option<Price> {
        self.buckets.back().map(|bucket| bucket.last)
    }

    /// The last `minutes` minutes up to `now_us`, the one under way among them.
    pub fn window(&self, now_us: u64, minutes: u64) -> WindowFigures {
        let now = now_us / MINUTE_US;
        let inside = self.buckets.iter().rev().take_while(|bucket| now < bucket.minute + minutes);
        let last = self.last_price();
        let mut figures = WindowFigures { last, ..WindowFigures::default() };
        for bucket in inside {
            figures.first = Some(bucket.first);
            figures.high = figures.high.max(Some(bucket.high));
            figures.low = Some(figures.low.map_or(bucket.low, |low| low.min(bucket.low)));
            figures.lots += bucket.lots;
            figures.quote += bucket.quote;
            figures.trades += bucket.trades;
        }
        if figures.trades == 0 {
            (figures.first, figures.high, figures.low) = (last, last, last);
        }
        figures
    }
}

impl Bucket {
    fn begin(minute: u64, price: Price) -> Self {
        Bucket {
            minute,
            first: price,
            last: price,
            high: price,
            low: price,
            lots: 0,
            quote: 0,
            trades: 0,
        }
    }

    fn add(&mut self, price: Price, lots: Lots, quote: Units) {
        self.last = price;
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        self.lots += u128::from(lots.0);
        self.quote += u128::from(quote.0);
        self.trades += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn price(ticks: u64) -> Option<Price> {
        Price::from_ticks(ticks)
    }

    fn traded(trades: &[(u64, u64)]) -> Statistics {
        let mut statistics = Statistics::default();
        for (minute, ticks) in trades {
            let time_us = minute * MINUTE_US + 7;
            statistics.trade(time_us, price(*ticks).unwrap(), Lots(2), Units(10 * ticks));
        }
        statistics
    }

    #[test]
    fn a_window_forgets_what_is_older() {
        let statistics = traded(&[(100, 5), (100, 9), (500, 7), (1540, 6)]);
        let day = statistics.window(1540 * MINUTE_US, DAY_MINUTES);
        let expected = WindowFigures {
            first: price(7),
            last: price(6),
            high: price(7),
            low: price(6),
            lots: 4,
            quote: 130,
            trades: 2,
        };
        assert_eq!(day, expected);
        let earlier = statistics.window(1539 * MINUTE_US, DAY_MINUTES);
        assert_eq!((earlier.first, earlier.high, earlier.trades), (price(5), price(9), 4));
        let week = statistics.window(1540 * MINUTE_US, WEEK_MINUTES);
        assert_eq!((week.first, week.low, week.trades), (price(5), price(5), 4));
    }

    #[test]
    fn without_trades_every_price_is_the_last_known() {
        assert_eq!(Statistics::default().window(0, DAY_MINUTES), WindowFigures::default());
        let quiet = traded(&[(100, 5), (101, 9)]).window(5000 * MINUTE_US, DAY_MINUTES);
        let expected = WindowFigures {
            first: price(9),
            last: price(9),
            high: price(9),
            low: price(9),
            ..WindowFigures::default()
        };
        assert_eq!(quiet, expected);
    }

    #[test]
    fn a_week_is_all_that_is_kept() {
        let statistics = traded(&[(0, 5), (1, 6), (WEEK_MINUTES, 7), (WEEK_MINUTES + 1, 8)]);
        assert_eq!(statistics.buckets.len(), 2);
        assert_eq!(statistics.last_price(), price(8));
    }
}
