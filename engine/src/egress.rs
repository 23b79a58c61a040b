//! What leaves the engine, all of it durable before: replies, event streams, market data.
//!
//! Each kind has a thread and a connection of its own, so that a slow database queue delays no
//! reply. While Redis is away they keep what they have and wait; their bounded queues fill, and
//! stage by stage everybody before them waits too. Nothing is dropped on this side.

use std::sync::Arc;

use redis::Value;

use crate::counters::EgressCounters;
use crate::redis_link::{Pipeline, RedisLink};
use crate::stop::Stop;

pub mod replies;
pub mod event_streams;
pub mod publisher;

/// Messages sent in one go, at most about this much.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// Sends pub/sub messages until Redis has taken them. After a lost connection some may be sent
/// twice: every message says by itself what it continues or answers.
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
