//! The latest frames in memory, by sequence: what a command that came again was answered the first
//! time is mostly among them.

use std::collections::VecDeque;
use std::sync::Arc;

use protocol::{Frame, RECORD_BYTES, Sequence};

use crate::durable::DurableBlock;

/// Whole blocks, at most about `bytes_max` of them.
#[derive(Debug)]
pub struct RecentFrames {
    blocks: VecDeque<Recent>,
    bytes: usize,
    bytes_max: usize,
}

#[derive(Debug)]
struct Recent {
    block: Arc<DurableBlock>,
    /// Where each frame begins; made when the first of them is looked up.
    offsets: Vec<usize>,
}

impl RecentFrames {
    pub fn new(bytes_max: usize) -> RecentFrames {
        RecentFrames { blocks: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Blocks come in order.
    pub fn push(&mut self, block: &Arc<DurableBlock>) {
        self.bytes += block.frames.len();
        self.blocks.push_back(Recent { block: Arc::clone(block), offsets: Vec::new() });
        while self.bytes_max < self.bytes
            && 1 < self.blocks.len()
            && let Some(oldest) = self.blocks.pop_front()
        {
            self.bytes -= oldest.block.frames.len();
        }
    }

    /// `None` when it is older than what is kept.
    pub fn get(&mut self, sequence: Sequence) -> Option<Frame<'_>> {
        let at = self.blocks.partition_point(|recent| recent.block.last < sequence);
        let Recent { block, offsets } = self.blocks.get_mut(at)?;
        if offsets.is_empty() {
            *offsets = begins(&block.frames);
        }
        // The frames of a block have consecutive sequences.
        let place = usize::try_from(sequence.0.checked_sub(block.first.0)?).ok()?;
        let (frame, _) = Frame::split_from(&block.frames[*offsets.get(place)?..]).ok()?;
        Some(frame).filter(|frame| frame.header.sequence == sequence)
    }
}

fn begins(frames: &[u8]) -> Vec<usize> {
    let mut offsets = Vec::new();
    let mut at = 0;
    while let Some(record) = frames.get(at..).and_then(|rest| rest.first_chunk::<RECORD_BYTES>())
        && let Ok((_, records)) = Frame::head(record)
    {
        offsets.push(at);
        at += records * RECORD_BYTES;
    }
    offsets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::block::Link;
    use crate::journal::tests::frame;

    fn block(sequences: std::ops::RangeInclusive<u64>) -> Arc<DurableBlock> {
        let (first, last) = (Sequence(*sequences.start()), Sequence(*sequences.end()));
        let frames = sequences.flat_map(|it| frame(it, 1).into_flattened()).collect();
        Arc::new(DurableBlock { first, last, frames, link: Link::default() })
    }

    #[test]
    fn frames_are_found_until_newer_ones_take_their_memory() {
        let bytes = block(1..=4).frames.len();
        let mut recent = RecentFrames::new(2 * bytes);
        recent.push(&block(1..=4));
        recent.push(&block(5..=5));
        for sequence in 1..=5 {
            let found = recent.get(Sequence(sequence)).unwrap();
            assert_eq!(found.header.sequence, Sequence(sequence));
        }
        assert!(recent.get(Sequence(6)).is_none());
        recent.push(&block(6..=9));
        assert!(recent.get(Sequence(4)).is_none());
        assert!(recent.get(Sequence(0)).is_none());
        assert!((5..=9).all(|sequence| recent.get(Sequence(sequence)).is_some()));
    }

    #[test]
    fn a_block_larger_than_all_the_memory_is_kept_alone() {
        let mut recent = RecentFrames::new(1);
        recent.push(&block(1..=3));
        assert!(recent.get(Sequence(2)).is_some());
        recent.push(&block(4..=4));
        assert!(recent.get(Sequence(3)).is_none());
        assert!(recent.get(Sequence(4)).is_some());
    }
}
