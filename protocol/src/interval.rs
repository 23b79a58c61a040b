//! Candle intervals and their boundaries, in UTC.

use chrono::{DateTime, Datelike, Months, NaiveDate};

/// Lengths of candles; the contract's names.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Interval {
    Second1,
    Minute1,
    Minute3,
    Minute5,
    Minute15,
    Minute30,
    Hour1,
    Hour2,
    Hour4,
    Hour6,
    Hour8,
    Hour12,
    Day1,
    Day3,
    Week1,
    Month1,
}

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// The epoch was a Thursday; weeks begin on the Monday four days later.
const FIRST_MONDAY: i64 = 4 * DAY;

impl Interval {
    pub const ALL: [Interval; 16] = [
        Interval::Second1,
        Interval::Minute1,
        Interval::Minute3,
        Interval::Minute5,
        Interval::Minute15,
        Interval::Minute30,
        Interval::Hour1,
        Interval::Hour2,
        Interval::Hour4,
        Interval::Hour6,
        Interval::Hour8,
        Interval::Hour12,
        Interval::Day1,
        Interval::Day3,
        Interval::Week1,
        Interval::Month1,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Interval::Second1 => "1s",
            Interval::Minute1 => "1m",
            Interval::Minute3 => "3m",
            Interval::Minute5 => "5m",
            Interval::Minute15 => "15m",
            Interval::Minute30 => "30m",
            Interval::Hour1 => "1h",
            Interval::Hour2 => "2h",
            Interval::Hour4 => "4h",
            Interval::Hour6 => "6h",
            Interval::Hour8 => "8h",
            Interval::Hour12 => "12h",
            Interval::Day1 => "1d",
            Interval::Day3 => "3d",
            Interval::Week1 => "1w",
            Interval::Month1 => "1month",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interval| interval.name() == name)
    }

    /// Length in seconds; `None` for the month, whose length varies.
    pub const fn seconds(self) -> Option<i64> {
        Some(match self {
            Interval::Second1 => 1,
            Interval::Minute1 => 60,
            Interval::Minute3 => 180,
            Interval::Minute5 => 300,
            Interval::Minute15 => 900,
            Interval::Minute30 => 1800,
            Interval::Hour1 => HOUR,
            Interval::Hour2 => 2 * HOUR,
            Interval::Hour4 => 4 * HOUR,
            Interval::Hour6 => 6 * HOUR,
            Interval::Hour8 => 8 * HOUR,
            Interval::Hour12 => 12 * HOUR,
            Interval::Day1 => DAY,
            Interval::Day3 => 3 * DAY,
            Interval::Week1 => 7 * DAY,
            Interval::Month1 => return None,
        })
    }

    /// Start of the candle that holds `time_s` (seconds since the epoch). A time outside what a
    /// calendar can name is its own start.
    pub fn start_of(self, time_s: i64) -> i64 {
        match self.seconds() {
            Some(length) => {
                let origin = if self == Interval::Week1 { FIRST_MONDAY } else { 0 };
                time_s - (time_s - origin).rem_euclid(length)
            }
            None => month_start(time_s, 0).unwrap_or(time_s),
        }
    }

    /// Start of the candle after the one that holds `time_s`.
    pub fn next_start(self, time_s: i64) -> i64 {
        match self.seconds() {
            Some(length) => self.start_of(time_s).saturating_add(length),
            None => month_start(time_s, 1).unwrap_or(time_s),
        }
    }
}

/// First second of the month that holds `time_s`, or of one `later` months after it.
fn month_start(time_s: i64, later: u32) -> Option<i64> {
    let date = DateTime::from_timestamp(time_s, 0)?.date_naive();
    let first = NaiveDate::from_ymd_opt(date.year(), date.month(), 1)?;
    let first = first.checked_add_months(Months::new(later))?;
    Some(first.and_hms_opt(0, 0, 0)?.and_utc().timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp()
    }

    #[test]
    fn weeks_start_on_monday_and_months_on_the_first() {
        let time = at("2026-11-25T13:14:15Z");
        assert_eq!(Interval::Week1.start_of(time), at("2026-11-23T00:00:00Z"));
        assert_eq!(Interval::Month1.start_of(time), at("2026-11-01T00:00:00Z"));
        assert_eq!(
            Interval::Month1.next_start(at("2026-12-31T23:59:59Z")),
            at("2027-01-01T00:00:00Z")
        );
        assert_eq!(Interval::Day3.start_of(at("1970-01-04T00:00:00Z")), 3 * DAY);
        assert_eq!(Interval::Hour4.start_of(time), at("2026-11-25T12:00:00Z"));
    }

    #[test]
    fn every_time_lies_in_its_candle() {
        for interval in Interval::ALL {
            for time in [0, 59, 86_399, 1_767_225_600, 1_774_999_999, 4_102_444_799] {
                let (start, next) = (interval.start_of(time), interval.next_start(time));
                assert!(start <= time && time < next, "{} {time}", interval.name());
                assert_eq!(interval.start_of(start), start);
                assert_eq!(interval.start_of(next), next);
                assert_eq!(Interval::from_name(interval.name()), Some(interval));
            }
        }
    }
}
