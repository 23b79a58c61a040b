//! `bench recovery`: how long an engine takes to start again, from the journal alone and from a
//! snapshot and the journal behind it.

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use engine::disk::RealDisk;
use engine::journal::definitions::Definitions;
use engine::pinning;
use engine::recovery::{self as engine_recovery, Recovered};
use engine::snapshot::write::write;
use engine::snapshot::{self, Snapshot, read};
use protocol::Catalog;
use serde::Serialize;

use crate::archive::{Archive, CARE};
use crate::clock::thread_cpu_time;
use crate::error::BenchError;
use crate::listing;
use crate::pace::median;
use crate::place::{FileSystem, Place};
use crate::traffic::Size;

mod memory;
pub mod report;

/// Shards the recovered state is handed to.
const SHARDS: usize = 2;

#[derive(Clone, Debug)]
pub struct Settings {
    pub dir: Option<PathBuf>,
    pub keep: bool,
    pub size: Size,
    /// Frames behind the snapshot.
    pub tail: u64,
    pub runs: u32,
}

#[derive(Clone, Debug, Serialize)]
pub struct RecoveryFigures {
    pub disk: FileSystem,
    pub journal_bytes: u64,
    pub ways: Vec<WayFigures>,
    pub snapshot: SnapshotFigures,
}

/// One way to the state; medians of the runs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct WayFigures {
    pub way: Way,
    pub frames: u64,
    /// Until the replica stands.
    pub seconds: f64,
    pub frames_per_second: f64,
    /// Of the applying thread: decode, check, apply. A snapshot's loading is in it.
    pub cpu_ns_per_frame: f64,
    /// From the replica to shards that can go on.
    pub shards_seconds: f64,
    /// Resident while it went on, at most, and at the end with replica and shards.
    pub peak_bytes: u64,
    pub resident_bytes: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// The whole journal, while another thread reads and verifies ahead.
    Journal,
    /// The same with all threads on one core.
    JournalOnOneCore,
    /// The same with nothing of the files in memory before.
    JournalCold,
    Snapshot,
    SnapshotCold,
}

/// Medians of the runs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SnapshotFigures {
    pub orders: u64,
    pub bytes: u64,
    /// What the replica's thread does: count the digest anew, take the state apart.
    pub recount_seconds: f64,
    pub encode_seconds: f64,
    /// What the keeper's thread does, sync and reading back among it.
    pub write_seconds: f64,
    pub load_seconds: f64,
}

/// Makes the archive if it is not there, and measures; `done` hears of each way.
pub fn run(
    settings: &Settings,
    mut done: impl FnMut(&WayFigures),
) -> Result<RecoveryFigures, BenchError> {
    let Settings { dir, keep, size, tail, runs } = settings;
    let Size { markets, accounts, orders } = size;
    let name = format!("recovery-{markets}-{accounts}-{orders}-{tail}");
    let place = Place::find(dir.as_deref(), &name, *keep)?;
    let archive = Archive::find_or_make(&place.path().join("data"), *size, *tail)?;
    let bench = Bench { catalog: listing::catalog(*markets)?, archive };
    let mut ways = Vec::new();
    for way in
        [Way::Snapshot, Way::Journal, Way::JournalOnOneCore, Way::SnapshotCold, Way::JournalCold]
    {
        let of = (0..*runs).map(|_| bench.recover(way)).collect::<Result<Vec<_>, _>>()?;
        let figures = middle(way, &of);
        done(&figures);
        ways.push(figures);
    }
    let of = (0..*runs).map(|_| bench.snapshot(&place)).collect::<Result<Vec<_>, _>>()?;
    Ok(RecoveryFigures {
        disk: place.file_system()?,
        journal_bytes: memory::files(&bench.archive.folders.journal)?.iter().map(|it| it.1).sum(),
        ways,
        snapshot: middle_snapshot(&of)?,
    })
}

/// Figure by figure.
fn middle(way: Way, runs: &[WayFigures]) -> WayFigures {
    let of = |figure: fn(&WayFigures) -> f64| median(runs.iter().map(figure).collect());
    let frames = runs.first().map_or(0, |run| run.frames);
    WayFigures {
        way,
        frames,
        seconds: of(|run| run.seconds),
        frames_per_second: of(|run| run.frames_per_second),
        cpu_ns_per_frame: of(|run| run.cpu_ns_per_frame),
        shards_seconds: of(|run| run.shards_seconds),
        peak_bytes: of(|run| run.peak_bytes as f64) as u64,
        resident_bytes: of(|run| run.resident_bytes as f64) as u64,
    }
}

fn middle_snapshot(runs: &[SnapshotFigures]) -> Result<SnapshotFigures, BenchError> {
    let of = |figure: fn(&SnapshotFigures) -> f64| median(runs.iter().map(figure).collect());
    let first = runs.first().ok_or(BenchError::NoRuns)?;
    Ok(SnapshotFigures {
        recount_seconds: of(|run| run.recount_seconds),
        encode_seconds: of(|run| run.encode_seconds),
        write_seconds: of(|run| run.write_seconds),
        load_seconds: of(|run| run.load_seconds),
        ..*first
    })
}

struct Bench {
    catalog: Catalog,
    archive: Archive,
}

impl Bench {
    fn recover(&self, way: Way) -> Result<WayFigures, BenchError> {
        if matches!(way, Way::JournalCold | Way::SnapshotCold) {
            for folder in [&self.archive.folders.journal, &self.archive.folders.snapshots] {
                memory::forget_files(folder)?;
            }
        }
        memory::reset_peak();
        // On a thread of its own: pinning, and what it inherits to others, ends with it.
        let work = || {
            if way == Way::JournalOnOneCore {
                pinning::pin_this_thread(0).map_err(BenchError::Engine)?;
            }
            let (began, cpu) = (Instant::now(), thread_cpu_time()?);
            let recovered = self.state(way)?;
            Ok::<_, BenchError>((recovered, began.elapsed(), thread_cpu_time()? - cpu))
        };
        let worked = thread::scope(|scope| scope.spawn(work).join());
        let (recovered, wall, cpu) = worked.map_err(|_| BenchError::Thread)??;
        let began = Instant::now();
        let limits = self.archive.size.limits();
        let shards = engine_recovery::shards(&recovered.replica, SHARDS, limits);
        let shards = shards.map_err(BenchError::Engine)?;
        let shards_seconds = began.elapsed().as_secs_f64();
        let resident_bytes = memory::resident();
        drop(shards);
        let frames = recovered.replica.position().0 - recovered.snapshot.0;
        let per_frame = |time: Duration| time.as_secs_f64() * 1e9 / frames.max(1) as f64;
        Ok(WayFigures {
            way,
            frames,
            seconds: wall.as_secs_f64(),
            frames_per_second: frames as f64 / wall.as_secs_f64(),
            cpu_ns_per_frame: per_frame(cpu),
            shards_seconds,
            peak_bytes: memory::peak(),
            resident_bytes,
        })
    }

    fn state(&self, way: Way) -> Result<Recovered, BenchError> {
        let Archive { folders, size, .. } = &self.archive;
        let limits = size.limits();
        let recovered = match way {
            Way::Snapshot | Way::SnapshotCold => {
                engine_recovery::recover(&RealDisk, folders, &self.catalog, &limits)
            }
            Way::Journal | Way::JournalOnOneCore | Way::JournalCold => {
                engine_recovery::replay(&RealDisk, &folders.journal, &self.catalog, &limits)
            }
        };
        recovered.map_err(BenchError::Engine)
    }

    fn snapshot(&self, place: &Place) -> Result<SnapshotFigures, BenchError> {
        let Archive { folders, size, .. } = &self.archive;
        let snapshots = snapshot::list(&RealDisk, &folders.snapshots);
        let snapshots = snapshots.map_err(BenchError::Snapshot)?;
        let (_, path) = snapshots.last().ok_or(BenchError::NoRuns)?;
        let definitions = Definitions::of(&self.catalog, &size.limits());
        let began = Instant::now();
        let loaded = read::load(&RealDisk, path, &self.catalog, &definitions);
        let loaded = loaded.map_err(BenchError::Snapshot)?;
        let load_seconds = began.elapsed().as_secs_f64();
        let (replica, header) = (loaded.replica, loaded.header);
        let began = Instant::now();
        let (counted, recounted) = (replica.sum(), replica.sum_recounted());
        let recount_seconds = began.elapsed().as_secs_f64();
        assert!(counted == recounted, "Invariant: a state that was loaded is what its digest says");
        let began = Instant::now();
        let taken = Snapshot::of(&replica, header.mark, header.definitions, header.time_us);
        let encode_seconds = began.elapsed().as_secs_f64();
        let folder = place.path().join("written");
        std::fs::create_dir_all(&folder).map_err(BenchError::io(&folder))?;
        let began = Instant::now();
        write(&RealDisk, &folder, &taken, &CARE).map_err(BenchError::Snapshot)?;
        let write_seconds = began.elapsed().as_secs_f64();
        std::fs::remove_dir_all(&folder).map_err(BenchError::io(&folder))?;
        Ok(SnapshotFigures {
            orders: replica.markets().map(|market| market.orders().len() as u64).sum(),
            bytes: taken.bytes(),
            recount_seconds,
            encode_seconds,
            write_seconds,
            load_seconds,
        })
    }
}
