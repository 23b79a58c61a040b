//! Section `[engine]` of `exchange.toml`: as written, then checked.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use engine_core::ShardLimits;
use protocol::{Catalog, MarketId, OrderId};
use serde::Deserialize;
use service::ExchangeFile;

use crate::egress::event_queues::Bounds;
use crate::error::EngineError;
use crate::idle::Waiting;
use crate::journal::writer::Durability;
use crate::snapshot::retention::JournalRetention;

/// As written; the file's comments say what each key means.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawConfig {
    ops_listen: SocketAddr,
    data_dir: PathBuf,
    durability: Durability,
    shards: usize,
    shard_cores: Vec<usize>,
    ingress_threads: usize,
    waiting_ingress: Option<Waiting>,
    waiting_shards: Option<Waiting>,
    waiting_journal: Option<Waiting>,
    ingress_read_max: usize,
    inbound_ring_commands: usize,
    outbound_ring_records: usize,
    block_kib_max: usize,
    segment_mib: u64,
    snapshot_frames: u64,
    drain_snapshot_frames_min: u64,
    journal_retention: JournalRetention,
    egress_blocks_max: usize,
    events_queue_max: usize,
    events_memory_mib_max: u64,
    publications_max: usize,
    queries_max: usize,
    accounts_max: u32,
    markets_max: u32,
    orders_per_market_max: u32,
    open_orders_per_account_max: u32,
    trades_per_command_max: u32,
    drain_ms_max: u64,
}

impl Default for RawConfig {
    fn default() -> Self {
        RawConfig {
            ops_listen: SocketAddr::from(([127, 0, 0, 1], 9101)),
            data_dir: PathBuf::from("var/engine"),
            durability: Durability::Fsync,
            shards: 2,
            shard_cores: Vec::new(),
            ingress_threads: 1,
            waiting_ingress: None,
            waiting_shards: None,
            waiting_journal: None,
            ingress_read_max: 1000,
            inbound_ring_commands: 4096,
            outbound_ring_records: 16_384,
            block_kib_max: 1024,
            segment_mib: 64,
            snapshot_frames: 1_000_000,
            drain_snapshot_frames_min: 10_000,
            journal_retention: JournalRetention::Needed,
            egress_blocks_max: 64,
            events_queue_max: 1_000_000,
            events_memory_mib_max: 1024,
            publications_max: 4096,
            queries_max: 1024,
            accounts_max: 100_000,
            markets_max: 64,
            orders_per_market_max: 262_144,
            open_orders_per_account_max: 1000,
            trades_per_command_max: 1000,
            drain_ms_max: 10_000,
        }
    }
}

/// Flags, which win over the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    pub ops_listen: Option<SocketAddr>,
    pub data_dir: Option<PathBuf>,
}

/// How each kind of thread waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WaitingPlan {
    pub ingress: Waiting,
    pub shards: Waiting,
    pub journal: Waiting,
}

#[derive(Clone, Debug)]
pub struct Config {
    pub catalog: Catalog,
    pub redis_url: String,
    pub ops_listen: SocketAddr,
    pub data_dir: PathBuf,
    pub durability: Durability,
    pub shards: usize,
    /// Empty, or one a shard.
    pub shard_cores: Vec<usize>,
    pub ingress_threads: usize,
    pub waiting: WaitingPlan,
    pub ingress_read_max: usize,
    pub inbound_ring_commands: usize,
    pub outbound_ring_records: usize,
    pub block_bytes_max: usize,
    pub segment_bytes: u64,
    /// From one snapshot to the next; 0: none is made.
    pub snapshot_frames: u64,
    /// Behind the last snapshot, that make one worth while when the engine drains.
    pub drain_snapshot_frames_min: u64,
    pub journal_retention: JournalRetention,
    pub egress_blocks_max: usize,
    /// What may wait on Redis for the database.
    pub events: Bounds,
    pub publications_max: usize,
    pub queries_max: usize,
    pub limits: ShardLimits,
    pub drain_max: Duration,
}

/// Threads beside ingress and shards that work while orders flow: journal, replies, events,
/// replica, publisher.
const OTHER_THREADS: usize = 5;

impl Config {
    /// `cores` is how many this process may use.
    pub fn of(
        file: &ExchangeFile,
        overrides: Overrides,
        cores: usize,
    ) -> Result<Config, EngineError> {
        let raw: RawConfig = file.section("engine")?;
        raw.check(file, overrides, cores)
    }
}

impl RawConfig {
    fn check(
        self,
        file: &ExchangeFile,
        overrides: Overrides,
        cores: usize,
    ) -> Result<Config, EngineError> {
        within("shards", self.shards, 1, 256)?;
        // Each has a stream of its own: the accounts or a market.
        within("ingress_threads", self.ingress_threads, 1, file.catalog.markets().len() + 1)?;
        within("ingress_read_max", self.ingress_read_max, 1, 100_000)?;
        within("inbound_ring_commands", self.inbound_ring_commands, 1, 1 << 24)?;
        within("outbound_ring_records", self.outbound_ring_records, 2, 1 << 24)?;
        within("block_kib_max", self.block_kib_max, 1, 1 << 20)?;
        within("segment_mib", self.segment_mib as usize, 1, 1 << 20)?;
        within("egress_blocks_max", self.egress_blocks_max, 1, 1 << 20)?;
        within("events_queue_max", self.events_queue_max, 1, 1 << 32)?;
        within("events_memory_mib_max", self.events_memory_mib_max as usize, 1, 1 << 20)?;
        within("publications_max", self.publications_max, 1, 1 << 20)?;
        within("queries_max", self.queries_max, 1, 1 << 20)?;
        within("markets_max", self.markets_max as usize, 1, usize::from(MarketId::MAX.0))?;
        within("accounts_max", self.accounts_max as usize, 1, 1 << 28)?;
        let orders_max = OrderId::SLOTS_MAX as usize;
        within("orders_per_market_max", self.orders_per_market_max as usize, 1, orders_max)?;
        let open_orders_max = self.open_orders_per_account_max as usize;
        within("open_orders_per_account_max", open_orders_max, 1, 1 << 20)?;
        within("trades_per_command_max", self.trades_per_command_max as usize, 1, 1 << 20)?;
        if !self.shard_cores.is_empty() && self.shard_cores.len() != self.shards {
            let rule = format!("names {} cores for {} shards", self.shard_cores.len(), self.shards);
            return Err(EngineError::Config { key: "shard_cores", rule });
        }
        let waiting = self.waiting(cores);
        Ok(Config {
            catalog: file.catalog.clone(),
            redis_url: file.redis_url.clone(),
            ops_listen: overrides.ops_listen.unwrap_or(self.ops_listen),
            data_dir: overrides.data_dir.unwrap_or(self.data_dir),
            durability: self.durability,
            shards: self.shards,
            shard_cores: self.shard_cores,
            ingress_threads: self.ingress_threads,
            waiting,
            ingress_read_max: self.ingress_read_max,
            inbound_ring_commands: self.inbound_ring_commands,
            outbound_ring_records: self.outbound_ring_records,
            block_bytes_max: self.block_kib_max << 10,
            segment_bytes: self.segment_mib << 20,
            snapshot_frames: self.snapshot_frames,
            drain_snapshot_frames_min: self.drain_snapshot_frames_min,
            journal_retention: self.journal_retention,
            egress_blocks_max: self.egress_blocks_max,
            events: Bounds {
                entries_max: self.events_queue_max as u64,
                bytes_max: self.events_memory_mib_max << 20,
            },
            publications_max: self.publications_max,
            queries_max: self.queries_max,
            limits: ShardLimits {
                orders_max: self.orders_per_market_max,
                open_orders_per_account_max: self.open_orders_per_account_max,
                trades_per_command_max: self.trades_per_command_max,
                accounts_max: self.accounts_max,
                markets_max: self.markets_max,
            },
            drain_max: Duration::from_millis(self.drain_ms_max),
        })
    }

    /// A thread that spins on a core others need delays them by whole time slices, so that without
    /// a core each everybody parks.
    fn waiting(&self, cores: usize) -> WaitingPlan {
        let threads = self.ingress_threads + self.shards + OTHER_THREADS;
        let hot = if threads <= cores { Waiting::Spin } else { Waiting::Park };
        WaitingPlan {
            ingress: self.waiting_ingress.unwrap_or(Waiting::Park),
            shards: self.waiting_shards.unwrap_or(hot),
            journal: self.waiting_journal.unwrap_or(hot),
        }
    }
}

fn within(key: &'static str, value: usize, min: usize, max: usize) -> Result<(), EngineError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(EngineError::Config { key, rule: format!("{value} is not in {min}..={max}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_park_where_cores_are_few_unless_told_otherwise() {
        let raw = RawConfig::default();
        assert_eq!(raw.waiting(2).shards, Waiting::Park);
        assert_eq!(raw.waiting(16).shards, Waiting::Spin);
        let told = RawConfig { waiting_shards: Some(Waiting::Yield), ..raw };
        assert_eq!(told.waiting(2).shards, Waiting::Yield);
        assert_eq!(told.waiting(2).journal, Waiting::Park);
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        let error = within("shards", 0, 1, 256).unwrap_err();
        assert_eq!(error.to_string(), "section [engine]: shards: 0 is not in 1..=256");
    }
}
