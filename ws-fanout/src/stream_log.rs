//! What a stream has said and not everybody has taken yet: one copy of the bytes for all who hear
//! it.
//!
//! Each listener knows how far it has come, as an offset since the stream began; a message costs
//! one copy here and nothing for a listener that takes its time.

use std::collections::VecDeque;
use std::io::IoSlice;

/// What is kept of an empty log's memory.
const IDLE_BYTES_MAX: usize = 64 << 10;

#[derive(Debug, Default)]
pub struct StreamLog {
    bytes: VecDeque<u8>,
    /// Offset of the first byte kept.
    start: u64,
    /// Offsets at which the kept messages end.
    ends: VecDeque<u64>,
}

impl StreamLog {
    /// Behind the last message.
    pub fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    pub fn kept_bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn push(&mut self, message: &[u8]) {
        self.bytes.extend(message);
        self.ends.push_back(self.end());
    }

    /// Everything from `offset` on, in one piece or two.
    pub fn add_from<'a>(&'a self, offset: u64, out: &mut Vec<IoSlice<'a>>) {
        let skipped = self.place(offset);
        let (head, tail) = self.bytes.as_slices();
        let in_tail = skipped.saturating_sub(head.len());
        for piece in [&head[skipped.min(head.len())..], &tail[in_tail..]] {
            if !piece.is_empty() {
                out.push(IoSlice::new(piece));
            }
        }
    }

    /// What is left of the message in whose middle `offset` is; empty between two messages.
    pub fn rest_of_message(&self, offset: u64) -> Vec<u8> {
        let next = self.ends.partition_point(|end| *end < offset);
        match self.ends.get(next) {
            // At a message's very end, or before the first byte of all that is kept.
            Some(end) if *end == offset => Vec::new(),
            Some(end) if self.begins_at(next) == offset => {
                debug_assert!(offset < *end);
                Vec::new()
            }
            Some(end) => self.bytes.range(self.place(offset)..self.place(*end)).copied().collect(),
            None => Vec::new(),
        }
    }

    /// Where the kept message of that number begins.
    fn begins_at(&self, message: usize) -> u64 {
        match message.checked_sub(1).and_then(|before| self.ends.get(before)) {
            Some(end) => *end,
            None => self.start,
        }
    }

    /// Messages that end behind `offset`.
    pub fn messages_from(&self, offset: u64) -> usize {
        self.ends.len() - self.ends.partition_point(|end| *end <= offset)
    }

    /// Forgets the messages that end at `offset` or before.
    pub fn forget_until(&mut self, offset: u64) {
        let gone = self.ends.partition_point(|end| *end <= offset);
        if gone == 0 {
            return;
        }
        let start = self.ends[gone - 1];
        self.bytes.drain(..self.place(start));
        self.ends.drain(..gone);
        self.start = start;
        if self.bytes.is_empty() {
            self.bytes.shrink_to(IDLE_BYTES_MAX);
            self.ends.shrink_to(IDLE_BYTES_MAX / size_of::<u64>());
        }
    }

    fn place(&self, offset: u64) -> usize {
        offset.saturating_sub(self.start) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn from(log: &StreamLog, offset: u64) -> Vec<u8> {
        let mut slices = Vec::new();
        log.add_from(offset, &mut slices);
        slices.iter().flat_map(|slice| slice.to_vec()).collect()
    }

    proptest! {
        #[test]
        fn whoever_takes_in_any_portions_gets_every_byte_once(
            steps in prop::collection::vec((1usize..40, 0usize..60, any::<bool>()), 1..60),
        ) {
            let (mut log, mut said, mut taken) = (StreamLog::default(), Vec::new(), 0u64);
            let mut ends = vec![0];
            for (number, (length, take, forget)) in steps.into_iter().enumerate() {
                let message = vec![number as u8; length];
                said.extend_from_slice(&message);
                ends.push(said.len() as u64);
                log.push(&message);
                prop_assert_eq!(log.end(), said.len() as u64);
                prop_assert_eq!(&from(&log, taken), &said[taken as usize..]);
                taken = (taken + take as u64).min(log.end());
                let next_end = *ends.iter().find(|end| taken <= **end).unwrap();
                let rest = if ends.contains(&taken) { taken..taken } else { taken..next_end };
                let rest = &said[rest.start as usize..rest.end as usize];
                prop_assert_eq!(log.rest_of_message(taken), rest);
                let behind = ends.iter().filter(|end| taken < **end).count();
                prop_assert_eq!(log.messages_from(taken), behind);
                if forget {
                    log.forget_until(taken);
                    prop_assert!(log.kept_bytes() <= said.len() - taken as usize + 40);
                }
            }
        }
    }

    #[test]
    fn a_log_that_everybody_has_taken_keeps_nothing() {
        let mut log = StreamLog::default();
        log.push(&[7; 1 << 20]);
        log.forget_until(log.end());
        assert_eq!((log.kept_bytes(), log.end()), (0, 1 << 20));
        assert!(log.bytes.capacity() <= 2 * IDLE_BYTES_MAX);
        assert!(from(&log, log.end()).is_empty());
    }
}
