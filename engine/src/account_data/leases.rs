//! Who listens to which account, for how long, and the numbers of the messages.
//!
//! Invariant: within a life the numbers of one account only rise, and where messages may have been
//! left out between two of them, so is a number.

use std::collections::HashMap;
use std::time::Duration;

use protocol::AccountId;
use protocol::query::{LISTEN_LEASE_MS, Listening};

const LEASE_US: u64 = Duration::from_millis(LISTEN_LEASE_MS).as_micros() as u64;
/// Accounts that are listened to at once: more than all sockets of several fan-outs come to, in a
/// few megabytes.
const LEASES_MAX: usize = 65_536;

#[derive(Debug)]
pub struct Leases {
    /// Of the engine.
    life: u64,
    running: HashMap<AccountId, Lease>,
    /// Above every number that was given under a lease that has been forgotten.
    floor: u64,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    until_us: u64,
    /// Of the last message.
    number: u64,
}

impl Leases {
    pub fn new(life: u64) -> Leases {
        Leases { life, running: HashMap::new(), floor: 0 }
    }

    pub fn life(&self) -> u64 {
        self.life
    }

    pub fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    pub fn covers(&self, account: AccountId) -> bool {
        self.running.contains_key(&account)
    }

    /// From now on the account's messages are numbered and published. `None`: too many are listened
    /// to.
    pub fn listen(&mut self, account: AccountId, now_us: u64) -> Option<Listening> {
        let until_us = now_us.saturating_add(LEASE_US);
        let is_full = self.running.len() == LEASES_MAX;
        let number = match self.running.get_mut(&account) {
            Some(lease) => {
                lease.until_us = until_us;
                lease.number
            }
            None if is_full => return None,
            None => {
                self.running.insert(account, Lease { until_us, number: self.floor });
                self.floor
            }
        };
        Some(Listening { life: self.life, number })
    }

    /// The number of the account's next message; `None`: nobody listens.
    pub fn next_number(&mut self, account: AccountId) -> Option<u64> {
        let lease = self.running.get_mut(&account)?;
        lease.number += 1;
        Some(lease.number)
    }

    /// Forgets what has run out.
    pub fn tick(&mut self, now_us: u64) {
        let (floor, until_max_us) = (&mut self.floor, now_us.saturating_add(LEASE_US));
        self.running.retain(|_, lease| {
            // The clock may have been set back: no lease is longer than a lease.
            lease.until_us = lease.until_us.min(until_max_us);
            let runs = now_us <= lease.until_us;
            if !runs {
                *floor = lease.number.max(*floor).saturating_add(1);
            }
            runs
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica_loop::fixture::account;

    #[test]
    fn a_lease_that_is_prolonged_keeps_its_numbers() {
        let mut leases = Leases::new(7);
        let listening = |number| Some(Listening { life: 7, number });
        assert_eq!(leases.next_number(account(1)), None);
        assert_eq!(leases.listen(account(1), 100), listening(0));
        assert_eq!(leases.next_number(account(1)), Some(1));
        leases.tick(100 + LEASE_US);
        assert_eq!(leases.listen(account(1), 100 + LEASE_US), listening(1));
        leases.tick(100 + 2 * LEASE_US);
        assert_eq!(leases.next_number(account(1)), Some(2));
    }

    #[test]
    fn a_lease_that_ran_out_leaves_out_a_number() {
        let mut leases = Leases::new(7);
        for id in [1, 2] {
            leases.listen(account(id), 100);
        }
        assert_eq!((1..=3).map(|_| leases.next_number(account(1)).unwrap()).last(), Some(3));
        leases.tick(101 + LEASE_US);
        assert!(leases.is_empty());
        let numbers = [1, 2].map(|id| leases.listen(account(id), 200 + LEASE_US).unwrap().number);
        assert!(3 < numbers[0] && 0 < numbers[1], "{numbers:?}");
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_lease_longer() {
        let mut leases = Leases::new(7);
        leases.listen(account(1), 1_000 * LEASE_US);
        leases.tick(50);
        leases.tick(50 + LEASE_US);
        assert!(leases.covers(account(1)));
        leases.tick(51 + LEASE_US);
        assert!(!leases.covers(account(1)));
    }

    #[test]
    fn there_are_only_so_many() {
        let mut leases = Leases::new(7);
        let all = (1..=LEASES_MAX as u32).all(|id| leases.listen(account(id), 5).is_some());
        assert!(all);
        assert_eq!(leases.listen(account(LEASES_MAX as u32 + 1), 5), None);
        assert!(leases.listen(account(1), 5).is_some(), "prolonging needs no room");
    }
}
