//! The sink against TimescaleDB, which runs in WebAssembly (`server.rs`): hypertables, compression,
//! late rows, retention, and the whole write path. Left out, with a line that says so, where npm or
//! its registry cannot be reached.
//!
//! What this build cannot show: COPY (so rows go in by INSERT here), several connections at once,
//! deadlines of statements, background workers, a licence without compression, crashes, speed.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as it does")]

mod server;
#[allow(dead_code, reason = "the tests on plain tables use all of it")]
#[path = "../sink/story.rs"]
mod story;
#[path = "../sink/lives.rs"]
mod lives;
mod turning_on;
mod writing;
mod compression;
mod retention;
