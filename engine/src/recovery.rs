//! From disk to the state everything starts with: the newest good snapshot, then the journal's
//! frames behind it; the replica, and what is made of it.
//!
//! A snapshot that cannot be used is passed over for the one before it, and without any the journal
//! is read from its first frame. What follows must go on from what was used, block by block. Files
//! of two data directories, or a journal that ends before its snapshot, refuse the start.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_core::replica::Replica;
use engine_core::{Ledger, Sequencer, Shard, ShardLimits};
use protocol::{Catalog, Frame, MarketId, Sequence};

use crate::data_dir::Folders;
use crate::disk::Disk;
use crate::error::{EngineError, JournalError};
use crate::journal::definitions::Definitions;
use crate::journal::reader::{self, Begin, Progress, Source, Tail};
use crate::journal::segment::{self, SegmentHeader};
use crate::recent::Recent;
use crate::snapshot;
use crate::snapshot::read::{self, Loaded, Pieces};

const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// What snapshots and journal say.
#[derive(Debug)]
pub struct Recovered {
    pub replica: Replica,
    /// Those behind the snapshot.
    pub recent: Recent,
    /// Where the journal ends; `None` when there is none yet.
    pub tail: Option<Tail>,
    /// Of the last command; 0 before the first.
    pub time_us: u64,
    /// The snapshot that was used; 0 = none.
    pub snapshot: Sequence,
    /// Newer snapshots that were of no use, the newest first.
    pub unusable: Vec<Sequence>,
}

/// The state as the files in `folders` have it. Changes nothing on disk.
pub fn recover(
    disk: &dyn Disk,
    folders: &Folders,
    catalog: &Catalog,
    limits: &ShardLimits,
) -> Result<Recovered, EngineError> {
    let began = Instant::now();
    let definitions = Definitions::of(catalog, limits);
    let snapshots = snapshot::list(disk, &folders.snapshots)?;
    check_one_journal(disk, &folders.journal, &snapshots)?;
    let (loaded, unusable) = newest_usable(disk, &snapshots, catalog, &definitions)?;
    let (mut state, begin) = match loaded {
        Some(Loaded { header, replica }) => {
            let (sequence, bytes) = (header.mark.sequence, header.bytes);
            let milliseconds = began.elapsed().as_millis() as u64;
            tracing::info!(sequence = sequence.0, bytes, milliseconds, "a snapshot is loaded");
            let time_us = header.time_us;
            let nothing = Recovered::nothing(catalog);
            let state = Recovered { replica, time_us, snapshot: sequence, unusable, ..nothing };
            (state, Begin::After(header.mark))
        }
        None => (Recovered { unusable, ..Recovered::nothing(catalog) }, Begin::First),
    };
    let directory = &folders.journal;
    let source = Source { disk, directory, definitions: Some(&definitions), begin };
    let passed_over = state.unusable.len();
    state.replay(&source).map_err(|error| match error {
        EngineError::Journal(cause @ JournalError::Missing { .. }) if begin == Begin::First => {
            let path = folders.snapshots.clone();
            EngineError::NoSnapshot { path, snapshots: passed_over, cause }
        }
        other => other,
    })?;
    if state.tail.is_none() && 0 < passed_over {
        let (path, last) = (folders.journal.clone(), Sequence(0));
        let sequence = state.unusable.first().copied().unwrap_or(last);
        return Err(JournalError::EndsEarly { path, last, sequence }.into());
    }
    state.announce(began.elapsed());
    Ok(state)
}

/// As [`recover`], by the journal alone, from its first frame on.
pub fn replay(
    disk: &dyn Disk,
    journal: &Path,
    catalog: &Catalog,
    limits: &ShardLimits,
) -> Result<Recovered, EngineError> {
    let definitions = Definitions::of(catalog, limits);
    let begin = Begin::First;
    let source = Source { disk, directory: journal, definitions: Some(&definitions), begin };
    let mut state = Recovered::nothing(catalog);
    state.replay(&source)?;
    Ok(state)
}

impl Recovered {
    fn nothing(catalog: &Catalog) -> Recovered {
        Recovered {
            replica: Replica::new(catalog.clone()),
            recent: Recent::default(),
            tail: None,
            time_us: 0,
            snapshot: Sequence(0),
            unusable: Vec::new(),
        }
    }

    /// Applies what the journal has behind the state.
    fn replay(&mut self, source: &Source<'_>) -> Result<(), EngineError> {
        let mut pace = Pace::begin(self.replica.position());
        self.tail = reader::replay(source, |block| {
            for frame in Frame::each_of(block.frames) {
                let after = self.replica.position();
                let frame = frame.map_err(|cause| EngineError::Decode { after, cause })?;
                self.replica.apply(&frame)?;
                self.recent.frame(&frame, self.replica.applied());
                self.time_us = self.time_us.max(frame.command.time_us);
            }
            pace.show(self.replica.position(), block.progress);
            Ok::<_, EngineError>(())
        })?;
        Ok(())
    }

    fn announce(&self, time: Duration) {
        let (snapshot, last) = (self.snapshot.0, self.replica.position().0);
        let (frames, milliseconds) = (last - snapshot, time.as_millis() as u64);
        metrics::gauge!("engine_recovery_seconds").set(time.as_secs_f64());
        metrics::gauge!("engine_recovery_frames").set(frames as f64);
        let passed_over = self.unusable.len();
        tracing::info!(snapshot, frames, last, passed_over, milliseconds, "the state is recovered");
    }
}

/// All snapshots that can be read at all are of the journal that is there.
fn check_one_journal(
    disk: &dyn Disk,
    journal: &Path,
    snapshots: &[(Sequence, PathBuf)],
) -> Result<(), EngineError> {
    let segments = segment::list(disk, journal)?;
    let Some((_, oldest)) = segments.first() else { return Ok(()) };
    let (segment, _) = SegmentHeader::read(disk, oldest)?;
    for (sequence, path) in snapshots {
        // What cannot be read is reported where it would be used.
        let Ok(pieces) = Pieces::open(disk, path) else { continue };
        if pieces.header().mark.journal != segment.journal {
            let (path, sequence, how) = (oldest.clone(), *sequence, "it has another id");
            return Err(JournalError::Mixed { path, sequence, how }.into());
        }
    }
    Ok(())
}

/// The newest snapshot that is whole, if there is one, and those passed over on the way to it.
fn newest_usable(
    disk: &dyn Disk,
    snapshots: &[(Sequence, PathBuf)],
    catalog: &Catalog,
    definitions: &Definitions,
) -> Result<(Option<Loaded>, Vec<Sequence>), EngineError> {
    let mut unusable = Vec::new();
    for (sequence, path) in snapshots.iter().rev() {
        match read::load(disk, path, catalog, definitions) {
            Ok(loaded) => return Ok((Some(loaded), unusable)),
            Err(error) if error.is_damage() => {
                let cause = error.source().map(ToString::to_string);
                tracing::error!(%error, cause, "a snapshot is of no use: the one before is taken");
                metrics::counter!("engine_snapshots_unusable_total").increment(1);
                unusable.push(*sequence);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok((None, unusable))
}

/// Tells how far a long replay is.
struct Pace {
    first: Sequence,
    began: Instant,
    shown: Instant,
}

impl Pace {
    fn begin(first: Sequence) -> Pace {
        let now = Instant::now();
        Pace { first, began: now, shown: now }
    }

    fn show(&mut self, last: Sequence, progress: Progress) {
        if self.shown.elapsed() < PROGRESS_EVERY {
            return;
        }
        self.shown = Instant::now();
        let time = self.began.elapsed();
        let Progress { read, total } = progress;
        let left =
            u128::from(total.saturating_sub(read)) * time.as_millis() / u128::from(read.max(1));
        let (read_mib, total_mib, seconds_left) = (read >> 20, total >> 20, left / 1000);
        let frames = last.0 - self.first.0;
        tracing::info!(frames, last = last.0, read_mib, total_mib, seconds_left, "replaying");
    }
}

/// Says where terms of the config do not apply, because the market's were set while it traded.
pub fn warn_of_terms(replica: &Replica, config: &Catalog) {
    for written in config.markets() {
        let Some(market) = replica.market(written.id) else { continue };
        let spec = market.spec();
        if spec.price_terms() != written.price_terms() {
            let (config, applies) = (written.price_terms(), spec.price_terms());
            tracing::warn!(
                market = spec.symbol,
                ?config,
                ?applies,
                "prices were set while the market traded: what the config says does not apply"
            );
        }
        if spec.lot_terms() != written.lot_terms() {
            let (config, applies) = (written.lot_terms(), spec.lot_terms());
            tracing::warn!(
                market = spec.symbol,
                ?config,
                ?applies,
                "quantities and fees were set while the market traded: what the config says does \
                 not apply"
            );
        }
    }
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
        first.own_accounts(catalog, replica.accounts_state());
    }
    Ok(shards)
}
