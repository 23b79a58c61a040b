//! What `cargo xtask` does, as a library: set-up, a one-machine stack of real processes, the test
//! suite. The scenario tests start their stacks with it too.
//!
//! Knows the services from outside only: by their flags, their ports and their signals.

#![forbid(unsafe_code)]

pub mod cli;
pub mod setup;
pub mod tools;
pub mod artifacts;
pub mod up;
pub mod operate;
pub mod suite;
pub mod clients;
pub mod advisories;
pub mod simulate;
pub mod torture;
pub mod order;

pub mod stack;
pub mod services;
pub mod private_servers;
pub mod accounts;
pub mod client;
pub mod signing;
pub mod naive_candles;

pub mod record;
pub mod process;
pub mod readiness;
pub mod http;
pub mod places;
pub mod ports;
pub mod secrets;
pub mod scratch;
pub mod interrupt;
pub mod error;

pub use error::{Result, XtaskError};
