//! Hearing Redis: one connection that gives messages and the confirmations of subscriptions in the
//! order in which Redis sent them, and how long to wait before the next after one was lost.
//!
//! Pub/sub forgets what is published while nobody is connected. Falling behind has no better remedy
//! than that: when the bounded queue behind the connection is full, the connection is given up.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisError, Value,
};
use tokio::sync::{Notify, mpsc};

/// What waits to be looked at; beyond it the connection is given up.
const PUSHES_MAX: usize = 16_384;
const CALL_MAX: Duration = Duration::from_secs(3);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum PubSubError {
    #[error("redis failed")]
    Redis(#[from] RedisError),
    #[error("redis closed the connection")]
    Closed,
    #[error("more came in than could be looked at")]
    Overflow,
}

#[derive(PartialEq, Eq, Debug)]
pub enum Heard {
    /// Whatever is published on the channel from here on is heard.
    Subscribed {
        channel: String,
    },
    Message {
        channel: String,
        payload: Vec<u8>,
    },
}

/// Where Redis is.
#[derive(Clone, Debug)]
pub struct PubSub {
    client: Client,
}

impl PubSub {
    /// Connects to nothing yet.
    pub fn new(redis_url: &str) -> Result<PubSub, RedisError> {
        let info = redis_url.into_connection_info()?;
        // RESP3 delivers messages beside replies, through a queue of our own bound.
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        Ok(PubSub { client: Client::open(info.set_redis_settings(settings))? })
    }

    pub async fn connect(&self) -> Result<Link, PubSubError> {
        let (sender, pushes) = mpsc::channel(PUSHES_MAX);
        let overflow = Arc::new(Notify::new());
        let full = Arc::clone(&overflow);
        let take = move |push| sender.try_send(push).inspect_err(|_| full.notify_one());
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CALL_MAX))
            .set_response_timeout(Some(CALL_MAX))
            .set_push_sender(take);
        let connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        Ok(Link { connection, pushes, overflow })
    }
}

#[derive(Debug)]
pub struct Link {
    connection: MultiplexedConnection,
    pushes: mpsc::Receiver<PushInfo>,
    overflow: Arc<Notify>,
}

impl Link {
    /// For SUBSCRIBE, UNSUBSCRIBE and any other command.
    pub fn connection(&mut self) -> &mut MultiplexedConnection {
        &mut self.connection
    }

    /// What comes next. Cancel safe: it is taken or not.
    pub async fn next(&mut self) -> Result<Heard, PubSubError> {
        loop {
            let push = tokio::select! {
                // First, since what is in the queue has a hole behind it.
                biased;
                () = self.overflow.notified() => return Err(PubSubError::Overflow),
                push = self.pushes.recv() => push.ok_or(PubSubError::Closed)?,
            };
            if let Some(heard) = heard(push)? {
                return Ok(heard);
            }
        }
    }
}

/// `None` for what is of no interest.
fn heard(push: PushInfo) -> Result<Option<Heard>, PubSubError> {
    let mut parts = push.data.into_iter();
    let mut text = || match parts.next() {
        Some(Value::BulkString(text)) => Some(text),
        _ => None,
    };
    let channel = |name| String::from_utf8(name).unwrap_or_default();
    Ok(match push.kind {
        PushKind::Disconnection => return Err(PubSubError::Closed),
        PushKind::Subscribe => text().map(|name| Heard::Subscribed { channel: channel(name) }),
        PushKind::Message => match (text(), text()) {
            (Some(name), Some(payload)) => Some(Heard::Message { channel: channel(name), payload }),
            _ => None,
        },
        _ => None,
    })
}

/// Doubles from attempt to attempt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackOff {
    next: Duration,
}

impl BackOff {
    const MIN: Duration = Duration::from_millis(50);
    const MAX: Duration = Duration::from_secs(2);

    /// After a success.
    pub const fn new() -> BackOff {
        BackOff { next: BackOff::MIN }
    }

    /// How long to wait now.
    pub fn step(&mut self) -> Duration {
        let now = self.next;
        self.next = (2 * now).min(BackOff::MAX);
        now
    }
}

impl Default for BackOff {
    fn default() -> Self {
        BackOff::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(kind: PushKind, parts: &[&str]) -> PushInfo {
        let data = parts.iter().map(|it| Value::BulkString(it.as_bytes().to_vec())).collect();
        PushInfo { kind, data }
    }

    #[test]
    fn messages_and_confirmations_are_told_apart() {
        let message = heard(push(PushKind::Message, &["a", "x"])).unwrap();
        let expected = Heard::Message { channel: "a".to_owned(), payload: b"x".to_vec() };
        assert_eq!(message, Some(expected));
        let confirmed = heard(push(PushKind::Subscribe, &["a"])).unwrap();
        assert_eq!(confirmed, Some(Heard::Subscribed { channel: "a".to_owned() }));
        assert_eq!(heard(push(PushKind::Unsubscribe, &["a"])).unwrap(), None);
        assert_eq!(heard(push(PushKind::Message, &["a"])).unwrap(), None);
        assert!(heard(push(PushKind::Disconnection, &[])).is_err());
    }

    #[test]
    fn waiting_doubles_up_to_a_bound() {
        let mut back_off = BackOff::new();
        let waits: Vec<u128> = (0..8).map(|_| back_off.step().as_millis()).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
    }
}
