//! The sink against a real PostgreSQL and a real Redis, both private and on free ports.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as it does")]

mod servers;
mod story;
mod running;
mod engine;
mod database;
mod queue;
mod refill;
mod process;
mod listing;
mod backfill;
