//! The connection to Redis: commands and questions out, market data, replies and answers in.

use protocol::query::{Heartbeat, Query};
use protocol::{GatewayId, MarketId, keys};
use redis::RedisError;
use service::PubSub;
use service::pubsub::{self, Heard};

use crate::error::LinkError;
use crate::submit::Outgoing;

/// How to connect, and under which names markets stand on Redis.
#[derive(Debug)]
pub struct Address {
    redis: PubSub,
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
    link: pubsub::Link,
}

impl Address {
    pub fn new(
        redis_url: &str,
        gateway: GatewayId,
        mut channels: Vec<String>,
        markets: impl Iterator<Item = (MarketId, String)>,
    ) -> Result<Self, RedisError> {
        let redis = PubSub::new(redis_url)?;
        channels.push(keys::replies(gateway));
        let order_streams = markets.map(|(id, symbol)| (id, keys::orders(&symbol))).collect();
        Ok(Address { redis, channels, order_streams })
    }

    pub async fn connect(&self) -> Result<Link, LinkError> {
        let mut link = self.redis.connect().await?;
        link.connection().subscribe(&self.channels).await?;
        Ok(Link { link })
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
            if let Heard::Message { channel, payload } = self.link.next().await? {
                return Ok(Push { channel, payload });
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
        Ok(pipeline.exec_async(self.link.connection()).await?)
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
        Ok(push.exec_async(self.link.connection()).await?)
    }

    /// One above `known` and above all that Redis has given out for this gateway.
    pub async fn take_epoch(&mut self, gateway: GatewayId, known: u32) -> Result<u32, LinkError> {
        let mut take = redis::cmd("EVAL");
        take.arg(keys::TAKE_EPOCH).arg(1).arg(keys::epoch(gateway)).arg(known);
        Ok(take.query_async(self.link.connection()).await?)
    }

    /// `None` while the engine is away.
    pub async fn heartbeat(&mut self) -> Result<Option<Heartbeat>, LinkError> {
        let mut get = redis::cmd("GET");
        let text: Option<String> =
            get.arg(keys::HEARTBEAT).query_async(self.link.connection()).await?;
        Ok(text.and_then(|text| match serde_json::from_str(&text) {
            Ok(heartbeat) => Some(heartbeat),
            Err(error) => {
                tracing::error!(%error, "the engine's heartbeat is not readable");
                None
            }
        }))
    }
}
