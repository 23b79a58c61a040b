//! Queues over frames of two streams, and a Redis made of two maps.

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::fixture;
use protocol::frame::{FrameHeader, FrameWriter};
use protocol::{
    Action, Command, GatewayId, Origin, Outcome, Record, Refusal, StateDigest, StreamCursor, Units,
};

use super::*;

/// A frame of the accounts or of market 1, with an effect or without.
fn frame(sequence: u64, market: MarketId, is_effective: bool) -> Vec<Record> {
    let action = match market {
        MarketId::ACCOUNTS => Action::CreateAccount,
        market => Action::cancel_all(market, protocol::AccountId::new(1).unwrap()),
    };
    let outcome =
        if is_effective { Outcome::Cancelled } else { Outcome::Refused(Refusal::OrderNotFound) };
    let header = FrameHeader {
        sequence: Sequence(sequence),
        previous: None,
        cursor: StreamCursor::START,
        outcome,
        held: Units::ZERO,
        digest: StateDigest::default(),
    };
    let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence };
    FrameWriter::new(1).finish(&header, &Command { origin, time_us: 0, action }).to_vec()
}

const MARKET: MarketId = MarketId(1);

fn queues(last: u64, durable: u64, entries_max: u64) -> EventQueues {
    bounded(last, durable, Bounds { entries_max, bytes_max: u64::MAX })
}

fn bounded(last: u64, durable: u64, bounds: Bounds) -> EventQueues {
    let catalog = fixture::catalog();
    EventQueues::new(&catalog, |_| Sequence(last), Sequence(durable), bounds)
}

/// What one of the frames here weighs.
fn frame_weight() -> u64 {
    let mut queues = queues(0, 0, 1);
    take(&mut queues, 1, MARKET).unwrap();
    queues.bytes()
}

fn info(last: u64, entries: u64) -> Option<StreamInfo> {
    Some(StreamInfo { last: StreamCursor { milliseconds: last, counter: 0 }, entries })
}

fn take(queues: &mut EventQueues, sequence: u64, market: MarketId) -> Option<Append> {
    let records = frame(sequence, market, true);
    queues.take(&Frame::parse(records.as_flattened()).unwrap())
}

#[test]
fn a_queue_that_lost_its_end_is_filled_behind_what_it_or_the_database_has() {
    let mut queues = queues(10, 12, 100);
    for at in 0..queues.all().len() {
        assert_eq!(queues.look(at, info(10, 3)), Seen::Nothing);
    }
    assert_eq!(queues.after(), Some(Sequence(12)));
    let lacks = Seen::Lacks { has: Sequence(4), had: Sequence(10), resume: Sequence(4) };
    assert_eq!(queues.look(1, info(4, 1)), lacks);
    assert_eq!(queues.after(), Some(Sequence(4)));
    assert_eq!(take(&mut queues, 5, MarketId::ACCOUNTS), None);
    assert!(take(&mut queues, 6, MARKET).unwrap().is_again);
    // Removed altogether, while the database has some of it.
    assert!(queues.set_committed(1, Sequence(8), Sequence(12)));
    queues.abandon();
    assert_eq!(queues.look(1, None), Seen::Nothing);
    assert_eq!(queues.after(), Some(Sequence(8)));
    let append = take(&mut queues, 9, MARKET).unwrap();
    assert!(append.is_again && !append.must_exist);
    // A position of another database counts for nothing.
    assert!(!queues.set_committed(1, Sequence(13), Sequence(12)));
    assert_eq!(queues.after(), Some(Sequence(8)));
}

#[test]
fn what_arrived_although_nobody_said_so_is_not_sent_again() {
    let mut queues = queues(0, 0, 100);
    assert!(!take(&mut queues, 1, MARKET).unwrap().is_again);
    assert!(!take(&mut queues, 2, MARKET).unwrap().is_again);
    queues.abandon();
    assert_eq!(queues.look(1, info(1, 1)), Seen::Nothing);
    assert_eq!(take(&mut queues, 1, MARKET), None);
    let again = take(&mut queues, 2, MARKET).unwrap();
    assert!(again.is_again && again.must_exist);
    queues.arrived(&again);
    queues.finish(Sequence(2));
    let ahead = Seen::Ahead { has: Sequence(3), known: Sequence(2) };
    assert_eq!(queues.look(1, info(3, 3)), ahead);
}

#[test]
fn a_full_queue_is_passed_by_until_its_reader_has_made_room() {
    let mut queues = queues(0, 0, 4);
    let all = queues.all().len();
    for sequence in 1..=6 {
        if let Some(append) = take(&mut queues, sequence, MARKET) {
            queues.arrived(&append);
        }
    }
    queues.finish(Sequence(6));
    assert_eq!((queues.after(), queues.scanned_by_all()), (Some(Sequence(6)), Sequence(4)));
    assert!(queues.all()[1].is_full());
    for at in (0..all).filter(|at| *at != 1) {
        queues.look(at, None);
    }
    assert_eq!(queues.look(1, info(4, 3)), Seen::Nothing);
    assert_eq!(queues.after(), Some(Sequence(6)), "three of four are too many");
    assert_eq!(queues.look(1, info(4, 2)), Seen::Nothing);
    assert_eq!(queues.after(), Some(Sequence(4)));
    assert!(take(&mut queues, 5, MARKET).is_some());
    queues.finish(Sequence(6));
    assert_eq!(queues.scanned_by_all(), Sequence(6));
}

#[test]
fn a_queue_takes_no_more_memory_than_it_leaves_to_the_others() {
    let bytes_max = 10 * frame_weight();
    let mut queues = bounded(0, 0, Bounds { entries_max: 1000, bytes_max });
    let mut given = [0, 0];
    for sequence in 1..=100 {
        // The market's reader is away from the beginning; the accounts come later.
        let (place, market) = if sequence <= 50 { (0, MARKET) } else { (1, MarketId::ACCOUNTS) };
        if let Some(append) = take(&mut queues, sequence, market) {
            queues.arrived(&append);
            given[place] += 1;
        }
        queues.finish(Sequence(sequence));
    }
    assert_eq!(given, [5, 3], "a half, and a half of what was left, rounded up");
    assert!(queues.bytes() <= bytes_max);
    // A little room is none yet.
    assert_eq!(queues.look(1, info(5, 4)), Seen::Nothing);
    assert!(queues.all()[1].is_full());
    assert_eq!(queues.look(1, info(5, 1)), Seen::Nothing);
    assert_eq!(queues.after(), Some(Sequence(5)));
    assert!(take(&mut queues, 6, MARKET).is_some());
}

#[test]
fn an_empty_queue_takes_a_frame_however_little_memory_there_is() {
    let mut queues = bounded(0, 0, Bounds { entries_max: 1000, bytes_max: 1 });
    assert!(take(&mut queues, 1, MARKET).is_some());
    assert_eq!(take(&mut queues, 2, MARKET), None);
    queues.finish(Sequence(2));
    assert_eq!(queues.look(1, info(1, 1)), Seen::Nothing);
    assert_eq!(queues.all()[1].weight().bytes(), frame_weight());
    assert_eq!(queues.look(1, info(1, 0)), Seen::Nothing);
    assert!(take(&mut queues, 2, MARKET).is_some());
}

#[test]
fn the_database_has_everything_up_to_where_its_slowest_stream_lacks_something() {
    let mut queues = queues(10, 12, 100);
    assert_eq!(queues.committed_by_all(), Sequence(0));
    for at in 0..queues.all().len() {
        assert!(queues.set_committed(at, Sequence(10), Sequence(12)));
    }
    assert_eq!(queues.committed_by_all(), Sequence(12));
    take(&mut queues, 13, MARKET).unwrap();
    queues.finish(Sequence(13));
    assert_eq!(queues.committed_by_all(), Sequence(10));
}

#[test]
fn what_the_journal_lacks_is_skipped_by_those_who_wanted_it() {
    let mut queues = queues(10, 12, 100);
    assert!(matches!(queues.look(1, None), Seen::Lacks { .. }));
    assert_eq!(queues.skip(Sequence(7)), ["SOL_USDC"]);
    assert_eq!(queues.after(), Some(Sequence(7)));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// So many frames become durable.
    Commit(u64),
    /// So many frames are offered; the connection breaks after this many of what was sent.
    Send(u64, Option<usize>),
    Look,
    /// The reader takes and trims so many of a queue.
    Read(usize, usize),
    /// A queue, or everything, is removed.
    Remove(usize),
    Flush,
    /// The latest entries of a queue are lost.
    Lose(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let breaks = proptest::option::weighted(0.2, 0..6_usize);
    prop_oneof![
        5 => (1..8_u64).prop_map(Step::Commit),
        6 => (1..9_u64, breaks).prop_map(|(frames, breaks)| Step::Send(frames, breaks)),
        3 => Just(Step::Look),
        4 => (0..2_usize, 1..5_usize).prop_map(|(queue, count)| Step::Read(queue, count)),
        1 => (0..2_usize).prop_map(Step::Remove),
        1 => Just(Step::Flush),
        1 => (0..2_usize, 1..5_usize).prop_map(|(queue, count)| Step::Lose(queue, count)),
    ]
}

#[derive(Default)]
struct RedisQueue {
    exists: bool,
    last: u64,
    entries: Vec<u64>,
}

/// Journal, Redis and a database that reads two queues.
struct Model {
    durable: u64,
    queues: EventQueues,
    redis: [RedisQueue; 2],
    database: [Vec<u64>; 2],
    needs_look: bool,
    bounds: Bounds,
}

/// Which of the two queues a frame is for; every fifth has no effect.
fn place(sequence: u64) -> Option<usize> {
    (!sequence.is_multiple_of(5)).then_some((sequence / 3 % 2) as usize)
}

fn expected(queue: usize, up_to: u64) -> Vec<u64> {
    (1..=up_to).filter(|sequence| place(*sequence) == Some(queue)).collect()
}

impl Model {
    fn new(bounds: Bounds) -> Model {
        Model {
            durable: 0,
            queues: bounded(0, 0, bounds),
            redis: Default::default(),
            database: Default::default(),
            needs_look: false,
            bounds,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Commit(frames) => self.durable += frames,
            Step::Send(frames, breaks) => {
                if self.needs_look {
                    self.look();
                }
                self.send(frames, breaks);
            }
            Step::Look => self.look(),
            Step::Read(queue, count) => {
                let redis = &mut self.redis[queue];
                let read: Vec<_> = redis.entries.drain(..count.min(redis.entries.len())).collect();
                for sequence in read {
                    let database = &mut self.database[queue];
                    if database.last().is_none_or(|last| *last < sequence) {
                        database.push(sequence);
                    }
                }
            }
            Step::Remove(queue) => self.redis[queue] = RedisQueue::default(),
            Step::Flush => self.redis = Default::default(),
            Step::Lose(queue, count) => {
                let redis = &mut self.redis[queue];
                let kept = redis.entries.len().saturating_sub(count);
                if redis.entries.split_off(kept).is_empty() {
                    return;
                }
                let read = self.database[queue].last().copied().unwrap_or_default();
                redis.last = redis.entries.last().copied().unwrap_or(read).min(redis.last);
                self.needs_look = true;
            }
        }
    }

    fn look(&mut self) {
        self.needs_look = false;
        for (at, redis) in self.redis.iter().enumerate() {
            let committed = self.database[at].last().copied().unwrap_or_default();
            let durable = Sequence(self.durable);
            assert!(self.queues.set_committed(at, Sequence(committed), durable));
            let seen = redis.exists.then(|| info(redis.last, redis.entries.len() as u64));
            let seen = self.queues.look(at, seen.flatten());
            assert!(!matches!(seen, Seen::Ahead { .. }));
        }
    }

    fn send(&mut self, frames: u64, breaks: Option<usize>) {
        let Some(after) = self.queues.after() else { return };
        let before = self.queues.bytes();
        let last = self.durable.min(after.0 + frames);
        let mut batch = Vec::new();
        for sequence in after.0 + 1..=last {
            let market = [MarketId::ACCOUNTS, MARKET][place(sequence).unwrap_or(0)];
            let records = frame(sequence, market, place(sequence).is_some());
            batch.extend(self.queues.take(&Frame::parse(records.as_flattened()).unwrap()));
        }
        // A frame goes to each empty queue in any case.
        let bytes_max = self.bounds.bytes_max.saturating_add(2 * frame_weight());
        assert!(self.queues.bytes() <= bytes_max.max(before));
        let arrives = breaks.unwrap_or(usize::MAX);
        let mut is_whole = batch.len() <= arrives;
        for append in batch.iter().take(arrives) {
            let redis = &mut self.redis[append.queue];
            if append.must_exist && !redis.exists {
                is_whole = false;
                continue;
            }
            if redis.last < append.sequence.0 {
                redis.exists = true;
                redis.last = append.sequence.0;
                redis.entries.push(append.sequence.0);
            } else {
                assert!(append.is_again, "{append:?} is refused");
            }
            assert!(redis.entries.len() as u64 <= self.bounds.entries_max);
            // A break loses the answers with the rest.
            if breaks.is_none() {
                self.queues.arrived(append);
            }
        }
        if is_whole && breaks.is_none() {
            self.queues.finish(Sequence(last.max(after.0)));
        } else {
            self.queues.abandon();
            self.needs_look = true;
        }
    }
}

proptest! {
    /// The database gets every frame once and in order, whatever happens to Redis.
    #[test]
    fn nothing_is_lost_or_repeated(
        steps in proptest::collection::vec(step(), 1..150),
        entries_max in 1..20_u64,
        bytes_max in prop_oneof![1..5000_u64, Just(u64::MAX)],
    ) {
        let mut model = Model::new(Bounds { entries_max, bytes_max });
        for step in steps {
            model.step(step);
            for queue in 0..2 {
                let database = &model.database[queue];
                let up_to = database.last().copied().unwrap_or_default();
                prop_assert_eq!(database, &expected(queue, up_to));
            }
        }
        for _ in 0..2 * (model.durable + 2) {
            model.step(Step::Look);
            model.step(Step::Send(9, None));
            model.step(Step::Read(0, usize::MAX));
            model.step(Step::Read(1, usize::MAX));
        }
        for queue in 0..2 {
            prop_assert_eq!(&model.database[queue], &expected(queue, model.durable));
        }
    }
}

#[test]
fn queues_are_named_after_their_streams() {
    let queues = queues(0, 0, 1);
    let names: BTreeMap<_, _> = queues.all().iter().map(|it| (&it.name[..], &it.key[..])).collect();
    assert_eq!(names["accounts"], "events:{accounts}");
    assert_eq!(names["SOL_USDC"], "events:{SOL_USDC}");
}
