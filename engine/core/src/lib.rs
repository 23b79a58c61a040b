//! Matching, ledger and replica: pure and synchronous, (state, command) → events.
//!
//! It never reads a clock, draws a random number, opens a file or a socket: time comes with the
//! command, everything else is an argument.

#![forbid(unsafe_code)]

pub mod shard;
mod again;
pub mod sequencer;
pub mod ledger;
pub mod digest;
pub mod touched;
pub mod recognition;
pub mod atomics;
pub mod matching;
pub mod book;
mod placing;
mod amending;
mod triggering;
mod rules;
mod market;
mod transfers;
mod listings;
pub mod cancel_after;
pub mod state;
pub mod replica;

pub use again::Again;
pub use ledger::Ledger;
pub use sequencer::Sequencer;
pub use shard::{Input, NewMarket, RestoreError, Shard, ShardLimits};
pub use state::{AccountsState, Direction, MarketState, TransferRecord};
