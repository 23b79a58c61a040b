//! The gateway's end of the line to the engine, over Redis: two connections and what is known of
//! the engine's health.
//!
//! ```text
//! submission, resend, queries ─▶ commands connection ─▶ orders:{M}, queries
//!        ▲                                                   engine
//!        └── outstanding, waiting ◀─ replies subscription ◀─ replies:<id>
//! ```
//!
//! Invariant: nothing is sent for the first time unless the replies are heard, the engine's
//! heartbeat is fresh, its queue is short and the epoch is surely ours. A request meanwhile is
//! turned away at once; one that was sent before goes on waiting. The tasks in here reconnect.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use futures_util::StreamExt;
use protocol::query::{Answer, Heartbeat};
use protocol::{GatewayId, MarketId, Sequence, StreamCursor, keys};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult};
use service::SharedCatalog;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::config::EngineLimits;
use crate::epoch::Epochs;
use crate::error::{ApiError, GatewayError};
use crate::outstanding::Outstanding;
use crate::replies;
use crate::waiting::Waiting;

const POLL_EVERY: Duration = Duration::from_millis(keys::HEARTBEAT_EVERY_MS);
const RECONNECT_AFTER: Duration = Duration::from_millis(250);
/// Sent to ourselves over the replies channel with each poll: silence means a dead subscription.
const ECHO: &[u8] = b".";
const SILENCE_MAX: Duration = Duration::from_millis(3_000);

pub struct EngineLink {
    client: Client,
    gateway: GatewayId,
    /// A random number of this process, by which it knows the answers to its own questions.
    life: u64,
    limits: EngineLimits,
    commands: RwLock<Option<MultiplexedConnection>>,
    replies_heard: AtomicBool,
    engine: Mutex<Engine>,
    listing: SharedCatalog,
    queues: RwLock<HashMap<MarketId, Arc<Queue>>>,
    /// Highest sequence of an effective frame that this process has seen a reply of.
    seen: AtomicU64,
    pub(crate) epochs: Epochs,
    pub(crate) outstanding: Outstanding,
    /// Something among what is outstanding is to be sent again at once.
    pub(crate) suspected: Notify,
    pub(crate) answers: Waiting<Answer>,
}

/// What is known of the engine.
#[derive(Default)]
struct Engine {
    heartbeat: Option<Heartbeat>,
    /// Names its life; kept while it is away.
    life: Option<u64>,
}

/// A market's command stream.
pub(crate) struct Queue {
    pub key: String,
    /// When last looked at.
    length: AtomicU64,
    /// How far the engine has read it at least.
    reached: Mutex<StreamCursor>,
}

impl Queue {
    pub fn length(&self) -> u64 {
        self.length.load(Ordering::Relaxed)
    }

    pub fn reached(&self) -> StreamCursor {
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_reached(&self, cursor: StreamCursor) {
        let mut reached = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        *reached = cursor.max(*reached);
    }
}

/// What a readiness probe asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Health {
    pub redis: bool,
    pub engine: bool,
    /// Commands can be named so that they are never taken for others.
    pub epoch: bool,
}

impl Health {
    /// Whether orders are taken.
    pub fn is_whole(self) -> bool {
        self.redis && self.engine && self.epoch
    }
}

impl EngineLink {
    /// Connects to nothing before [`EngineLink::start`].
    pub fn new(
        redis_url: &str,
        listing: SharedCatalog,
        gateway: GatewayId,
        limits: EngineLimits,
    ) -> Result<Self, GatewayError> {
        Ok(EngineLink {
            client: Client::open(redis_url).map_err(GatewayError::RedisUrl)?,
            gateway,
            life: rand::random(),
            commands: RwLock::new(None),
            replies_heard: AtomicBool::new(false),
            engine: Mutex::default(),
            listing,
            queues: RwLock::default(),
            seen: AtomicU64::new(0),
            epochs: Epochs::default(),
            outstanding: Outstanding::new(gateway, limits.in_flight_max),
            suspected: Notify::new(),
            answers: Waiting::new(limits.in_flight_max),
            limits,
        })
    }

    /// Starts the tasks that run until the process ends. `report` is told the health, again and
    /// again.
    pub fn start(self: &Arc<Self>, report: impl Fn(Health) + Send + Sync + 'static) {
        let link = Arc::clone(self);
        tokio::spawn(async move { link.hear_replies().await });
        let link = Arc::clone(self);
        tokio::spawn(async move { link.watch_engine(report).await });
        let link = Arc::clone(self);
        tokio::spawn(async move { link.keep_epoch().await });
        let link = Arc::clone(self);
        tokio::spawn(async move { link.resend().await });
    }

    pub fn gateway(&self) -> GatewayId {
        self.gateway
    }

    pub fn life(&self) -> u64 {
        self.life
    }

    pub fn limits(&self) -> &EngineLimits {
        &self.limits
    }

    pub fn health(&self) -> Health {
        let connected = self.commands.read().unwrap_or_else(PoisonError::into_inner).is_some();
        Health {
            redis: connected && self.replies_heard.load(Ordering::Relaxed),
            engine: self.heartbeat().is_some(),
            epoch: self.epochs.current().is_some(),
        }
    }

    /// The engine's last sign of life; `None` when it is away.
    pub fn heartbeat(&self) -> Option<Heartbeat> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner).heartbeat
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

    /// The epoch for new commands of a market, when they can be sent and a reply be expected.
    pub(crate) fn open_for(&self, market: MarketId) -> Result<u32, ApiError> {
        self.connection()?;
        let queue = self.queue_of(market).ok_or_else(ApiError::unknown_market)?;
        if self.limits.engine_queue_max <= queue.length() {
            return Err(ApiError::overloaded());
        }
        let epoch = self.epochs.current();
        epoch.ok_or_else(|| ApiError::maintenance("The gateway has no epoch to send under yet"))
    }

    /// `None` when the market is not listed.
    pub(crate) fn queue_of(&self, market: MarketId) -> Option<Arc<Queue>> {
        let known = self.queues.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = known.get(&market) {
            return Some(Arc::clone(queue));
        }
        drop(known);
        let key = keys::orders(self.listing.get().catalog.stream_name(market)?);
        let new = || Arc::new(Queue { key, length: AtomicU64::new(0), reached: Mutex::default() });
        let mut queues = self.queues.write().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(queues.entry(market).or_insert_with(new)))
    }

    /// Of every market there is, and of the accounts.
    fn all_queues(&self) -> Vec<Arc<Queue>> {
        let listed = self.listing.get();
        let markets = listed.catalog.markets().iter().map(|market| market.id);
        let streams = [MarketId::ACCOUNTS].into_iter().chain(markets);
        streams.filter_map(|market| self.queue_of(market)).collect()
    }

    /// How many wait for a decision.
    pub fn decisions_waiting(&self) -> usize {
        self.outstanding.len()
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

    /// Replies, or what should have been replied to, may be lost.
    pub(crate) fn suspect_all(&self) {
        self.outstanding.suspect_all();
        self.suspected.notify_one();
    }

    pub(crate) fn note_reached(&self, market: MarketId, cursor: StreamCursor) {
        if let Some(queue) = self.queue_of(market) {
            queue.note_reached(cursor);
        }
    }

    pub(crate) fn note_seen(&self, sequence: Sequence) {
        self.seen.fetch_max(sequence.0, Ordering::Relaxed);
    }

    /// Looks at the heartbeat and the queues until the process ends; connects when there is no
    /// connection. `report` is told the health after each look.
    async fn watch_engine(&self, report: impl Fn(Health)) {
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
        let is_new = current.is_none();
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
        pipe.get(keys::epoch(self.gateway));
        let queues = self.all_queues();
        for queue in &queues {
            pipe.cmd("XLEN").arg(&queue.key);
        }
        let looked_at = self.epochs.current();
        let found: Vec<redis::Value> = pipe.query_async(&mut connection).await?;
        let mut found = found.into_iter();
        let mut next = || found.next().unwrap_or(redis::Value::Nil);
        let heartbeat: Option<Vec<u8>> = redis::from_redis_value(next())?;
        let epoch: Option<u32> = redis::from_redis_value(next())?;
        for queue in queues {
            queue.length.store(redis::from_redis_value(next())?, Ordering::Relaxed);
        }
        *self.commands.write().unwrap_or_else(PoisonError::into_inner) = Some(connection);
        self.set_heartbeat(heartbeat.and_then(|json| serde_json::from_slice(&json).ok()));
        // One taken since is newer than what was found.
        if looked_at.is_some() && looked_at == self.epochs.current() {
            self.epochs.compare(epoch);
        }
        if is_new {
            self.suspect_all();
        }
        Ok(())
    }

    fn set_heartbeat(&self, found: Option<Heartbeat>) {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let was_there = engine.heartbeat.is_some();
        engine.heartbeat = found;
        let Some(now) = found else {
            if was_there {
                tracing::warn!("the engine's heartbeat is gone");
            }
            return;
        };
        let is_new_life = engine.life.replace(now.life) != Some(now.life);
        drop(engine);
        if is_new_life {
            tracing::info!(life = now.life, sequence = now.sequence.0, "the engine is there");
            // Answers are to contain all that this life begins with, and never to wait for what was
            // lost with the one before.
            self.seen.store(now.sequence.0, Ordering::Relaxed);
            // It may know another gateway's commands under our epoch.
            self.epochs.doubt("a new life of the engine");
        }
        if is_new_life || !was_there {
            self.suspect_all();
        }
    }

    /// Hears replies and hands them to who waits, until the process ends; subscribes again whenever
    /// the subscription breaks.
    async fn hear_replies(&self) {
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
        self.suspect_all();
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
