//! What can go wrong while the machine or the config is read.

use std::io;
use std::path::PathBuf;

/// Why there is no topology or no plan.
#[derive(Debug, thiserror::Error)]
pub enum TuningError {
    #[error("could not read {path}")]
    Read {
        path: PathBuf,
        #[source]
        cause: io::Error,
    },
    #[error("{path} is missing: is this the root of a Linux machine")]
    Missing { path: PathBuf },
    #[error("{path} says {text:?}, which is not {expected}")]
    Malformed { path: PathBuf, text: String, expected: &'static str },
    #[error("{path} does not fit")]
    Config {
        path: PathBuf,
        #[source]
        cause: toml::de::Error,
    },
    #[error("{path}: [engine] shards = {shards} is not from 1 to {shards_max}")]
    Shards { path: PathBuf, shards: u32, shards_max: u32 },
    #[error("{path}: [engine] shard_cores lists {cores} cores for {shards} shards; one a shard")]
    ShardCores { path: PathBuf, cores: usize, shards: u32 },
}
