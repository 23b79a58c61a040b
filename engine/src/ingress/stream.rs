//! One command stream as it is read: where to go on, when to begin again, what may be trimmed. No
//! I/O: who drives it asks Redis.
//!
//! Ids of a stream rise, as long as it stays the same stream. After a failover to a Redis that
//! lacks the end, after a flush or when a key was removed, it is another one: it has been
//! *replaced*, and new commands may stand under ids that were passed before. What tells is the
//! entry at the cursor, which is never trimmed: a stream that does not have it, with the command
//! that was read there, is not the one that was read. Its last id would not tell, for new commands
//! may already have gone beyond the cursor. Then reading begins again at the first entry; what was
//! read before is recognised by the shards.
//!
//! **Invariant:** nothing is trimmed that is not durable. After a replacement the ids of the
//! reading before say nothing about this one, so trimming waits until a command is durable that was
//! handed on since.

use protocol::{Origin, StreamCursor};

use super::durable_cursors::DurableCursor;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommandStream {
    /// The last entry read.
    cursor: StreamCursor,
    /// Who sent the command that it held; `None` when it held none.
    origin: Option<Origin>,
    /// Commands that became the shard's in this life of the engine: each becomes a frame.
    handed_on: u64,
    /// `handed_on` when this reading began.
    handed_on_before: u64,
    /// Below this it was trimmed.
    trimmed: StreamCursor,
}

/// The stream has been replaced; reading begins again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replaced {
    /// How far it had been read.
    pub cursor: StreamCursor,
    pub found: AtCursor,
}

/// What a stream has under the id of the last entry read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AtCursor {
    Nothing,
    /// An entry, and who sent the command in it, if it is one.
    Entry(Option<Origin>),
}

impl CommandStream {
    /// Read up to `cursor` by the lives before, where a command of `origin` stood.
    pub fn read_up_to(cursor: StreamCursor, origin: Option<Origin>) -> CommandStream {
        CommandStream {
            cursor,
            origin,
            handed_on: 0,
            handed_on_before: 0,
            trimmed: StreamCursor::START,
        }
    }

    /// Entries behind this one are to be read.
    pub fn cursor(&self) -> StreamCursor {
        self.cursor
    }

    /// An entry was read, with a command of `origin` if it held one.
    pub fn read(&mut self, id: StreamCursor, origin: Option<Origin>) {
        (self.cursor, self.origin) = (id, origin);
    }

    /// The command of the entry just read became the shard's.
    pub fn hand_on(&mut self) {
        self.handed_on += 1;
    }

    pub fn handed_on(&self) -> u64 {
        self.handed_on
    }

    /// Takes note of what stands at the cursor. For every connection before anything else on it,
    /// and now and then.
    pub fn look(&mut self, found: AtCursor) -> Option<Replaced> {
        let is_what_was_read = match found {
            AtCursor::Nothing => self.cursor == StreamCursor::START,
            AtCursor::Entry(origin) => origin == self.origin,
        };
        if is_what_was_read {
            return None;
        }
        let replaced = Replaced { cursor: self.cursor, found };
        (self.cursor, self.origin) = (StreamCursor::START, None);
        self.trimmed = StreamCursor::START;
        self.handed_on_before = self.handed_on;
        Some(replaced)
    }

    /// Entries below this one need not be kept; `None` when there is no news. To be asked right
    /// after a look, for the same connection.
    pub fn trim_below(&mut self, durable: DurableCursor) -> Option<StreamCursor> {
        if durable.frames <= self.handed_on_before || durable.cursor <= self.trimmed {
            return None;
        }
        self.trimmed = durable.cursor;
        Some(durable.cursor)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, VecDeque};

    use proptest::prelude::*;
    use protocol::GatewayId;

    use super::*;

    fn at(milliseconds: u64) -> StreamCursor {
        StreamCursor { milliseconds, counter: 0 }
    }

    fn origin(sequence: u64) -> Origin {
        Origin { gateway: GatewayId(1), epoch: 1, sequence }
    }

    fn entry(sequence: u64) -> AtCursor {
        AtCursor::Entry(Some(origin(sequence)))
    }

    fn durable(milliseconds: u64, frames: u64) -> DurableCursor {
        DurableCursor { cursor: at(milliseconds), frames }
    }

    #[test]
    fn a_stream_without_what_was_read_begins_a_reading_whose_trimming_waits_for_it() {
        let mut stream = CommandStream::read_up_to(at(10), Some(origin(1)));
        assert_eq!(stream.look(entry(1)), None);
        stream.read(at(11), Some(origin(2)));
        stream.hand_on();
        assert_eq!(stream.trim_below(durable(0, 0)), None);
        assert_eq!(stream.trim_below(durable(11, 1)), Some(at(11)));
        assert_eq!(stream.trim_below(durable(11, 1)), None);
        stream.read(at(12), Some(origin(3)));
        stream.hand_on();
        let replaced = stream.look(AtCursor::Nothing).unwrap();
        assert_eq!(replaced, Replaced { cursor: at(12), found: AtCursor::Nothing });
        assert_eq!(stream.cursor(), StreamCursor::START);
        // The frame of 12 becomes durable only now, and says nothing about the new stream.
        assert_eq!(stream.trim_below(durable(12, 2)), None);
        stream.read(at(5), Some(origin(4)));
        stream.hand_on();
        assert_eq!(stream.trim_below(durable(12, 2)), None);
        assert_eq!(stream.trim_below(durable(5, 3)), Some(at(5)));
    }

    #[test]
    fn another_command_under_the_same_id_is_another_stream() {
        let mut stream = CommandStream::read_up_to(at(10), Some(origin(1)));
        assert!(stream.look(entry(2)).is_some());
        let mut stream = CommandStream::read_up_to(at(10), None);
        assert_eq!(stream.look(AtCursor::Entry(None)), None);
        assert!(stream.look(entry(2)).is_some());
    }

    #[test]
    fn a_key_that_is_gone_is_told_once() {
        let mut stream = CommandStream::read_up_to(at(10), Some(origin(1)));
        let replaced = Replaced { cursor: at(10), found: AtCursor::Nothing };
        assert_eq!(stream.look(AtCursor::Nothing), Some(replaced));
        assert_eq!(stream.look(AtCursor::Nothing), None);
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Add,
        Read(usize),
        Commit(usize),
        Tick,
        /// This many of the latest entries are lost, and this many come before the ingress is back.
        FailOver(usize, usize),
        Flush(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => Just(Step::Add),
            4 => (1..5_usize).prop_map(Step::Read),
            4 => (1..5_usize).prop_map(Step::Commit),
            3 => Just(Step::Tick),
            1 => (1..6_usize, 0..9_usize).prop_map(|(lost, unseen)| Step::FailOver(lost, unseen)),
            1 => (0..9_usize).prop_map(Step::Flush),
        ]
    }

    /// A Redis stream, the shard and journal behind the ingress, and who reads.
    struct Model {
        /// Command by id. Every command is sent once.
        entries: BTreeMap<StreamCursor, u64>,
        last: StreamCursor,
        sent: u64,
        stream: CommandStream,
        pending: VecDeque<(StreamCursor, u64)>,
        durable: DurableCursor,
        durable_commands: BTreeSet<u64>,
    }

    impl Model {
        fn step(&mut self, step: Step) {
            match step {
                Step::Add => {
                    self.sent += 1;
                    self.last = at(self.last.milliseconds + 1);
                    self.entries.insert(self.last, self.sent);
                }
                Step::Read(count) => {
                    let from = at(self.stream.cursor().milliseconds + 1);
                    let found: Vec<_> = self.entries.range(from..).take(count).collect();
                    for (id, command) in found {
                        self.stream.read(*id, Some(origin(*command)));
                        self.stream.hand_on();
                        self.pending.push_back((*id, *command));
                    }
                }
                Step::Commit(count) => {
                    for _ in 0..count.min(self.pending.len()) {
                        let Some((cursor, command)) = self.pending.pop_front() else { continue };
                        self.durable = DurableCursor { cursor, frames: self.durable.frames + 1 };
                        self.durable_commands.insert(command);
                    }
                }
                Step::Tick => {
                    self.look();
                    if let Some(below) = self.stream.trim_below(self.durable) {
                        let kept = self.entries.split_off(&below);
                        let trimmed = std::mem::replace(&mut self.entries, kept);
                        for command in trimmed.values() {
                            assert!(self.durable_commands.contains(command), "{command} is lost");
                        }
                    }
                }
                Step::FailOver(lost, unseen) => {
                    for _ in 0..lost {
                        self.entries.pop_last();
                    }
                    let lost = self.last.milliseconds.saturating_sub(lost as u64);
                    let kept = self.entries.keys().next_back().copied();
                    self.last = at(lost).max(kept.unwrap_or(StreamCursor::START));
                    self.reconnect(unseen);
                }
                Step::Flush(unseen) => {
                    self.entries.clear();
                    self.last = StreamCursor::START;
                    self.reconnect(unseen);
                }
            }
        }

        /// Commands come before the ingress is back.
        fn reconnect(&mut self, unseen: usize) {
            (0..unseen).for_each(|_| self.step(Step::Add));
            self.look();
        }

        fn look(&mut self) {
            let found = match self.entries.get(&self.stream.cursor()) {
                Some(command) => entry(*command),
                None => AtCursor::Nothing,
            };
            self.stream.look(found);
        }
    }

    proptest! {
        /// Whatever Redis still has is read in the end; nothing is trimmed before it is durable.
        #[test]
        fn every_command_that_redis_keeps_becomes_durable(
            steps in proptest::collection::vec(step(), 1..200),
        ) {
            let mut model = Model {
                entries: BTreeMap::new(),
                last: StreamCursor::START,
                sent: 0,
                stream: CommandStream::read_up_to(StreamCursor::START, None),
                pending: VecDeque::new(),
                durable: DurableCursor::default(),
                durable_commands: BTreeSet::new(),
            };
            for step in steps {
                model.step(step);
            }
            model.step(Step::Read(usize::MAX));
            model.step(Step::Commit(usize::MAX));
            for command in model.entries.values() {
                prop_assert!(model.durable_commands.contains(command));
            }
            model.step(Step::Tick);
            prop_assert!(model.entries.len() <= 1);
        }
    }
}
