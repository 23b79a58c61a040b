//! The current candle of every interval of one market.

use protocol::{Interval, Lots, Price};
use serde::{Deserialize, Serialize};

/// Trades of one interval of time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Candle {
    /// Seconds since the epoch.
    pub start_s: i64,
    /// Start of the next.
    pub end_s: i64,
    pub open: Price,
    pub close: Price,
    pub high: Price,
    pub low: Price,
    pub lots: u128,
    pub trades: u64,
}

/// The latest candle of each interval that had a trade, in the order of [`Interval::ALL`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Candles {
    pub(super) latest: [Option<Candle>; Interval::ALL.len()],
}

impl Candles {
    /// Counts a trade. A time before the latest candle's, when a clock stepped back, counts there.
    /// Candles that end because a later one begins are added to `ended`.
    pub(super) fn trade(
        &mut self,
        time_s: i64,
        price: Price,
        lots: Lots,
        ended: &mut Vec<(Interval, Candle)>,
    ) {
        for (candle, interval) in self.latest.iter_mut().zip(Interval::ALL) {
            match candle {
                Some(candle) if time_s < candle.end_s => candle.add(price, lots),
                _ => {
                    let begun = Candle::begin(interval, time_s, price, lots);
                    ended.extend(candle.replace(begun).map(|old| (interval, old)));
                }
            }
        }
    }

    /// `None` before the first trade. It may have ended already.
    pub fn latest(&self, interval: Interval) -> Option<&Candle> {
        self.latest[interval as usize].as_ref()
    }
}

impl Candle {
    fn begin(interval: Interval, time_s: i64, price: Price, lots: Lots) -> Self {
        Candle {
            start_s: interval.start_of(time_s),
            end_s: interval.next_start(time_s),
            open: price,
            close: price,
            high: price,
            low: price,
            lots: u128::from(lots.0),
            trades: 1,
        }
    }

    fn add(&mut self, price: Price, lots: Lots) {
        self.close = price;
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        self.lots += u128::from(lots.0);
        self.trades += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interval_is_found_at_its_own_place() {
        for (at, interval) in Interval::ALL.into_iter().enumerate() {
            assert_eq!(interval as usize, at);
        }
    }

    #[test]
    fn a_candle_ends_when_a_later_trade_begins_the_next() {
        let price = |ticks| Price::from_ticks(ticks).unwrap();
        let (mut candles, mut ended) = (Candles::default(), Vec::new());
        for (time_s, ticks) in [(120, 10), (121, 14), (119, 8), (179, 12)] {
            candles.trade(time_s, price(ticks), Lots(2), &mut ended);
        }
        let minute = *candles.latest(Interval::Minute1).unwrap();
        let expected = Candle {
            start_s: 120,
            end_s: 180,
            open: price(10),
            close: price(12),
            high: price(14),
            low: price(8),
            lots: 8,
            trades: 4,
        };
        assert_eq!(minute, expected);
        ended.clear();
        candles.trade(180, price(9), Lots(1), &mut ended);
        let minutes: Vec<_> =
            ended.iter().filter(|(interval, _)| *interval == Interval::Minute1).collect();
        assert_eq!(minutes, [&(Interval::Minute1, expected)]);
        assert!(!ended.iter().any(|(interval, _)| *interval == Interval::Minute5));
        assert_eq!(candles.latest(Interval::Minute1).unwrap().open, price(9));
    }
}
