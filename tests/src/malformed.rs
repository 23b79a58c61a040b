//! Requests that no honest client sends: each has at least one thing wrong with it, and all else
//! right, the signature above all, so that it gets as far as it can.

mod request;
mod flaws;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use xtask::signing::KeyPair;

pub use request::Request;

/// What a request is made with.
pub struct Forge {
    random: StdRng,
    /// Of an account that could trade.
    keys: KeyPair,
    host: String,
}

impl Forge {
    pub fn new(seed: u64, keys: &KeyPair, rest_url: &str) -> Forge {
        let host = rest_url.trim_start_matches("http://").to_owned();
        Forge { random: StdRng::seed_from_u64(seed), keys: keys.clone(), host }
    }

    /// The next request as bytes, and the name of what is wrong with it.
    pub fn forge(&mut self) -> (&'static str, Vec<u8>) {
        // A body of two mebibytes takes as long as a hundred other requests.
        let rare = self.random.random_range(0..200) == 0;
        let (name, flaw) = match rare {
            true => flaws::RARE,
            false => *self.one_of(flaws::ALL),
        };
        let request = flaw(self);
        (name, request.bytes(&self.keys, &self.host))
    }

    fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.random.random_range(0..choices.len())]
    }

    fn word(&mut self, choices: &[&'static str]) -> &'static str {
        choices[self.below(choices.len())]
    }

    fn below(&mut self, end: usize) -> usize {
        self.random.random_range(0..end)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.random.random_range(0..=255)).collect()
    }
}
