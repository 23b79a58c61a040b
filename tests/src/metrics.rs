//! What a service counts, as its operations endpoint tells it.

use xtask::http;

use crate::eventually::SECOND;
use crate::world::World;

/// The counter's sum over all its labels; 0 while it has counted nothing.
pub fn counted(world: &World, service: &str, counter: &str) -> u64 {
    let url = format!("{}/metrics", world.stack().ops_url(service).unwrap());
    let (status, text) = http::get(&url, 10 * SECOND).unwrap();
    assert_eq!(status, 200, "{text}");
    let value = |line: &str| -> Option<u64> {
        let rest = line.strip_prefix(counter)?;
        let is_it = rest.starts_with([' ', '{']);
        let number = rest.rsplit(' ').next().filter(|_| is_it)?;
        Some(number.parse().unwrap())
    };
    text.lines().filter_map(value).sum()
}
