//! What the journal hands on once it is on disk: everything behind this point may be shown.

use protocol::Sequence;

/// The frames of one group commit, whole and in the order of their sequences.
#[derive(Debug)]
pub struct DurableBlock {
    pub first: Sequence,
    pub last: Sequence,
    /// Frames one behind the other, as [`protocol::Frame::each_of`] reads them.
    pub frames: Vec<u8>,
}

impl DurableBlock {
    /// The frame before the first of this block; 0 = none.
    pub fn before(&self) -> Sequence {
        Sequence(self.first.0 - 1)
    }
}

/// A message for a Redis channel.
#[derive(Debug)]
pub struct Publication {
    pub channel: String,
    pub payload: Vec<u8>,
}
