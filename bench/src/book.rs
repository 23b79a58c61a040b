//! `bench book`: flows through one book on one thread.
//!
//! Every run starts with a fresh book, applies the prefill unmeasured and checks the digest of the
//! whole flow afterwards. The two books take turns, so that a machine that slows down slows both.

use std::hint::black_box;
use std::time::{Duration, Instant};

use orderflow::{RefBook, Trade};
use serde::Serialize;

use crate::clock::{WallClock, nanoseconds, thread_cpu_time};
use crate::engine_book::EngineBook;
use crate::error::BenchError;
use crate::recorder::{Percentiles, Recorder};
use crate::subject::{Subject, Workload};

/// What to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub flows: Vec<String>,
    /// Runs a book and flow; the median counts.
    pub runs: u32,
    pub seed: u64,
}

/// The figures of one flow.
#[derive(Clone, Debug, Serialize)]
pub struct FlowFigures {
    pub flow: String,
    pub seed: u64,
    /// Commands measured, the prefill not among them.
    pub commands: usize,
    pub engine: BookFigures,
    pub reference: BookFigures,
    /// How many times the engine's time the reference takes.
    pub ratio: f64,
}

/// The figures of one book on one flow.
#[derive(Clone, Debug, Serialize)]
pub struct BookFigures {
    /// Thread cpu time a command: median, least and most of the runs.
    pub ns_per_command: f64,
    pub ns_per_command_min: f64,
    pub ns_per_command_max: f64,
    /// Wall time of single commands, less the cost of the clock, of a run of its own.
    pub latency_ns: Percentiles,
}

/// Runs all flows; `done` hears of each as it is finished. Errors: a wrong digest above all.
pub fn run(
    settings: &Settings,
    clock: &WallClock,
    mut done: impl FnMut(&FlowFigures),
) -> Result<Vec<FlowFigures>, BenchError> {
    let mut figures = Vec::new();
    for name in &settings.flows {
        let workload = Workload::new(name, settings.seed)?;
        let of_flow = run_flow(&workload, settings.runs, clock)?;
        done(&of_flow);
        figures.push(of_flow);
    }
    Ok(figures)
}

fn run_flow(workload: &Workload, runs: u32, clock: &WallClock) -> Result<FlowFigures, BenchError> {
    let mut engine = Lane::<EngineBook>::new(workload)?;
    let mut reference = Lane::<RefBook>::new(workload)?;
    for _ in 0..runs {
        engine.time_whole()?;
        reference.time_whole()?;
    }
    let engine = engine.finish(clock)?;
    let reference = reference.finish(clock)?;
    Ok(FlowFigures {
        flow: workload.flow.name.clone(),
        seed: workload.flow.seed,
        commands: workload.flow.commands.len() - workload.flow.prefill,
        ratio: reference.ns_per_command / engine.ns_per_command,
        engine,
        reference,
    })
}

/// One book on one flow: its commands, prepared, and what its runs took.
pub(crate) struct Lane<'a, S: Subject> {
    workload: &'a Workload,
    prefill: Vec<S::Command>,
    measured: Vec<S::Command>,
    /// Reused by all runs, its memory touched, so that no run pays for fresh pages.
    trades: Vec<Trade>,
    spent: Vec<Duration>,
}

impl<'a, S: Subject> Lane<'a, S> {
    pub(crate) fn new(workload: &'a Workload) -> Result<Self, BenchError> {
        let mut prefill = S::prepare(workload)?;
        let measured = prefill.split_off(workload.flow.prefill);
        let nothing = Trade { maker: u64::MAX, taker: u64::MAX, price: u64::MAX, qty: u64::MAX };
        Ok(Lane {
            workload,
            prefill,
            measured,
            trades: vec![nothing; workload.extent.trades],
            spent: Vec::new(),
        })
    }

    /// A fresh book with the prefill in it, and how many commands of the prefill were rejected.
    fn prefilled(&mut self) -> Result<(S, u64), BenchError> {
        let mut book = S::fresh(&self.workload.extent)?;
        self.trades.clear();
        let mut rejected = 0;
        for command in &self.prefill {
            rejected += u64::from(!book.apply(command, &mut self.trades));
        }
        Ok((book, rejected))
    }

    /// One run under the thread's cpu clock.
    pub(crate) fn time_whole(&mut self) -> Result<(), BenchError> {
        let (mut book, mut rejected) = self.prefilled()?;
        let start = thread_cpu_time()?;
        for command in &self.measured {
            rejected += u64::from(!book.apply(black_box(command), &mut self.trades));
        }
        let end = thread_cpu_time()?;
        self.spent.push(end - start);
        self.check(&book, rejected)
    }

    /// One run with every command timed by the wall clock.
    fn time_each(&mut self, clock: &WallClock) -> Result<Percentiles, BenchError> {
        let (mut book, mut rejected) = self.prefilled()?;
        // Kept raw until the end: a histogram in between would push the book out of the cache.
        let mut latencies = vec![u64::MAX; self.measured.len()];
        for (command, latency) in self.measured.iter().zip(&mut latencies) {
            let start = Instant::now();
            rejected += u64::from(!book.apply(black_box(command), &mut self.trades));
            *latency = nanoseconds(start.elapsed());
        }
        self.check(&book, rejected)?;
        let mut recorder = Recorder::new(clock.reading_ns)?;
        latencies.into_iter().for_each(|latency| recorder.record(latency));
        Ok(recorder.percentiles())
    }

    fn check(&self, book: &S, rejected: u64) -> Result<(), BenchError> {
        let digest = book.digest(&self.trades, rejected);
        let expected = self.workload.expected_row();
        let found = digest.csv_row(&self.workload.flow);
        if found == expected {
            return Ok(());
        }
        let flow = self.workload.flow.name.clone();
        Err(BenchError::Digest { subject: S::NAME, flow, expected, found })
    }

    pub(crate) fn finish(mut self, clock: &WallClock) -> Result<BookFigures, BenchError> {
        let latency_ns = self.time_each(clock)?;
        BookFigures::of(&mut self.spent, self.measured.len(), latency_ns)
    }
}

impl BookFigures {
    /// `spent`: what each run took for all `commands`.
    pub(crate) fn of(
        spent: &mut [Duration],
        commands: usize,
        latency_ns: Percentiles,
    ) -> Result<BookFigures, BenchError> {
        spent.sort_unstable();
        let per_command = |spent: Duration| nanoseconds(spent) as f64 / commands as f64;
        let (Some(least), Some(most)) = (spent.first(), spent.last()) else {
            return Err(BenchError::NoRuns);
        };
        Ok(BookFigures {
            ns_per_command: per_command(spent[spent.len() / 2]),
            ns_per_command_min: per_command(*least),
            ns_per_command_max: per_command(*most),
            latency_ns,
        })
    }
}

#[cfg(test)]
mod tests {
    use orderflow::{Command, Digest};

    use super::*;
    use crate::subject::Extent;

    /// The reference book, but for one trade that it keeps to itself.
    struct Forgetful(RefBook);

    impl Subject for Forgetful {
        const NAME: &'static str = "forgetful book";

        type Command = Command;

        fn fresh(extent: &Extent) -> Result<Self, BenchError> {
            RefBook::fresh(extent).map(Forgetful)
        }

        fn prepare(workload: &Workload) -> Result<Vec<Command>, BenchError> {
            RefBook::prepare(workload)
        }

        fn apply(&mut self, command: &Command, trades: &mut Vec<Trade>) -> bool {
            Subject::apply(&mut self.0, command, trades)
        }

        fn digest(&self, trades: &[Trade], rejected: u64) -> Digest {
            let digest = Subject::digest(&self.0, trades, rejected);
            Digest { trades: digest.trades - 1, ..digest }
        }
    }

    #[test]
    fn a_wrong_outcome_is_an_error_and_a_right_one_is_not() {
        let workload = Workload::new("far", orderflow::DEFAULT_SEED).unwrap();
        Lane::<EngineBook>::new(&workload).unwrap().time_whole().unwrap();
        let wrong = Lane::<Forgetful>::new(&workload).unwrap().time_whole();
        assert!(matches!(wrong, Err(BenchError::Digest { subject: "forgetful book", .. })));
    }
}
