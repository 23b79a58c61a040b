//! An ingress thread: command streams of Redis in, commands of the shards out.
//!
//! It reads all its streams at once, as much as there is: a lone command is handed on at once,
//! under load one answer of Redis carries thousands. Reading never runs ahead of durability by more
//! than one answer and the rings behind it: a full ring stalls the thread, and Redis holds the
//! queue.
//!
//! **Invariant:** each stream is read by one thread, in order, from the cursor that its last
//! durable frame carries. What was read and never became durable is read again by the next life.
//! Streams are trimmed only below what is durable. On each new connection the thread first looks
//! whether the streams are those it has read ([`stream`]).

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;
use engine_core::Input;
use engine_core::replica::Replica;
use protocol::{MarketId, keys};
use redis::Value;

use crate::clock::Clock;
use crate::counters::IngressCounters;
use crate::idle::{Idle, Waiting};
use crate::openings;
use crate::recovery;
use crate::redis_link::{Pipeline, RedisLink};
use crate::ring::Outlet;
use crate::stop::Stop;

pub mod stream;
pub mod entries;
pub mod durable_cursors;

use durable_cursors::DurableCursors;
use entries::Malformed;
use stream::CommandStream;

/// How long Redis holds a read of empty streams; bounds how late the wish to end is seen.
const BLOCK_MS: &str = "200";
/// Looking at the streams, and trimming them.
const CARE_EVERY: Duration = Duration::from_millis(250);
/// Pause after an answer that cannot be read at all: the next one will be the same.
const UNREADABLE_PAUSE: Duration = Duration::from_secs(1);
/// Commands between two rings of a shard's bell.
const RING_EVERY: usize = 32;

/// A command stream and where its commands go.
#[derive(Debug)]
pub struct Source {
    pub market: MarketId,
    pub key: String,
    pub stream: CommandStream,
    /// Number of the shard, and of its ring in [`Ingress::outlets`].
    pub outlet: usize,
}

/// All command streams as `replica` has read them, dealt out to the ingress threads.
pub fn sources(replica: &Replica, threads: usize, shards: usize) -> Vec<Vec<Source>> {
    let catalog = replica.catalog();
    let mut sources: Vec<_> = (0..threads).map(|_| Vec::new()).collect();
    let markets = catalog.markets().iter().map(|market| market.id);
    for (at, market) in [MarketId::ACCOUNTS].into_iter().chain(markets).enumerate() {
        let Some(name) = catalog.stream_name(market) else { continue };
        let (key, stream) = (
            keys::orders(name),
            CommandStream::read_up_to(replica.cursor(market), replica.last_origin(market)),
        );
        let outlet = recovery::shard_of(catalog, market, shards);
        sources[openings::ingress_of(at, threads)].push(Source { market, key, stream, outlet });
    }
    sources
}

pub struct Ingress {
    pub link: RedisLink,
    pub sources: Vec<Source>,
    pub outlets: Vec<Outlet<Input>>,
    /// Streams of markets listed while the engine runs, once their shards know them.
    pub openings: Receiver<Source>,
    pub clock: Arc<Clock>,
    pub durable: Arc<DurableCursors>,
    /// Entries of each stream in one answer of Redis.
    pub read_max: usize,
    pub waiting: Waiting,
    pub stop: Stop,
    pub counters: Arc<IngressCounters>,
}

impl Ingress {
    /// Runs until the end is wished, or a shard has gone.
    pub fn run(mut self, idle: &Idle) {
        let mut care_at = Instant::now();
        while !self.stop.is_wished() {
            self.sources.extend(self.openings.try_iter());
            let is_due = care_at <= Instant::now() || !self.link.is_connected();
            let cared = if is_due { self.care() } else { Ok(()) };
            if is_due && cared.is_ok() {
                care_at = Instant::now() + CARE_EVERY;
            }
            match cared.and_then(|()| self.serve(idle)) {
                Ok(true) => (),
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(%error, "command streams cannot be read; trying again");
                    self.link.back_off(&self.stop);
                }
            }
        }
    }

    /// Reads once and hands on; `false` when a shard has gone.
    fn serve(&mut self, idle: &Idle) -> redis::RedisResult<bool> {
        let answer = self.read()?;
        let (mut taken, mut is_unreadable) = (0, false);
        for (key, entries) in entries::streams(&answer) {
            let Some(at) = self.sources.iter().position(|it| it.key.as_bytes() == key) else {
                continue;
            };
            taken += entries.len();
            let before = self.sources[at].stream.cursor();
            if !self.hand_on(at, entries, idle) {
                return Ok(false);
            }
            is_unreadable |= self.sources[at].stream.cursor() == before;
        }
        if is_unreadable {
            tracing::error!("redis names entries of a command stream in a way nobody knows");
            self.stop.sleep(UNREADABLE_PAUSE);
        }
        if taken == 0 && self.waiting == Waiting::Yield {
            std::thread::yield_now();
        }
        Ok(true)
    }

    fn read(&mut self) -> redis::RedisResult<Value> {
        let count = self.read_max.to_string();
        let cursors = self.sources.iter().map(|source| source.stream.cursor().to_string());
        let cursors: Vec<_> = cursors.collect();
        let mut arguments: Vec<&[u8]> = vec![b"XREAD", b"COUNT", count.as_bytes()];
        if self.waiting == Waiting::Park {
            arguments.extend([&b"BLOCK"[..], BLOCK_MS.as_bytes()]);
        }
        arguments.push(b"STREAMS");
        arguments.extend(self.sources.iter().map(|source| source.key.as_bytes()));
        arguments.extend(cursors.iter().map(|cursor| cursor.as_bytes()));
        self.link.one(&arguments)
    }

    /// Pushes the commands of one stream into its shard's ring; `false` when the shard has gone.
    fn hand_on(&mut self, at: usize, entries: &[Value], idle: &Idle) -> bool {
        let Source { market, key, stream, outlet } = &mut self.sources[at];
        let outlet = &mut self.outlets[*outlet];
        let (mut commands, mut latest_us) = (0, 0);
        for entry in entries {
            let Some((cursor, fields)) = entries::entry(entry) else {
                self.counters.malformed.add(1);
                continue;
            };
            let command = entries::command(fields);
            stream.read(cursor, command.as_ref().ok().map(|command| command.origin));
            let command = command.and_then(|command| {
                let is_here = command.market() == *market;
                if is_here { Ok(command) } else { Err(Malformed::OtherStream) }
            });
            let mut command = match command {
                Ok(command) => command,
                Err(error) => {
                    tracing::warn!(stream = key, %cursor, %error, "no command: skipped");
                    self.counters.malformed.add(1);
                    continue;
                }
            };
            self.clock.stamp().put_on(&mut command);
            latest_us = command.time_us;
            if !push(outlet, Input { cursor, command }, idle, &self.counters) {
                return false;
            }
            stream.hand_on();
            commands += 1;
            if commands % RING_EVERY == 0 {
                outlet.ring_reader();
            }
        }
        outlet.ring_reader();
        self.counters.commands.add(commands as u64);
        if 0 < commands {
            let lag_ms = (latest_us / 1000).saturating_sub(stream.cursor().milliseconds);
            self.counters.lag_ms.set(lag_ms);
        }
        true
    }

    /// Looks whether the streams are still those that were read, then lets Redis forget what is
    /// durable, over the same connection. `~`: whole nodes of a stream only, which costs nothing.
    fn care(&mut self) -> redis::RedisResult<()> {
        let mut pipeline = Pipeline::default();
        for source in &self.sources {
            let (key, cursor) = (source.key.as_bytes(), source.stream.cursor().to_string());
            pipeline.push(&[b"XRANGE", key, cursor.as_bytes(), cursor.as_bytes()]);
        }
        let answers = self.link.exchange(&pipeline)?;
        pipeline.clear();
        for (source, answer) in self.sources.iter_mut().zip(answers) {
            let found = entries::at_cursor(&answer.extract_error()?);
            if let Some(replaced) = source.stream.look(found) {
                self.counters.replaced.add(1);
                tracing::error!(
                    stream = source.key, read_up_to = %replaced.cursor, found = ?replaced.found,
                    "redis has another stream than was read (a flush, a failover or a removed \
                     key): it is read again from its first entry"
                );
            }
            let durable = self.durable.get(source.market);
            if let Some(below) = source.stream.trim_below(durable) {
                let (key, below) = (source.key.as_bytes(), below.to_string());
                pipeline.push(&[b"XTRIM", key, b"MINID", b"~", below.as_bytes()]);
            }
        }
        if pipeline.is_empty() {
            return Ok(());
        }
        for value in self.link.exchange(&pipeline)? {
            value.extract_error()?;
        }
        Ok(())
    }
}

/// Waits for room; `false` when the shard has gone.
fn push(outlet: &mut Outlet<Input>, input: Input, idle: &Idle, counters: &IngressCounters) -> bool {
    while !outlet.push(&[input]).is_empty() {
        if outlet.is_abandoned() {
            return false;
        }
        counters.stalls.add(1);
        outlet.ring_reader();
        idle.wait(|| !outlet.is_full() || outlet.is_abandoned());
    }
    true
}
