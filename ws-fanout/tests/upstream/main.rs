//! The upstream half of the fan-out against a real Redis: what is lost on the way is made up for,
//! or whoever hears it is told.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod world;
mod books;
mod trades;
mod accounts;
mod others;
