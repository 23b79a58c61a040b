//! What can go wrong in a bench.

use std::io;
use std::path::{Path, PathBuf};

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("could not read the thread's cpu clock")]
    Clock(#[source] nix::Error),
    #[error("could not make a histogram")]
    Histogram(#[source] hdrhistogram::CreationError),
    #[error("two histograms could not be added")]
    Histograms(#[source] hdrhistogram::AdditionError),
    #[error("no runs were asked for")]
    NoRuns,
    #[error("there is no flow named {0}")]
    NoSuchFlow(String),
    #[error("could not read the machine")]
    Machine(#[source] tuning::error::TuningError),
    #[error("the engine has no such command: {0:?}")]
    Command(orderflow::Command),
    #[error("the flow has more orders than memory can address")]
    TooLarge,
    #[error("the markets cannot be listed")]
    Listing(#[source] protocol::catalog::CatalogError),
    #[error("the shard cannot be made")]
    Shard(#[source] engine_core::RestoreError),
    #[error("a shard refused {command:?}: {refusal:?}")]
    Refused { command: orderflow::Command, refusal: protocol::Refusal },
    #[error("a frame does not decode")]
    Decode(#[source] protocol::DecodeError),
    #[error("the state's digest is {found:?}, and was {expected:?} in the rehearsal")]
    State { expected: protocol::StateDigest, found: protocol::StateDigest },
    #[error("the figures could not be written as JSON")]
    Json(#[source] serde_json::Error),
    #[error("{}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("the engine")]
    Engine(#[source] engine::error::EngineError),
    #[error("the journal")]
    Journal(#[source] engine::error::JournalError),
    #[error("a snapshot")]
    Snapshot(#[source] engine::error::SnapshotError),
    #[error("the replica")]
    Replica(#[source] engine_core::replica::ReplicaError),
    #[error("the replica's thread")]
    ReplicaLoop(#[source] engine::replica_loop::ReplicaLoopError),
    #[error("the exchange to measure")]
    Exchange(#[source] xtask::XtaskError),
    #[error("exchange.toml cannot be read")]
    Config(#[source] Box<toml::de::Error>),
    #[error("{0} is no address")]
    Address(String),
    #[error("{0} has ended")]
    Ended(String),
    #[error("a secret key is damaged")]
    Key,
    #[error("a connection to the gateway broke")]
    Wire(#[source] io::Error),
    #[error("not the answer that was wanted: {0}")]
    Answer(String),
    #[error("a stream broke")]
    Stream(#[source] io::Error),
    #[error("not what a stream is to bring: {0}")]
    Frame(String),
    #[error("redis")]
    Redis(#[source] redis::RedisError),
    #[error("a frame cannot be stored")]
    Frames(#[source] db_sink::error::RowError),
    #[error("{found} rows are there and should be {expected}")]
    Rows { expected: u64, found: u64 },
    #[error("the database")]
    Database(#[source] sqlx::Error),
    #[error("the sink")]
    Sink(#[source] db_sink::SinkError),
    #[error("the sink's configuration")]
    SinkConfiguration(#[source] db_sink::config::SinkConfigError),
    #[error("exchange.toml")]
    Configuration(#[source] service::ConfigError),
    #[error("{wanted} sockets need more open files than the {allowed} that are allowed")]
    OpenFiles { wanted: usize, allowed: u64 },
    #[error("the database: {0}")]
    Statement(String),
    #[error("a thread panicked")]
    Thread,
    #[error("{sent} commands were sent and {durable} became durable")]
    Lost { sent: u64, durable: u64 },
    #[error("{subject} has a wrong outcome on {flow}: expected {expected}, found {found}")]
    Digest { subject: &'static str, flow: String, expected: String, found: String },
}

impl BenchError {
    pub fn io(path: &Path) -> impl Fn(io::Error) -> BenchError {
        let path = path.to_owned();
        move |cause| BenchError::Io { path: path.clone(), cause }
    }
}
