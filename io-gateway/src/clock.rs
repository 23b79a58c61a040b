//! The gateway's only reading of the time of day.

pub use service::clock::now_us;

pub fn now_ms() -> u64 {
    now_us() / 1000
}
