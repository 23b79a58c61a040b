//! What leaves the engine, all of it durable before: replies, event streams, market data, and
//! frames that somebody asks for again.
//!
//! Each kind has a thread and a connection of its own, so that a slow database queue delays no
//! reply. While Redis is away, replies and market data keep what they have and wait; when the
//! replies' queue is full the journal waits for them, and stage by stage everybody before. Event
//! streams let blocks go by and read them from the journal later. Nothing is dropped on this side.

use std::sync::Arc;

use protocol::Record;
use protocol::keys::COMMAND_FIELD;
use redis::Value;

use crate::counters::EgressCounters;
use crate::redis_link::{Pipeline, RedisLink};
use crate::stop::Stop;

pub mod replies;
pub mod recent_frames;
pub mod recalls;
pub mod event_streams;
pub mod event_queues;
pub mod queue_weight;
pub mod refills;
pub mod publisher;

/// Messages sent in one go, at most about this much.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// Sends messages until Redis has taken them. After a lost connection some may be sent twice: every
/// publication says by itself what it continues or answers, and commands are recognised.
pub struct Broadcast {
    link: RedisLink,
    /// Never wished: egress ends when what feeds it ends.
    never: Stop,
    pipeline: Pipeline,
    counters: Arc<EgressCounters>,
}

impl Broadcast {
    pub fn new(link: RedisLink, counters: Arc<EgressCounters>) -> Broadcast {
        Broadcast { link, never: Stop::default(), pipeline: Pipeline::default(), counters }
    }

    pub fn push(&mut self, channel: &[u8], payload: &[u8]) {
        self.pipeline.push(&[b"PUBLISH", channel, payload]);
    }

    pub fn push_set(&mut self, key: &[u8], payload: &[u8]) {
        self.pipeline.push(&[b"SET", key, payload]);
    }

    /// A command record for a command stream.
    pub fn push_command(&mut self, key: &[u8], record: &Record) {
        self.pipeline.push(&[b"XADD", key, b"*", COMMAND_FIELD.as_bytes(), record]);
    }

    pub fn is_full(&self) -> bool {
        BATCH_BYTES_MAX <= self.pipeline.bytes()
    }

    pub fn flush(&mut self) {
        if self.pipeline.is_empty() {
            return;
        }
        loop {
            let problem = match self.link.exchange(&self.pipeline) {
                Ok(values) => refusal(&values),
                Err(error) => Some(error.to_string()),
            };
            let Some(problem) = problem else { break };
            tracing::warn!(problem, messages = self.pipeline.commands(), "redis: sending again");
            self.counters.retries.add(1);
            self.link.back_off(&self.never);
        }
        self.counters.messages.add(self.pipeline.commands() as u64);
        self.counters.bytes.add(self.pipeline.bytes() as u64);
        self.pipeline.clear();
    }
}

/// What Redis said to the first command it refused.
fn refusal(values: &[Value]) -> Option<String> {
    values.iter().find_map(|value| match value {
        Value::ServerError(error) => Some(error.to_string()),
        _ => None,
    })
}
