//! What the engine could not do, and what whoever reads it should do then.

use std::io;
use std::path::PathBuf;

use engine_core::replica::ReplicaError;
use engine_core::shard::RestoreError;
use protocol::{DecodeError, MarketId, Sequence};
use redis::RedisError;

use crate::journal::block::Damage;
use crate::replica_loop::ReplicaLoopError;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    File(#[from] service::ConfigError),
    #[error("section [engine]: {key}: {rule}")]
    Config { key: &'static str, rule: String },
    #[error(transparent)]
    Journal(#[from] JournalError),
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
    #[error("{path} is no journal segment, or its header is damaged")]
    SegmentHeader { path: PathBuf },
    #[error("{path} has journal format {found}, this engine reads {known}: use its engine")]
    Version { path: PathBuf, found: u32, known: u32 },
    #[error("a segment is missing: frame {expected} was to come next, {path} begins with {found}")]
    Missing { path: PathBuf, expected: Sequence, found: Sequence },
    #[error("{path} belongs to another journal than the segments before it")]
    OtherJournal { path: PathBuf },
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
