//! What every process of the exchange does alike: reading `exchange.toml`, logging, answering the
//! operator's probes, and ending when told to. Nothing of what the exchange is about.

#![forbid(unsafe_code)]

pub mod args;
pub mod clock;
pub mod config;
pub mod logs;
pub mod ops;
pub mod stop;
#[cfg(feature = "http")]
pub mod client_address;
#[cfg(feature = "follow")]
pub mod shared_catalog;
#[cfg(feature = "follow")]
pub mod waiting;
#[cfg(feature = "follow")]
pub mod pubsub;

pub use args::CommonArgs;
pub use config::{ConfigError, ExchangeFile};
pub use ops::{Condition, Ops, OpsError};
#[cfg(feature = "follow")]
pub use pubsub::{BackOff, PubSub, PubSubError};
#[cfg(feature = "follow")]
pub use shared_catalog::SharedCatalog;
