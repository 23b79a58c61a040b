//! Sign of life: a key on Redis that expires when the engine is away.

use std::sync::Arc;
use std::time::Duration;

use protocol::Sequence;
use protocol::keys::{HEARTBEAT, HEARTBEAT_EVERY_MS, HEARTBEAT_EXPIRES_MS};
use protocol::query::Heartbeat;
use redis::Client;
use service::Condition;

use crate::clock;
use crate::counters::EventsCounters;
use crate::journal::DurablePosition;
use crate::redis_link::RedisLink;
use crate::stop::Stop;

pub struct Pulse {
    pub client: Client,
    /// Microseconds since the epoch at which this life began.
    pub life: u64,
    pub position: Arc<DurablePosition>,
    /// Of the events thread: how far it has filled all queues.
    pub events: Arc<EventsCounters>,
    /// Whether Redis answered last time.
    pub redis: Condition,
    pub stop: Stop,
}

impl Pulse {
    /// Runs until the end is wished; then says at once that nobody is here.
    pub fn run(self) {
        let mut link = RedisLink::new(self.client.clone());
        let expires = HEARTBEAT_EXPIRES_MS.to_string();
        loop {
            // Read before the position, which is then never behind it.
            let queued = Some(Sequence(self.events.sent.sequence.get()));
            let heartbeat = Heartbeat {
                life: self.life,
                sequence: self.position.get(),
                queued,
                time_us: clock::now_us(),
            };
            let beat = serde_json::to_vec(&heartbeat).unwrap_or_default();
            let key = HEARTBEAT.as_bytes();
            let answered = link.one(&[b"SET", key, &beat, b"PX", expires.as_bytes()]);
            if let Err(error) = &answered
                && self.redis.holds()
            {
                tracing::warn!(%error, "redis does not take the heartbeat");
            }
            self.redis.set(answered.is_ok());
            if self.stop.sleep(Duration::from_millis(HEARTBEAT_EVERY_MS)) {
                break;
            }
        }
        if let Err(error) = link.one(&[b"DEL", HEARTBEAT.as_bytes()]) {
            tracing::warn!(%error, "the heartbeat is left to expire");
        }
    }
}
