//! REST gateway: verifies, validates, encodes; answers when the engine has decided.
//!
//! ```text
//! server ─▶ routes ─▶ body, parameters ─▶ auth (keys) ─▶ admission ─▶ submission ─▶ link ─▶ Redis
//!                                                        queries ──────────────────▶ link ─▶ Redis
//!           routes ◀─ order_json ◀──────────────────────────────────── replies ◀── link ◀─ Redis
//! ```
//!
//! Invariants: a command is sent again only under its own name, and only while its client waits;
//! nothing is sent whose reply could not be heard; no request waits longer than its deadlines; what
//! a client wrote is exact or refused.

#![forbid(unsafe_code)]

pub mod config;
pub mod error;
pub mod app;
pub mod server;
pub mod routes;
pub mod body;
pub mod parameters;
pub mod auth;
pub mod keys;
pub mod market_terms;
pub mod admission;
pub mod submission;
pub mod outstanding;
pub mod resend;
pub mod queries;
pub mod book_states;
pub mod waiting;
pub mod link;
pub mod epoch;
pub mod replies;
pub mod order_json;
pub mod history;
pub mod past_orders;
pub mod audit;
pub mod clock;
#[cfg(test)]
mod fixture;
