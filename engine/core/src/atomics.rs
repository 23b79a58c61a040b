//! Hot path. The one home of the atomics that shards share: cells of the ledger, the sequence.
//!
//! Ordinarily they are the processor's own. Under `cfg(loom)` they are those of the model checker,
//! which tries every interleaving (`tests/model.rs`). Under the feature `simulation` every single
//! operation first calls a hook of its thread, where a simulated scheduler may let another shard
//! go on; without a hook they are the processor's own again.

#[cfg(all(feature = "simulation", not(loom)))]
pub mod hooked;

#[cfg(loom)]
pub(crate) use loom::sync::atomic::AtomicU64;
#[cfg(not(any(feature = "simulation", loom)))]
pub(crate) use std::sync::atomic::AtomicU64;
pub(crate) use std::sync::atomic::Ordering;

#[cfg(all(feature = "simulation", not(loom)))]
pub(crate) use hooked::AtomicU64;
