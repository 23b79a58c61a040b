//! Who waits for which answer: a bounded map from a number of ours to the one that asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

#[derive(Debug)]
pub struct Waiting<A> {
    slots: Mutex<HashMap<u64, oneshot::Sender<A>>>,
    /// The number given out last; they count from 1 in each life of the process.
    last: AtomicU64,
    waiting_max: usize,
}

/// One place in the map. Given back when dropped, so that who hung up or lost patience leaves none.
#[derive(Debug)]
pub struct Ticket<'a, A> {
    pub number: u64,
    waiting: &'a Waiting<A>,
    answer: oneshot::Receiver<A>,
}

impl<A> Waiting<A> {
    pub fn new(waiting_max: usize) -> Self {
        Waiting { slots: Mutex::default(), last: AtomicU64::new(0), waiting_max }
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
        Some(Ticket { number, waiting: self, answer })
    }

    /// Hands the answer to who waits for it; `false` when nobody does any more.
    pub fn resolve(&self, number: u64, answer: A) -> bool {
        let sender = self.slots().remove(&number);
        sender.is_some_and(|sender| sender.send(answer).is_ok())
    }

    pub fn len(&self) -> usize {
        self.slots().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
        self.waiting.slots().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_bounded_and_given_back() {
        let waiting = Waiting::new(1);
        let ticket = waiting.register().unwrap();
        assert!(waiting.register().is_none());
        assert!(!waiting.resolve(ticket.number + 1, 'x'));
        assert!(waiting.resolve(ticket.number, 'a'));
        assert_eq!(ticket.answer().await, Some('a'));
        drop(waiting.register().unwrap());
        assert!(waiting.register().is_some());
    }
}
