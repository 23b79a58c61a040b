//! A period cut into windows of time, the latest ones the shortest.
//!
//! Rows lie in chunks by time, and planning a statement over all chunks of a year costs more than
//! reading a page. Most pages are found in the latest windows. Pure.

use chrono::{DateTime, TimeDelta, Utc};

use crate::past_orders::SortDirection;

/// Lengths from the end of the period backwards; what lies before them is one more window.
const LENGTHS_DAYS: [i64; 5] = [1, 3, 12, 48, 192];

/// From `from` on, up to but without `until`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Window {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

impl Window {
    /// All moments up to this one, which is included.
    pub fn through(last: DateTime<Utc>) -> Window {
        Window { from: DateTime::UNIX_EPOCH, until: after(last) }
    }

    /// What this one and the moments from the one to the other, both included, have in common.
    pub fn between(self, first: DateTime<Utc>, last: DateTime<Utc>) -> Window {
        Window { from: self.from.max(first), until: self.until.min(after(last)) }
    }

    /// The windows of this one in the order in which they are to be read. `now` is where its rows
    /// are thought to end, should it be open: what is later is in the latest window.
    pub fn cut(self, now: DateTime<Utc>, direction: SortDirection) -> Vec<Window> {
        let mut windows = Vec::with_capacity(LENGTHS_DAYS.len() + 1);
        let (mut until, mut cut) = (self.until, self.until.min(now));
        for days in LENGTHS_DAYS {
            cut = cut.checked_sub_signed(TimeDelta::days(days)).unwrap_or(self.from);
            if cut <= self.from {
                break;
            }
            windows.push(Window { from: cut, until });
            until = cut;
        }
        if self.from < until {
            windows.push(Window { from: self.from, until });
        }
        if direction == SortDirection::Ascending {
            windows.reverse();
        }
        windows
    }
}

/// The engine's times have microseconds.
fn after(moment: DateTime<Utc>) -> DateTime<Utc> {
    moment.checked_add_signed(TimeDelta::microseconds(1)).unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::days(day)
    }

    fn cut(from: i64, until: i64, now: i64, direction: SortDirection) -> Vec<(i64, i64)> {
        let days = |time: DateTime<Utc>| (time - DateTime::UNIX_EPOCH).num_days();
        let windows = Window { from: at(from), until: at(until) }.cut(at(now), direction);
        windows.iter().map(|window| (days(window.from), days(window.until))).collect()
    }

    #[test]
    fn the_latest_window_is_the_shortest_and_holds_what_is_later_than_now() {
        use SortDirection::{Ascending, Descending};
        let expected = [(999, 9000), (996, 999), (984, 996), (936, 984), (744, 936), (0, 744)];
        assert_eq!(cut(0, 9000, 1000, Descending), expected);
        let mut backwards = expected;
        backwards.reverse();
        assert_eq!(cut(0, 9000, 1000, Ascending), backwards);
        // A period of the past begins at its own end.
        assert_eq!(cut(98, 110, 1000, Descending), [(109, 110), (106, 109), (98, 106)]);
        assert_eq!(cut(99, 100, 1000, Descending), [(99, 100)]);
        assert_eq!(cut(2000, 2001, 1000, Descending), [(2000, 2001)], "the future");
        assert!(cut(5, 5, 1000, Descending).is_empty());
    }

    #[test]
    fn windows_tile_their_period() {
        for (from, until) in [(0, 1), (0, 400), (3, 700), (999, 1001), (500, 20_000)] {
            let mut windows = cut(from, until, 1000, SortDirection::Ascending);
            assert_eq!((windows[0].0, windows.pop().unwrap().1), (from, until));
            let mut next = from;
            for (window_from, window_until) in windows {
                assert_eq!(window_from, next);
                assert!(window_from < window_until);
                next = window_until;
            }
        }
    }
}
