//! Redis pub/sub in: listens to the channels the hub wants, reconnects with back-off.
//!
//! Pub/sub forgets what is published while nobody is connected, so the end of a connection is told
//! to the hub as [`FeedEvent::Lost`]. Falling behind has no better remedy than that: when the
//! bounded queue between the connection and the hub is full, the connection is given up.

use std::collections::BTreeSet;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisError, Value,
};
use service::Condition;
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::error::FeedError;

#[derive(Debug)]
pub enum FeedEvent {
    Frame {
        channel: String,
        payload: Vec<u8>,
    },
    /// Frames may be missing from here on.
    Lost,
}

/// Frames between the connection and the hub.
const PUSHES_MAX: usize = 16_384;
const CALL_MAX: Duration = Duration::from_secs(5);
/// How often a silent connection is asked whether it lives.
const PING_EVERY: Duration = Duration::from_secs(5);
const BACK_OFF_MIN: Duration = Duration::from_millis(50);
const BACK_OFF_MAX: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Feed {
    client: Client,
    wanted: watch::Receiver<BTreeSet<String>>,
    events: mpsc::Sender<FeedEvent>,
    ready: Condition,
}

struct Link {
    connection: MultiplexedConnection,
    pushes: mpsc::Receiver<PushInfo>,
    overflow: CancellationToken,
}

impl Feed {
    pub fn new(
        redis_url: &str,
        wanted: watch::Receiver<BTreeSet<String>>,
        events: mpsc::Sender<FeedEvent>,
        ready: Condition,
    ) -> Result<Self, RedisError> {
        let info = redis_url.into_connection_info()?;
        // RESP3 delivers messages beside replies, through a queue of our own bound.
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings))?;
        Ok(Feed { client, wanted, events, ready })
    }

    /// Runs until the hub has ended. Safe to drop at any time.
    pub async fn run(mut self) {
        let mut back_off = BACK_OFF_MIN;
        loop {
            match self.connect().await {
                Ok(link) => {
                    tracing::info!("redis connected");
                    self.ready.set(true);
                    back_off = BACK_OFF_MIN;
                    let Err(error) = self.follow(link).await;
                    self.ready.set(false);
                    tracing::warn!(%error, "feed lost: closing depth and trade listeners");
                    metrics::counter!("fanout_feed_lost_total").increment(1);
                    if self.events.send(FeedEvent::Lost).await.is_err() {
                        return;
                    }
                }
                Err(error) => tracing::warn!(%error, "could not connect to redis"),
            }
            sleep(back_off).await;
            back_off = (2 * back_off).min(BACK_OFF_MAX);
        }
    }

    async fn connect(&self) -> Result<Link, FeedError> {
        let (sender, pushes) = mpsc::channel(PUSHES_MAX);
        let overflow = CancellationToken::new();
        let full = overflow.clone();
        let take = move |push| sender.try_send(push).inspect_err(|_| full.cancel());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CALL_MAX))
            .set_response_timeout(Some(CALL_MAX))
            .set_push_sender(take);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(Link { connection, pushes, overflow })
    }

    /// Passes frames on until the connection ends.
    async fn follow(&mut self, mut link: Link) -> Result<std::convert::Infallible, FeedError> {
        let mut heard = BTreeSet::new();
        let mut pings = interval(PING_EVERY);
        self.wanted.mark_changed();
        loop {
            tokio::select! {
                () = link.overflow.cancelled() => return Err(FeedError::Overflow),
                push = link.pushes.recv() => {
                    let push = push.ok_or(FeedError::Closed)?;
                    let Some(event) = event(push)? else { continue };
                    self.events.send(event).await.map_err(|_| FeedError::HubEnded)?;
                }
                changed = self.wanted.changed() => {
                    changed.map_err(|_| FeedError::HubEnded)?;
                    let wanted = self.wanted.borrow_and_update().clone();
                    listen(&mut link.connection, &heard, &wanted).await?;
                    heard = wanted;
                }
                _ = pings.tick() => {
                    redis::cmd("PING").exec_async(&mut link.connection).await?;
                }
            }
        }
    }
}

async fn listen(
    connection: &mut MultiplexedConnection,
    heard: &BTreeSet<String>,
    wanted: &BTreeSet<String>,
) -> Result<(), FeedError> {
    let added: Vec<&String> = wanted.difference(heard).collect();
    let dropped: Vec<&String> = heard.difference(wanted).collect();
    if !added.is_empty() {
        connection.subscribe(&added).await?;
    }
    if !dropped.is_empty() {
        connection.unsubscribe(&dropped).await?;
    }
    Ok(())
}

/// `None` for confirmations.
fn event(push: PushInfo) -> Result<Option<FeedEvent>, FeedError> {
    match push.kind {
        PushKind::Disconnection => Err(FeedError::Closed),
        PushKind::Message => {
            let mut parts = push.data.into_iter();
            let (Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) =
                (parts.next(), parts.next())
            else {
                return Ok(None);
            };
            let channel = String::from_utf8(channel).unwrap_or_default();
            Ok(Some(FeedEvent::Frame { channel, payload }))
        }
        _ => Ok(None),
    }
}
