//! Which part of a history is asked for: a page, and a period of time.

use chrono::{DateTime, Utc};

use super::history::at_most;
use crate::error::ApiError;
use crate::parameters::Parameters;

pub const LIMIT_DEFAULT: u64 = 100;
pub const LIMIT_MAX: u64 = 1_000;
/// What is passed over is walked through, in the index alone: a million rows take a quarter of a
/// second and more (bench/README.md), and a statement ends after `database_timeout_ms`.
pub const OFFSET_MAX: u64 = 1_000_000;
/// The last millisecond of the year 9999.
pub const TIME_MS_MAX: u64 = 253_402_300_799_999;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Page {
    pub limit: i64,
    pub offset: i64,
}

impl Page {
    pub fn read(parameters: &Parameters<'_>) -> Result<Self, ApiError> {
        Ok(Page {
            limit: at_most(parameters, "limit", LIMIT_DEFAULT, LIMIT_MAX)?,
            offset: at_most(parameters, "offset", 0, OFFSET_MAX)?,
        })
    }
}

/// `from` to `to` of a query, in milliseconds, both of them included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Period {
    pub from: DateTime<Utc>,
    /// The first moment after it.
    pub until: DateTime<Utc>,
}

impl Period {
    pub fn read(parameters: &Parameters<'_>) -> Result<Self, ApiError> {
        let from = at_most(parameters, "from", 0, TIME_MS_MAX)?;
        let to = at_most(parameters, "to", TIME_MS_MAX, TIME_MS_MAX)?;
        let (from, until) = (time("from", from)?, time("to", to + 1)?);
        Ok(Period { from, until })
    }
}

fn time(name: &str, milliseconds: i64) -> Result<DateTime<Utc>, ApiError> {
    DateTime::from_timestamp_millis(milliseconds)
        .ok_or_else(|| ApiError::field(name, "must be epoch milliseconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn period(query: &str) -> Result<Period, ApiError> {
        Period::read(&Parameters::from_query(query).unwrap())
    }

    #[test]
    fn the_last_millisecond_is_in_the_period_to_its_end() {
        let period = period("from=1767225600123&to=1767225600123").unwrap();
        assert_eq!(period.from.timestamp_micros(), 1_767_225_600_123_000);
        assert_eq!(period.until.timestamp_micros(), 1_767_225_600_124_000);
    }

    #[test]
    fn times_that_are_none_are_named() {
        for (query, name) in [
            ("from=-1", "from"),
            ("to=1.5", "to"),
            ("from=2026-01-01", "from"),
            ("to=253402300800000", "to"),
            ("from=18446744073709551616", "from"),
        ] {
            let error = period(query).unwrap_err();
            assert_eq!(error.status.as_u16(), 400);
            assert!(error.message.starts_with(name), "{query}: {}", error.message);
        }
        period("endTime=soon").unwrap();
        assert!(period("to=253402300799999").is_ok());
    }

    #[test]
    fn pages_are_bounded() {
        let page = |query: &str| Page::read(&Parameters::from_query(query).unwrap());
        assert_eq!(page("").unwrap(), Page { limit: 100, offset: 0 });
        assert_eq!(page("limit=1000&offset=7").unwrap(), Page { limit: 1000, offset: 7 });
        for query in ["limit=1001", "offset=1000001", "offset=-1", "limit=x"] {
            assert_eq!(page(query).unwrap_err().status.as_u16(), 400, "{query}");
        }
    }
}
