//! `bench snapshots`: what snapshots cost those who trade, while the engine's own threads take
//! them.
//!
//! ```text
//! schedule ─▶ ring ═▶ shard ═▶ ring ═▶ journal ─▶ listener, stops the clock
//!                                         └╌▶ replica ─▶ keeper, writes
//! ```
//!
//! One run: at set times the keeper asks for a snapshot. When the replica begins to make it, when
//! it has handed it over and when it is on disk is known to the keeper, and each command belongs to
//! the stretch it was due in. So both sides see the same machine, disk and state.

use std::path::PathBuf;
use std::time::Duration;

use engine::journal::writer::Durability;
use serde::Serialize;

use crate::archive::Archive;
use crate::error::BenchError;
use crate::place::{FileSystem, Place};
use crate::recorder::{Percentiles, Recorder};
use crate::traffic::Size;

mod live;
pub mod report;

use live::{Lap, Live, Ran};

#[derive(Clone, Debug)]
pub struct Settings {
    pub dir: Option<PathBuf>,
    pub size: Size,
    pub durability: Durability,
    /// Offered, commands a second.
    pub rate: u64,
    /// How long that rate is offered.
    pub milliseconds: u64,
    /// Commands of the run that offers all at once.
    pub commands: u64,
    /// From the end of one snapshot to the beginning of the next.
    pub pause_ms: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct SnapshotsFigures {
    pub disk: FileSystem,
    /// At the offered rate.
    pub paced: RunFigures,
    /// As fast as the ring takes them.
    pub all: RunFigures,
}

#[derive(Clone, Debug, Serialize)]
pub struct RunFigures {
    pub commands: u64,
    pub snapshots: usize,
    /// The median snapshot: made by the replica's thread, written by the keeper's.
    pub encode_ms: f64,
    pub write_ms: f64,
    pub stretches: Vec<StretchFigures>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stretch {
    /// No snapshot is under way.
    Quiet,
    /// The replica makes one.
    Encode,
    /// The keeper writes it.
    Write,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct StretchFigures {
    pub stretch: Stretch,
    pub seconds: f64,
    /// Made durable in it.
    pub acknowledged_per_second: f64,
    /// Of commands due in it; `None` where all were due at once.
    pub latency_ns: Option<Percentiles>,
}

/// Runs with an offered rate, then with all at once.
pub fn run(settings: &Settings) -> Result<SnapshotsFigures, BenchError> {
    let place = Place::make(settings.dir.as_deref(), "snapshots", false)?;
    let archive = Archive::find_or_make(&place.path().join("data"), settings.size, 0)?;
    let pause = Duration::from_millis(settings.pause_ms);
    let count = (settings.rate * settings.milliseconds / 1000).max(1);
    let run = |offered: Option<u64>, commands: u64| {
        let live = Live::prepare(&archive, settings.durability, commands)?;
        figures(&live.run(offered, pause)?, offered.is_some())
    };
    let paced = run(Some(settings.rate), count)?;
    let all = run(None, settings.commands)?;
    Ok(SnapshotsFigures { disk: place.file_system()?, paced, all })
}

fn figures(ran: &Ran, is_paced: bool) -> Result<RunFigures, BenchError> {
    let stretches = [Stretch::Quiet, Stretch::Encode, Stretch::Write];
    let middle = |of: fn(&Lap) -> u64| {
        crate::pace::median(ran.laps.iter().map(|lap| of(lap) as f64 / 1e6).collect())
    };
    Ok(RunFigures {
        commands: ran.blocks.iter().map(|block| block.commands).sum(),
        snapshots: ran.laps.len(),
        encode_ms: middle(|lap| lap.made_ns - lap.began_ns),
        write_ms: middle(|lap| lap.written_ns - lap.made_ns),
        stretches: stretches
            .into_iter()
            .map(|stretch| stretch_figures(ran, stretch, is_paced))
            .collect::<Result<_, _>>()?,
    })
}

fn stretch_figures(
    ran: &Ran,
    stretch: Stretch,
    is_paced: bool,
) -> Result<StretchFigures, BenchError> {
    let mut latency = Recorder::new(0)?;
    let mut commands = 0;
    for block in &ran.blocks {
        if stretch_at(&ran.laps, block.durable_ns) == stretch {
            commands += block.commands;
        }
        if !is_paced {
            continue;
        }
        for number in block.first..block.first + block.commands {
            let due_ns = ran.schedule.due_ns(number);
            if stretch_at(&ran.laps, due_ns) == stretch {
                latency.record(block.durable_ns.saturating_sub(due_ns));
            }
        }
    }
    let end_ns = ran.blocks.last().map_or(0, |block| block.durable_ns);
    let until = |ns: u64| ns.min(end_ns);
    let in_laps = |from: fn(&Lap) -> u64, to: fn(&Lap) -> u64| -> u64 {
        ran.laps.iter().map(|lap| until(to(lap)) - until(from(lap))).sum()
    };
    let nanoseconds = match stretch {
        Stretch::Quiet => end_ns - in_laps(|lap| lap.began_ns, |lap| lap.written_ns),
        Stretch::Encode => in_laps(|lap| lap.began_ns, |lap| lap.made_ns),
        Stretch::Write => in_laps(|lap| lap.made_ns, |lap| lap.written_ns),
    };
    let seconds = nanoseconds as f64 / 1e9;
    let acknowledged_per_second = if 0 < nanoseconds { commands as f64 / seconds } else { 0.0 };
    let latency_ns = is_paced.then(|| latency.percentiles());
    Ok(StretchFigures { stretch, seconds, acknowledged_per_second, latency_ns })
}

/// `laps` follow one another.
fn stretch_at(laps: &[Lap], ns: u64) -> Stretch {
    let at = laps.partition_point(|lap| lap.written_ns <= ns);
    match laps.get(at) {
        Some(lap) if lap.made_ns <= ns => Stretch::Write,
        Some(lap) if lap.began_ns <= ns => Stretch::Encode,
        _ => Stretch::Quiet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_belongs_to_one_stretch() {
        let laps = [
            Lap { began_ns: 10, made_ns: 20, written_ns: 30 },
            Lap { began_ns: 50, made_ns: 60, written_ns: 70 },
        ];
        let of = |ns| stretch_at(&laps, ns);
        assert_eq!([of(9), of(30), of(49), of(70)], [Stretch::Quiet; 4]);
        assert_eq!([of(10), of(19), of(50)], [Stretch::Encode; 3]);
        assert_eq!([of(20), of(29), of(69)], [Stretch::Write; 3]);
    }
}
