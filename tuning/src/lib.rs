//! What the machine is like and where the engine's threads belong on it.
//!
//! /sys, /proc ─▶ topology (reads) ─▶ plan (pure) ─▶ report ─▶ stdout
//!                exchange.toml ─▶ config ─┘
//!
//! Invariant: nothing here changes the machine.

pub mod cpu_list;
pub mod cgroup;
pub mod topology;
pub mod config;
pub mod plan;
pub mod remarks;
pub mod report;
pub mod error;
