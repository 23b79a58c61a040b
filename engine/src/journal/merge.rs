//! Brings the frames of all shards into the one order of their sequences.
//!
//! Each shard writes its frames in rising order into a ring of its own, so the frame that comes
//! next stands at the head of some ring or is still being made. It cannot be kept from coming:
//! whatever stands before it in its ring has a lower number and is out already, so the ring of its
//! shard is empty and has room. A shard that waits for room waits for frames with lower numbers
//! only. Hence no shard waits for ever, however small the rings are and however long a frame is.

use protocol::{Frame, Record, Sequence};

use crate::error::JournalError;
use crate::idle::Idle;
use crate::ring::Inlet;

#[derive(Debug)]
pub struct Merge {
    sources: Vec<Source>,
    next: Sequence,
}

#[derive(Debug)]
struct Source {
    inlet: Inlet<Record>,
    /// Of the frame at the head of the ring: its number, and how many records it has.
    head: Option<(Sequence, usize)>,
}

impl Source {
    /// Looks at the head of the ring, if it has not yet been looked at.
    fn look(&mut self, shard: usize) -> Result<Option<(Sequence, usize)>, JournalError> {
        if self.head.is_none()
            && let Some(record) = self.inlet.peek()
        {
            let (header, records) =
                Frame::head(record).map_err(|cause| JournalError::Frame { shard, cause })?;
            self.head = Some((header.sequence, records));
        }
        Ok(self.head)
    }
}

impl Merge {
    pub fn new(inlets: Vec<Inlet<Record>>, next: Sequence) -> Merge {
        let sources = inlets.into_iter().map(|inlet| Source { inlet, head: None }).collect();
        Merge { sources, next }
    }

    /// Appends whole frames to `block` as long as the next one is there and the block has less than
    /// `block_bytes_max`; returns how many. Waits for the rest of a frame that has begun.
    pub fn gather(
        &mut self,
        block: &mut Vec<u8>,
        block_bytes_max: usize,
        idle: &Idle,
    ) -> Result<u64, JournalError> {
        let mut frames = 0;
        while block.len() < block_bytes_max {
            let Some(shard) = self.find_next()? else { break };
            self.take_frame(shard, block, idle)?;
            frames += 1;
        }
        if 0 < frames {
            self.sources.iter().for_each(|source| source.inlet.ring_writer());
        }
        Ok(frames)
    }

    /// The frame that comes next.
    pub fn next(&self) -> Sequence {
        self.next
    }

    fn find_next(&mut self) -> Result<Option<usize>, JournalError> {
        for (shard, source) in self.sources.iter_mut().enumerate() {
            let Some((sequence, _)) = source.look(shard)? else { continue };
            assert!(self.next <= sequence, "Invariant: a shard's frames rise, each number once");
            if sequence == self.next {
                return Ok(Some(shard));
            }
        }
        Ok(None)
    }

    fn take_frame(
        &mut self,
        shard: usize,
        block: &mut Vec<u8>,
        idle: &Idle,
    ) -> Result<(), JournalError> {
        let source = &mut self.sources[shard];
        let Some((sequence, mut left)) = source.head.take() else {
            unreachable!("Invariant: only a frame whose head was seen is taken")
        };
        loop {
            let append = |records: &[Record]| block.extend_from_slice(records.as_flattened());
            left -= source.inlet.take(left, append);
            if left == 0 {
                break;
            }
            source.inlet.ring_writer();
            if source.inlet.is_finished() {
                return Err(JournalError::FrameTorn { shard, sequence });
            }
            let inlet = &source.inlet;
            idle.wait(|| !inlet.is_empty() || inlet.is_abandoned());
        }
        self.next = Sequence(sequence.0 + 1);
        Ok(())
    }

    /// Whether there may be something to gather, or no shard writes any more.
    pub fn has_news(&self) -> bool {
        self.sources.iter().any(|source| self.may_go_on(source)) || self.is_finished()
    }

    /// Whether all shards have ended and nothing is left that could be taken.
    pub fn is_finished(&self) -> bool {
        // In this order: what a shard writes before it ends is seen after it has ended.
        self.sources.iter().all(|source| source.inlet.is_abandoned())
            && !self.sources.iter().any(|source| self.may_go_on(source))
    }

    fn may_go_on(&self, source: &Source) -> bool {
        match source.head {
            Some((sequence, _)) => sequence == self.next,
            None => !source.inlet.is_empty(),
        }
    }

    /// Call when finished: nothing may be left behind a frame that never came.
    pub fn check_complete(&self) -> Result<(), JournalError> {
        if self.sources.iter().any(|source| source.head.is_some()) {
            return Err(JournalError::FrameLost(self.next));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use proptest::prelude::*;
    use protocol::frame::{FrameHeader, FrameWriter};
    use protocol::{Action, Command, GatewayId, Origin, Outcome, StateDigest, StreamCursor, Units};

    use super::*;
    use crate::idle::{Bell, Waiting};
    use crate::ring::{Outlet, ring};

    /// A header that announces `events` events, and as many records behind it as that takes.
    fn frame(sequence: u64, events: usize) -> Vec<Record> {
        let header = FrameHeader {
            sequence: Sequence(sequence),
            previous: None,
            cursor: StreamCursor::START,
            outcome: Outcome::Cancelled,
            held: Units::ZERO,
            digest: StateDigest::default(),
        };
        let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence };
        let command = Command { origin, time_us: 0, action: Action::CreateAccount };
        let mut records = FrameWriter::new(0).finish(&header, &command).to_vec();
        records[0][4..8].copy_from_slice(&(events as u32).to_le_bytes());
        records.resize(events + 2, [sequence as u8; 64]);
        records
    }

    fn write(frames: Vec<Vec<Record>>, mut outlet: Outlet<Record>, bell: Arc<Bell>) {
        let idle = Idle::on_this_thread(Waiting::Park, bell);
        for frame in &frames {
            let mut rest = outlet.push(frame);
            while !rest.is_empty() {
                outlet.ring_reader();
                idle.wait(|| !outlet.is_full());
                rest = outlet.push(rest);
            }
            outlet.ring_reader();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 48,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn frames_come_out_whole_and_in_order_however_small_the_rings(
            plan in prop::collection::vec((0usize..3, 0usize..9), 0..120),
            capacity in 2usize..12,
            block_bytes_max in 1usize..2000,
        ) {
            let mut shards = vec![Vec::new(); 3];
            let mut expected = Vec::new();
            for (at, (shard, events)) in plan.iter().enumerate() {
                let frame = frame(at as u64 + 1, *events);
                expected.extend_from_slice(frame.as_flattened());
                shards[*shard].push(frame);
            }
            let journal = Bell::new();
            let idle = Idle::on_this_thread(Waiting::Park, Arc::clone(&journal));
            let mut inlets = Vec::new();
            let writers: Vec<_> = shards.into_iter().map(|frames| {
                let bell = Bell::new();
                let (outlet, inlet) = ring(capacity, &bell, &journal);
                inlets.push(inlet);
                thread::spawn(move || write(frames, outlet, bell))
            }).collect();
            let mut merge = Merge::new(inlets, Sequence(1));
            let mut found = Vec::new();
            while !merge.is_finished() {
                let mut block = Vec::new();
                if merge.gather(&mut block, block_bytes_max, &idle).unwrap() == 0 {
                    idle.wait(|| merge.has_news());
                }
                found.extend(block);
            }
            merge.check_complete().unwrap();
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            prop_assert_eq!(found, expected);
            prop_assert_eq!(merge.next(), Sequence(plan.len() as u64 + 1));
        }
    }

    #[test]
    fn a_frame_that_never_came_or_never_ended_is_an_error() {
        let idle = Idle::on_this_thread(Waiting::Park, Bell::new());
        let (mut outlet, inlet) = ring(16, &Bell::new(), &Bell::new());
        outlet.push(&frame(2, 1));
        drop(outlet);
        let mut merge = Merge::new(vec![inlet], Sequence(1));
        assert_eq!(merge.gather(&mut Vec::new(), 1000, &idle).unwrap(), 0);
        assert!(merge.is_finished());
        assert!(matches!(merge.check_complete(), Err(JournalError::FrameLost(Sequence(1)))));

        let (mut outlet, inlet) = ring(16, &Bell::new(), &Bell::new());
        outlet.push(&frame(1, 5)[..4]);
        drop(outlet);
        let mut merge = Merge::new(vec![inlet], Sequence(1));
        let torn = merge.gather(&mut Vec::new(), 1000, &idle);
        assert!(matches!(torn, Err(JournalError::FrameTorn { shard: 0, sequence: Sequence(1) })));
    }
}
