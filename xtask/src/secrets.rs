//! Random secrets: made once, kept in a file that only its owner may read.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{Doing, Result};
use crate::places::{read_if_there, write_private};

pub fn random_bytes<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut source = File::open("/dev/urandom").doing("open /dev/urandom")?;
    source.read_exact(&mut bytes).doing("read /dev/urandom")?;
    Ok(bytes)
}

/// 192 random bits as text that needs no escaping in a URL.
pub fn random_text() -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(random_bytes::<24>()?))
}

/// The secret kept in `path`; the first call makes it.
pub fn kept_in(path: &Path) -> Result<String> {
    if let Some(text) = read_if_there(path)? {
        let secret = text.trim();
        if !secret.is_empty() {
            return Ok(secret.to_owned());
        }
    }
    let secret = random_text()?;
    write_private(path, secret.as_bytes())?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_secret_is_made_once_and_differs_from_the_next() {
        let scratch = Scratch::new("secrets").unwrap();
        let (one, other) = (scratch.path().join("one"), scratch.path().join("other"));
        let secret = kept_in(&one).unwrap();
        assert_eq!(secret.len(), 32);
        assert_eq!(kept_in(&one).unwrap(), secret);
        assert_ne!(kept_in(&other).unwrap(), secret);
    }
}
