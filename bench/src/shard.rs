//! `bench shard`: flows through a whole shard (holds, credits, orders' details and ids,
//! recognition, digest, finished frames), against the book alone on the same commands.
//!
//! Book and shard take turns, run by run. Frames are copied out as the shard's thread copies them
//! into its ring, over and over into memory of that size.

use std::hint::black_box;
use std::time::{Duration, Instant};

use engine_core::{Input, Shard};
use protocol::{Frame, RECORD_BYTES, Record};
use serde::Serialize;

use crate::book::{BookFigures, Lane, Settings};
use crate::clock::{WallClock, nanoseconds, thread_cpu_time};
use crate::engine_book::EngineBook;
use crate::error::BenchError;
use crate::recorder::{Percentiles, Recorder};
use crate::subject::Workload;

pub mod translation;
pub mod script;
pub mod parts;
pub mod report;

use parts::PartFigures;
use script::{Script, Senders};

/// As the ring between a shard and the journal by default.
const RING_RECORDS: usize = 16_384;

/// The figures of one flow.
#[derive(Clone, Debug, Serialize)]
pub struct ShardFigures {
    pub flow: String,
    pub seed: u64,
    /// Commands measured, the prefill not among them.
    pub commands: usize,
    pub book: BookFigures,
    pub shard: BookFigures,
    /// How many times the book's time the shard takes.
    pub ratio: f64,
    pub parts: PartFigures,
    pub frame_bytes_mean: f64,
}

/// Runs all flows; `done` hears of each as it is finished.
pub fn run(
    settings: &Settings,
    senders: Senders,
    clock: &WallClock,
    mut done: impl FnMut(&ShardFigures),
) -> Result<Vec<ShardFigures>, BenchError> {
    let mut figures = Vec::new();
    for name in &settings.flows {
        let workload = translation::translated(name, settings.seed)?;
        let mut of_flow = run_flow(&workload, settings.runs, senders, clock)?;
        of_flow.flow.clone_from(name);
        done(&of_flow);
        figures.push(of_flow);
    }
    Ok(figures)
}

fn run_flow(
    workload: &Workload,
    runs: u32,
    senders: Senders,
    clock: &WallClock,
) -> Result<ShardFigures, BenchError> {
    let script = Script::rehearse(workload, senders)?;
    let mut book = Lane::<EngineBook>::new(workload)?;
    let mut shard = ShardLane::new(&script)?;
    for _ in 0..runs {
        book.time_whole()?;
        shard.time_whole()?;
    }
    let book = book.finish(clock)?;
    let shard = shard.finish(clock)?;
    let commands = workload.flow.commands.len() - workload.flow.prefill;
    Ok(ShardFigures {
        flow: workload.flow.name.clone(),
        seed: workload.flow.seed,
        commands,
        ratio: shard.ns_per_command / book.ns_per_command,
        book,
        shard,
        parts: parts::measure(&script, runs)?,
        frame_bytes_mean: script.frames.len() as f64 / script.inputs.len() as f64,
    })
}

/// A shard on one flow, and what its runs took.
struct ShardLane<'a> {
    script: &'a Script,
    /// The last frame of all, which tells of the whole state.
    last: Vec<u8>,
    ring: Ring,
    spent: Vec<Duration>,
}

impl<'a> ShardLane<'a> {
    fn new(script: &'a Script) -> Result<Self, BenchError> {
        let mut last: &[u8] = &[];
        for frame in Frame::each_of(&script.frames) {
            last = frame.map_err(BenchError::Decode)?.bytes();
        }
        let last = last.to_vec();
        Ok(ShardLane { script, last, ring: Ring::new(), spent: Vec::new() })
    }

    fn prefilled(&mut self) -> Result<(Shard, &'a [Input]), BenchError> {
        let mut shard = self.script.shard()?;
        let (before, measured, _) = self.script.stretches();
        before.iter().for_each(|input| self.ring.push(shard.apply(input)));
        Ok((shard, measured))
    }

    /// One run under the thread's cpu clock.
    fn time_whole(&mut self) -> Result<(), BenchError> {
        let (mut shard, measured) = self.prefilled()?;
        let start = thread_cpu_time()?;
        for input in measured {
            self.ring.push(shard.apply(black_box(input)));
        }
        let end = thread_cpu_time()?;
        self.spent.push(end - start);
        self.check(shard)
    }

    /// One run with every command timed by the wall clock.
    fn time_each(&mut self, clock: &WallClock) -> Result<Percentiles, BenchError> {
        let (mut shard, measured) = self.prefilled()?;
        let mut latencies = vec![u64::MAX; measured.len()];
        for (input, latency) in measured.iter().zip(&mut latencies) {
            let start = Instant::now();
            self.ring.push(shard.apply(black_box(input)));
            *latency = nanoseconds(start.elapsed());
        }
        self.check(shard)?;
        let mut recorder = Recorder::new(clock.reading_ns)?;
        latencies.into_iter().for_each(|latency| recorder.record(latency));
        Ok(recorder.percentiles())
    }

    /// Whether the run ended as the rehearsal did: the last frame bears the digest of the state.
    fn check(&self, mut shard: Shard) -> Result<(), BenchError> {
        let (_, _, after) = self.script.stretches();
        let found: Vec<u8> = after.iter().flat_map(|input| shard.apply(input).concat()).collect();
        if self.last == found {
            return Ok(());
        }
        let digest = |frame: &[u8]| {
            let frame = Frame::parse(frame).map_err(BenchError::Decode)?;
            Ok::<_, BenchError>(frame.header.digest)
        };
        Err(BenchError::State { expected: digest(&self.last)?, found: digest(&found)? })
    }

    fn finish(mut self, clock: &WallClock) -> Result<BookFigures, BenchError> {
        let latency_ns = self.time_each(clock)?;
        let (_, measured, _) = self.script.stretches();
        BookFigures::of(&mut self.spent, measured.len(), latency_ns)
    }
}

/// Where frames are copied to: memory written over and over, as the ring to the journal is.
struct Ring {
    records: Vec<Record>,
    at: usize,
}

impl Ring {
    fn new() -> Ring {
        Ring { records: vec![[u8::MAX; RECORD_BYTES]; RING_RECORDS], at: 0 }
    }

    #[inline]
    fn push(&mut self, mut frame: &[Record]) {
        while !frame.is_empty() {
            let count = frame.len().min(self.records.len() - self.at);
            let (now, rest) = frame.split_at(count);
            self.records[self.at..self.at + count].copy_from_slice(now);
            self.at = (self.at + count) % self.records.len();
            frame = rest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_ends_otherwise_than_the_rehearsal_is_an_error() {
        let workload = translation::translated("far", 5).unwrap();
        let senders = Senders { gateways: 2, naming: script::Naming::All };
        let script = Script::rehearse(&workload, senders).unwrap();
        let mut lane = ShardLane::new(&script).unwrap();
        lane.time_whole().unwrap();
        lane.last[40] ^= 1;
        assert!(lane.time_whole().is_err());
    }
}
