//! Redis and PostgreSQL for one stack alone: on loopback, on ports of their own, with their data
//! in the stack's folder. A test that needs only one of them starts it as a [`Server`].

pub mod redis;
pub mod postgres;
pub mod server;

pub use postgres::{Durability, PrivatePostgres};
pub use redis::PrivateRedis;
pub use server::Server;
