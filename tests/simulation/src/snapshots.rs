//! Snapshots of a life of the engine: made by the replica at the end of a block, written and let go
//! of by the real keeper.

use std::sync::Arc;
use std::time::Duration;

use engine::data_dir::Folders;
use engine::durable::{DatabasePosition, DurableBlock};
use engine::error::SnapshotError;
use engine::journal::definitions::Definitions;
use engine::journal::reader::Mark;
use engine::journal::writer::Durability;
use engine::snapshot::Snapshot;
use engine::snapshot::keeper::{Keeper, KeeperSettings};
use engine::snapshot::retention::JournalRetention;
use engine_core::replica::Replica;
use protocol::Sequence;

use crate::disk::SimDisk;
use crate::life::{Ended, Place};

#[derive(Debug)]
pub struct Snapshots {
    keeper: Keeper,
    database: Arc<DatabasePosition>,
    definitions: Definitions,
    distance: u64,
    /// Where the replica stands.
    mark: Mark,
    last: Sequence,
    pending: Option<Snapshot>,
}

/// What recovery found of snapshots.
#[derive(Debug)]
pub struct Found {
    pub used: Sequence,
    pub unusable: Vec<Sequence>,
    pub mark: Mark,
}

impl Snapshots {
    pub fn new(place: &Place, definitions: Definitions, distance: u64, found: Found) -> Snapshots {
        let database = Arc::new(DatabasePosition::default());
        let settings = KeeperSettings {
            folders: place.folders.clone(),
            retention: JournalRetention::Needed,
            durability: Durability::Fsync,
            free_bytes_min: 0,
            drain_max: Duration::ZERO,
        };
        let disk = Arc::clone(&place.disk);
        let keeper = Keeper::new(disk, settings, Arc::clone(&database), &found.unusable);
        let (mark, last) = (found.mark, found.used);
        Snapshots { keeper, database, definitions, distance, mark, last, pending: None }
    }

    /// Tidies up after the last life.
    pub fn take_stock(&mut self) -> Result<(), Ended> {
        tolerate(self.keeper.take_stock()).map(drop)
    }

    /// How far the database has all event streams.
    pub fn committed(&self, sequence: Sequence) {
        self.database.set(sequence);
    }

    /// The replica has applied a block to its end.
    pub fn applied(
        &mut self,
        replica: &Replica,
        block: &DurableBlock,
        time_us: u64,
    ) -> Result<(), Ended> {
        self.mark = Mark { sequence: block.last, link: block.link, ..self.mark };
        let is_due = self.last.0 + self.distance <= block.last.0;
        if is_due { self.make(replica, time_us) } else { Ok(()) }
    }

    /// No frame will come any more.
    pub fn at_the_end(&mut self, replica: &Replica, time_us: u64) -> Result<(), Ended> {
        let is_new = self.last < self.mark.sequence;
        if is_new && replica.position() == self.mark.sequence {
            self.make(replica, time_us)?;
        }
        self.write().map(drop)
    }

    fn make(&mut self, replica: &Replica, time_us: u64) -> Result<(), Ended> {
        if self.pending.is_some() {
            return Ok(());
        }
        self.last = replica.position();
        if replica.sum() != replica.sum_recounted() {
            return Err(Ended::ByItself("the digest is not that of the state".to_owned()));
        }
        let definitions = self.definitions.clone();
        self.pending = Some(Snapshot::of(replica, self.mark, definitions, time_us));
        Ok(())
    }

    /// Writes what was made; returns whether there was something.
    pub fn write(&mut self) -> Result<bool, Ended> {
        match self.pending.take() {
            Some(snapshot) => tolerate(self.keeper.take(&snapshot, &|| true)),
            None => Ok(false),
        }
    }

    /// Lets go of what is no longer needed.
    pub fn tidy(&mut self) -> Result<bool, Ended> {
        tolerate(self.keeper.tidy())
    }
}

/// The engine goes on without a snapshot that the disk did not take; none may be damaged.
fn tolerate(done: Result<(), SnapshotError>) -> Result<bool, Ended> {
    match done {
        Ok(()) => Ok(true),
        Err(error @ (SnapshotError::Damaged { .. } | SnapshotError::State { .. })) => {
            Err(Ended::ByItself(error.to_string()))
        }
        Err(_) => Ok(false),
    }
}

/// The snapshots on a disk, by rising sequence.
pub fn on(disk: &SimDisk, folders: &Folders) -> Vec<Sequence> {
    let found = engine::snapshot::list(disk, &folders.snapshots).unwrap_or_default();
    found.into_iter().map(|(sequence, _)| sequence).collect()
}
