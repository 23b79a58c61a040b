//! Latency and throughput; `README.md` is the method.
//!
//! orderflow ─▶ subject (whose book) ─▶ book (runs)  ─▶ recorder ─▶ report, with machine
//!           └▶ shard/script ─────────▶ shard (runs) ─┘
//!                                       └ clock
//! rest: signed requests ─▶ load ─▶ a whole exchange of real processes
//! history: a year of rows ─▶ the same exchange's database ─▶ questions over REST
//! streams: orders, or frames put into Redis ─▶ the same exchange ─▶ listeners
//! sink: events of real shards ─▶ the sink, and plain inserts ─▶ PostgreSQL
//! outage: commands and a probe ─▶ the same exchange, its database killed ─▶ watch, comparison

pub mod command_line;
pub mod clock;
pub mod cpu_time;
pub mod recorder;
pub mod listing;
pub mod subject;
pub mod engine_book;
pub mod book;
pub mod shard;
pub mod place;
pub mod pace;
pub mod traffic;
pub mod journal;
pub mod archive;
pub mod recovery;
pub mod snapshots;
pub mod queries;
pub mod rest;
pub mod streams;
pub mod sink;
pub mod outage;
pub mod history;
pub mod websockets;
pub mod machine;
pub mod report;
pub mod error;
