//! What time it is, for whoever may ask.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since the epoch; zero on a machine whose clock stands before it.
pub fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
