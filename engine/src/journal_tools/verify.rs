//! Checks a journal as strictly as can be: every checksum, link, sequence and digest, and every
//! command carried out once more, whose outcome has to be the one in the journal byte for byte.
//!
//! ```text
//! block ─▶ checksums, links ─▶ frame ─▶ shard again ─▶ the same bytes?
//!                                   └─▶ replica ─────▶ the same digest?
//! ```
//!
//! What the frame itself has to tell is taken as told ([`engine_core::Again`]); of those only
//! refusals for want of funds leave nothing to compare, and are counted. After a difference the
//! shard goes on from the state that the journal says.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_core::digest::StateSum;
use engine_core::replica::{Listed, Replica};
use engine_core::{Again, Ledger, Sequencer, Shard, ShardLimits};
use protocol::{Action, Catalog, Frame, Listing, Outcome, Sequence};
use serde::Serialize;

use super::frame_text::in_full;
use super::frame_view::FrameView;
use super::{Verdict, chain};
use crate::data_dir::Folders;
use crate::disk::Disk;
use crate::error::{EngineError, JournalError};
use crate::journal::reader::{self, Begin, Mark, Progress, Source, Visit};
use crate::snapshot;
use crate::snapshot::read::{self, Loaded};

/// After so many the engine and the journal have nothing to do with each other.
const DIFFERENCES_MAX: usize = 100;
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    pub folder: String,
    /// The frames looked at.
    pub first: Option<u64>,
    pub last: Option<u64>,
    pub frames: u64,
    pub blocks: u64,
    /// Of the frames, those whose command was carried out again and compared.
    pub compared: u64,
    /// Of the frames, refusals for want of funds, which are taken as told.
    pub as_told: u64,
    /// Snapshots that are the state at their frame.
    pub snapshots: u64,
    /// Bytes behind the last whole block: a write cut short, or one under way.
    pub torn_bytes: u64,
    pub differences: Vec<Difference>,
    /// What ended the verification, or was found wrong at its end.
    pub problem: Option<String>,
}

/// A command that came to something else when it was carried out again.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    pub sequence: u64,
    /// What it comes to now.
    pub expected: String,
    /// What the journal says.
    pub found: String,
}

impl Verification {
    pub fn verdict(&self) -> Verdict {
        let is_right = self.problem.is_none() && self.differences.is_empty();
        if is_right { Verdict::Right } else { Verdict::Wrong }
    }

    /// The first problem is the one to look into.
    fn note(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }
}

pub fn verify(disk: &dyn Disk, folders: &Folders) -> Verification {
    let folder = folders.journal.display().to_string();
    let mut found = Verification { folder, ..Verification::default() };
    if let Err(error) = verify_into(disk, folders, &mut found) {
        found.note(chain(&error));
    }
    found
}

fn verify_into(
    disk: &dyn Disk,
    folders: &Folders,
    found: &mut Verification,
) -> Result<(), EngineError> {
    let directory = &folders.journal;
    let segments = reader::survey(disk, directory, None)?;
    let (Some(oldest), Some(newest)) = (segments.first(), segments.last()) else { return Ok(()) };
    // Whatever was listed when, the newest segment lists too.
    let definitions = &newest.header.definitions;
    let first = newest.header.first();
    let catalog = definitions.catalog();
    let catalog = catalog.map_err(|cause| JournalError::Definitions { first, cause })?;
    let load = |path: &Path| read::load(disk, path, &catalog, definitions);
    let mut snapshots = VecDeque::from(snapshot::list(disk, &folders.snapshots)?);
    let (mut replica, mut begin) = (Replica::new(catalog.clone()), Begin::First);
    if oldest.header.joint.last() != Sequence(0) {
        // What came before is gone; the oldest good snapshot stands for it.
        while begin == Begin::First
            && let Some((_, path)) = snapshots.pop_front()
        {
            match load(&path) {
                Ok(loaded) => {
                    found.snapshots += 1;
                    (replica, begin) = (loaded.replica, Begin::After(loaded.header.mark));
                }
                Err(error) => found.note(chain(&error)),
            }
        }
    }
    let source = Source { disk, directory, definitions: Some(definitions), begin };
    let mut again = CarriedOut::on(replica, found);
    let tail = reader::replay(&source, |block| {
        again.block(&block)?;
        while let Some((_, path)) = snapshots.pop_front_if(|(at, _)| *at <= block.header.last) {
            match load(&path) {
                Ok(loaded) => again.compare(&loaded, &block),
                // A running engine removes those it needs no more.
                Err(_) if disk.length(&path).is_err() => (),
                Err(error) => again.found.note(chain(&error)),
            }
        }
        Ok::<_, EngineError>(())
    })?;
    again.finish();
    found.torn_bytes = tail.and_then(|tail| tail.torn).map_or(0, |torn| torn.bytes);
    Ok(())
}

/// Everything carried out so far.
struct CarriedOut<'a> {
    replica: Replica,
    /// `None` before the first block, and after too many differences.
    shard: Option<Shard>,
    catalog: Catalog,
    limits: Option<ShardLimits>,
    found: &'a mut Verification,
    shown: Instant,
}

impl<'a> CarriedOut<'a> {
    fn on(replica: Replica, found: &'a mut Verification) -> CarriedOut<'a> {
        let (catalog, shown) = (Catalog::default(), Instant::now());
        CarriedOut { replica, shard: None, catalog, limits: None, found, shown }
    }

    fn block(&mut self, block: &Visit<'_>) -> Result<(), EngineError> {
        if let Some(catalog) = super::catalog_of(block)? {
            self.catalog = catalog;
            self.limits = super::limits_of(block)?;
            self.rebuild()?;
        }
        for frame in Frame::each_of(block.frames) {
            let after = self.replica.position();
            let frame = frame.map_err(|cause| EngineError::Decode { after, cause })?;
            self.frame(&frame)?;
        }
        self.found.blocks += 1;
        self.show(block.progress);
        Ok(())
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Result<(), EngineError> {
        let mut difference = None;
        match self.shard.as_mut().map(|shard| shard.apply_again(frame)) {
            Some(Again::Done(records)) => {
                self.found.compared += 1;
                let expected = records.as_flattened();
                difference = (expected != frame.bytes()).then(|| expected.to_vec());
            }
            Some(Again::AsTold) => self.found.as_told += 1,
            None => (),
        }
        let sequence = frame.header.sequence.0;
        self.replica.apply(frame)?;
        if difference.is_none() {
            self.take_listed(frame)?;
        }
        self.found.first.get_or_insert(sequence);
        self.found.last = Some(sequence);
        self.found.frames += 1;
        if let Some(expected) = difference {
            let (expected, found) = (self.told(&expected), self.told(frame.bytes()));
            self.found.differences.push(Difference { sequence, expected, found });
            self.rebuild()?;
        }
        Ok(())
    }

    /// The shard goes on with a market that was just listed.
    fn take_listed(&mut self, frame: &Frame<'_>) -> Result<(), EngineError> {
        let (Action::ListMarket(Listing { market: id, .. }), Outcome::MarketListed) =
            (frame.command.action, frame.header.outcome)
        else {
            return Ok(());
        };
        let (Some(market), Some(shard)) = (self.replica.market(id), &mut self.shard) else {
            return Ok(());
        };
        let state = self.replica.market_state(id);
        let added = shard.add_market(market.spec().clone(), state);
        added.map_err(|cause| EngineError::Restore { market: id, cause })
    }

    /// Whether a snapshot is the state after the block.
    fn compare(&mut self, snapshot: &Loaded, block: &Visit<'_>) {
        let (mark, sum) = (snapshot.header.mark, snapshot.replica.sum());
        if mark == block.mark() && sum == self.replica.sum() {
            self.found.snapshots += 1;
            return;
        }
        let told =
            |mark: &Mark, sum: StateSum| format!("state {:016x} after link {}", sum.0, mark.link);
        self.found.differences.push(Difference {
            sequence: mark.sequence.0,
            expected: told(&block.mark(), self.replica.sum()),
            found: format!("a snapshot of {}", told(&mark, sum)),
        });
    }

    /// A frame in words.
    fn told(&self, bytes: &[u8]) -> String {
        match Frame::parse(bytes) {
            Ok(frame) => in_full(&FrameView::of(&frame, &self.catalog)),
            Err(error) => format!("no frame: {error}"),
        }
    }

    /// The shard as the engine would start it after the last frame: one that owns all streams.
    fn rebuild(&mut self) -> Result<(), EngineError> {
        self.shard = None;
        let Some(limits) = self.limits else { return Ok(()) };
        if DIFFERENCES_MAX <= self.found.differences.len() {
            return Ok(());
        }
        let replica = &self.replica;
        let catalog = with_listed(&self.catalog, replica)?;
        let ledger = Arc::new(Ledger::new(limits.accounts_max, catalog.asset_columns()));
        for balance in replica.balances() {
            let (account, asset) = (balance.account, balance.asset);
            if !ledger.covers(account, asset) {
                let rule = format!("the journal already has account {account}");
                return Err(EngineError::Config { key: "accounts_max", rule });
            }
            ledger.restore(account, asset, balance.available);
        }
        let sequencer = Arc::new(Sequencer::after(replica.last_sequence()));
        let mut shard = Shard::new(ledger, sequencer, limits);
        for spec in catalog.markets() {
            let state = replica.market_state(spec.id);
            let restored = shard.add_market(spec.clone(), state);
            restored.map_err(|cause| EngineError::Restore { market: spec.id, cause })?;
        }
        shard.own_accounts(&catalog, replica.accounts_state());
        self.shard = Some(shard);
        Ok(())
    }

    fn show(&mut self, progress: Progress) {
        if self.shown.elapsed() < PROGRESS_EVERY {
            return;
        }
        self.shown = Instant::now();
        let (sequence, Progress { read, total }) = (self.replica.position().0, progress);
        let differences = self.found.differences.len();
        tracing::info!(sequence, read, total, differences, "verifying the journal");
    }

    /// Looks at the state that all frames came to.
    fn finish(self) {
        if let Some(row) = self.replica.conservation().into_iter().find(|row| !row.holds()) {
            let problem = format!("after the last frame units are missing or too many: {row:?}");
            self.found.note(problem);
        }
        if self.replica.sum() != self.replica.sum_recounted() {
            let problem = "after the last frame the digest kept from frame to frame is not that \
                           of the state";
            self.found.note(problem.to_owned());
        }
    }
}

/// The catalog of a segment's head, and what was listed since the journal began.
fn with_listed(catalog: &Catalog, replica: &Replica) -> Result<Catalog, EngineError> {
    let mut catalog = catalog.clone();
    for Listed { listing, .. } in replica.listed() {
        catalog
            .list(listing)
            .map_err(|cause| EngineError::Listing { market: listing.market, cause })?;
    }
    Ok(catalog)
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.first, self.last) {
            (Some(first), Some(last)) => {
                writeln!(f, "frames    {first} to {last} of {}", self.folder)?;
            }
            _ => writeln!(f, "frames    none in {}", self.folder)?,
        }
        let Verification { frames, blocks, compared, as_told, torn_bytes, .. } = self;
        writeln!(f, "checked   {frames} frames in {blocks} blocks: checksums, links, digests")?;
        writeln!(f, "compared  {compared} commands with what they come to now")?;
        writeln!(f, "as told   {as_told} refusals for want of funds")?;
        writeln!(f, "snapshots {} are the state at their frame", self.snapshots)?;
        if *torn_bytes != 0 {
            writeln!(f, "tail      {torn_bytes} bytes behind the last block are no whole block")?;
        }
        for Difference { sequence, expected, found } in &self.differences {
            writeln!(f, "frame     {sequence} differs")?;
            writeln!(f, "expected  {expected}")?;
            writeln!(f, "found     {found}")?;
        }
        match (&self.problem, self.differences.len()) {
            (Some(problem), _) => write!(f, "problem   {problem}"),
            (None, 0) => write!(f, "the journal is right"),
            (None, count) => write!(f, "{count} frames differ"),
        }
    }
}
