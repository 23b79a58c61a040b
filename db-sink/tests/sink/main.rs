//! The sink against a real PostgreSQL and a real Redis, both private and on free ports.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail by panicking, as it does")]

mod servers;
mod story;
mod lives;
mod running;
mod engine;
mod database;
mod deliveries;
mod queue;
mod refill;
mod process;
mod retention;
mod listing;
mod backfill;
mod check;

/// A seed nobody chose, unless `EXCHANGE_TEST_SEED` names the one of a failure to repeat.
fn seed() -> u64 {
    let chosen = std::env::var("EXCHANGE_TEST_SEED").ok().map(|text| text.parse().unwrap());
    let seed = chosen.unwrap_or_else(|| chrono::Utc::now().timestamp_micros().unsigned_abs());
    println!("EXCHANGE_TEST_SEED={seed}");
    seed
}
