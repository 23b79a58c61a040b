//! What `exchange.toml` asks of the machine: the engine's shards and their cores.
//!
//! The services check the whole file; here every other key and section is passed over.

use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::error::TuningError;

/// As many shards as a plan is made for.
const SHARDS_MAX: u32 = 1024;

/// How many shards the engine runs and, if the operator has decided, on which cpus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineThreads {
    pub shards: u32,
    /// One cpu a shard, in the order of the shards; `None` leaves it to the planner.
    pub shard_cores: Option<Vec<u32>>,
}

#[derive(Deserialize)]
struct RawFile {
    engine: Option<RawEngine>,
}

#[derive(Deserialize)]
struct RawEngine {
    shards: Option<u32>,
    shard_cores: Option<Vec<u32>>,
}

impl EngineThreads {
    /// One shard, its core left to the planner: what an engine without a word about shards runs.
    pub fn one_shard() -> EngineThreads {
        EngineThreads { shards: 1, shard_cores: None }
    }

    /// From the `[engine]` section of the file. Errors: no such file, not TOML, no shards, or
    /// another number of cores than shards.
    pub fn read(path: &Path) -> Result<EngineThreads, TuningError> {
        let text = fs::read_to_string(path)
            .map_err(|cause| TuningError::Read { path: path.to_owned(), cause })?;
        EngineThreads::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<EngineThreads, TuningError> {
        let raw: RawFile = toml::from_str(text)
            .map_err(|cause| TuningError::Config { path: path.to_owned(), cause })?;
        let Some(engine) = raw.engine else { return Ok(EngineThreads::one_shard()) };
        let path = path.to_owned();
        let shards = engine.shards.unwrap_or(1);
        if !(1..=SHARDS_MAX).contains(&shards) {
            return Err(TuningError::Shards { path, shards, shards_max: SHARDS_MAX });
        }
        match engine.shard_cores.as_ref().map(Vec::len) {
            Some(cores) if cores != shards as usize => {
                Err(TuningError::ShardCores { path, cores, shards })
            }
            _ => Ok(EngineThreads { shards, shard_cores: engine.shard_cores }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<EngineThreads, TuningError> {
        EngineThreads::parse(Path::new("exchange.toml"), text)
    }

    #[test]
    fn only_the_engines_shards_are_read() {
        let text = "[gateway]\nlisten = 1\n[engine]\nshards = 2\nshard_cores = [2, 3]\nx = 1\n";
        let expected = EngineThreads { shards: 2, shard_cores: Some(vec![2, 3]) };
        assert_eq!(parse(text).unwrap(), expected);
    }

    #[test]
    fn a_file_silent_about_shards_means_one() {
        assert_eq!(parse("").unwrap(), EngineThreads::one_shard());
        assert_eq!(
            parse("[engine]\ndurability = \"fsync\"\n").unwrap(),
            EngineThreads::one_shard()
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        assert!(matches!(parse("[engine]\nshards = 0"), Err(TuningError::Shards { .. })));
        assert!(matches!(parse("[engine]\nshards = -1"), Err(TuningError::Config { .. })));
        let one_core = parse("[engine]\nshards = 2\nshard_cores = [1]");
        assert!(matches!(one_core, Err(TuningError::ShardCores { cores: 1, shards: 2, .. })));
        assert!(matches!(parse("[engine"), Err(TuningError::Config { .. })));
    }
}
