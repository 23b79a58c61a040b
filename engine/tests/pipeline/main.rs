//! The whole engine against a Redis of its own: commands in, replies and events out, over restarts
//! and losses of either.

#![allow(clippy::unwrap_used, reason = "a test's helpers panic as its tests do")]

mod world;
mod trading;
mod listing;
mod resent;
mod lost_redis;
mod event_queues;
mod refills;
mod snapshots;
