//! The events thread: every frame that changed something, to the queue of its market for the
//! database.
//!
//! It follows the journal at its own pace and never makes it wait. While it keeps up it gets the
//! frames from memory, block by block. When Redis does not answer, or a queue there has reached its
//! bound, blocks pass by; later it reads on from the journal's files until it has caught up.
//!
//! An entry's id is the frame's sequence, and Redis takes only rising ids, so sending again does no
//! harm. After each connect, and now and then, the thread looks how far each queue reaches, and
//! fills what it lacks from the journal: after a crash of the engine, and after Redis lost its tail
//! or everything. Thus the queues carry every frame once and in order, whatever ends when; but for
//! frames that the database has by then, and for those the journal does not have any more. A reader
//! who misses one all the same (Redis took a later one and not this) sees it by the chain of
//! `previous`, and asks the refills thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;
use protocol::{Frame, Sequence, keys};
use redis::{RedisError, ServerError, Value};

use super::BATCH_BYTES_MAX;
use super::event_queues::{Append, EventQueues, Seen};
use super::refills::Archive;
use super::replies::each_frame;
use crate::counters::EventsCounters;
use crate::durable::blocks::Blocks;
use crate::durable::{DatabasePosition, DurableBlock};
use crate::error::{EngineError, JournalError};
use crate::journal::DurablePosition;
use crate::journal::follow::Follower;
use crate::redis_link::{Pipeline, RedisLink, stream_info};
use crate::stop::Stop;

/// Looking at all queues.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Looking whether a full queue has room again.
const LOOK_AT_FULL_EVERY: Duration = Duration::from_millis(100);
/// Parts of a queue that Redis looks at to tell its weight.
const WEIGH_SAMPLES: &[u8] = b"1000";
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long after the wish to end it still tries to catch up.
const DRAIN_MAX: Duration = Duration::from_secs(3);

pub struct EventStreams {
    link: RedisLink,
    follower: Follower,
    /// How far the journal is durable.
    position: Arc<DurablePosition>,
    queues: EventQueues,
    pipeline: Pipeline,
    /// What is in the pipeline.
    batch: Vec<Append>,
    /// When all queues, and full ones, are looked at again.
    look_at: Instant,
    look_at_full_at: Instant,
    database: Arc<DatabasePosition>,
    failures_in_a_row: u32,
    counters: Arc<EventsCounters>,
    stop: Stop,
}

/// What Redis was asked of a queue.
enum Asked {
    ToTrim,
    HowFar(usize),
    HowHeavy(usize),
}

/// Why frames could not be sent.
enum Trouble {
    /// Goes away by itself; sending again does no harm.
    Redis(String),
    Engine(EngineError),
}

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Self {
        Trouble::Engine(error)
    }
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        Trouble::Redis(error.to_string())
    }
}

impl EventStreams {
    pub fn new(
        link: RedisLink,
        archive: &Archive,
        queues: EventQueues,
        counters: Arc<EventsCounters>,
        stop: Stop,
    ) -> EventStreams {
        let now = Instant::now();
        EventStreams {
            link,
            follower: archive.follower(),
            position: Arc::clone(&archive.position),
            queues,
            pipeline: Pipeline::default(),
            batch: Vec::new(),
            look_at: now,
            look_at_full_at: now,
            database: Arc::default(),
            failures_in_a_row: 0,
            counters,
            stop,
        }
    }

    /// Kept up to date while the thread runs.
    pub fn database(&self) -> Arc<DatabasePosition> {
        Arc::clone(&self.database)
    }

    /// Refuses a Redis that has seen more than the journal knows. Waits for Redis; `false` when the
    /// end was wished meanwhile.
    pub fn check_start(&mut self) -> Result<bool, EngineError> {
        loop {
            match self.look_at_all() {
                Ok(None) => return Ok(true),
                Ok(Some(ahead)) => return Err(ahead),
                Err(Trouble::Engine(error)) => return Err(error),
                Err(Trouble::Redis(problem)) => tracing::warn!(problem, "waiting for redis"),
            }
            let pause = self.pause();
            if self.stop.sleep(pause) {
                return Ok(false);
            }
        }
    }

    /// Runs until the journal has ended. What cannot be sent by then is sent by the next life.
    pub fn run(mut self, blocks: Receiver<Arc<DurableBlock>>) -> Result<(), EngineError> {
        let mut blocks = Blocks::new(blocks);
        let mut give_up_at = None;
        loop {
            if self.stop.is_wished()
                && *give_up_at.get_or_insert_with(|| Instant::now() + DRAIN_MAX) <= Instant::now()
            {
                tracing::info!("event queues are filled by the next life of the engine");
                blocks.pass_all();
                return Ok(());
            }
            match self.look_if_due().and_then(|()| self.step(&mut blocks)) {
                Ok(true) => self.failures_in_a_row = 0,
                Ok(false) if blocks.has_ended() => return Ok(()),
                Ok(false) => {
                    let full_at = self.look_at_full_at.saturating_duration_since(Instant::now());
                    blocks.wait(full_at.min(LOOK_AT_FULL_EVERY));
                }
                Err(Trouble::Engine(error)) => return Err(error),
                Err(Trouble::Redis(problem)) => {
                    self.abandon(&problem);
                    blocks.pass();
                    std::thread::sleep(self.pause());
                }
            }
        }
    }

    /// Longer after each failure in a row.
    fn pause(&mut self) -> Duration {
        let pause = PAUSE_MIN * (1 << self.failures_in_a_row.min(6));
        self.failures_in_a_row += 1;
        pause.min(PAUSE_MAX)
    }

    /// Sends frames that follow what has been sent; `false` when there are none, or no room.
    fn step(&mut self, blocks: &mut Blocks) -> Result<bool, Trouble> {
        let Some(after) = self.queues.after() else {
            blocks.pass();
            return Ok(false);
        };
        let mut last = after;
        while self.pipeline.bytes() < BATCH_BYTES_MAX
            && let Some(block) = blocks.take_after(last)
        {
            each_frame(&block.frames, block.before(), |frame| self.push(frame))?;
            last = block.last;
        }
        if last == after {
            let Some(read) = self.read(after)? else { return Ok(false) };
            last = read;
        }
        self.send()?;
        self.queues.finish(last);
        self.counters.sent.sequence.set(self.queues.scanned_by_all().0);
        Ok(true)
    }

    /// Takes frames from the journal; `None` when there are none.
    fn read(&mut self, after: Sequence) -> Result<Option<Sequence>, Trouble> {
        let (from, durable) = (Sequence(after.0 + 1), self.position.get());
        let page = match self.follower.page(from, durable, BATCH_BYTES_MAX) {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(None),
            Err(JournalError::Gone { oldest, .. }) => {
                let last = Sequence(oldest.0 - 1);
                let queues = self.queues.skip(last);
                tracing::error!(
                    ?queues,
                    from = from.0,
                    to = last.0,
                    "event queues lack frames that the journal does not have any more"
                );
                return Ok(Some(last));
            }
            Err(error) => return Err(Trouble::Engine(error.into())),
        };
        self.counters.read_again.add(page.last.0 - after.0);
        each_frame(&page.frames, after, |frame| self.push(frame))?;
        Ok(Some(page.last))
    }

    fn push(&mut self, frame: &Frame<'_>) {
        let Some(append) = self.queues.take(frame) else { return };
        let id = format!("{}-0", append.sequence);
        let key = self.queues.all()[append.queue].key.as_bytes();
        let mut arguments: Vec<&[u8]> = vec![b"XADD", key];
        if append.must_exist {
            arguments.push(b"NOMKSTREAM");
        }
        arguments.extend([id.as_bytes(), keys::FRAME_FIELD.as_bytes(), frame.bytes()]);
        self.pipeline.push(&arguments);
        self.batch.push(append);
    }

    fn send(&mut self) -> Result<(), Trouble> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let values = self.link.exchange(&self.pipeline)?;
        let mut problem = None;
        for (value, append) in values.iter().zip(&self.batch) {
            let key = &self.queues.all()[append.queue].key;
            match value {
                Value::ServerError(error) if is_repeated(error) && append.is_again => (),
                Value::ServerError(error) if is_repeated(error) => {
                    let (key, sequence) = (key.clone(), append.sequence);
                    return Err(EngineError::EventsTaken { key, sequence }.into());
                }
                Value::ServerError(error) => {
                    problem.get_or_insert_with(|| error.to_string());
                    continue;
                }
                Value::Nil => {
                    problem.get_or_insert_with(|| format!("{key} was removed"));
                    continue;
                }
                _ => (),
            }
            self.queues.arrived(append);
        }
        if let Some(problem) = problem {
            return Err(Trouble::Redis(problem));
        }
        self.counters.sent.messages.add(self.pipeline.commands() as u64);
        self.counters.sent.bytes.add(self.pipeline.bytes() as u64);
        self.pipeline.clear();
        self.batch.clear();
        Ok(())
    }

    fn abandon(&mut self, problem: &str) {
        tracing::warn!(problem, events = self.batch.len(), "redis: sending events again");
        self.counters.sent.retries.add(1);
        self.pipeline.clear();
        self.batch.clear();
        self.queues.abandon();
        self.look_at = Instant::now();
    }

    fn look_if_due(&mut self) -> Result<(), Trouble> {
        let now = Instant::now();
        if self.look_at <= now || !self.link.is_connected() {
            self.look_at_all()?;
        } else if self.look_at_full_at <= now {
            self.look_at_full_at = now + LOOK_AT_FULL_EVERY;
            let all = self.queues.all().iter().enumerate();
            let full: Vec<_> = all.filter(|(_, queue)| queue.is_full()).map(|it| it.0).collect();
            if !full.is_empty() {
                self.look(&full)?;
            }
        }
        Ok(())
    }

    /// What [`EventStreams::look`] returns.
    fn look_at_all(&mut self) -> Result<Option<EngineError>, Trouble> {
        let all: Vec<_> = (0..self.queues.all().len()).collect();
        let ahead = self.look(&all)?;
        self.look_at = Instant::now() + LOOK_EVERY;
        Ok(ahead)
    }

    /// Asks Redis what these queues are, and how far the database has all of them. Returns what is
    /// wrong with that, if it has what this journal never had.
    fn look(&mut self, queues: &[usize]) -> Result<Option<EngineError>, Trouble> {
        let mut pipeline = Pipeline::default();
        let mut arguments = vec![&b"HMGET"[..], keys::COMMITTED.as_bytes()];
        arguments.extend(self.queues.all().iter().map(|queue| queue.name.as_bytes()));
        pipeline.push(&arguments);
        let committed = self.link.exchange(&pipeline)?.pop().unwrap_or(Value::Nil);
        let durable = self.position.get();
        let committed = committed.extract_error()?;
        let mut ahead = None;
        for (queue, value) in committed.as_sequence().unwrap_or_default().iter().enumerate() {
            if let Some(committed) = sequence(value)
                && !self.queues.set_committed(queue, committed, durable)
            {
                let stream = self.queues.all()[queue].name.clone();
                ahead = Some(EngineError::DatabaseAhead { stream, committed, durable });
            }
        }
        self.database.set(self.queues.committed_by_all());
        pipeline.clear();
        let mut asked = Vec::new();
        for &at in queues {
            let queue = &self.queues.all()[at];
            if queue.is_full() {
                // Frames that its reader has already make no room by his reading: he passes over
                // them, and trims nothing while he gets nothing new.
                let key = queue.key.as_bytes();
                let below = format!("{}-0", queue.committed().0 + 1);
                pipeline.push(&[b"XTRIM", key, b"MINID", below.as_bytes()]);
                asked.push(Asked::ToTrim);
            }
            pipeline.push(&[b"XINFO", b"STREAM", queue.key.as_bytes()]);
            asked.push(Asked::HowFar(at));
            if queue.weight().is_guess() {
                let (key, samples) = (queue.key.as_bytes(), WEIGH_SAMPLES);
                pipeline.push(&[b"MEMORY", b"USAGE", key, b"SAMPLES", samples]);
                asked.push(Asked::HowHeavy(at));
            }
        }
        for (value, asked) in self.link.exchange(&pipeline)?.into_iter().zip(asked) {
            match (asked, value) {
                (Asked::HowFar(queue), value) => self.saw(queue, value)?,
                (Asked::HowHeavy(queue), Value::Int(bytes)) => {
                    self.queues.weighed(queue, bytes.unsigned_abs());
                }
                // A Redis that cannot tell leaves it at the guess.
                (Asked::HowHeavy(_), _) => (),
                (Asked::ToTrim, value) => drop(value.extract_error()?),
            }
        }
        Ok(ahead)
    }

    fn saw(&mut self, at: usize, value: Value) -> Result<(), Trouble> {
        let seen = self.queues.look(at, stream_info::parse(value)?);
        let queue = &self.queues.all()[at];
        let gauge = metrics::gauge!("engine_events_queue_entries", "stream" => queue.name.clone());
        gauge.set(queue.entries() as f64);
        let gauge = metrics::gauge!("engine_events_queue_bytes", "stream" => queue.name.clone());
        gauge.set(queue.weight().bytes() as f64);
        match seen {
            Seen::Nothing => Ok(()),
            Seen::Lacks { has, had, resume } => {
                tracing::warn!(
                    queue = queue.key,
                    has = has.0,
                    had = had.0,
                    from = resume.0 + 1,
                    "an event queue lacks what it had: it is filled from the journal"
                );
                Ok(())
            }
            Seen::Ahead { has, known } => {
                let stream = queue.name.clone();
                Err(EngineError::EventsAhead { stream, emitted: has, known }.into())
            }
        }
    }
}

/// Redis's word for an id that is not above all before it.
fn is_repeated(error: &ServerError) -> bool {
    error.details().is_some_and(|details| details.contains("equal or smaller"))
}

fn sequence(value: &Value) -> Option<Sequence> {
    let Value::BulkString(text) = value else { return None };
    std::str::from_utf8(text).ok()?.parse().ok().map(Sequence)
}
