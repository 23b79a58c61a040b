//! How far each command stream is durable: what the ingress may trim.

use crossbeam::atomic::AtomicCell;
use protocol::{MarketId, StreamCursor};

/// What is durable of one command stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DurableCursor {
    /// Of the last durable frame of this life of the engine.
    pub cursor: StreamCursor,
    /// Durable frames of this life. Commands become frames in the order in which they were handed
    /// on, so this tells which of them have.
    pub frames: u64,
}

/// One a stream, written by the replies thread behind the journal.
#[derive(Debug)]
pub struct DurableCursors {
    /// By market id; 0 is the accounts stream.
    cursors: Vec<AtomicCell<DurableCursor>>,
}

impl DurableCursors {
    pub fn new() -> DurableCursors {
        let streams = 0..=MarketId::MAX.0;
        DurableCursors { cursors: streams.map(|_| AtomicCell::default()).collect() }
    }

    /// One more frame is durable, whose command stood at `cursor`. For one thread only.
    pub fn advance(&self, market: MarketId, cursor: StreamCursor) {
        let cell = &self.cursors[usize::from(market.0)];
        let frames = cell.load().frames + 1;
        cell.store(DurableCursor { cursor, frames });
    }

    pub fn get(&self, market: MarketId) -> DurableCursor {
        self.cursors[usize::from(market.0)].load()
    }
}

impl Default for DurableCursors {
    fn default() -> Self {
        DurableCursors::new()
    }
}
