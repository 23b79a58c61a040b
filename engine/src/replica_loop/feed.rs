//! Durable frames for the replica, each once and in order, however far it is behind: blocks as the
//! journal hands them over, and from the journal's files what it could not hand over.
//!
//! So the journal never waits for the replica, which makes snapshots, and waits for Redis.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvError};
use protocol::Sequence;

use crate::durable::DurableBlock;
use crate::durable::blocks::Blocks;
use crate::error::JournalError;
use crate::journal::DurablePosition;
use crate::journal::block::Link;
use crate::journal::follow::{Follower, Page};

/// Frames read from the journal's files at once.
const PAGE_BYTES: usize = 1 << 20;
/// A block that is durable and not here is mostly about to be handed over.
const PATIENCE: Duration = Duration::from_millis(2);
const PATIENCE_WITHOUT_NEWS: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Feed {
    blocks: Blocks,
    follower: Follower,
    position: Arc<DurablePosition>,
    /// Since when something durable is awaited.
    awaited_since: Option<Instant>,
}

/// Frames that come next.
#[derive(Debug)]
pub enum Supply {
    /// May begin with frames that were given out before.
    Block(Arc<DurableBlock>),
    Page(Page),
}

impl Supply {
    pub fn frames(&self) -> &[u8] {
        match self {
            Supply::Block(block) => &block.frames,
            Supply::Page(page) => &page.frames,
        }
    }

    /// Of the block that the last frame ends, if it ends one.
    pub fn link(&self) -> Option<Link> {
        match self {
            Supply::Block(block) => Some(block.link),
            Supply::Page(page) => page.link,
        }
    }
}

impl Feed {
    pub fn new(
        blocks: Receiver<Arc<DurableBlock>>,
        follower: Follower,
        position: Arc<DurablePosition>,
    ) -> Feed {
        Feed { blocks: Blocks::new(blocks), follower, position, awaited_since: None }
    }

    /// What the journal hands over; closed when it has ended. Give it to [`Feed::push`].
    pub fn blocks(&self) -> &Receiver<Arc<DurableBlock>> {
        self.blocks.channel()
    }

    pub fn push(&mut self, block: Result<Arc<DurableBlock>, RecvError>) {
        self.blocks.push(block);
    }

    /// Frames from the one after `applied` on. `None`: there are none yet, or none will come.
    pub fn next(&mut self, applied: Sequence) -> Result<Option<Supply>, JournalError> {
        if let Some(block) = self.blocks.take_after(applied) {
            self.awaited_since = None;
            return Ok(Some(Supply::Block(block)));
        }
        let gap_end = self.blocks.gap_end();
        let durable = gap_end.unwrap_or_else(|| self.position.get());
        if durable <= applied {
            self.awaited_since = None;
            return Ok(None);
        }
        let since = *self.awaited_since.get_or_insert_with(Instant::now);
        if gap_end.is_none() && !self.blocks.has_ended() && since.elapsed() < PATIENCE {
            return Ok(None);
        }
        let page = self.follower.page(Sequence(applied.0 + 1), durable, PAGE_BYTES)?;
        metrics::counter!("engine_replica_pages_total").increment(1);
        Ok(page.map(Supply::Page))
    }

    /// How long to wait for the journal before [`Feed::next`] is asked again.
    pub fn patience(&self) -> Duration {
        if self.awaited_since.is_some() { PATIENCE } else { PATIENCE_WITHOUT_NEWS }
    }

    /// Whether the journal has ended, so that what [`Feed::next`] has not will never come.
    pub fn has_ended(&self) -> bool {
        self.blocks.has_ended()
    }

    /// Whether more is waiting than was given out.
    pub fn has_more(&self) -> bool {
        self.blocks.has_more()
    }
}

#[cfg(test)]
mod tests;
