//! What the entries of an event queue weigh in Redis's memory, as told by what was appended and how
//! many of them are left. No I/O.
//!
//! Redis tells how many entries a stream has at no cost, and how many bytes only by walking it.
//! Entries leave at the front alone, so that the number of those left says which they are.

use std::collections::VecDeque;

/// Entries whose bytes are kept as one sum.
const SPAN_ENTRIES: u64 = 256;
/// What Redis 7 keeps for an entry is at most its frame, a quarter of it, and this: measured for
/// frames of 128 to 100,000 bytes, of which it was 1.04 to 1.35 times as much.
const ENTRY_BYTES: u64 = 64;
/// Of an entry of which nothing is known.
const GUESSED_BYTES: u64 = 512;

#[derive(Debug, Default)]
pub struct QueueWeight {
    /// The oldest in front.
    spans: VecDeque<Span>,
    entries: u64,
    bytes: u64,
    /// Entries that were not appended here are in the first span: it is worth asking Redis.
    is_guess: bool,
}

#[derive(Debug)]
struct Span {
    entries: u64,
    bytes: u64,
}

/// An upper bound of what an entry with a frame of this length takes.
fn weight(frame_bytes: usize) -> u64 {
    let frame = frame_bytes as u64;
    frame + frame / 4 + ENTRY_BYTES
}

impl QueueWeight {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn is_guess(&self) -> bool {
        self.is_guess
    }

    pub fn append(&mut self, frame_bytes: usize) {
        let bytes = weight(frame_bytes);
        match self.spans.back_mut().filter(|span| span.entries < SPAN_ENTRIES) {
            Some(span) => {
                span.entries += 1;
                span.bytes += bytes;
            }
            None => self.spans.push_back(Span { entries: 1, bytes }),
        }
        self.entries += 1;
        self.bytes += bytes;
    }

    /// The queue has so many entries now, the latest ones.
    pub fn hold(&mut self, entries: u64) {
        if self.entries < entries {
            // From before this process, or back with an older Redis.
            let unknown = entries - self.entries;
            let bytes = unknown * GUESSED_BYTES;
            self.spans.push_front(Span { entries: unknown, bytes });
            self.entries = entries;
            self.bytes += bytes;
            self.is_guess = true;
        }
        while entries < self.entries
            && let Some(span) = self.spans.front_mut()
        {
            let gone = span.entries.min(self.entries - entries);
            let bytes = span.bytes * gone / span.entries;
            span.entries -= gone;
            span.bytes -= bytes;
            self.entries -= gone;
            self.bytes -= bytes;
            if span.entries == 0 {
                self.spans.pop_front();
                self.is_guess = false;
            }
        }
    }

    /// Redis has been asked what all of it weighs: what the known part does not explain is the
    /// weight of the rest.
    pub fn weighed(&mut self, bytes: u64) {
        let Some(first) = self.spans.front_mut().filter(|_| self.is_guess) else { return };
        let known = self.bytes - first.bytes;
        first.bytes = bytes.saturating_sub(known);
        self.bytes = known + first.bytes;
        self.is_guess = false;
    }
}

#[cfg(test)]
mod tests {
    use xtask::private_servers::Server;

    use super::*;

    #[test]
    fn what_leaves_at_the_front_takes_its_own_weight_along() {
        let mut queue = QueueWeight::default();
        (0..SPAN_ENTRIES).for_each(|_| queue.append(128));
        (0..SPAN_ENTRIES).for_each(|_| queue.append(64_000));
        let (light, heavy) = (SPAN_ENTRIES * weight(128), SPAN_ENTRIES * weight(64_000));
        assert_eq!(queue.bytes(), light + heavy);
        queue.hold(SPAN_ENTRIES + SPAN_ENTRIES / 2);
        assert_eq!(queue.bytes(), light / 2 + heavy);
        queue.hold(SPAN_ENTRIES / 4);
        assert_eq!(queue.bytes(), heavy / 4);
        queue.hold(0);
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn what_was_there_before_is_guessed_until_redis_is_asked() {
        let mut queue = QueueWeight::default();
        queue.hold(1000);
        assert!(queue.is_guess());
        assert_eq!(queue.bytes(), 1000 * GUESSED_BYTES);
        queue.append(128);
        queue.weighed(5_000_000);
        assert!(!queue.is_guess());
        assert_eq!(queue.bytes(), 5_000_000);
        // Half of what was there before has left.
        queue.hold(501);
        assert_eq!(queue.bytes(), (5_000_000 - weight(128)) / 2 + weight(128));
        // A second time nobody asked.
        queue.weighed(1);
        assert_ne!(queue.bytes(), 1);
    }

    #[test]
    fn redis_takes_no_more_memory_than_is_counted_and_not_far_less() {
        let server = Server::redis("engine-queue-weight").unwrap();
        let client = redis::Client::open(server.url.as_str()).unwrap();
        let mut redis = client.get_connection().unwrap();
        // Without the connection's own buffers, which shrink only after a while.
        let used = |redis: &mut redis::Connection| -> u64 {
            let text: String = redis::cmd("INFO").arg("memory").query(redis).unwrap();
            let line =
                text.lines().find_map(|line| line.strip_prefix("used_memory_dataset:")).unwrap();
            line.trim().parse().unwrap()
        };
        // Sizes of frames: multiples of 64 from an order that rests to one with a thousand trades.
        for (frame_bytes, entries) in [(128, 8000), (192, 8000), (1024, 3000), (64_064, 100)] {
            let before = used(&mut redis);
            let mut queue = QueueWeight::default();
            let frame = vec![b'x'; frame_bytes];
            let mut pipeline = redis::pipe();
            for id in 1..=entries {
                let add = pipeline.cmd("XADD").arg("queue").arg(format!("{}-0", 3 * id));
                add.arg("frame").arg(&frame).ignore();
                queue.append(frame_bytes);
            }
            let () = pipeline.query(&mut redis).unwrap();
            let taken = used(&mut redis) - before;
            let counted = queue.bytes();
            assert!(taken <= counted && counted <= 2 * taken, "{frame_bytes}: {taken} {counted}");
            let () = redis::cmd("DEL").arg("queue").query(&mut redis).unwrap();
        }
    }
}
