//! Latency and throughput. Today: one book on one thread; `README.md` is the method.
//!
//! orderflow ─▶ subject (whose book) ─▶ book (runs) ─▶ recorder ─▶ report, with machine
//!                                       └ clock

pub mod clock;
pub mod recorder;
pub mod subject;
pub mod engine_book;
pub mod book;
pub mod machine;
pub mod report;
pub mod error;
