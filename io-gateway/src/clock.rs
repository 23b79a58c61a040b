//! The gateway's only reading of the time of day.

use chrono::{DateTime, Utc};

pub use service::clock::now_us;

pub fn now_ms() -> u64 {
    now_us() / 1000
}

pub fn now() -> DateTime<Utc> {
    let time = i64::try_from(now_us()).ok().and_then(DateTime::from_timestamp_micros);
    time.unwrap_or(DateTime::UNIX_EPOCH)
}
