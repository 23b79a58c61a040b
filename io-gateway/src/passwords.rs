//! Passwords: argon2id, one hash at a time for every two cores, off the runtime's own threads.
//!
//! Invariant: a look at a password costs one hash whether or not anybody has it, so that the time
//! taken does not tell which e-mail addresses are registered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::error::ApiError;

/// How long one waits for its turn before it is turned away.
const TURN_MAX: Duration = Duration::from_secs(3);

/// No password has this hash; its parameters are those of every hash made here.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA\
                      $AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[derive(Debug)]
pub struct Passwords {
    /// A hash takes one core and 19 MiB for some tens of milliseconds.
    turns: Arc<Semaphore>,
    hashes: Arc<AtomicU64>,
}

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = Arc::new(Semaphore::new((cores / 2).max(1)));
        Passwords { turns, hashes: Arc::default() }
    }
}

impl Passwords {
    /// How many hashes were computed since the start.
    pub fn hashes(&self) -> u64 {
        self.hashes.load(Ordering::Relaxed)
    }

    /// As it is kept: a PHC string with its own salt.
    pub async fn hash(&self, password: String) -> Result<String, ApiError> {
        let hashed = self.in_turn(move || {
            Argon2::default().hash_password(password.as_bytes()).map(|hash| hash.to_string())
        });
        hashed.await?.map_err(ApiError::bug)
    }

    /// Whether it is the password of `kept`; never that of nobody.
    pub async fn verify(&self, password: String, kept: Option<&str>) -> Result<bool, ApiError> {
        let kept = kept.unwrap_or(NOBODY).to_owned();
        let verified = self
            .in_turn(move || Argon2::default().verify_password(password.as_bytes(), kept.as_str()));
        match verified.await? {
            Ok(()) => Ok(true),
            Err(Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(ApiError::bug(error)),
        }
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let turn = timeout(TURN_MAX, Arc::clone(&self.turns).acquire_owned()).await;
        let Ok(Ok(turn)) = turn else { return Err(ApiError::overloaded()) };
        let hashes = Arc::clone(&self.hashes);
        let done = tokio::task::spawn_blocking(move || {
            hashes.fetch_add(1, Ordering::Relaxed);
            let done = work();
            // Here and not with the caller, who may be gone long before.
            drop(turn);
            done
        });
        done.await.map_err(ApiError::bug)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_its_own_password_fits_a_hash_and_none_fits_nobody_s() {
        let passwords = Passwords::default();
        let kept = passwords.hash("correct horse".to_owned()).await.unwrap();
        let other = passwords.hash("correct horse".to_owned()).await.unwrap();
        assert_ne!(kept, other, "each has its own salt");
        assert_eq!(passwords.verify("correct horse".to_owned(), Some(&kept)).await, Ok(true));
        assert_eq!(passwords.verify("correct horsf".to_owned(), Some(&kept)).await, Ok(false));
        assert_eq!(passwords.verify("correct horse".to_owned(), None).await, Ok(false));
        assert_eq!(passwords.hashes(), 5);
        let parameters = |hash: &str| hash.rsplitn(3, '$').last().map(str::to_owned);
        assert_eq!(parameters(&kept), parameters(NOBODY), "nobody's costs as much");
    }
}
