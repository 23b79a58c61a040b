//! What this process could not do.

use std::net::SocketAddr;

#[derive(Debug, thiserror::Error)]
pub enum FanoutError {
    #[error("[fanout] {key}: {rule}")]
    Config { key: &'static str, rule: &'static str },
    #[error("the Redis address is not valid")]
    RedisAddress(#[source] redis::RedisError),
    #[error("could not listen on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        cause: std::io::Error,
    },
    #[error("could not start a thread")]
    Thread(#[source] std::io::Error),
    #[error("[fanout] threads: at least one is needed")]
    NoThread,
    #[error("a thread ended on its own")]
    ThreadEnded,
}

/// Why a connection to Redis ended.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    #[error("redis failed")]
    Redis(#[from] redis::RedisError),
    #[error(transparent)]
    PubSub(#[from] service::PubSubError),
    #[error("the hub has ended")]
    HubEnded,
}
