//! Who waits for which answer: a bounded map from a number of ours to the one that asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

#[derive(Debug)]
pub struct Outstanding<A> {
    slots: Mutex<HashMap<u64, oneshot::Sender<A>>>,
    /// The number given out last.
    last: AtomicU64,
    waiting_max: usize,
}

/// One place in the map; given back when dropped.
#[derive(Debug)]
pub struct Ticket<'a, A> {
    pub number: u64,
    outstanding: &'a Outstanding<A>,
    answer: oneshot::Receiver<A>,
}

impl<A> Outstanding<A> {
    pub fn new(waiting_max: usize) -> Self {
        Outstanding { slots: Mutex::default(), last: AtomicU64::new(0), waiting_max }
    }

    /// `None` when as many wait already as may.
    pub fn register(&self) -> Option<Ticket<'_, A>> {
        let (sender, answer) = oneshot::channel();
        let mut slots = self.slots();
        if self.waiting_max <= slots.len() {
            return None;
        }
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        slots.insert(number, sender);
        Some(Ticket { number, outstanding: self, answer })
    }

    /// Hands the answer to who waits for it, if anybody does.
    pub fn resolve(&self, number: u64, answer: A) {
        if let Some(sender) = self.slots().remove(&number)
            && sender.send(answer).is_err()
        {
            tracing::debug!(number, "an answer came just too late");
        }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<A>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> Ticket<'_, A> {
    /// Cancel safe: a dropped ticket leaves nothing behind.
    pub async fn answer(mut self) -> Option<A> {
        (&mut self.answer).await.ok()
    }
}

impl<A> Drop for Ticket<'_, A> {
    fn drop(&mut self) {
        self.outstanding.slots().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_bounded_and_given_back() {
        let outstanding = Outstanding::new(1);
        let ticket = outstanding.register().unwrap();
        assert!(outstanding.register().is_none());
        outstanding.resolve(ticket.number + 1, 'x');
        outstanding.resolve(ticket.number, 'a');
        assert_eq!(ticket.answer().await, Some('a'));
        drop(outstanding.register().unwrap());
        assert!(outstanding.register().is_some());
    }
}
