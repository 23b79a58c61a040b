//! What the journal hands on once it is on disk: everything behind this point may be shown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam::channel::{Sender, TrySendError};
use protocol::{Catalog, Command, Record, Sequence, keys};

use crate::journal::block::Link;

pub mod blocks;

/// The frames of one group commit, whole and in the order of their sequences.
#[derive(Debug)]
pub struct DurableBlock {
    pub first: Sequence,
    pub last: Sequence,
    /// Frames one behind the other, as [`protocol::Frame::each_of`] reads them.
    pub frames: Vec<u8>,
    /// What the journal says of the block where the next one begins.
    pub link: Link,
}

impl DurableBlock {
    /// The frame before the first of this block; 0 = none.
    pub fn before(&self) -> Sequence {
        Sequence(self.first.0 - 1)
    }
}

/// The frame up to which the database has every event stream, as it says itself; written by the
/// events thread. It may fall, when the database was set back.
#[derive(Debug, Default)]
pub struct DatabasePosition(AtomicU64);

impl DatabasePosition {
    pub fn get(&self) -> Sequence {
        // Relaxed: what it tells of is not in this process's memory.
        Sequence(self.0.load(Ordering::Relaxed))
    }

    pub fn set(&self, committed: Sequence) {
        self.0.store(committed.0, Ordering::Relaxed);
    }
}

/// Who hears of durable blocks.
#[derive(Debug)]
pub enum Listener {
    /// Gets every block: while its queue is full the journal waits, and through the rings everybody
    /// before.
    Every(Sender<Arc<DurableBlock>>),
    /// Gets those there is room for, and reads the others from the journal's files. It sees by the
    /// sequences what it has missed, and by the durable position when the latest is among them: the
    /// position is set before a block is offered.
    WithGaps(Sender<Arc<DurableBlock>>),
}

impl Listener {
    /// Returns whether somebody listens.
    pub fn tell(&self, block: &Arc<DurableBlock>) -> bool {
        match self {
            Listener::Every(sender) => sender.send(Arc::clone(block)).is_ok(),
            Listener::WithGaps(sender) => {
                !matches!(sender.try_send(Arc::clone(block)), Err(TrySendError::Disconnected(_)))
            }
        }
    }
}

/// A message for a Redis channel.
#[derive(Debug)]
pub struct Publication {
    pub channel: String,
    pub payload: Vec<u8>,
}

/// What the replica's side has sent to Redis. Each may arrive more than once: a publication says by
/// itself what it continues or answers, and a command that comes again is recognised.
#[derive(Debug)]
pub enum Message {
    /// To who listens now.
    Publish(Publication),
    /// A command of the engine's own ([`protocol::GatewayId::ENGINE`]), to the stream of its market
    /// like anybody's.
    Command { key: String, record: Record },
    /// What stands under a key from now on.
    Set { key: &'static str, payload: Vec<u8> },
}

impl Message {
    /// `None` when the command's market is not listed.
    pub fn command(catalog: &Catalog, command: &Command) -> Option<Message> {
        let key = keys::orders(catalog.stream_name(command.market())?);
        Some(Message::Command { key, record: command.encode() })
    }
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::bounded;

    use super::*;

    fn block(sequence: u64) -> Arc<DurableBlock> {
        let sequence = Sequence(sequence);
        let (frames, link) = (Vec::new(), Link::default());
        Arc::new(DurableBlock { first: sequence, last: sequence, frames, link })
    }

    #[test]
    fn a_listener_with_gaps_never_makes_the_journal_wait() {
        let (sender, blocks) = bounded(2);
        let listener = Listener::WithGaps(sender);
        assert!((1..=5).all(|sequence| listener.tell(&block(sequence))));
        assert_eq!(blocks.try_iter().map(|block| block.last.0).collect::<Vec<_>>(), [1, 2]);
        assert!(listener.tell(&block(6)));
        assert_eq!(blocks.recv().unwrap().before(), Sequence(5));
        drop(blocks);
        assert!(!listener.tell(&block(7)));
    }
}
