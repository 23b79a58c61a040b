//! What accounts are told of applied frames, as far as somebody listens to them.

pub mod leases;
