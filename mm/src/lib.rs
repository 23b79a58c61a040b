//! Market maker: random orders around the mid, through the same queue as everybody.
//!
//! ```text
//! bookTicker@M ─▶ market_view ─▶ fair_price ─▶ strategies ─▶ limits ─▶ submit ─▶ orders:{M}
//!                                                              ▲
//! replies:900 ─────────────▶ own_orders, funds ────────────────┘
//! ```
//!
//! [`maker::Maker`] decides and does no I/O; [`runner`] feeds it from Redis and sends what it asks.

#![forbid(unsafe_code)]

pub mod config;
pub mod error;
pub mod runner;
pub mod link;
pub mod maker;

pub mod market_view;
pub mod fair_price;
pub mod strategies;
pub mod limits;
pub mod submit;
pub mod own_orders;
pub mod funds;
