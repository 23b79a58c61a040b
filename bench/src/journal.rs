//! `bench journal`: the engine's journal thread on a real disk, fed with frames as shards feed it.
//!
//! ```text
//! tape ─▶ schedule ─▶ rings of shards ═▶ journal (merge, write, sync) ─▶ listener, stops the clock
//! ```
//!
//! With sync and with write alone take turns. A command's time runs from when it was due, whether
//! the ring had room for it or not, until a listener holds its durable block: what the sender of
//! replies would now send.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use crossbeam::channel::{self, Receiver};
use engine::counters::JournalCounters;
use engine::data_dir::{self, Folders};
use engine::disk::{Disk, RealDisk};
use engine::durable::{DurableBlock, Listener};
use engine::idle::{Bell, Idle, Waiting};
use engine::journal::definitions::Definitions;
use engine::journal::merge::Merge;
use engine::journal::writer::{Durability, Writer, WriterSettings};
use engine::journal::{DurablePosition, JournalLoop};
use engine::ring::{Outlet, ring};
use engine_core::ShardLimits;
use protocol::{Catalog, Record, Sequence};
use serde::Serialize;

use crate::error::BenchError;
use crate::pace::{Schedule, median, wake_exactly};
use crate::place::{FileSystem, Place};
use crate::recorder::{Percentiles, Recorder};
use crate::traffic::{Size, Tape, Traffic};

pub mod disk_alone;
pub mod report;

use disk_alone::DiskFigures;

/// As the engine by default.
const RING_RECORDS: usize = 16_384;
const BLOCK_BYTES_MAX: usize = 1 << 20;
const SEGMENT_BYTES: u64 = 64 << 20;
const BLOCKS_MAX: usize = 64;
/// Of a block on disk.
const BLOCK_HEADER_BYTES: u64 = 64;

#[derive(Clone, Debug)]
pub struct Settings {
    pub dir: Option<PathBuf>,
    /// Commands made ahead, each used once a step.
    pub commands: u64,
    pub shards: usize,
    /// Offered, commands a second.
    pub rates: Vec<u64>,
    /// Of each step of offered load.
    pub milliseconds: u64,
    pub runs: u32,
}

#[derive(Clone, Debug, Serialize)]
pub struct JournalFigures {
    pub disk: FileSystem,
    pub disk_alone: DiskFigures,
    pub frame_bytes_mean: f64,
    pub steps: Vec<StepFigures>,
}

/// One offered load, both ways.
#[derive(Clone, Debug, Serialize)]
pub struct StepFigures {
    /// Commands a second; `None`: as fast as the rings take them.
    pub offered: Option<u64>,
    pub fsync: WayFigures,
    pub write: WayFigures,
}

/// Medians of the runs.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct WayFigures {
    pub acknowledged_per_second: f64,
    pub group_mean: f64,
    pub bytes_per_command: f64,
    /// `None` where all were due at once.
    pub latency_ns: Option<Percentiles>,
    /// How late commands were put into the ring, which is in the latency.
    pub late_ns: Option<Percentiles>,
}

/// Runs all steps; `done` hears of each as it is finished.
pub fn run(
    settings: &Settings,
    mut done: impl FnMut(&StepFigures),
) -> Result<JournalFigures, BenchError> {
    let place = Place::make(settings.dir.as_deref(), "journal", false)?;
    let stage = Stage::new(settings)?;
    let mut steps = Vec::new();
    let offered = settings.rates.iter().copied().map(Some).chain([None]);
    for offered in offered {
        let (mut fsync, mut write) = (Vec::new(), Vec::new());
        for _ in 0..settings.runs {
            fsync.push(stage.run(&place, Durability::Fsync, offered)?);
            write.push(stage.run(&place, Durability::Write, offered)?);
        }
        let step = StepFigures { offered, fsync: middle(&fsync), write: middle(&write) };
        done(&step);
        steps.push(step);
    }
    let frame_bytes_mean = stage.frames_bytes as f64 / stage.tape.len() as f64;
    let disk_alone = disk_alone::measure(place.path())?;
    Ok(JournalFigures { disk: place.file_system()?, disk_alone, frame_bytes_mean, steps })
}

/// Figure by figure.
fn middle(runs: &[WayFigures]) -> WayFigures {
    let of = |figure: fn(&WayFigures) -> f64| median(runs.iter().map(figure).collect());
    WayFigures {
        acknowledged_per_second: of(|run| run.acknowledged_per_second),
        group_mean: of(|run| run.group_mean),
        bytes_per_command: of(|run| run.bytes_per_command),
        latency_ns: Percentiles::median(runs.iter().filter_map(|run| run.latency_ns)),
        late_ns: Percentiles::median(runs.iter().filter_map(|run| run.late_ns)),
    }
}

/// What all runs share.
struct Stage {
    tape: Tape,
    frames_bytes: u64,
    catalog: Catalog,
    limits: ShardLimits,
    shards: usize,
    milliseconds: u64,
}

impl Stage {
    fn new(settings: &Settings) -> Result<Stage, BenchError> {
        let size = Size { markets: 4, accounts: 1000, orders: 10_000 };
        let mut traffic = Traffic::fresh(size, settings.shards)?;
        let mut tape = Tape::default();
        let room = settings.commands as usize;
        traffic.open(|step| {
            if tape.len() < room {
                tape.push(step);
            }
            Ok(())
        })?;
        while tape.len() < room {
            tape.push(&traffic.trade()?);
        }
        let bytes = |at| tape.frame(at).1.as_flattened().len() as u64;
        let frames_bytes = (0..tape.len()).map(bytes).sum();
        let Settings { shards, milliseconds, .. } = *settings;
        let catalog = traffic.catalog().clone();
        Ok(Stage { tape, frames_bytes, catalog, limits: size.limits(), shards, milliseconds })
    }

    /// A journal of its own, from its first frame on.
    fn run(
        &self,
        place: &Place,
        durability: Durability,
        offered: Option<u64>,
    ) -> Result<WayFigures, BenchError> {
        place.empty()?;
        let position = Arc::new(DurablePosition::at(None));
        let counters = Arc::<JournalCounters>::default();
        let (listener, blocks) = channel::bounded(BLOCKS_MAX);
        let (journal_bell, feeder_bell) = (Bell::new(), Bell::new());
        let (outlets, inlets): (Vec<_>, Vec<_>) = (0..self.shards)
            .map(|_| ring::<Record>(RING_RECORDS, &feeder_bell, &journal_bell))
            .unzip();
        let journal = JournalLoop {
            merge: Merge::new(inlets, Sequence(1)),
            writer: self.writer(place, durability)?,
            block_bytes_max: BLOCK_BYTES_MAX,
            position,
            listeners: vec![Listener::Every(listener)],
            counters: Arc::clone(&counters),
        };
        let count = offered.map_or(u64::MAX, |rate| (rate * self.milliseconds / 1000).max(1));
        let count = count.min(self.tape.len() as u64);
        let (heard, late_ns) = thread::scope(|scope| {
            let run = move || journal.run(&Idle::on_this_thread(Waiting::Park, journal_bell));
            let journal = scope.spawn(run);
            let schedule = Schedule::begin(offered.unwrap_or(1));
            let times_each = offered.is_some();
            let listener = scope.spawn(move || listen(&blocks, schedule, times_each));
            let late = self.feed(outlets, feeder_bell, schedule, offered.is_some(), count)?;
            journal.join().map_err(|_| BenchError::Thread)?.map_err(BenchError::Journal)?;
            let heard = listener.join().map_err(|_| BenchError::Thread)??;
            Ok::<_, BenchError>((heard, late))
        })?;
        if heard.commands != count {
            return Err(BenchError::Lost { sent: count, durable: heard.commands });
        }
        let groups = counters.groups.get();
        let bytes = counters.bytes.get() + groups * BLOCK_HEADER_BYTES;
        Ok(WayFigures {
            acknowledged_per_second: count as f64 * 1e9 / heard.last_ns as f64,
            group_mean: count as f64 / groups as f64,
            bytes_per_command: bytes as f64 / count as f64,
            latency_ns: heard.latency_ns,
            late_ns: offered.and(late_ns),
        })
    }

    fn writer(&self, place: &Place, durability: Durability) -> Result<Writer, BenchError> {
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let folders = Folders::create(&*disk, place.path()).map_err(BenchError::Journal)?;
        let directory = folders.journal;
        let fresh = data_dir::fresh_journal_id(&directory, engine::clock::now_us());
        let segment_bytes = SEGMENT_BYTES;
        let settings = WriterSettings { disk, directory, durability, segment_bytes };
        let definitions = Definitions::of(&self.catalog, &self.limits);
        Writer::open(settings, definitions, None, fresh).map_err(BenchError::Journal)
    }

    /// Puts frames into their shards' rings as they are due, or as fast as there is room.
    fn feed(
        &self,
        mut outlets: Vec<Outlet<Record>>,
        bell: Arc<Bell>,
        schedule: Schedule,
        is_paced: bool,
        count: u64,
    ) -> Result<Option<Percentiles>, BenchError> {
        wake_exactly()?;
        let idle = Idle::on_this_thread(Waiting::Park, bell);
        let mut late = Recorder::new(0)?;
        let mut next = 0;
        while next < count {
            let end = if is_paced { schedule.due_now().min(count) } else { count };
            for number in next..end {
                let (shard, frame) = self.tape.frame(number as usize);
                push(&mut outlets[shard], frame, &idle);
                if is_paced {
                    late.record(schedule.now_ns().saturating_sub(schedule.due_ns(number)));
                }
            }
            outlets.iter().for_each(Outlet::ring_reader);
            next = end;
            if is_paced && next < count {
                schedule.sleep_until(next);
            }
        }
        Ok(Some(late.percentiles()))
    }
}

fn push(outlet: &mut Outlet<Record>, frame: &[Record], idle: &Idle) {
    let mut rest = outlet.push(frame);
    while !rest.is_empty() && !outlet.is_abandoned() {
        outlet.ring_reader();
        idle.wait(|| !outlet.is_full() || outlet.is_abandoned());
        rest = outlet.push(rest);
    }
}

struct Heard {
    commands: u64,
    /// When the last block came.
    last_ns: u64,
    latency_ns: Option<Percentiles>,
}

fn listen(
    blocks: &Receiver<Arc<DurableBlock>>,
    schedule: Schedule,
    times_each: bool,
) -> Result<Heard, BenchError> {
    let mut latency = Recorder::new(0)?;
    let (mut commands, mut last_ns) = (0, 0);
    for block in blocks {
        let now_ns = schedule.now_ns();
        last_ns = now_ns;
        commands += block.last.0 - block.before().0;
        if times_each {
            for sequence in block.first.0..=block.last.0 {
                latency.record(now_ns.saturating_sub(schedule.due_ns(sequence - 1)));
            }
        }
    }
    Ok(Heard { commands, last_ns, latency_ns: times_each.then(|| latency.percentiles()) })
}
