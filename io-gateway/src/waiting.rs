//! Who waits for which reply: a bounded map from a number of ours to the one that asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::error::ApiError;

#[derive(Debug)]
pub struct Waiting<T> {
    slots: Mutex<HashMap<u64, oneshot::Sender<T>>>,
    /// The number given out last; they count from 1 in each life of the process.
    last: AtomicU64,
    waiting_max: usize,
}

/// One place in the map. Given back when dropped, so that who hung up or lost patience leaves none.
#[derive(Debug)]
pub struct Ticket<'a, T> {
    pub number: u64,
    waiting: &'a Waiting<T>,
    reply: oneshot::Receiver<T>,
}

impl<T> Waiting<T> {
    pub fn new(waiting_max: usize) -> Self {
        Waiting { slots: Mutex::default(), last: AtomicU64::new(0), waiting_max }
    }

    /// Refused when as many wait already as may.
    pub fn register(&self) -> Result<Ticket<'_, T>, ApiError> {
        let (sender, reply) = oneshot::channel();
        let mut slots = self.slots();
        if self.waiting_max <= slots.len() {
            return Err(ApiError::overloaded());
        }
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        slots.insert(number, sender);
        Ok(Ticket { number, waiting: self, reply })
    }

    /// Hands `reply` to who waits for it; `false` when nobody does any more.
    pub fn resolve(&self, number: u64, reply: T) -> bool {
        let sender = self.slots().remove(&number);
        sender.is_some_and(|sender| sender.send(reply).is_ok())
    }

    pub fn len(&self) -> usize {
        self.slots().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<T>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Ticket<'_, T> {
    /// The reply, unless it is not here by `deadline`.
    pub async fn reply(mut self, deadline: Instant) -> Result<T, ApiError> {
        match timeout_at(deadline, &mut self.reply).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) | Err(_) => Err(ApiError::timeout()),
        }
    }
}

impl<T> Drop for Ticket<'_, T> {
    fn drop(&mut self) {
        self.waiting.slots().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + std::time::Duration::from_millis(10)
    }

    #[tokio::test]
    async fn a_reply_finds_who_waits_for_it() {
        let waiting = Waiting::new(2);
        let (first, second) = (waiting.register().unwrap(), waiting.register().unwrap());
        assert_eq!((first.number, second.number), (1, 2));
        assert!(waiting.resolve(2, "two") && waiting.resolve(1, "one"));
        assert!(!waiting.resolve(1, "again"));
        assert_eq!(first.reply(soon()).await, Ok("one"));
        assert_eq!(second.reply(soon()).await, Ok("two"));
    }

    #[tokio::test]
    async fn a_full_map_refuses_and_a_lost_patience_frees_a_place() {
        let waiting: Waiting<()> = Waiting::new(1);
        let ticket = waiting.register().unwrap();
        assert_eq!(waiting.register().unwrap_err(), ApiError::overloaded());
        assert_eq!(ticket.reply(soon()).await, Err(ApiError::timeout()));
        assert!(waiting.is_empty());
        assert!(waiting.register().is_ok());
    }
}
