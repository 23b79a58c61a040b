//! How a thread waits when it has nothing to do, and how another wakes it.
//!
//! Each thread that takes part in a ring owns a [`Bell`]. Whoever gives it something to do (an
//! entry to read, room to write) rings. Ringing a thread that is awake costs a fence and a load;
//! only one that has gone to sleep costs a system call.
//!
//! Invariant: no wake-up is lost. The sleeper says that it sleeps, *then* looks once more; the
//! other side makes its change, *then* looks whether somebody sleeps. With a fence between the two
//! steps on both sides, at least one sees the other.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use serde::Deserialize;

/// What a thread does between two looks at its rings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Waiting {
    /// Looks again at once: the lowest latency, and a core for itself.
    Spin,
    /// Lets others run on its core first.
    Yield,
    /// Sleeps until it is woken.
    Park,
}

/// Bounds what a wake-up from outside the rings (a thread that ended) can go unnoticed.
const PARKED_MAX: Duration = Duration::from_millis(100);

/// Wakes one thread.
#[derive(Debug, Default)]
pub struct Bell {
    asleep: AtomicBool,
    sleeper: OnceLock<Thread>,
}

impl Bell {
    pub fn new() -> Arc<Bell> {
        Arc::default()
    }

    /// Call after the change that the owner may be waiting for.
    #[inline]
    pub fn ring(&self) {
        // Pairs with the fence in `Idle::wait`: the change before, the look at the sleeper after.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        if self.asleep.swap(false, Ordering::Relaxed)
            && let Some(sleeper) = self.sleeper.get()
        {
            sleeper.unpark();
        }
    }
}

/// The waiting of one thread; made on that thread.
#[derive(Debug)]
pub struct Idle {
    waiting: Waiting,
    bell: Arc<Bell>,
}

impl Idle {
    /// The calling thread becomes the one that `bell` wakes, for good.
    pub fn on_this_thread(waiting: Waiting, bell: Arc<Bell>) -> Idle {
        let owner = bell.sleeper.get_or_init(thread::current);
        assert!(owner.id() == thread::current().id(), "Invariant: a bell wakes one thread");
        Idle { waiting, bell }
    }

    /// Returns when it is worth looking again; `ready` says whether it already is.
    #[inline]
    pub fn wait(&self, ready: impl FnOnce() -> bool) {
        match self.waiting {
            Waiting::Spin => std::hint::spin_loop(),
            Waiting::Yield => thread::yield_now(),
            Waiting::Park => {
                self.bell.asleep.store(true, Ordering::Relaxed);
                // Pairs with the fence in `Bell::ring`: say it first, look once more second.
                fence(Ordering::SeqCst);
                if !ready() {
                    thread::park_timeout(PARKED_MAX);
                }
                self.bell.asleep.store(false, Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::time::Instant;

    /// Two threads pass a number to and fro 20,000 times. One lost wake-up costs `PARKED_MAX`, so
    /// more than a few would show.
    #[test]
    fn no_wake_up_is_lost() {
        const ROUNDS: u64 = 20_000;
        let ball = Arc::new(AtomicU64::new(0));
        let bells = [Bell::new(), Bell::new()];
        let player = |parity: u64| {
            let ball = Arc::clone(&ball);
            let (mine, other) =
                (Arc::clone(&bells[parity as usize]), Arc::clone(&bells[1 - parity as usize]));
            thread::spawn(move || {
                let idle = Idle::on_this_thread(Waiting::Park, mine);
                let mut slept = Duration::ZERO;
                loop {
                    let at = ball.load(Ordering::Acquire);
                    if ROUNDS <= at {
                        return slept;
                    }
                    if at % 2 == parity {
                        ball.store(at + 1, Ordering::Release);
                        other.ring();
                    } else {
                        let since = Instant::now();
                        idle.wait(|| {
                            let at = ball.load(Ordering::Acquire);
                            at % 2 == parity || ROUNDS <= at
                        });
                        slept = slept.max(since.elapsed());
                    }
                }
            })
        };
        let players = [player(0), player(1)];
        let began = Instant::now();
        for player in players {
            player.join().unwrap();
        }
        // 20,000 lost wake-ups would take 2,000 s; a handful hides in the noise of a busy machine.
        assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    }

    #[test]
    fn a_thread_that_is_ready_does_not_sleep() {
        let idle = Idle::on_this_thread(Waiting::Park, Bell::new());
        let began = Instant::now();
        for _ in 0..100 {
            idle.wait(|| true);
        }
        assert!(began.elapsed() < PARKED_MAX * 10);
    }
}
