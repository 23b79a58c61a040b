//! Writes what the engine decided to PostgreSQL or TimescaleDB, each event once, and keeps the
//! klines.
//!
//! ```text
//! redis events:{M} ─▶ feed ─▶ batcher ─▶ writer ─▶ database      writer ─▶ trim ─▶ redis
//!                     XREAD   frames     one transaction a       position  XTRIM
//!                     ▲   │   → rows     batch, with position              HSET
//!                     │   │   (of these two several, each with its share of the streams)
//!                page │   ▼ order
//!                     refill ◀─▶ redis ◀─▶ engine     what the queue lacks, from the journal
//! ```
//!
//! Beside them `retention` removes old rows, on a connection of its own.
//!
//! The position of a stream lives in the database alone and moves in the transaction that writes
//! the rows; Redis keeps every entry until that is committed. All queues between the tasks are
//! bounded: when the database is slow or away, reading stops and Redis holds the queue.
//!
//! Two verbs need no queue, for they ask for all of the journal by the same pages: `backfill` makes
//! a database again, `check` compares it.

#![forbid(unsafe_code)]

pub mod config;
pub mod error;
pub mod streams;
pub mod queue_info;
pub mod chain;
pub mod lane;
pub mod refill;
pub mod feed;
pub mod shares;
pub mod rows;
pub mod order_events;
pub mod columns;
pub mod tables;
pub mod layout;
pub mod batcher;
pub mod klines;
pub mod copy;
pub mod insert;
pub mod writer;
pub mod checkpoint;
pub mod progress;
pub mod trim;
pub mod database;
pub mod no_delay;
pub mod migrate;
pub mod timescale;
pub mod retention;
pub mod backoff;
pub mod sink;
pub mod listed;
pub mod journal;
pub mod backfill;
pub mod check;

pub use config::{Config, RetentionTerms, Timescale, TimescaleMode, WriteBy};
pub use error::SinkError;
pub use sink::Sink;
