//! How the next order is chosen.

pub mod random;
