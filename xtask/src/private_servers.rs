//! Redis and PostgreSQL for one stack alone: on loopback, on ports of their own, with their data
//! in the stack's folder.

pub mod redis;
pub mod postgres;

pub use postgres::{Durability, PrivatePostgres};
pub use redis::PrivateRedis;
