//! The gateway's end of the line to the engine, over Redis: two connections and what is known of
//! the engine's health.
//!
//! ```text
//! submission, queries ─▶ commands connection ─▶ orders:{M}, queries
//!        ▲                                            engine
//!        └── waiting ◀─ replies subscription ◀─ replies:<id>
//! ```
//!
//! Invariant: nothing is sent unless the replies are heard, the engine's heartbeat is fresh and its
//! queue is short. A request meanwhile is turned away at once; the two tasks in here reconnect.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::StreamExt;
use protocol::query::{Answer, Heartbeat};
use protocol::{Catalog, GatewayId, MarketId, Sequence, keys};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::config::EngineLimits;
use crate::error::{ApiError, GatewayError};
use crate::replies::{self, Decision};
use crate::waiting::Waiting;

const POLL_EVERY: Duration = Duration::from_millis(keys::HEARTBEAT_EVERY_MS);
const RECONNECT_AFTER: Duration = Duration::from_millis(250);
/// Sent to ourselves over the replies channel with each poll: silence means a dead subscription.
const ECHO: &[u8] = b".";
const SILENCE_MAX: Duration = Duration::from_millis(3_000);

pub struct EngineLink {
    client: Client,
    gateway: GatewayId,
    epoch: u32,
    limits: EngineLimits,
    commands: RwLock<Option<MultiplexedConnection>>,
    replies_heard: AtomicBool,
    heartbeat: Mutex<Option<Heartbeat>>,
    /// Length of each command stream when last looked at.
    queued: HashMap<MarketId, Queue>,
    /// Highest sequence of an effective frame that this process has seen a reply of.
    seen: AtomicU64,
    pub(crate) decisions: Waiting<Decision>,
    pub(crate) answers: Waiting<Answer>,
}

struct Queue {
    key: String,
    length: AtomicU64,
}

/// What a readiness probe asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Health {
    pub redis: bool,
    pub engine: bool,
}

impl EngineLink {
    /// `epoch` must rise with every start of a gateway with this id.
    pub fn new(
        redis_url: &str,
        catalog: &Catalog,
        gateway: GatewayId,
        epoch: u32,
        limits: EngineLimits,
    ) -> Result<Self, GatewayError> {
        let markets = catalog.markets().iter().map(|market| (market.id, market.symbol.as_str()));
        let queued = markets.chain([(MarketId::ACCOUNTS, keys::ACCOUNTS)]).map(|(id, stream)| {
            (id, Queue { key: keys::orders(stream), length: AtomicU64::new(0) })
        });
        Ok(EngineLink {
            client: Client::open(redis_url).map_err(GatewayError::RedisUrl)?,
            gateway,
            epoch,
            commands: RwLock::new(None),
            replies_heard: AtomicBool::new(false),
            heartbeat: Mutex::new(None),
            queued: queued.collect(),
            seen: AtomicU64::new(0),
            decisions: Waiting::new(limits.in_flight_max),
            answers: Waiting::new(limits.in_flight_max),
            limits,
        })
    }

    pub fn gateway(&self) -> GatewayId {
        self.gateway
    }

    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    pub fn limits(&self) -> &EngineLimits {
        &self.limits
    }

    pub fn health(&self) -> Health {
        let connected = self.commands.read().unwrap_or_else(PoisonError::into_inner).is_some();
        Health {
            redis: connected && self.replies_heard.load(Ordering::Relaxed),
            engine: self.heartbeat().is_some(),
        }
    }

    /// The engine's last sign of life; `None` when it is away.
    pub fn heartbeat(&self) -> Option<Heartbeat> {
        *self.heartbeat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an answer must at least contain for a client of ours to read its own writes.
    pub fn seen(&self) -> Sequence {
        Sequence(self.seen.load(Ordering::Relaxed))
    }

    /// The connection to send to the engine with, when a reply can be expected.
    pub fn connection(&self) -> Result<MultiplexedConnection, ApiError> {
        let health = self.health();
        if !health.redis {
            return Err(ApiError::maintenance("The order queue cannot be reached now"));
        }
        if !health.engine {
            return Err(ApiError::maintenance("The engine cannot be reached now"));
        }
        let commands = self.commands.read().unwrap_or_else(PoisonError::into_inner);
        commands
            .clone()
            .ok_or_else(|| ApiError::maintenance("The order queue cannot be reached now"))
    }

    /// Name of a market's command stream, unless the engine is too far behind with it.
    pub fn queue(&self, market: MarketId) -> Result<&str, ApiError> {
        let queue = self.queued.get(&market).ok_or_else(ApiError::unknown_market)?;
        if self.limits.engine_queue_max <= queue.length.load(Ordering::Relaxed) {
            return Err(ApiError::overloaded());
        }
        Ok(&queue.key)
    }

    /// How many wait for a decision.
    pub fn decisions_waiting(&self) -> usize {
        self.decisions.len()
    }

    /// How many wait for an answer.
    pub fn answers_waiting(&self) -> usize {
        self.answers.len()
    }

    /// Called with what Redis answered to a command; a broken connection is not used again.
    pub(crate) fn note_failure(&self, error: &RedisError) {
        metrics::counter!("gateway_redis_errors_total").increment(1);
        if error.is_unrecoverable_error() {
            self.disconnect();
        }
    }

    fn disconnect(&self) {
        *self.commands.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn note_seen(&self, sequence: Sequence) {
        self.seen.fetch_max(sequence.0, Ordering::Relaxed);
    }

    /// Looks at the heartbeat and the queues until the process ends; connects when there is no
    /// connection.
    /// `report` is told the health after each look.
    pub async fn watch_engine(&self, report: impl Fn(Health)) {
        let mut ticks = interval(POLL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(error) = self.poll().await {
                if self.heartbeat().is_some() {
                    tracing::warn!(%error, "lost Redis");
                }
                self.disconnect();
                self.set_heartbeat(None);
            }
            report(self.health());
        }
    }

    async fn poll(&self) -> RedisResult<()> {
        let current = self.commands.read().unwrap_or_else(PoisonError::into_inner).clone();
        let mut connection = match current {
            Some(connection) => connection,
            None => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(self.limits.redis_timeout))
                    .set_response_timeout(Some(self.limits.redis_timeout))
                    .set_pipeline_buffer_size(1024);
                self.client.get_multiplexed_async_connection_with_config(&config).await?
            }
        };
        let mut pipe = redis::pipe();
        pipe.get(keys::HEARTBEAT).publish(keys::replies(self.gateway), ECHO).ignore();
        let queues: Vec<&Queue> = self.queued.values().collect();
        for queue in &queues {
            pipe.cmd("XLEN").arg(&queue.key);
        }
        let answers: Vec<redis::Value> = pipe.query_async(&mut connection).await?;
        let mut answers = answers.into_iter();
        let heartbeat = answers.next().map(redis::from_redis_value::<Option<Vec<u8>>>);
        let heartbeat = heartbeat.transpose()?.flatten();
        for (queue, length) in queues.iter().zip(answers) {
            queue.length.store(redis::from_redis_value(length)?, Ordering::Relaxed);
        }
        *self.commands.write().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        self.set_heartbeat(heartbeat.and_then(|json| serde_json::from_slice(&json).ok()));
        Ok(())
    }

    fn set_heartbeat(&self, found: Option<Heartbeat>) {
        let mut heartbeat = self.heartbeat.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(now) = found
            && heartbeat.is_none_or(|before| before.epoch != now.epoch)
        {
            tracing::info!(epoch = now.epoch, sequence = now.sequence.0, "the engine is there");
            // A new life may have lost what was not yet durable: never wait for what will not come.
            self.seen.fetch_min(now.sequence.0, Ordering::Relaxed);
        }
        if heartbeat.is_some() && found.is_none() {
            tracing::warn!("the engine's heartbeat is gone");
        }
        *heartbeat = found;
    }

    /// Hears replies and hands them to who waits, until the process ends; subscribes again whenever
    /// the subscription breaks.
    pub async fn hear_replies(&self) {
        loop {
            let lost = self.subscribe_once().await;
            if self.replies_heard.swap(false, Ordering::Relaxed) {
                tracing::warn!(cause = lost, "lost the replies of the engine");
            }
            sleep(RECONNECT_AFTER).await;
        }
    }

    /// Returns why the subscription ended.
    async fn subscribe_once(&self) -> String {
        let channel = keys::replies(self.gateway);
        let subscribe = async {
            let mut subscription = self.client.get_async_pubsub().await?;
            subscription.subscribe(&channel).await?;
            RedisResult::Ok(subscription)
        };
        let subscription = match timeout(self.limits.redis_timeout, subscribe).await {
            Ok(Ok(subscription)) => subscription,
            Ok(Err(error)) => return error.to_string(),
            Err(_) => return "no answer to SUBSCRIBE".to_owned(),
        };
        self.replies_heard.store(true, Ordering::Relaxed);
        tracing::info!(channel, "hearing replies");
        let mut messages = subscription.into_on_message();
        loop {
            match timeout(SILENCE_MAX, messages.next()).await {
                Ok(Some(message)) => match message.get_payload_bytes() {
                    ECHO => (),
                    payload => replies::dispatch(self, payload),
                },
                Ok(None) => return "the connection closed".to_owned(),
                Err(_) => return "silence".to_owned(),
            }
        }
    }
}
