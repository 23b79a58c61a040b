//! Who waits for which reply ([`service::waiting`]), with what a client is told who waits in vain.

use service::waiting;
use tokio::time::{Instant, timeout_at};

use crate::error::ApiError;

#[derive(Debug)]
pub struct Waiting<T>(waiting::Waiting<T>);

#[derive(Debug)]
pub struct Ticket<'a, T> {
    pub number: u64,
    place: waiting::Ticket<'a, T>,
}

impl<T> Waiting<T> {
    pub fn new(waiting_max: usize) -> Self {
        Waiting(waiting::Waiting::new(waiting_max))
    }

    /// Refused when as many wait already as may.
    pub fn register(&self) -> Result<Ticket<'_, T>, ApiError> {
        let place = self.0.register().ok_or_else(ApiError::overloaded)?;
        Ok(Ticket { number: place.number, place })
    }

    /// Hands `reply` to who waits for it; `false` when nobody does any more.
    pub fn resolve(&self, number: u64, reply: T) -> bool {
        self.0.resolve(number, reply)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T> Ticket<'_, T> {
    /// The reply, unless it is not here by `deadline`.
    pub async fn reply(self, deadline: Instant) -> Result<T, ApiError> {
        let reply = timeout_at(deadline, self.place.answer()).await;
        reply.ok().flatten().ok_or_else(ApiError::timeout)
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
