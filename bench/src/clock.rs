//! The two clocks of a bench: cpu time of this thread for throughput, wall time for latency.
//!
//! Cpu time leaves out what other processes took on a shared machine. It costs a system call, so
//! it is read around a whole run only; single commands are timed by the wall clock, whose own cost
//! is measured and taken off.

use std::hint::black_box;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;

use crate::error::BenchError;

/// Pairs of readings taken to find what a reading costs.
const CALIBRATION_PAIRS: usize = 100_000;

/// Cpu time this thread has used so far.
pub fn thread_cpu_time() -> Result<Duration, BenchError> {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_err(BenchError::Clock)?;
    Ok(Duration::from(time))
}

/// What the wall clock does to the time of a single command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct WallClock {
    /// What two readings with nothing between are apart, median: in every measured time.
    pub reading_ns: u64,
    /// The least difference between measured times that are not equal.
    pub step_ns: u64,
}

impl WallClock {
    /// Reads the clock many times in a row.
    pub fn calibrate() -> WallClock {
        let mut distances = Vec::with_capacity(CALIBRATION_PAIRS);
        for _ in 0..CALIBRATION_PAIRS {
            let start = Instant::now();
            let end = black_box(Instant::now());
            distances.push(nanoseconds(end - start));
        }
        distances.sort_unstable();
        let reading_ns = distances[CALIBRATION_PAIRS / 2];
        distances.dedup();
        let steps = distances.windows(2).map(|pair| pair[1] - pair[0]);
        WallClock { reading_ns, step_ns: steps.min().unwrap_or(1) }
    }
}

/// Whole ns of a duration; at the end of the range (584 years) it stays there.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleeping_thread_uses_no_cpu_time_and_a_busy_one_does() {
        let start = thread_cpu_time().unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let slept = thread_cpu_time().unwrap();
        assert!(slept - start < Duration::from_millis(40));
        let wall = Instant::now();
        while thread_cpu_time().unwrap() - slept < Duration::from_millis(5) {
            assert!(wall.elapsed() < Duration::from_secs(60), "cpu time stands still");
        }
    }

    #[test]
    fn the_wall_clock_is_fit_for_latencies() {
        let clock = WallClock::calibrate();
        assert!(clock.reading_ns < 100_000 && clock.step_ns < 1_000_000, "{clock:?}");
    }
}
