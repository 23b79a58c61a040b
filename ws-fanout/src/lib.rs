//! Public streams for browsers and bots: Redis pub/sub in, WebSocket frames out.
//!
//! ```text
//! redis ─▶ feed ─▶ topics (hub) ─▶ outbox ─▶ connection ─▶ client
//!                    │    ▲                      │
//!                    ▼    └── subscriptions ◀────┘ requests
//!                 conflate
//! ```
//!
//! **Invariant:** a frame is made at most once per form of its name and shared by all who hear it.
//! **Invariant:** nobody waits for a slow client; a client that cannot keep up is closed.

#![forbid(unsafe_code)]

pub mod config;
pub mod error;
pub mod stream_name;
pub mod close_reason;
pub mod links;
pub mod wire;
pub mod upstream;
pub mod access;
mod feed;
mod hub;
mod audience;
mod sources;
mod continuity;
mod mirror;
mod depth_update;
mod conflate;
mod questions;
mod outstanding;
mod pusher;
mod disconnects;
mod clock;
