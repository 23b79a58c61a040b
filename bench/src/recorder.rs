//! Latencies in, percentiles out.

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::error::BenchError;

/// Three significant digits: a value is off by at most one in a thousand.
const DIGITS: u8 = 3;
/// An hour. What takes longer counts as an hour.
const LATENCY_NS_MAX: u64 = 3_600_000_000_000;

/// A histogram of ns from which a fixed cost is taken off.
#[derive(Debug)]
pub struct Recorder {
    histogram: Histogram<u64>,
    cost_ns: u64,
}

/// What is reported of a histogram, in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Percentiles {
    pub count: u64,
    pub p50: u64,
    pub p99: u64,
    pub p99_9: u64,
    pub max: u64,
}

impl Recorder {
    /// `cost_ns` is taken off every value, down to 0: what measuring itself takes.
    pub fn new(cost_ns: u64) -> Result<Recorder, BenchError> {
        let histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS);
        Ok(Recorder { histogram: histogram.map_err(BenchError::Histogram)?, cost_ns })
    }

    /// Takes in one measured latency.
    pub fn record(&mut self, measured_ns: u64) {
        self.histogram.saturating_record(measured_ns.saturating_sub(self.cost_ns));
    }

    /// Takes in all that another one has.
    pub fn add(&mut self, other: &Recorder) -> Result<(), BenchError> {
        self.histogram.add(&other.histogram).map_err(BenchError::Histograms)
    }

    /// The percentiles of all that was recorded; zeros if nothing was.
    pub fn percentiles(&self) -> Percentiles {
        Percentiles {
            count: self.histogram.len(),
            p50: self.histogram.value_at_quantile(0.5),
            p99: self.histogram.value_at_quantile(0.99),
            p99_9: self.histogram.value_at_quantile(0.999),
            max: self.histogram.max(),
        }
    }
}

impl Percentiles {
    /// Of several runs, each figure for itself; `None` of none.
    pub fn median(runs: impl Iterator<Item = Percentiles>) -> Option<Percentiles> {
        let runs: Vec<_> = runs.collect();
        let middle = |figure: fn(&Percentiles) -> u64| {
            let mut values: Vec<_> = runs.iter().map(figure).collect();
            values.sort_unstable();
            values.get(values.len() / 2).copied()
        };
        Some(Percentiles {
            count: middle(|run| run.count)?,
            p50: middle(|run| run.p50)?,
            p99: middle(|run| run.p99)?,
            p99_9: middle(|run| run.p99_9)?,
            max: middle(|run| run.max)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_values_less_the_cost() {
        let mut recorder = Recorder::new(20).unwrap();
        for value in 1..=1000 {
            recorder.record(value + 20);
        }
        let expected = Percentiles { count: 1000, p50: 500, p99: 990, p99_9: 999, max: 1000 };
        assert_eq!(recorder.percentiles(), expected);
    }

    #[test]
    fn extremes_stay_in_range() {
        let mut recorder = Recorder::new(20).unwrap();
        assert_eq!(recorder.percentiles().max, 0);
        recorder.record(5);
        assert_eq!(recorder.percentiles().max, 0);
        recorder.record(u64::MAX);
        assert!(LATENCY_NS_MAX <= recorder.percentiles().max);
    }
}
