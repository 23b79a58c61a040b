//! Streams for browsers and bots: Redis pub/sub in, WebSocket frames out.
//!
//! ```text
//! redis ─▶ feed ─▶ upstream ─▶ worker ─▶ local stream (log) ─▶ peer ─▶ client
//!                    ▲  │        ▲                                   │
//!   replica ◀─ questions│        └── subscriptions ◀── connection ◀──┘ requests
//!                       ▼                                  │
//!                 sources, conflate             access, disconnects ─▶ gateway, engine
//! ```
//!
//! **Invariant:** a frame is made at most once per form of its name and shared by all who hear it.
//! **Invariant:** nobody waits for a slow client; a client that cannot keep up is closed.
//! **Invariant:** of a gapless stream a client hears every frame, or is closed.

#![forbid(unsafe_code)]

pub mod config;
pub mod error;
pub mod server;
pub mod handshake;
pub mod connection;
pub mod allowance;
pub mod requests;
pub mod stream_name;
pub mod worker;
pub mod local_stream;
pub mod stream_log;
pub mod peer;
pub mod wire;
pub mod close_reason;
pub mod links;
pub mod upstream;
mod hub;
mod audience;
mod sources;
mod continuity;
mod depth_update;
mod conflate;
mod feed;
mod questions;
mod pusher;
pub mod access;
mod disconnects;
