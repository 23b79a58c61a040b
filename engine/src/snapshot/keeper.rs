//! The snapshot thread: writes what the replica hands over, and lets go of what is no longer
//! needed: the oldest snapshots, and segments of the journal before those that are kept.
//!
//! It works beside everybody and nobody waits for it: while it writes, the replica makes no
//! snapshot. What goes wrong is logged and counted, and tried again with the next snapshot.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use protocol::Sequence;

use super::retention::{self, JournalRetention};
use super::write::{Care, write};
use super::{Snapshot, list, read, remove_unfinished};
use crate::data_dir::Folders;
use crate::disk::Disk;
use crate::durable::DatabasePosition;
use crate::error::SnapshotError;
use crate::journal::retention::{Removed, remove_before};
use crate::journal::segment;
use crate::journal::writer::Durability;
use crate::stop::Stop;

/// How often is looked whether the database has got further.
const TIDY_EVERY: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
pub struct KeeperSettings {
    pub folders: Folders,
    pub retention: JournalRetention,
    pub durability: Durability,
    /// Bytes of the disk that are not for snapshots.
    pub free_bytes_min: u64,
    /// How long after the wish to stop a snapshot may still be written.
    pub drain_max: Duration,
}

#[derive(Debug)]
pub struct Keeper {
    disk: Arc<dyn Disk>,
    settings: KeeperSettings,
    database: Arc<DatabasePosition>,
    /// Whose checksums are right; what recovery could not use is not among them.
    good: BTreeSet<Sequence>,
    unusable: BTreeSet<Sequence>,
}

impl Keeper {
    /// `unusable`: the snapshots that recovery had to pass over.
    pub fn new(
        disk: Arc<dyn Disk>,
        settings: KeeperSettings,
        database: Arc<DatabasePosition>,
        unusable: &[Sequence],
    ) -> Keeper {
        let unusable = unusable.iter().copied().collect();
        Keeper { disk, settings, database, good: BTreeSet::new(), unusable }
    }

    /// Runs until the replica has ended and its last snapshot is written. `ready` is told each time
    /// that the next one may come, and the last frame of the newest that is good, 0 = none.
    pub fn run(mut self, snapshots: &Receiver<Snapshot>, ready: &Sender<Sequence>, stop: &Stop) {
        report("look at the snapshots that are there", self.take_stock());
        let patience = Patience { stop, max: self.settings.drain_max, wished_at: Cell::new(None) };
        loop {
            let newest = self.good.last().copied().unwrap_or(Sequence(0));
            if let Err(TrySendError::Disconnected(_)) = ready.try_send(newest) {
                tracing::debug!("the replica makes no more snapshots");
            }
            match snapshots.recv_timeout(TIDY_EVERY) {
                Ok(snapshot) => {
                    let done = self.take(&snapshot, &|| patience.goes_on());
                    report("write a snapshot", done);
                }
                Err(RecvTimeoutError::Timeout) => report("let go of the old", self.tidy()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            report("look at the disk", self.measure());
        }
    }

    /// How much room the journal takes, and how much is left: while the database is away it grows.
    fn measure(&self) -> Result<(), SnapshotError> {
        let (disk, folder) = (&*self.disk, &self.settings.folders.journal);
        let mut bytes = 0;
        for (_, path) in segment::list(disk, folder)? {
            // None goes meanwhile: this thread alone removes them.
            bytes += disk.length(&path).map_err(SnapshotError::io("look at", &path))?;
        }
        let free = disk.free_bytes(folder).map_err(SnapshotError::io("ask about", folder))?;
        metrics::gauge!("engine_journal_disk_bytes").set(bytes as f64);
        metrics::gauge!("engine_journal_disk_free_bytes").set(free as f64);
        Ok(())
    }

    /// Tidies up after the last life and reads what it left, to know what can be relied on.
    pub fn take_stock(&mut self) -> Result<(), SnapshotError> {
        let (disk, folder) = (&*self.disk, &self.settings.folders.snapshots);
        remove_unfinished(disk, folder)?;
        for (sequence, path) in list(disk, folder)? {
            if self.unusable.contains(&sequence) {
                continue;
            }
            match read::verify(disk, &path) {
                Ok(_) => {
                    self.good.insert(sequence);
                }
                Err(error) if error.is_damage() => {
                    tracing::error!(%error, "a snapshot is damaged; it is not relied on");
                    self.unusable.insert(sequence);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes one, and lets go of what it makes superfluous.
    pub fn take(
        &mut self,
        snapshot: &Snapshot,
        goes_on: &dyn Fn() -> bool,
    ) -> Result<(), SnapshotError> {
        let KeeperSettings { folders, durability, free_bytes_min, .. } = &self.settings;
        let unsynced_journal = Some(&*folders.journal).filter(|_| *durability == Durability::Write);
        let care = Care { free_bytes_min: *free_bytes_min, unsynced_journal, goes_on };
        let began = Instant::now();
        write(&*self.disk, &folders.snapshots, snapshot, &care)?;
        let (sequence, bytes) = (snapshot.sequence(), snapshot.bytes());
        self.good.insert(sequence);
        self.unusable.remove(&sequence);
        let time = began.elapsed();
        metrics::counter!("engine_snapshots_total").increment(1);
        metrics::gauge!("engine_snapshot_sequence").set(sequence.0 as f64);
        metrics::gauge!("engine_snapshot_bytes").set(bytes as f64);
        metrics::histogram!("engine_snapshot_write_seconds").record(time);
        let milliseconds = time.as_millis() as u64;
        tracing::info!(sequence = sequence.0, bytes, milliseconds, "snapshot written");
        self.tidy()
    }

    /// Removes snapshots older than those that are kept, and segments that nobody needs.
    pub fn tidy(&mut self) -> Result<(), SnapshotError> {
        let (disk, folders) = (&*self.disk, &self.settings.folders);
        let good: Vec<_> = self.good.iter().copied().collect();
        let Some(oldest) = retention::oldest_kept(&good) else { return Ok(()) };
        if self.good.first() < Some(&oldest) || self.unusable.first() < Some(&oldest) {
            for (sequence, path) in list(disk, &folders.snapshots)? {
                if sequence < oldest {
                    disk.remove(&path).map_err(SnapshotError::io("remove", &path))?;
                }
            }
            // Before segments go: no name of a snapshot may come back whose segments are gone.
            let folder = &folders.snapshots;
            disk.sync_folder(folder).map_err(SnapshotError::io("sync", folder))?;
            self.good = self.good.split_off(&oldest);
            self.unusable = self.unusable.split_off(&oldest);
        }
        let good: Vec<_> = self.good.iter().copied().collect();
        let committed = self.database.get();
        let Some(first) = retention::first_needed(self.settings.retention, &good, committed) else {
            return Ok(());
        };
        let removed = remove_before(disk, &folders.journal, first)?;
        if removed != Removed::default() {
            let Removed { segments, bytes } = removed;
            metrics::counter!("engine_journal_segments_removed_total").increment(segments as u64);
            tracing::info!(segments, bytes, before = first.0, "old journal segments are removed");
        }
        Ok(())
    }
}

/// A drain waits for a snapshot no longer than this.
struct Patience<'a> {
    stop: &'a Stop,
    max: Duration,
    wished_at: Cell<Option<Instant>>,
}

impl Patience<'_> {
    fn goes_on(&self) -> bool {
        if !self.stop.is_wished() {
            return true;
        }
        let since = self.wished_at.get().unwrap_or_else(Instant::now);
        self.wished_at.set(Some(since));
        since.elapsed() < self.max
    }
}

fn report(what: &str, done: Result<(), SnapshotError>) {
    if let Err(error) = done {
        metrics::counter!("engine_snapshot_failures_total").increment(1);
        let cause = error.source().map(ToString::to_string);
        tracing::error!(%error, cause, "could not {what}; trading goes on");
    }
}
