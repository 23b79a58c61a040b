//! Says once a second how the engine's parts stand, for the operator.

use std::sync::Arc;
use std::time::Duration;

use engine_core::replica::Replica;
use protocol::query::{EngineStatus, JournalStatus, ShardStatus, SnapshotStatus};
use protocol::{Sequence, keys};

use crate::counters::Counters;
use crate::durable::Message;
use crate::recovery;

const EVERY_US: u64 = Duration::from_secs(1).as_micros() as u64;

/// Whose parts they are.
#[derive(Clone, Debug)]
pub struct Parts {
    pub counters: Arc<Counters>,
    /// Empty, or one a shard.
    pub shard_cores: Vec<usize>,
}

#[derive(Debug)]
pub struct StatusFeed {
    /// `None`: nobody asks.
    parts: Option<Parts>,
    next_us: u64,
}

impl StatusFeed {
    pub fn new(parts: Option<Parts>) -> StatusFeed {
        StatusFeed { parts, next_us: 0 }
    }

    /// Adds what is to be told now; `snapshot` is the newest on disk, and since when.
    pub fn tell(
        &mut self,
        replica: &Replica,
        snapshot: (Sequence, Option<Duration>),
        now_us: u64,
        out: &mut Vec<Message>,
    ) {
        let Some(parts) = self.parts.as_ref().filter(|_| self.next_us <= now_us) else { return };
        self.next_us = now_us + EVERY_US;
        match serde_json::to_vec(&parts.status(replica, snapshot, now_us)) {
            Ok(payload) => out.push(Message::Set { key: keys::STATUS, payload }),
            Err(error) => tracing::error!(%error, "the engine's status could not be written"),
        }
    }
}

impl Parts {
    fn status(
        &self,
        replica: &Replica,
        (written, age): (Sequence, Option<Duration>),
        now_us: u64,
    ) -> EngineStatus {
        let (catalog, count) = (replica.catalog(), self.counters.shards.len());
        let shard = |(index, counters): (usize, &Arc<crate::counters::ShardCounters>)| {
            let is_here = |market: &&protocol::MarketSpec| {
                recovery::shard_of(catalog, market.id, count) == index
            };
            let markets = catalog.markets().iter().filter(is_here);
            ShardStatus {
                core: self.shard_cores.get(index).copied(),
                markets: markets.map(|market| market.symbol.clone()).collect(),
                commands: counters.commands.get(),
                stalls: counters.stalls.get(),
                inbound_depth: counters.inbound_depth.get(),
                outbound_depth: counters.outbound_depth.get(),
            }
        };
        let journal = &self.counters.journal;
        EngineStatus {
            sequence: replica.position(),
            time_us: now_us,
            shards: self.counters.shards.iter().enumerate().map(shard).collect(),
            journal: JournalStatus {
                sequence: journal.sequence.get(),
                frames: journal.frames.get(),
                bytes: journal.bytes.get(),
            },
            snapshot: SnapshotStatus {
                sequence: written,
                age_ms: age.map(|age| age.as_millis() as u64),
            },
        }
    }
}
