//! An ingress thread: command streams of Redis in, commands of the shards out.
//!
//! It reads all its streams at once, as much as there is: a lone command is handed on at once,
//! under load one answer of Redis carries thousands. Reading never runs ahead of durability by more
//! than one answer and the rings behind it: a full ring stalls the thread, and Redis holds the
//! queue.
//!
//! **Invariant:** each stream is read by one thread, in order, from the cursor that its last
//! durable frame carries. What was read and never became durable is read again by the next life.
//! Streams are trimmed only below what is durable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use engine_core::Input;
use protocol::{MarketId, StreamCursor};
use redis::Value;

use crate::clock::Clock;
use crate::counters::IngressCounters;
use crate::idle::{Idle, Waiting};
use crate::redis_link::{Pipeline, RedisLink};
use crate::ring::Outlet;
use crate::stop::Stop;

pub mod entries;
pub mod durable_cursors;

use durable_cursors::DurableCursors;
use entries::Malformed;

/// How long Redis holds a read of empty streams; bounds how late the wish to end is seen.
const BLOCK_MS: &str = "200";
const TRIM_EVERY: Duration = Duration::from_millis(250);
/// Commands between two rings of a shard's bell.
const RING_EVERY: usize = 32;

/// A command stream and where its commands go.
#[derive(Debug)]
pub struct CommandStream {
    pub market: MarketId,
    pub key: String,
    /// The last entry read.
    pub cursor: StreamCursor,
    /// Number of the shard, and of its ring in [`Ingress::outlets`].
    pub outlet: usize,
    /// Below this it was trimmed.
    pub trimmed: StreamCursor,
}

pub struct Ingress {
    pub link: RedisLink,
    pub streams: Vec<CommandStream>,
    pub outlets: Vec<Outlet<Input>>,
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
        let mut trim_at = Instant::now() + TRIM_EVERY;
        while !self.stop.is_wished() {
            let served = self.serve(idle).and_then(|goes_on| {
                if trim_at <= Instant::now() {
                    trim_at = Instant::now() + TRIM_EVERY;
                    self.trim()?;
                }
                Ok(goes_on)
            });
            match served {
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
        let mut taken = 0;
        for (key, entries) in entries::streams(&answer) {
            let Some(at) = self.streams.iter().position(|it| it.key.as_bytes() == key) else {
                continue;
            };
            taken += entries.len();
            if !self.hand_on(at, entries, idle) {
                return Ok(false);
            }
        }
        if taken == 0 && self.waiting == Waiting::Yield {
            std::thread::yield_now();
        }
        Ok(true)
    }

    fn read(&mut self) -> redis::RedisResult<Value> {
        let count = self.read_max.to_string();
        let cursors: Vec<_> = self.streams.iter().map(|it| it.cursor.to_string()).collect();
        let mut arguments: Vec<&[u8]> = vec![b"XREAD", b"COUNT", count.as_bytes()];
        if self.waiting == Waiting::Park {
            arguments.extend([&b"BLOCK"[..], BLOCK_MS.as_bytes()]);
        }
        arguments.push(b"STREAMS");
        arguments.extend(self.streams.iter().map(|stream| stream.key.as_bytes()));
        arguments.extend(cursors.iter().map(|cursor| cursor.as_bytes()));
        self.link.one(&arguments)
    }

    /// Pushes the commands of one stream into its shard's ring; `false` when the shard has gone.
    fn hand_on(&mut self, at: usize, entries: &[Value], idle: &Idle) -> bool {
        let stream = &mut self.streams[at];
        let outlet = &mut self.outlets[stream.outlet];
        let (mut commands, mut latest_us) = (0, 0);
        for entry in entries {
            let Some((cursor, fields)) = entries::entry(entry) else { continue };
            stream.cursor = cursor;
            let command = entries::command(fields).and_then(|command| {
                let is_here = command.market() == stream.market;
                if is_here { Ok(command) } else { Err(Malformed::OtherStream) }
            });
            let mut command = match command {
                Ok(command) => command,
                Err(error) => {
                    tracing::warn!(stream = stream.key, %cursor, %error, "no command: skipped");
                    self.counters.malformed.add(1);
                    continue;
                }
            };
            latest_us = self.clock.stamp_us();
            command.time_us = latest_us;
            if !push(outlet, Input { cursor, command }, idle, &self.counters) {
                return false;
            }
            commands += 1;
            if commands % RING_EVERY == 0 {
                outlet.ring_reader();
            }
        }
        outlet.ring_reader();
        self.counters.commands.add(commands as u64);
        if 0 < commands {
            let lag_ms = (latest_us / 1000).saturating_sub(stream.cursor.milliseconds);
            self.counters.lag_ms.set(lag_ms);
        }
        true
    }

    /// Lets Redis forget what is durable. `~`: whole nodes of a stream only, which costs nothing.
    fn trim(&mut self) -> redis::RedisResult<()> {
        let mut pipeline = Pipeline::default();
        for stream in &mut self.streams {
            let durable = self.durable.get(stream.market);
            if stream.trimmed < durable {
                stream.trimmed = durable;
                let below = durable.to_string();
                let key = stream.key.as_bytes();
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
