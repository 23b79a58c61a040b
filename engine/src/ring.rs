//! Hot path. A bounded ring between two threads (`rtrb`: one producer, one consumer), with the bell
//! of each end's thread.
//!
//! Nothing rings by itself: the writer rings after a batch, the reader after it made room, so that
//! a busy pair pays for one fence a batch. Dropping an end rings the other, which then sees that it
//! is alone: this is how the pipeline drains, stage by stage.

use std::sync::Arc;

use rtrb::{Consumer, Producer, RingBuffer};

use crate::idle::Bell;

/// Rings when dropped; the last field of each end, so that the ring is let go before.
#[derive(Debug)]
struct Farewell(Arc<Bell>);

impl Drop for Farewell {
    fn drop(&mut self) {
        self.0.ring();
    }
}

/// The end that writes.
#[derive(Debug)]
pub struct Outlet<T> {
    producer: Producer<T>,
    reader: Farewell,
}

/// The end that reads.
#[derive(Debug)]
pub struct Inlet<T> {
    consumer: Consumer<T>,
    writer: Farewell,
}

/// A ring of `capacity` slots between the threads that own the two bells.
pub fn ring<T>(capacity: usize, writer: &Arc<Bell>, reader: &Arc<Bell>) -> (Outlet<T>, Inlet<T>) {
    let (producer, consumer) = RingBuffer::new(capacity);
    let outlet = Outlet { producer, reader: Farewell(Arc::clone(reader)) };
    let inlet = Inlet { consumer, writer: Farewell(Arc::clone(writer)) };
    (outlet, inlet)
}

impl<T: Copy> Outlet<T> {
    /// Writes as many as there is room for; gives back the rest.
    #[inline]
    pub fn push<'a>(&mut self, entries: &'a [T]) -> &'a [T] {
        let (_, rest) = self.producer.push_partial_slice(entries);
        rest
    }

    #[inline]
    pub fn ring_reader(&self) {
        self.reader.0.ring();
    }

    #[inline]
    pub fn is_full(&self) -> bool {
        self.producer.is_full()
    }

    /// Whether nobody will ever read again.
    #[inline]
    pub fn is_abandoned(&self) -> bool {
        self.producer.is_abandoned()
    }

    /// Entries waiting to be read.
    pub fn depth(&self) -> usize {
        self.producer.buffer().capacity() - self.producer.slots()
    }
}

impl<T: Copy> Inlet<T> {
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        self.consumer.pop().ok()
    }

    #[inline]
    pub fn peek(&self) -> Option<&T> {
        self.consumer.peek().ok()
    }

    /// Hands at most `entries_max` entries to `take`, in one or two pieces; returns how many.
    #[inline]
    pub fn take(&mut self, entries_max: usize, mut take: impl FnMut(&[T])) -> usize {
        let count = entries_max.min(self.consumer.slots());
        let Ok(chunk) = self.consumer.read_chunk(count) else { return 0 };
        let (first, second) = chunk.as_slices();
        take(first);
        take(second);
        chunk.commit_all();
        count
    }

    #[inline]
    pub fn ring_writer(&self) {
        self.writer.0.ring();
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.consumer.is_empty()
    }

    /// Whether nothing will ever be written again; what is in the ring can still be read.
    #[inline]
    pub fn is_abandoned(&self) -> bool {
        self.consumer.is_abandoned()
    }

    /// Whether nothing is there and nothing will come.
    #[inline]
    pub fn is_finished(&self) -> bool {
        // In this order: what is written before the writer goes is seen after it has gone.
        self.consumer.is_abandoned() && self.consumer.is_empty()
    }

    /// Entries waiting to be read.
    pub fn depth(&self) -> usize {
        self.consumer.slots()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_ring_gives_back_what_found_no_room() {
        let (mut outlet, mut inlet) = ring::<u32>(4, &Bell::new(), &Bell::new());
        assert_eq!(outlet.push(&[1, 2, 3, 4, 5, 6]), [5, 6]);
        assert!(outlet.is_full());
        let mut seen = Vec::new();
        assert_eq!(inlet.take(3, |some| seen.extend_from_slice(some)), 3);
        assert!(outlet.push(&[5, 6]).is_empty());
        inlet.take(9, |some| seen.extend_from_slice(some));
        assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn a_ring_is_finished_only_when_it_is_drained() {
        let (mut outlet, mut inlet) = ring::<u32>(4, &Bell::new(), &Bell::new());
        outlet.push(&[1]);
        drop(outlet);
        assert!(inlet.is_abandoned() && !inlet.is_finished());
        assert_eq!(inlet.pop(), Some(1));
        assert!(inlet.is_finished());
    }
}
