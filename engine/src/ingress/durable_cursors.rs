//! How far each command stream is durable: what the ingress may trim.

use crossbeam::atomic::AtomicCell;
use protocol::{MarketId, StreamCursor};

/// One cursor a stream, written by the replies thread behind the journal.
#[derive(Debug)]
pub struct DurableCursors {
    /// By market id; 0 is the accounts stream.
    cursors: Vec<AtomicCell<StreamCursor>>,
}

impl DurableCursors {
    pub fn new() -> DurableCursors {
        let streams = 0..=MarketId::MAX.0;
        DurableCursors { cursors: streams.map(|_| AtomicCell::default()).collect() }
    }

    pub fn set(&self, market: MarketId, cursor: StreamCursor) {
        self.cursors[usize::from(market.0)].store(cursor);
    }

    /// The last command of the stream that is durable.
    pub fn get(&self, market: MarketId) -> StreamCursor {
        self.cursors[usize::from(market.0)].load()
    }
}

impl Default for DurableCursors {
    fn default() -> Self {
        DurableCursors::new()
    }
}
