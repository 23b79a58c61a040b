//! What this process could not do.

use protocol::decimal::DecimalError;

#[derive(Debug, thiserror::Error)]
pub enum MakerError {
    #[error("[market_maker] {key}: {rule}")]
    Config { key: &'static str, rule: &'static str },
    #[error("[[market_maker.markets]] {symbol} is not listed")]
    UnknownMarket { symbol: String },
    #[error("[[market_maker.markets]] {symbol}: {key}: {rule}")]
    Market { symbol: String, key: &'static str, rule: &'static str },
    #[error("[[market_maker.markets]] {symbol}: {key} {text:?}")]
    Decimal {
        symbol: String,
        key: &'static str,
        text: String,
        #[source]
        cause: DecimalError,
    },
    #[error("the Redis address is not valid")]
    RedisAddress(#[source] redis::RedisError),
}

/// Why a connection to Redis ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("redis failed")]
    Redis(#[from] redis::RedisError),
    #[error(transparent)]
    PubSub(#[from] service::PubSubError),
    #[error("could not write a query as JSON")]
    Query(#[source] serde_json::Error),
}
