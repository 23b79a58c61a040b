//! Section `[sink]` of `exchange.toml`.

use std::net::SocketAddr;
use std::time::Duration;

use protocol::refill::PAGE_EXPIRES_MS;
use serde::Deserialize;
use service::{ConfigError, ExchangeFile};

/// Whether the tables become hypertables.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimescaleMode {
    /// Where the extension is installed and preloaded.
    Auto,
    /// As `Auto`, and the sink does not start without it.
    Require,
    Off,
}

/// What is wanted of TimescaleDB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timescale {
    pub mode: TimescaleMode,
    /// `None`: never.
    pub compress_after_days: Option<u32>,
}

/// How long raw rows are kept, and how those that go are removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetentionTerms {
    /// `None`: for ever.
    pub keep_days: Option<u32>,
    pub every: Duration,
    /// Rows of one transaction, on plain tables.
    pub batch_rows: u32,
}

/// How rows go in where all of them are new, as they always are but after an accident.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteBy {
    /// `COPY`: the cheapest.
    Copy,
    /// `INSERT`, for servers and poolers without `COPY`.
    Insert,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawConfig {
    ops_listen: SocketAddr,
    writers: usize,
    write_by: WriteBy,
    rows_max: usize,
    age_ms_max: u64,
    read_entries_max: usize,
    redis_deadline_ms: u64,
    refill_ms_max: u64,
    database_deadline_ms: u64,
    retry_ms_max: u64,
    drain_ms_max: u64,
    timescale: TimescaleMode,
    compress_after_days: u32,
    retention_days: u32,
    retention_every_minutes: u64,
    retention_batch_rows: u32,
}

impl Default for RawConfig {
    fn default() -> Self {
        RawConfig {
            ops_listen: SocketAddr::from(([127, 0, 0, 1], 9104)),
            writers: 2,
            write_by: WriteBy::Copy,
            rows_max: 20_000,
            age_ms_max: 50,
            read_entries_max: 8000,
            redis_deadline_ms: 3000,
            refill_ms_max: 5000,
            database_deadline_ms: 30_000,
            retry_ms_max: 5000,
            drain_ms_max: 10_000,
            timescale: TimescaleMode::Auto,
            compress_after_days: 7,
            retention_days: 0,
            retention_every_minutes: 60,
            retention_batch_rows: 5000,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Config {
    pub ops_listen: SocketAddr,
    pub redis_url: String,
    pub database_url: String,
    /// Connections that write side by side, each for its share of the streams.
    pub writers: usize,
    pub write_by: WriteBy,
    /// A batch closes when it has this many rows of all tables together...
    pub rows_max: usize,
    /// ...or when its first frame has waited this long.
    pub age_max: Duration,
    /// Entries held in memory before they are in a batch; reading stops when it is full.
    pub read_entries_max: usize,
    pub redis_deadline: Duration,
    /// How long a page of lacking frames may take before it is asked for again.
    pub refill_max: Duration,
    pub database_deadline: Duration,
    /// Longest pause between two attempts to reach Redis or the database.
    pub retry_max: Duration,
    pub drain_max: Duration,
    pub timescale: Timescale,
    pub retention: RetentionTerms,
}

#[derive(Debug, thiserror::Error)]
pub enum SinkConfigError {
    #[error(transparent)]
    File(#[from] ConfigError),
    #[error("[sink] {key} must be in {least}..={most}, not {found}")]
    Range { key: &'static str, least: u64, most: u64, found: u64 },
}

/// A hundred years.
const DAYS_MOST: u64 = 36_500;

impl Config {
    pub fn load(
        file: &ExchangeFile,
        ops_listen: Option<SocketAddr>,
    ) -> Result<Self, SinkConfigError> {
        let raw: RawConfig = file.section("sink")?;
        in_range("writers", raw.writers as u64, 1, 64)?;
        in_range("rows_max", raw.rows_max as u64, 1, 100_000)?;
        in_range("age_ms_max", raw.age_ms_max, 1, 60_000)?;
        in_range("read_entries_max", raw.read_entries_max as u64, 1, 100_000)?;
        in_range("redis_deadline_ms", raw.redis_deadline_ms, 100, 600_000)?;
        in_range("refill_ms_max", raw.refill_ms_max, 100, PAGE_EXPIRES_MS)?;
        in_range("database_deadline_ms", raw.database_deadline_ms, 100, 600_000)?;
        in_range("retry_ms_max", raw.retry_ms_max, 10, 600_000)?;
        in_range("drain_ms_max", raw.drain_ms_max, 100, 600_000)?;
        in_range("compress_after_days", raw.compress_after_days.into(), 0, DAYS_MOST)?;
        in_range("retention_days", raw.retention_days.into(), 0, DAYS_MOST)?;
        in_range("retention_every_minutes", raw.retention_every_minutes, 1, 10_080)?;
        in_range("retention_batch_rows", raw.retention_batch_rows.into(), 1, 100_000)?;
        Ok(Config {
            ops_listen: ops_listen.unwrap_or(raw.ops_listen),
            redis_url: file.redis_url.clone(),
            database_url: file.database_url.clone(),
            writers: raw.writers,
            write_by: raw.write_by,
            rows_max: raw.rows_max,
            age_max: Duration::from_millis(raw.age_ms_max),
            read_entries_max: raw.read_entries_max,
            redis_deadline: Duration::from_millis(raw.redis_deadline_ms),
            refill_max: Duration::from_millis(raw.refill_ms_max),
            database_deadline: Duration::from_millis(raw.database_deadline_ms),
            retry_max: Duration::from_millis(raw.retry_ms_max),
            drain_max: Duration::from_millis(raw.drain_ms_max),
            timescale: Timescale {
                mode: raw.timescale,
                compress_after_days: Some(raw.compress_after_days).filter(|days| *days != 0),
            },
            retention: RetentionTerms {
                keep_days: Some(raw.retention_days).filter(|days| *days != 0),
                every: Duration::from_secs(60 * raw.retention_every_minutes),
                batch_rows: raw.retention_batch_rows,
            },
        })
    }
}

fn in_range(key: &'static str, found: u64, least: u64, most: u64) -> Result<(), SinkConfigError> {
    if (least..=most).contains(&found) {
        return Ok(());
    }
    Err(SinkConfigError::Range { key, least, most, found })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_file_of_the_repository_says_what_the_defaults_are() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../exchange.toml"));
        let file = ExchangeFile::load(path).unwrap();
        let (raw, default) = (file.section::<RawConfig>("sink").unwrap(), RawConfig::default());
        assert_eq!(format!("{raw:?}"), format!("{default:?}"));
        let listen = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(Config::load(&file, Some(listen)).unwrap().ops_listen, listen);
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert!(in_range("rows_max", 0, 1, 100_000).is_err());
        assert!(in_range("rows_max", 100_001, 1, 100_000).is_err());
        assert!(in_range("rows_max", 100_000, 1, 100_000).is_ok());
    }

    #[test]
    fn no_days_are_never() {
        let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../exchange.toml"));
        let config = Config::load(&ExchangeFile::load(path).unwrap(), None).unwrap();
        assert_eq!(config.timescale.compress_after_days, Some(7));
        assert_eq!(config.retention.keep_days, None);
        assert_eq!(config.retention.every, Duration::from_secs(3600));
    }
}
