//! Hot path. Atomics that let a simulated scheduler in before each operation.

use std::cell::Cell;
use std::sync::atomic::{self, Ordering};

thread_local! {
    static HOOK: Cell<Option<fn()>> = const { Cell::new(None) };
}

/// From now on every operation of the calling thread on ledger and sequence first calls `hook`;
/// `None`: none does.
pub fn set_hook(hook: Option<fn()>) {
    HOOK.set(hook);
}

#[inline]
fn step() {
    if let Some(hook) = HOOK.get() {
        hook();
    }
}

#[derive(Debug, Default)]
pub(crate) struct AtomicU64(atomic::AtomicU64);

impl AtomicU64 {
    pub fn new(value: u64) -> Self {
        AtomicU64(atomic::AtomicU64::new(value))
    }

    #[inline]
    pub fn load(&self, order: Ordering) -> u64 {
        step();
        self.0.load(order)
    }

    #[inline]
    pub fn store(&self, value: u64, order: Ordering) {
        step();
        self.0.store(value, order);
    }

    #[inline]
    pub fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        step();
        self.0.fetch_add(value, order)
    }

    /// In its two halves, as the real one works: others may come between them.
    #[inline]
    pub fn fetch_update(
        &self,
        set: Ordering,
        fetch: Ordering,
        mut update: impl FnMut(u64) -> Option<u64>,
    ) -> Result<u64, u64> {
        let mut found = self.load(fetch);
        while let Some(next) = update(found) {
            step();
            match self.0.compare_exchange(found, next, set, fetch) {
                Ok(before) => return Ok(before),
                Err(changed) => found = changed,
            }
        }
        Err(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    thread_local! {
        static STEPS: Cell<u32> = const { Cell::new(0) };
    }

    #[test]
    fn every_operation_lets_the_hook_in_first() {
        let cell = AtomicU64::new(7);
        set_hook(Some(|| STEPS.set(STEPS.get() + 1)));
        cell.fetch_add(1, Ordering::AcqRel);
        let take = |wanted| {
            cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, |found: u64| {
                found.checked_sub(wanted)
            })
        };
        assert_eq!((take(5), take(5)), (Ok(8), Err(3)));
        assert_eq!(cell.load(Ordering::Acquire), 3);
        set_hook(None);
        assert_eq!(cell.load(Ordering::Acquire), 3);
        assert_eq!(STEPS.get(), 5);
    }
}
