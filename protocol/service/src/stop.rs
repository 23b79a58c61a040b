//! Ending when told to: SIGTERM or SIGINT once drains, a second one ends at once.

use std::io;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Calls `drain` on the first SIGTERM or SIGINT; the second ends the process with status 1.
pub fn on_signal(drain: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let wait = move || {
        let mut arrivals = signals.forever();
        if let Some(signal) = arrivals.next() {
            tracing::info!(signal, "draining");
            drain();
        }
        if arrivals.next().is_some() {
            tracing::warn!("told twice to stop: ending without draining");
            std::process::exit(1);
        }
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(())
}
