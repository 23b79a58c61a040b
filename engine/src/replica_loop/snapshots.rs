//! When the replica makes a snapshot, and handing it over to who writes it.

use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender};
use engine_core::replica::Replica;
use protocol::Sequence;

use crate::journal::block::Link;
use crate::journal::definitions::Definitions;
use crate::journal::reader::Mark;
use crate::snapshot::Snapshot;

#[derive(Clone, Copy, Debug)]
pub struct Distances {
    /// Frames from one snapshot to the next; 0: none is ever made.
    pub frames: u64,
    /// Frames behind the last snapshot that make one worth while at the end.
    pub frames_at_the_end_min: u64,
    /// How long the end waits for a snapshot that is being written, before it makes the last one.
    pub busy_max: Duration,
}

/// The replica's end of the [`crate::snapshot::keeper::Keeper`]'s channels.
#[derive(Debug)]
pub struct Snapshots {
    distances: Distances,
    definitions: Definitions,
    /// Where the replica stands.
    mark: Mark,
    /// The last frame of the last snapshot made, written or not; 0 = none.
    made: Sequence,
    /// Of the last one that is known to be on disk.
    written: Sequence,
    /// Of those of this life.
    written_at: Option<Instant>,
    is_keeper_ready: bool,
    ready: Receiver<Sequence>,
    keeper: Sender<Snapshot>,
}

impl Snapshots {
    /// `ready` says each time that the keeper has nothing to do, and the last frame of the newest
    /// snapshot that is on disk; `last` is what recovery knows of it. The replica stands at `mark`.
    pub fn new(
        distances: Distances,
        definitions: Definitions,
        mark: Mark,
        last: Sequence,
        (ready, keeper): (Receiver<Sequence>, Sender<Snapshot>),
    ) -> Snapshots {
        let (made, written, is_keeper_ready) = (last, last, false);
        let written_at = None;
        Snapshots {
            distances,
            definitions,
            mark,
            made,
            written,
            written_at,
            is_keeper_ready,
            ready,
            keeper,
        }
    }

    /// Listens to the keeper.
    pub(super) fn tick(&mut self, replica: &Replica) {
        if let Ok(written) = self.ready.try_recv() {
            self.keeper_is_ready(written);
        }
        let age = distance(self.written, replica);
        metrics::gauge!("engine_snapshot_age_frames").set(age as f64);
    }

    fn keeper_is_ready(&mut self, written: Sequence) {
        self.is_keeper_ready = true;
        if self.written < written {
            (self.written, self.written_at) = (written, Some(Instant::now()));
        }
    }

    /// The newest that is known to be on disk, and how old it is if it is of this life.
    pub(super) fn written(&self) -> (Sequence, Option<Duration>) {
        (self.written, self.written_at.map(|at| at.elapsed()))
    }

    /// The replica stands at the end of a block; makes a snapshot when one is due and the keeper
    /// has time for it.
    pub(super) fn at_block_end(&mut self, replica: &Replica, link: Link, time_us: u64) {
        self.mark = Mark { sequence: replica.position(), link, ..self.mark };
        let Distances { frames, .. } = self.distances;
        if frames == 0 || distance(self.made, replica) < frames {
            return;
        }
        if let Ok(written) = self.ready.try_recv() {
            self.keeper_is_ready(written);
        }
        if self.is_keeper_ready {
            self.make(replica, time_us);
        }
    }

    /// No frame will come any more.
    pub(super) fn at_the_end(&mut self, replica: &Replica, time_us: u64) {
        let Distances { frames, frames_at_the_end_min, busy_max } = self.distances;
        if frames == 0 || self.mark.sequence != replica.position() {
            return;
        }
        if !self.is_keeper_ready {
            match self.ready.recv_timeout(busy_max) {
                Ok(written) => self.keeper_is_ready(written),
                Err(_) => {
                    tracing::info!("the last snapshot is still being written: no further one");
                    return;
                }
            }
        }
        if frames_at_the_end_min.max(1) <= distance(self.written, replica) {
            self.make(replica, time_us);
        }
    }

    fn make(&mut self, replica: &Replica, time_us: u64) {
        // Also when nothing comes of it: the next attempt is a distance away.
        self.made = replica.position();
        if replica.sum() != replica.sum_recounted() {
            metrics::counter!("engine_snapshot_failures_total").increment(1);
            tracing::error!(
                sequence = self.made.0,
                "the replica's state is not what its digest says: no snapshot is made of it"
            );
            return;
        }
        let began = Instant::now();
        let snapshot = Snapshot::of(replica, self.mark, self.definitions.clone(), time_us);
        metrics::histogram!("engine_snapshot_encode_seconds").record(began.elapsed());
        self.is_keeper_ready = false;
        if self.keeper.send(snapshot).is_err() {
            tracing::warn!("nobody writes snapshots any more");
        }
    }
}

fn distance(from: Sequence, replica: &Replica) -> u64 {
    replica.position().0.saturating_sub(from.0)
}
