//! The engine process around [`engine_core`]: pinned threads, rings, journal, egress.
//!
//! It speaks to the rest of the exchange over Redis alone. It knows nothing of HTTP, WebSocket or
//! SQL, and runs no asynchronous code.

#![forbid(unsafe_code)]

pub mod pipeline;
pub mod ingress;
pub mod openings;
pub mod shard_loop;
pub mod journal;
pub mod egress;

pub mod recovery;
pub mod snapshot;
pub mod data_dir;
pub mod disk;
pub mod durable;
pub mod replica_loop;
pub mod market_data;
pub mod recent;
pub mod recent_trades;
pub mod recent_levels;
pub mod account_data;
pub mod queries;
pub mod answers;
pub mod heartbeat;
pub mod journal_tools;

pub mod crew;
pub mod ring;
pub mod idle;
pub mod pinning;
pub mod stop;
pub mod clock;
pub mod redis_link;
pub mod counters;
pub mod config;
pub mod error;
