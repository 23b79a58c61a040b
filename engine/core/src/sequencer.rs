//! Hot path. The one counter that gives every command its place in the causal order.
//!
//! A command holds first, draws its number second, and gives (credits, releases) third. Whoever
//! could take what it gave therefore has a higher number: every prefix of the sequence is a
//! consistent state, however the shards interleave.

use protocol::Sequence;

use crate::atomics::{AtomicU64, Ordering};

/// On a line of its own: every shard writes it with every command.
#[derive(Debug)]
#[repr(align(128))]
pub struct Sequencer(AtomicU64);

impl Sequencer {
    /// Goes on after `last`; starts with 1.
    pub fn after(last: Option<Sequence>) -> Self {
        Sequencer(AtomicU64::new(last.map_or(0, |last| last.0) + 1))
    }

    #[inline]
    pub fn draw(&self) -> Sequence {
        // AcqRel: stays between the hold before it and the credits after it.
        Sequence(self.0.fetch_add(1, Ordering::AcqRel))
    }
}
