//! From the journal to the state everything starts with: the replica, and what is made of it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_core::replica::Replica;
use engine_core::{Ledger, Sequencer, Shard, ShardLimits};
use protocol::{Catalog, Frame, MarketId, Sequence};

use crate::error::EngineError;
use crate::journal::definitions::Definitions;
use crate::journal::reader::{self, Tail};

const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What the journal says.
pub struct Recovered {
    pub replica: Replica,
    /// Where the journal ends; `None` when there is none yet.
    pub tail: Option<Tail>,
    /// Of the last command; 0 before the first.
    pub time_us: u64,
}

/// Applies every frame of the journal in `directory` to a new replica.
pub fn replay(directory: &Path, catalog: &Catalog) -> Result<Recovered, EngineError> {
    let mut replica = Replica::new(catalog.clone());
    let (began, mut shown) = (Instant::now(), Instant::now());
    let mut time_us = 0;
    let tail = reader::replay(directory, &Definitions::of(catalog), |frames| {
        for frame in Frame::each_of(frames) {
            let after = last_of(&replica);
            let frame = frame.map_err(|cause| EngineError::Decode { after, cause })?;
            replica.apply(&frame)?;
            time_us = time_us.max(frame.command.time_us);
        }
        if PROGRESS_EVERY <= shown.elapsed() {
            shown = Instant::now();
            tracing::info!(sequence = last_of(&replica).0, "replaying the journal");
        }
        Ok::<_, EngineError>(())
    })?;
    let (frames, milliseconds) = (last_of(&replica).0, began.elapsed().as_millis() as u64);
    tracing::info!(frames, milliseconds, "the journal is replayed");
    Ok(Recovered { replica, tail, time_us })
}

/// The last frame applied; 0 before the first.
pub fn last_of(replica: &Replica) -> Sequence {
    replica.last_sequence().unwrap_or(Sequence(0))
}

/// The last frame on the event stream of `market`; 0 before the first.
pub fn last_event_of(replica: &Replica, market: MarketId) -> Sequence {
    replica.previous(market).unwrap_or(Sequence(0))
}

/// Which shard owns a market: they are dealt out in the order of the config. The accounts stream
/// belongs to the first shard.
pub fn shard_of(catalog: &Catalog, market: MarketId, shards: usize) -> usize {
    let place = catalog.markets().iter().position(|listed| listed.id == market);
    place.map_or(0, |place| place % shards)
}

/// The shards, with their markets as the replica knows them, around one ledger and one sequence.
pub fn shards(
    replica: &Replica,
    count: usize,
    limits: ShardLimits,
) -> Result<Vec<Shard>, EngineError> {
    let catalog = replica.catalog();
    let ledger = Arc::new(Ledger::new(limits.accounts_max, catalog.asset_columns()));
    for balance in replica.balances() {
        let account = balance.account;
        if !ledger.covers(account, balance.asset) {
            return Err(EngineError::Config {
                key: "accounts_max",
                rule: format!("the journal already has account {account}"),
            });
        }
        ledger.restore(account, balance.asset, balance.available);
    }
    let sequencer = Arc::new(Sequencer::after(replica.last_sequence()));
    let shard = || Shard::new(Arc::clone(&ledger), Arc::clone(&sequencer), limits);
    let mut shards: Vec<_> = (0..count).map(|_| shard()).collect();
    for spec in catalog.markets() {
        let state = replica.market_state(spec.id);
        shards[shard_of(catalog, spec.id, count)]
            .add_market(spec.clone(), state)
            .map_err(|cause| EngineError::Restore { market: spec.id, cause })?;
    }
    if let Some(first) = shards.first_mut() {
        first.own_accounts(catalog.assets(), replica.accounts_state());
    }
    Ok(shards)
}
