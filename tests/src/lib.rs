//! What the scenarios are told with: a private exchange of real processes, its clients, its
//! listeners, its database, and the books an auditor would keep beside it.
//!
//! Everything here sees the exchange through its public surfaces alone. A helper that finds
//! something wrong panics: the scenario that called it has failed.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it stands")]

pub mod world;
pub mod lane;
pub mod eventually;

pub mod client;
pub mod browser;
pub mod foreign;
pub mod beside;
pub mod second_gateway;
pub mod second_fanout;
pub mod book_table;
pub mod wire;
pub mod socket;
pub mod channel;
pub mod depth_book;
pub mod book_keeper;
pub mod order_updates;
pub mod database;
pub mod listing;

pub mod malformed;
pub mod bulk;
pub mod stream_crowd;
pub mod order_storm;
pub mod prober;
pub mod metrics;
pub mod memory;
pub mod small_disk;
pub mod failing_sync;
pub mod false_clock;

pub mod acknowledged;
pub mod told;
pub mod saver;
pub mod tape;
pub mod audit;
pub mod conservation;
pub mod history;
pub mod crowd;
pub mod torture;
