//! Deterministic order-flow workloads for one market's price-time-priority limit order book, and a
//! simple reference book that says what the right outcome of each flow is. See `README.md`.
//!
//! rng ─▶ generator ─▶ mix, flows ─▶ format (commands, files) ─▶ book (reference) ─▶ digest

pub mod rng;
mod generator;
mod mix;
pub mod flows;
pub mod format;
pub mod book;
pub mod digest;

pub use book::{RefBook, Trade};
pub use digest::{Digest, expected_row};
pub use flows::{FLOWS, generate};
pub use format::{Command, Flow, Kind, Side};

/// Seed that the published digests belong to.
pub const DEFAULT_SEED: u64 = 1;
