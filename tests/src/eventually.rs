//! Waiting for something to become true, up to a deadline; never for time to pass.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use xtask::interrupt;

/// Between two looks.
const POLL: Duration = Duration::from_millis(20);

pub const SECOND: Duration = Duration::from_secs(1);
/// Long enough for anything that happens at all on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks until there is an answer, at most [`PATIENCE`] long; `Err` says what is missing.
pub fn eventually<T, E: Debug>(what: &str, ask: impl FnMut() -> Result<T, E>) -> T {
    eventually_within(PATIENCE, what, ask)
}

pub fn eventually_within<T, E: Debug>(
    within: Duration,
    what: &str,
    mut ask: impl FnMut() -> Result<T, E>,
) -> T {
    let since = Instant::now();
    loop {
        let missing = match ask() {
            Ok(answer) => return answer,
            Err(missing) => missing,
        };
        assert!(!interrupt::requested(), "stopped by a signal while waiting: {what}");
        assert!(since.elapsed() < within, "not within {within:?}: {what}; at last {missing:?}");
        interrupt::pause(POLL);
    }
}

/// Waits until `found` equals `wanted`.
pub fn eventually_equal<T: PartialEq + Debug>(
    what: &str,
    wanted: &T,
    mut found: impl FnMut() -> T,
) {
    eventually(what, || {
        let found = found();
        if found == *wanted { Ok(()) } else { Err(found) }
    });
}

/// Gives way between two attempts of a client that was turned away.
pub fn breathe() {
    assert!(!interrupt::requested(), "stopped by a signal");
    interrupt::pause(POLL);
}
