//! The connection to Redis: commands and questions out, market data, replies and answers in.

use std::time::Duration;

use protocol::query::{Heartbeat, Query};
use protocol::{GatewayId, MarketId, keys};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisError, Value,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::error::LinkError;
use crate::submit::Outgoing;

/// Messages that wait to be looked at; beyond it the connection is given up.
const PUSHES_MAX: usize = 16_384;
const CALL_MAX: Duration = Duration::from_secs(3);

/// How to connect, and under which names markets stand on Redis.
#[derive(Debug)]
pub struct Address {
    client: Client,
    channels: Vec<String>,
    order_streams: Vec<(MarketId, String)>,
}

/// A message that came in.
#[derive(Debug)]
pub struct Push {
    pub channel: String,
    pub payload: Vec<u8>,
}

#[derive(Debug)]
pub struct Link {
    connection: MultiplexedConnection,
    pushes: mpsc::Receiver<PushInfo>,
    overflow: CancellationToken,
}

impl Address {
    pub fn new(
        redis_url: &str,
        gateway: GatewayId,
        mut channels: Vec<String>,
        markets: impl Iterator<Item = (MarketId, String)>,
    ) -> Result<Self, RedisError> {
        let info = redis_url.into_connection_info()?;
        // RESP3 delivers messages beside replies, through a queue of our own bound.
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let client = Client::open(info.set_redis_settings(settings))?;
        channels.push(keys::replies(gateway));
        let order_streams = markets.map(|(id, symbol)| (id, keys::orders(&symbol))).collect();
        Ok(Address { client, channels, order_streams })
    }

    pub async fn connect(&self) -> Result<Link, LinkError> {
        let (sender, pushes) = mpsc::channel(PUSHES_MAX);
        let overflow = CancellationToken::new();
        let full = overflow.clone();
        let take = move |push| sender.try_send(push).inspect_err(|_| full.cancel());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CALL_MAX))
            .set_response_timeout(Some(CALL_MAX))
            .set_push_sender(take);
        let mut connection =
            self.client.get_multiplexed_async_connection_with_config(&config).await?;
        connection.subscribe(&self.channels).await?;
        Ok(Link { connection, pushes, overflow })
    }

    fn order_stream(&self, market: MarketId) -> Option<&str> {
        let found = self.order_streams.iter().find(|(id, _)| *id == market);
        found.map(|(_, stream)| stream.as_str())
    }
}

impl Link {
    /// The next message. Cancel safe: a message is taken or not.
    pub async fn next(&mut self) -> Result<Push, LinkError> {
        loop {
            let push = tokio::select! {
                () = self.overflow.cancelled() => return Err(LinkError::Overflow),
                push = self.pushes.recv() => push.ok_or(LinkError::Closed)?,
            };
            match push.kind {
                PushKind::Disconnection => return Err(LinkError::Closed),
                PushKind::Message => {
                    let mut parts = push.data.into_iter();
                    if let (Some(Value::BulkString(channel)), Some(Value::BulkString(payload))) =
                        (parts.next(), parts.next())
                    {
                        let channel = String::from_utf8(channel).unwrap_or_default();
                        return Ok(Push { channel, payload });
                    }
                }
                _ => (),
            }
        }
    }

    /// Puts the commands into their markets' queues, in order, in one round trip.
    pub async fn send(&mut self, address: &Address, out: &[Outgoing]) -> Result<(), LinkError> {
        if out.is_empty() {
            return Ok(());
        }
        let mut pipeline = redis::pipe();
        for Outgoing { market, record } in out {
            let Some(stream) = address.order_stream(*market) else { continue };
            let add = pipeline.cmd("XADD").arg(stream).arg("*");
            add.arg(keys::COMMAND_FIELD).arg(record.as_slice()).ignore();
        }
        Ok(pipeline.exec_async(&mut self.connection).await?)
    }

    pub async fn ask(&mut self, queries: &[Query]) -> Result<(), LinkError> {
        if queries.is_empty() {
            return Ok(());
        }
        let mut push = redis::cmd("LPUSH");
        push.arg(keys::QUERIES);
        for query in queries {
            push.arg(serde_json::to_vec(query).map_err(LinkError::Query)?);
        }
        Ok(push.exec_async(&mut self.connection).await?)
    }

    /// One above `known` and above all that Redis has given out for this gateway.
    pub async fn take_epoch(&mut self, gateway: GatewayId, known: u32) -> Result<u32, LinkError> {
        let mut take = redis::cmd("EVAL");
        take.arg(keys::TAKE_EPOCH).arg(1).arg(keys::epoch(gateway)).arg(known);
        Ok(take.query_async(&mut self.connection).await?)
    }

    /// `None` while the engine is away.
    pub async fn heartbeat(&mut self) -> Result<Option<Heartbeat>, LinkError> {
        let mut get = redis::cmd("GET");
        let text: Option<String> =
            get.arg(keys::HEARTBEAT).query_async(&mut self.connection).await?;
        Ok(text.and_then(|text| match serde_json::from_str(&text) {
            Ok(heartbeat) => Some(heartbeat),
            Err(error) => {
                tracing::error!(%error, "the engine's heartbeat is not readable");
                None
            }
        }))
    }
}
