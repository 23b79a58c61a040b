//! REST gateway: verifies, validates, encodes; answers when the engine has decided.
//!
//! ```text
//! server (connections), limits
//!   └─▶ routes ─▶ body, parameters ─▶ caller ─▶ admission ─▶ submission ─▶ link ─▶ Redis
//!                                       │        queries ─────────────────▶ link ─▶ Redis
//!       routes ◀─ order_json            │  ◀───────────────── replies ◀──── link ◀─
//!                                       ├▶ auth, keys: a signature ──────────▶ PostgreSQL
//!                                       └▶ sessions: a cookie, from logins ──▶ PostgreSQL
//! fan-outs ─▶ Redis ─▶ stream_access ─▶ auth, keys, sessions
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
pub mod openapi;
pub mod connections;
pub mod limits;
pub mod caller;
pub mod body;
pub mod parameters;
pub mod auth;
pub mod keys;
pub mod account_keys;
pub mod browser_accounts;
pub mod sign_in_limits;
pub mod passwords;
pub mod logins;
pub mod sessions;
pub mod stream_access;
pub mod faucet;
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
pub mod order_endings;
pub mod null;
pub mod history;
pub mod trade_pages;
pub mod snapshot;
pub mod windows;
pub mod account_rows;
pub mod placements;
pub mod past_orders;
pub mod past_order_rows;
pub mod past_fills;
pub mod transfers;
pub mod chains;
pub mod audit;
pub mod clock;
#[cfg(test)]
mod fixture;
