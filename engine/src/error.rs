//! What the engine could not do, and what whoever reads it should do then.

use std::io;
use std::path::PathBuf;

use engine_core::replica::{self, ReplicaError};
use engine_core::shard::RestoreError;
use protocol::catalog::CatalogError;
use protocol::{DecodeError, MarketId, Sequence};
use redis::RedisError;

use crate::journal::block::Damage;
use crate::journal::definitions::DefinitionsError;
use crate::replica_loop::ReplicaLoopError;
use crate::snapshot;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    File(#[from] service::ConfigError),
    #[error("section [engine]: {key}: {rule}")]
    Config { key: &'static str, rule: String },
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(
        "none of the {snapshots} snapshots in {path} can be used, and the journal does not reach \
         back to the first frame: restore the data directory from a copy"
    )]
    NoSnapshot {
        path: PathBuf,
        snapshots: usize,
        #[source]
        cause: JournalError,
    },
    #[error("frame after {after} in the journal does not decode: written by another version?")]
    Decode {
        after: Sequence,
        #[source]
        cause: DecodeError,
    },
    #[error("the journal contradicts itself: keep the data directory as it is and report this")]
    Replay(#[from] ReplicaError),
    #[error("market {market} cannot be restored")]
    Restore {
        market: MarketId,
        #[source]
        cause: RestoreError,
    },
    #[error("market {market} was listed while the exchange ran, and cannot be any more")]
    Listing {
        market: MarketId,
        #[source]
        cause: CatalogError,
    },
    #[error("replica")]
    Replica(#[from] ReplicaLoopError),
    #[error("redis url {url} is not valid")]
    RedisUrl {
        url: String,
        #[source]
        cause: RedisError,
    },
    #[error(
        "redis has events of {stream} up to frame {emitted}, but this journal ends its stream at \
         {known}: redis and data directory do not belong together (to start anew, empty both)"
    )]
    EventsAhead { stream: String, emitted: Sequence, known: Sequence },
    #[error(
        "the database has events of {stream} up to frame {committed}, but this journal ends at \
         {durable}: database and data directory do not belong together, or the data directory is \
         an old copy (to start anew, empty both and redis)"
    )]
    DatabaseAhead { stream: String, committed: Sequence, durable: Sequence },
    #[error("somebody else writes to {key}: frame {sequence} was refused by redis")]
    EventsTaken { key: String, sequence: Sequence },
    #[error("core {core} is none of the {cores} cores that this process may run on")]
    Pin { core: usize, cores: usize },
    #[error("could not start thread {name}")]
    Thread {
        name: String,
        #[source]
        cause: io::Error,
    },
    #[error("could not write the answer")]
    Output {
        #[source]
        cause: io::Error,
    },
    #[error("thread {name} panicked")]
    Panicked { name: String },
    #[error("thread {name} failed")]
    Failed {
        name: String,
        #[source]
        cause: Box<EngineError>,
    },
    #[error("thread {name} ended although nobody told the engine to stop")]
    EndedEarly { name: String },
    #[error("still running {drain_ms_max} ms after the wish to stop: {names}")]
    Drain { drain_ms_max: u64, names: String },
}

#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    #[error("could not {action} {path}")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{path} is damaged at byte {offset}: {damage}")]
    Damaged { path: PathBuf, offset: u64, damage: snapshot::format::Damage },
    #[error("the state in {path} cannot be used")]
    State {
        path: PathBuf,
        #[source]
        cause: replica::SnapshotError,
    },
    #[error("{path} would need {needed} bytes, room for the journal among them; {free} are free")]
    Full { path: PathBuf, needed: u64, free: u64 },
    #[error("{path} is not written to its end: the engine drains")]
    NoTime { path: PathBuf },
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl SnapshotError {
    /// For `map_err`: what was being done to which file.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> SnapshotError {
        let path = path.into();
        move |cause| SnapshotError::Io { action, path, cause }
    }

    /// Whether this file is of no use, and another may be.
    pub fn is_damage(&self) -> bool {
        match self {
            SnapshotError::Io { .. }
            | SnapshotError::Damaged { .. }
            | SnapshotError::State { .. } => true,
            SnapshotError::Full { .. }
            | SnapshotError::NoTime { .. }
            | SnapshotError::Journal(_) => false,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("could not {action} {path}")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("another engine runs on {path}")]
    Locked { path: PathBuf },
    #[error(
        "{path} is damaged at byte {offset}: {damage}; restore the data directory from a copy \
         (later frames build on this one, so nothing can be left out)"
    )]
    Damaged { path: PathBuf, offset: u64, damage: Damage },
    #[error(
        "{path} is no journal segment, or its header is damaged; restore it from a copy, or take \
         it out of the folder when it is none"
    )]
    SegmentHeader { path: PathBuf },
    #[error(
        "{path} has journal format {found}, this engine reads {known} alone: start the engine that \
         wrote it, or begin anew with an empty data directory"
    )]
    Version { path: PathBuf, found: u32, known: u32 },
    #[error(
        "a journal segment is missing: frame {expected} comes next, but {path} begins with frame \
         {found}; put back the segment that holds frame {expected}"
    )]
    Missing { path: PathBuf, expected: Sequence, found: Sequence },
    #[error(
        "{path} belongs to another journal than the segments before it: the files of two data \
         directories are mixed; put back those that belong together"
    )]
    OtherJournal { path: PathBuf },
    #[error(
        "{path} does not continue the segment before it: the files of two copies of this journal \
         are mixed; put back those that belong together"
    )]
    Unlinked { path: PathBuf },
    #[error(
        "{path} is not of the journal whose frame {sequence} the snapshot was made after \
         ({how}): the files of two data directories are mixed; put back those that belong together"
    )]
    Mixed { path: PathBuf, sequence: Sequence, how: &'static str },
    #[error(
        "the journal in {path} ends with frame {last}, but a snapshot was made after frame \
         {sequence}: its last segments are missing; put them back"
    )]
    EndsEarly { path: PathBuf, last: Sequence, sequence: Sequence },
    #[error("frame {wanted} is no longer in the journal, which begins with frame {oldest}")]
    Gone { wanted: Sequence, oldest: Sequence },
    #[error("frame {wanted} is not where it should be, in {path}")]
    Absent { path: PathBuf, wanted: Sequence },
    #[error("a frame in {path} at byte {offset} does not decode: written by another version?")]
    Undecodable {
        path: PathBuf,
        offset: u64,
        #[source]
        cause: DecodeError,
    },
    #[error("the definitions of the segment with frame {first} cannot be used")]
    Definitions {
        first: Sequence,
        #[source]
        cause: DefinitionsError,
    },
    #[error(
        "the config contradicts {path}: it says \"{now}\", the journal was written under \
         \"{was}\"; what is listed once cannot be changed or removed"
    )]
    Contradiction { path: PathBuf, was: String, now: String },
    #[error("shard {shard} ended before its frame {sequence} was whole")]
    FrameTorn { shard: usize, sequence: Sequence },
    #[error("all shards ended, but frame {0} never came")]
    FrameLost(Sequence),
    #[error("shard {shard} handed on what is no frame")]
    Frame {
        shard: usize,
        #[source]
        cause: DecodeError,
    },
}

impl JournalError {
    /// For `map_err`: what was being done to which file.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> JournalError {
        let path = path.into();
        move |cause| JournalError::Io { action, path, cause }
    }
}
