//! Redis as the engine and its neighbours see it: streams whose ids follow a clock that may jump, a
//! replica that lags behind and may take over, and connections that break before or after a
//! command was taken.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use engine::redis_link::stream_info::StreamInfo;
use orderflow::rng::Rng;
use protocol::{Sequence, StreamCursor};

/// Id and the bytes of the one field.
pub type Entry = (StreamCursor, Arc<[u8]>);

/// The connection broke: whether the command was taken is unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Broken;

/// What became of an `XADD` with an id of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Added {
    Taken,
    /// Redis takes only rising ids.
    IdTooLow,
    /// `NOMKSTREAM`, and there is no such key.
    NoStream,
}

#[derive(Clone, Debug, Default)]
struct Stream {
    entries: VecDeque<Entry>,
    last_id: StreamCursor,
}

/// What a server holds, and a replica of it sooner or later.
#[derive(Clone, Debug, Default)]
struct Content {
    streams: BTreeMap<String, Stream>,
    numbers: BTreeMap<String, u64>,
    /// As [`protocol::keys::COMMITTED`].
    committed: BTreeMap<String, Sequence>,
}

#[derive(Debug)]
pub struct SimRedis {
    rng: Rng,
    content: Content,
    /// As the replica last had it.
    replica: Content,
    /// Of the server's wall clock against the simulated one.
    clock_offset_ms: i64,
    /// Steps for which nobody reaches it.
    away: u32,
    /// In so many of 1000 calls the connection breaks.
    breaks_per_mille: u64,
    /// Rises whenever connections are lost.
    pub connection: u64,
}

impl SimRedis {
    pub fn new(seed: u64) -> SimRedis {
        SimRedis {
            rng: Rng::new(seed),
            content: Content::default(),
            replica: Content::default(),
            clock_offset_ms: 0,
            away: 0,
            breaks_per_mille: 0,
            connection: 1,
        }
    }

    pub fn set_breaks(&mut self, per_mille: u64) {
        self.breaks_per_mille = per_mille;
    }

    pub fn go_away(&mut self, steps: u32) {
        self.away = steps;
        self.connection += 1;
    }

    /// Time passes.
    pub fn step(&mut self) {
        self.away = self.away.saturating_sub(1);
    }

    pub fn come_back(&mut self) {
        self.away = 0;
    }

    /// The replica catches up.
    pub fn replicate(&mut self) {
        self.replica.clone_from(&self.content);
    }

    /// The replica takes over: what it lacks is gone, and its clock is another one.
    pub fn fail_over(&mut self) {
        self.content.clone_from(&self.replica);
        self.jump_clock();
        self.connection += 1;
    }

    /// Somebody empties it, or it starts again without its files.
    pub fn flush(&mut self) {
        self.content = Content::default();
        self.connection += 1;
    }

    pub fn jump_clock(&mut self) {
        self.clock_offset_ms = self.rng.below(4001).cast_signed() - 2000;
    }

    /// One command on one connection.
    pub fn call<T>(&mut self, command: impl FnOnce(&mut Server<'_>) -> T) -> Result<T, Broken> {
        if 0 < self.away {
            return Err(Broken);
        }
        let breaks = self.rng.below(1000) < self.breaks_per_mille;
        if breaks && self.rng.below(2) == 0 {
            return Err(Broken);
        }
        let offset_ms = self.clock_offset_ms;
        let answer = command(&mut Server { content: &mut self.content, offset_ms });
        if breaks { Err(Broken) } else { Ok(answer) }
    }

    pub fn is_away(&self) -> bool {
        0 < self.away
    }
}

/// The commands.
#[derive(Debug)]
pub struct Server<'a> {
    content: &'a mut Content,
    offset_ms: i64,
}

impl Server<'_> {
    fn stream(&mut self, key: &str) -> &mut Stream {
        if !self.content.streams.contains_key(key) {
            self.content.streams.insert(key.to_owned(), Stream::default());
        }
        match self.content.streams.get_mut(key) {
            Some(stream) => stream,
            None => unreachable!("Invariant: it was just made"),
        }
    }

    /// `XADD key *`
    pub fn add(&mut self, key: &str, now_ms: u64, bytes: &[u8]) -> StreamCursor {
        let milliseconds = now_ms.saturating_add_signed(self.offset_ms).max(1);
        let stream = self.stream(key);
        let last = stream.last_id;
        let id = if last.milliseconds < milliseconds {
            StreamCursor { milliseconds, counter: 0 }
        } else {
            StreamCursor { milliseconds: last.milliseconds, counter: last.counter + 1 }
        };
        stream.entries.push_back((id, bytes.into()));
        stream.last_id = id;
        id
    }

    /// `XADD key id`, with `NOMKSTREAM` where the key must exist.
    pub fn add_at(&mut self, key: &str, id: StreamCursor, must_exist: bool, bytes: &[u8]) -> Added {
        if must_exist && !self.content.streams.contains_key(key) {
            return Added::NoStream;
        }
        let stream = self.stream(key);
        if id <= stream.last_id {
            return Added::IdTooLow;
        }
        stream.entries.push_back((id, bytes.into()));
        stream.last_id = id;
        Added::Taken
    }

    /// `XREAD COUNT count STREAMS key after`
    pub fn read(&mut self, key: &str, after: StreamCursor, count: usize) -> Vec<Entry> {
        let Some(stream) = self.content.streams.get(key) else { return Vec::new() };
        let from = stream.entries.partition_point(|(id, _)| *id <= after);
        stream.entries.iter().skip(from).take(count).cloned().collect()
    }

    /// `XRANGE key id id`
    pub fn at(&mut self, key: &str, id: StreamCursor) -> Option<Vec<u8>> {
        let stream = self.content.streams.get(key)?;
        let found = stream.entries.iter().find(|(at, _)| *at == id)?;
        Some(found.1.to_vec())
    }

    /// `XINFO STREAM key`
    pub fn info(&mut self, key: &str) -> Option<StreamInfo> {
        let stream = self.content.streams.get(key)?;
        Some(StreamInfo { last: stream.last_id, entries: stream.entries.len() as u64 })
    }

    pub fn set_committed(&mut self, stream: &str, sequence: Sequence) {
        self.content.committed.insert(stream.to_owned(), sequence);
    }

    pub fn committed(&mut self, stream: &str) -> Option<Sequence> {
        self.content.committed.get(stream).copied()
    }

    /// `XTRIM key MINID id`
    pub fn trim(&mut self, key: &str, below: StreamCursor) {
        if let Some(stream) = self.content.streams.get_mut(key) {
            let gone = stream.entries.partition_point(|(id, _)| *id < below);
            stream.entries.drain(..gone);
        }
    }

    /// As [`protocol::keys::TAKE_EPOCH`].
    pub fn take_epoch(&mut self, key: &str, known: u64) -> u64 {
        let number = self.content.numbers.entry(key.to_owned()).or_default();
        *number = known.max(*number) + 1;
        *number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cursor(milliseconds: u64, counter: u64) -> StreamCursor {
        StreamCursor { milliseconds, counter }
    }

    #[test]
    fn ids_rise_within_a_server_and_may_fall_with_a_fail_over() {
        let mut redis = SimRedis::new(1);
        let first = redis.call(|it| it.add("s", 5000, b"a")).unwrap();
        redis.replicate();
        let second = redis.call(|it| it.add("s", 4000, b"b")).unwrap();
        assert_eq!((first, second), (cursor(5000, 0), cursor(5000, 1)));
        redis.fail_over();
        redis.clock_offset_ms = -2000;
        assert_eq!(redis.call(|it| it.add("s", 6000, b"c")).unwrap(), cursor(5000, 1));
        assert_eq!(redis.call(|it| it.read("s", first, 9).len()).unwrap(), 1);
        redis.flush();
        assert_eq!(redis.call(|it| it.info("s")).unwrap(), None);
    }

    #[test]
    fn a_broken_call_may_have_been_taken() {
        let mut redis = SimRedis::new(7);
        redis.set_breaks(500);
        let mut answered = 0;
        for _ in 0..400 {
            answered += u64::from(redis.call(|it| it.add("s", 1, b"x")).is_ok());
        }
        redis.set_breaks(0);
        let taken = redis.call(|it| it.info("s")).unwrap().unwrap().entries;
        assert!(answered < taken && taken < 400, "{answered} {taken}");
        redis.go_away(1);
        assert_eq!(redis.call(|it| it.info("s")), Err(Broken));
        redis.step();
        assert!(redis.call(|it| it.info("s")).is_ok());
    }

    #[test]
    fn explicit_ids_are_taken_once() {
        let mut redis = SimRedis::new(1);
        let mut add = |id, must_exist| {
            redis.call(|it| it.add_at("e", cursor(id, 0), must_exist, b"f")).unwrap()
        };
        assert_eq!(add(3, true), Added::NoStream);
        assert_eq!([add(3, false), add(4, true)], [Added::Taken; 2]);
        assert_eq!([add(4, true), add(2, false)], [Added::IdTooLow; 2]);
        redis.call(|it| it.trim("e", cursor(4, 0))).unwrap();
        assert_eq!(redis.call(|it| it.info("e")).unwrap().unwrap().entries, 1);
    }
}
