//! The engine's own code over a simulated disk, Redis, clock and scheduler, all moved by one seed.
//!
//! ```text
//! gateways ─▶ SimRedis ─▶ ingress ═▶ shards ═▶ journal ─▶ SimDisk     power cuts, kills, failed
//!     ▲                              (baton)     │                    syncs, full disks, flipped
//!     └────────────── replies ◀──────────────────┼─▶ replica          bits, fail-overs, flushes,
//!                     consumers ◀── events ◀─────┘   snapshots        lost answers, late commands
//! ```
//!
//! After each crash the engine starts on what the disk kept, and is compared with a history that
//! never crashed: nothing acknowledged is missing, nothing happened twice, nothing came from
//! nowhere, and who reads the event streams saw every frame once and in order. A run depends on its
//! seed alone, so a seed that fails, fails again.

#![forbid(unsafe_code)]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a simulation fails where it stands")]

pub mod run;
pub mod plan;
pub mod world;
pub mod crashes;
pub mod trace;

pub mod life;
pub mod egress;
pub mod snapshots;
pub mod baton;

pub mod workload;
pub mod gateway;
pub mod consumer;

pub mod history;
pub mod violation;
pub mod variant;

pub mod disk;
pub mod redis;
pub mod listing;
