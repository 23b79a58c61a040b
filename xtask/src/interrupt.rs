//! Ctrl-C and its relatives. A signal is counted, never acted upon here: whoever waits looks at
//! the count and ends its work in order. The second one asks for haste.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::error::{Doing, Result, XtaskError};

/// Written by the signal thread alone.
static SIGNALS: AtomicUsize = AtomicUsize::new(0);

/// How often a waiting loop looks at what it waits for.
pub const POLL: Duration = Duration::from_millis(25);

/// Catches SIGINT, SIGTERM and SIGHUP for the rest of this process. A SIGHUP that `nohup` has
/// switched off stays off.
pub fn watch() -> Result<()> {
    let mut caught = vec![SIGINT, SIGTERM];
    if !hangup_is_ignored() {
        caught.push(SIGHUP);
    }
    let mut signals = Signals::new(caught).doing("catch signals")?;
    thread::spawn(move || {
        for _ in signals.forever() {
            SIGNALS.fetch_add(1, Ordering::Relaxed);
        }
    });
    Ok(())
}

/// Signals caught so far.
pub fn count() -> usize {
    SIGNALS.load(Ordering::Relaxed)
}

pub fn requested() -> bool {
    0 < count()
}

/// An error once a signal has come.
pub fn check() -> Result<()> {
    if requested() { Err(XtaskError::Interrupted) } else { Ok(()) }
}

/// Sleeps for `at_most`, less when a signal has come.
pub fn pause(at_most: Duration) {
    let until = Instant::now() + at_most;
    while !requested() {
        let rest = until.saturating_duration_since(Instant::now());
        if rest.is_zero() {
            return;
        }
        thread::sleep(rest.min(POLL));
    }
}

fn hangup_is_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let bits = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    bits & (1 << (SIGHUP - 1)) != 0
}
