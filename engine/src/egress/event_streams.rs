//! The events thread: every frame that changed something, to the queue of its market for the
//! database.
//!
//! An entry's id is the frame's sequence, and Redis takes only rising ids, so sending again does no
//! harm. After each connect the thread asks Redis how far each queue reaches and fills what is
//! missing from the journal: after a crash of the engine, and after Redis lost its tail. Thus the
//! queues carry every frame once and in order, whatever ends when.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam::channel::Receiver;
use protocol::{Catalog, Frame, MarketId, Sequence, StreamCursor, keys};
use redis::{RedisResult, ServerError, Value};

use super::BATCH_BYTES_MAX;
use super::replies::each_frame;
use crate::counters::EgressCounters;
use crate::durable::DurableBlock;
use crate::error::EngineError;
use crate::journal::reader;
use crate::redis_link::{Pipeline, RedisLink};
use crate::stop::Stop;

/// A queue on Redis.
#[derive(Debug)]
struct EventStream {
    name: String,
    key: String,
    /// The last frame known to be there, or at the start: known to belong there.
    emitted: Sequence,
}

pub struct EventStreams {
    link: RedisLink,
    journal: PathBuf,
    streams: BTreeMap<MarketId, EventStream>,
    pipeline: Pipeline,
    /// Whose frames are in the pipeline.
    batch: Vec<(MarketId, Sequence)>,
    /// Whether Redis is known to have everything up to `emitted`.
    is_filled: bool,
    counters: Arc<EgressCounters>,
    never: Stop,
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

impl From<redis::RedisError> for Trouble {
    fn from(error: redis::RedisError) -> Self {
        Trouble::Redis(error.to_string())
    }
}

impl From<crate::error::JournalError> for Trouble {
    fn from(error: crate::error::JournalError) -> Self {
        Trouble::Engine(error.into())
    }
}

impl EventStreams {
    /// `last` gives the last frame on the stream of each market; 0 = none.
    pub fn new(
        link: RedisLink,
        journal: PathBuf,
        catalog: &Catalog,
        last: impl Fn(MarketId) -> Sequence,
        counters: Arc<EgressCounters>,
    ) -> EventStreams {
        let markets = catalog.markets().iter().map(|market| market.id);
        let streams = [MarketId::ACCOUNTS].into_iter().chain(markets).filter_map(|market| {
            let name = catalog.stream_name(market)?.to_owned();
            Some((market, EventStream { key: keys::events(&name), name, emitted: last(market) }))
        });
        EventStreams {
            link,
            journal,
            streams: streams.collect(),
            pipeline: Pipeline::default(),
            batch: Vec::new(),
            is_filled: false,
            counters,
            never: Stop::default(),
        }
    }

    /// Refuses a Redis that has seen more than the journal knows. Waits for Redis; `false` when the
    /// end was wished meanwhile.
    pub fn check_start(&mut self, stop: &Stop) -> Result<bool, EngineError> {
        let positions = loop {
            match self.positions() {
                Ok(positions) => break positions,
                Err(error) => tracing::warn!(%error, "waiting for redis"),
            }
            if self.link.back_off(stop) {
                return Ok(false);
            }
        };
        for (stream, emitted) in self.streams.values().zip(positions) {
            if stream.emitted < emitted {
                let (stream, known) = (stream.name.clone(), stream.emitted);
                return Err(EngineError::EventsAhead { stream, emitted, known });
            }
        }
        Ok(true)
    }

    /// Runs until the journal has ended and everything is sent.
    pub fn run(mut self, blocks: &Receiver<Arc<DurableBlock>>) -> Result<(), EngineError> {
        self.flush()?;
        while let Ok(block) = blocks.recv() {
            let mut last = block.last;
            each_frame(&block.frames, block.before(), |frame| self.push(frame))?;
            while self.pipeline.bytes() < BATCH_BYTES_MAX
                && let Ok(block) = blocks.try_recv()
            {
                last = block.last;
                each_frame(&block.frames, block.before(), |frame| self.push(frame))?;
            }
            self.flush()?;
            self.counters.sequence.set(last.0);
        }
        Ok(())
    }

    fn push(&mut self, frame: &Frame<'_>) {
        let market = frame.command.market();
        // A command for a market that is not listed was refused.
        let Some(stream) = self.streams.get(&market).filter(|_| frame.is_effective()) else {
            return;
        };
        let sequence = frame.header.sequence;
        append(&mut self.pipeline, stream, sequence, frame);
        self.batch.push((market, sequence));
    }

    /// Sends the pipeline, as often as it takes; on a new connection first what Redis lacks.
    fn flush(&mut self) -> Result<(), EngineError> {
        let mut attempts = 0;
        loop {
            let sent = if self.is_filled { Ok(()) } else { self.fill() };
            match sent.and_then(|()| self.send(attempts)) {
                Ok(()) => break,
                Err(Trouble::Engine(error)) => return Err(error),
                Err(Trouble::Redis(problem)) => {
                    tracing::warn!(problem, events = self.batch.len(), "redis: sending again");
                    self.is_filled = false;
                }
            }
            attempts += 1;
            self.counters.retries.add(1);
            self.link.back_off(&self.never);
        }
        self.counters.messages.add(self.pipeline.commands() as u64);
        self.counters.bytes.add(self.pipeline.bytes() as u64);
        self.pipeline.clear();
        self.batch.clear();
        Ok(())
    }

    fn send(&mut self, attempts: u32) -> Result<(), Trouble> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let values = self.link.exchange(&self.pipeline)?;
        let mut problem = None;
        for (value, (market, sequence)) in values.iter().zip(&self.batch) {
            let Some(stream) = self.streams.get_mut(market) else { continue };
            match value {
                Value::ServerError(error) if is_repeated(error) && 0 < attempts => (),
                Value::ServerError(error) if is_repeated(error) => {
                    let (key, sequence) = (stream.key.clone(), *sequence);
                    return Err(EngineError::EventsTaken { key, sequence }.into());
                }
                Value::ServerError(error) => {
                    problem.get_or_insert_with(|| error.to_string());
                    continue;
                }
                _ => (),
            }
            stream.emitted = stream.emitted.max(*sequence);
        }
        problem.map_or(Ok(()), |problem| Err(Trouble::Redis(problem)))
    }

    /// Brings every queue up to `emitted` from the journal.
    fn fill(&mut self) -> Result<(), Trouble> {
        let positions = self.positions()?;
        let lacking = |(stream, position): &(&EventStream, &Sequence)| **position < stream.emitted;
        let pairs = || self.streams.values().zip(&positions).filter(lacking);
        let first = pairs().map(|(_, position)| Sequence(position.0 + 1)).min();
        let end = pairs().map(|(stream, _)| Sequence(stream.emitted.0 + 1)).max();
        let (Some(first), Some(end)) = (first, end) else {
            self.is_filled = true;
            return Ok(());
        };
        tracing::info!(from = first.0, to = end.0 - 1, "event queues are filled from the journal");
        let ranges: BTreeMap<_, _> = self
            .streams
            .iter()
            .zip(&positions)
            .map(|((market, stream), position)| (*market, (*position, stream.emitted)))
            .collect();
        let (streams, link) = (&self.streams, &mut self.link);
        let mut pipeline = Pipeline::default();
        reader::read_range(&self.journal, first..end, |frames| -> Result<(), Trouble> {
            each_frame(frames, first, |frame| {
                let (market, sequence) = (frame.command.market(), frame.header.sequence);
                let lacks = |(position, emitted): &&(Sequence, Sequence)| {
                    *position < sequence && sequence <= *emitted && frame.is_effective()
                };
                if ranges.get(&market).filter(lacks).is_some()
                    && let Some(stream) = streams.get(&market)
                {
                    append(&mut pipeline, stream, sequence, frame);
                }
            })?;
            if BATCH_BYTES_MAX <= pipeline.bytes() {
                send_missing(link, &mut pipeline)?;
            }
            Ok(())
        })?;
        send_missing(link, &mut pipeline)?;
        self.is_filled = true;
        Ok(())
    }

    /// How far each queue reaches on Redis, in the order of the markets.
    fn positions(&mut self) -> RedisResult<Vec<Sequence>> {
        let mut pipeline = Pipeline::default();
        for stream in self.streams.values() {
            pipeline.push(&[b"XINFO", b"STREAM", stream.key.as_bytes()]);
        }
        self.link.exchange(&pipeline)?.into_iter().map(position).collect()
    }
}

fn append(pipeline: &mut Pipeline, stream: &EventStream, sequence: Sequence, frame: &Frame<'_>) {
    let id = format!("{sequence}-0");
    let field = keys::FRAME_FIELD.as_bytes();
    pipeline.push(&[b"XADD", stream.key.as_bytes(), id.as_bytes(), field, frame.bytes()]);
}

fn send_missing(link: &mut RedisLink, pipeline: &mut Pipeline) -> Result<(), Trouble> {
    if pipeline.is_empty() {
        return Ok(());
    }
    for value in link.exchange(pipeline)? {
        value.extract_error()?;
    }
    pipeline.clear();
    Ok(())
}

/// Redis's word for an id that is not above all before it.
fn is_repeated(error: &ServerError) -> bool {
    error.details().is_some_and(|details| details.contains("equal or smaller"))
}

/// `last-generated-id` of an answer to XINFO STREAM; 0 for a queue that is not there.
fn position(value: Value) -> RedisResult<Sequence> {
    let fields = match value {
        Value::Array(fields) => fields,
        Value::ServerError(error)
            if error.details().is_some_and(|it| it.contains("no such key")) =>
        {
            return Ok(Sequence(0));
        }
        other => return other.extract_error().map(|_| Sequence(0)),
    };
    let id = fields.as_chunks::<2>().0.iter().find_map(|[name, value]| match (name, value) {
        (Value::BulkString(name), Value::BulkString(id)) if name == b"last-generated-id" => {
            std::str::from_utf8(id).ok().and_then(StreamCursor::parse)
        }
        _ => None,
    });
    Ok(id.map_or(Sequence(0), |id| Sequence(id.milliseconds)))
}
