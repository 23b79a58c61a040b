//! What the sink could not do. Whether trying again can help is part of the answer.

use protocol::DecodeError;
use protocol::effects::EffectsError;

#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error("PostgreSQL {found} is too old: version 14 or later is needed")]
    ServerTooOld { found: String },
    #[error("timescale = \"require\", but {reason}")]
    TimescaleMissing { reason: &'static str },
    #[error("could not run the migrations")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("could not turn on TimescaleDB for {what}")]
    Timescale {
        what: &'static str,
        #[source]
        cause: sqlx::Error,
    },
    #[error("the database could not {doing}")]
    Database {
        doing: &'static str,
        #[source]
        cause: sqlx::Error,
    },
    #[error("the database did not {doing} within {deadline_ms} ms")]
    DatabaseDeadline { doing: &'static str, deadline_ms: u64 },
    #[error("the position of stream {stream} in the database is not valid: {text:?}")]
    Position { stream: String, text: String },
    #[error("another sink has taken over stream {stream}: this one has epoch {epoch}")]
    TakenOver { stream: String, epoch: i64 },
    #[error("stream {stream} stands at {found} in the database, the batch goes on from {expected}")]
    PositionMoved { stream: String, expected: u64, found: u64 },
    #[error("a candle's sum is beyond what can be counted")]
    CandleOutOfRange,
    #[error("DATABASE_URL is not valid")]
    DatabaseUrl(#[source] sqlx::Error),
    #[error("REDIS_URL is not valid")]
    RedisUrl(#[source] redis::RedisError),
    #[error("a task of the sink ended by a panic")]
    Task(#[source] tokio::task::JoinError),
    #[error("not drained within {drain_ms_max} ms; what is not committed stays in Redis")]
    DrainDeadline { drain_ms_max: u64 },
}

impl SinkError {
    /// Whether the same may succeed later without anybody changing anything.
    pub fn is_transient(&self) -> bool {
        match self {
            SinkError::DatabaseDeadline { .. } => true,
            SinkError::Database { cause, .. } | SinkError::Timescale { cause, .. } => {
                is_transient(cause)
            }
            SinkError::Migrate(sqlx::migrate::MigrateError::Execute(cause)) => is_transient(cause),
            _ => false,
        }
    }

    pub fn says_that_a_row_is_there(&self) -> bool {
        let SinkError::Database { cause: sqlx::Error::Database(error), .. } = self else {
            return false;
        };
        error.code().is_some_and(|code| code == UNIQUE_VIOLATION)
    }
}

/// What `COPY` says where `INSERT` would count fewer rows.
const UNIQUE_VIOLATION: &str = "23505";

/// Lost connections, a server starting or stopping, deadlocks, timeouts and full resources.
fn is_transient(cause: &sqlx::Error) -> bool {
    match cause {
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            ["08", "40", "53", "55", "57", "58"].iter().any(|class| code.starts_with(class))
        }),
        _ => false,
    }
}

/// Why a stream is stopped. What was read before the fault is still written; the other streams go
/// on.
#[derive(Debug, thiserror::Error)]
pub enum StreamFault {
    #[error(
        "the database ends at frame {last}, but the engine's journal begins only behind frame \
         {begins_after}: what lies between was removed. Restore a copy of the database that goes \
         further, or of the engine's data folder that begins earlier; then start the sink again"
    )]
    Removed { last: u64, begins_after: u64 },
    #[error(
        "frame {sequence} follows frame {previous}, which the engine's journal does not have \
         behind {last}, the last frame here: queue, journal and database are not of one exchange"
    )]
    Contradiction { sequence: u64, previous: u64, last: u64 },
    #[error("entry {id} holds frame {sequence}: ids of event queues are sequences")]
    ForeignId { id: String, sequence: u64 },
    #[error("the engine's page of frames behind {after} does not end in a whole frame")]
    Page {
        after: u64,
        #[source]
        cause: DecodeError,
    },
    #[error("entry {id} is not a frame")]
    Frame {
        id: String,
        #[source]
        cause: DecodeError,
    },
    #[error("entry {id} has no frame field")]
    NoFrame { id: String },
    #[error("an entry's id is not valid: {id:?}")]
    EntryId { id: String },
    #[error("frame {sequence} cannot be stored")]
    Rows {
        sequence: u64,
        #[source]
        cause: RowError,
    },
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    #[error("it belongs to another stream")]
    OtherStream,
    #[error("its {0} is beyond a database column")]
    OutOfRange(&'static str),
    #[error("its outcome does not belong to its command")]
    Outcome,
    #[error("its balance changes cannot be derived")]
    Effects(#[from] EffectsError),
    #[error("its market is not listed")]
    UnknownMarket,
}
