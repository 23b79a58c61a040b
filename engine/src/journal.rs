//! The journal: the one order of facts, on disk before anybody hears of them.
//!
//! ```text
//! shard rings ═▶ merge (by sequence) ─▶ block ─▶ writer (write, fdatasync) ─▶ replies
//!                                                    │                     ─▶ event streams
//!                                                 segments                 ─▶ replica
//! ```
//!
//! Group commit without a timer: everything that is pending goes into one block, one write and one
//! sync; what arrives meanwhile makes the next block. So a block grows with the load, and a lone
//! command waits for nothing but the disk.
//!
//! **Invariant:** a frame leaves this thread only when its block is durable. An error ends the
//! thread, and with it the process: a failed sync is never tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use protocol::Sequence;

use crate::counters::JournalCounters;
use crate::durable::{DurableBlock, Listener};
use crate::error::JournalError;
use crate::idle::Idle;

pub mod merge;
pub mod block;
pub mod definitions;
pub mod segment;
pub mod writer;
pub mod reader;
pub mod follow;
pub mod retention;
#[cfg(test)]
pub(crate) mod tests;

use merge::Merge;
use writer::Writer;

/// The last durable frame; written by the journal thread alone.
#[derive(Debug, Default)]
pub struct DurablePosition(AtomicU64);

impl DurablePosition {
    pub fn at(last: Option<Sequence>) -> DurablePosition {
        DurablePosition(AtomicU64::new(last.map_or(0, |last| last.0)))
    }

    pub fn get(&self) -> Sequence {
        // Acquire: pairs with the Release in `set`.
        Sequence(self.0.load(Ordering::Acquire))
    }

    pub(crate) fn set(&self, last: Sequence) {
        // Release: who sees the position sees the file as it was synced.
        self.0.store(last.0, Ordering::Release);
    }
}

/// What the journal thread owns.
#[derive(Debug)]
pub struct JournalLoop {
    pub merge: Merge,
    pub writer: Writer,
    /// A block is closed to further frames at this size.
    pub block_bytes_max: usize,
    pub position: Arc<DurablePosition>,
    pub listeners: Vec<Listener>,
    pub counters: Arc<JournalCounters>,
}

impl JournalLoop {
    /// Runs until every shard has ended and all they wrote is durable and handed on, or a listener
    /// is gone.
    pub fn run(mut self, idle: &Idle) -> Result<(), JournalError> {
        loop {
            let mut frames = Vec::new();
            let count = self.merge.gather(&mut frames, self.block_bytes_max, idle)?;
            if count == 0 {
                if self.merge.is_finished() {
                    return self.merge.check_complete();
                }
                idle.wait(|| self.merge.has_news());
                continue;
            }
            if !self.commit(frames, count)? {
                return Ok(());
            }
        }
    }

    /// Returns whether all listeners still listen.
    fn commit(&mut self, frames: Vec<u8>, count: u64) -> Result<bool, JournalError> {
        let first = self.writer.next();
        let last = Sequence(first.0 + count - 1);
        let began = Instant::now();
        self.writer.append(last, &frames)?;
        self.counters.committed(last, count, frames.len(), began.elapsed());
        self.position.set(last);
        let link = self.writer.mark().link;
        let block = Arc::new(DurableBlock { first, last, frames, link });
        Ok(self.listeners.iter().all(|listener| listener.tell(&block)))
    }
}
