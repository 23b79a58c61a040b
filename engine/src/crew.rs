//! The engine's threads as a whole: started by name, watched for their end.
//!
//! No thread may end before the wish to stop, and none by a panic: either ends the process, and the
//! next start recovers from the journal. There is no half-working engine.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, RecvTimeoutError, Sender};

use crate::error::EngineError;
use crate::stop::Stop;

/// How late the wish to stop may be seen here.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long after a thread whose neighbour went away that one may take to say why it did.
const CAUSE_WITHIN: Duration = Duration::from_secs(1);

pub struct Crew {
    running: BTreeSet<String>,
    sender: Sender<Exit>,
    exits: Receiver<Exit>,
}

struct Exit {
    name: String,
    /// `None`: it panicked.
    outcome: Option<Result<(), EngineError>>,
}

/// Reports the end of a thread, whatever way it ends.
struct Notice {
    name: String,
    outcome: Option<Result<(), EngineError>>,
    sender: Sender<Exit>,
}

impl Drop for Notice {
    fn drop(&mut self) {
        let exit = Exit { name: std::mem::take(&mut self.name), outcome: self.outcome.take() };
        if self.sender.send(exit).is_err() {
            tracing::debug!("a thread outlived the crew");
        }
    }
}

/// Ends of threads that are told and not yet heard.
const REPORTS_MAX: usize = 64;

impl Default for Crew {
    fn default() -> Self {
        Crew::new()
    }
}

impl Crew {
    pub fn new() -> Crew {
        // Each thread reports once, as its last act: when there is no room, it waits for its turn.
        let (sender, exits) = channel::bounded(REPORTS_MAX);
        Crew { running: BTreeSet::new(), sender, exits }
    }

    pub fn spawn(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<(), EngineError> + Send + 'static,
    ) -> Result<(), EngineError> {
        let notice = Notice { name: name.to_owned(), outcome: None, sender: self.sender.clone() };
        let run = move || {
            // Owned here, so that it is dropped with this thread's stack also by a panic.
            let mut notice = notice;
            notice.outcome = Some(work());
        };
        let spawned = thread::Builder::new().name(name.to_owned()).spawn(run);
        spawned.map_err(|cause| EngineError::Thread { name: name.to_owned(), cause })?;
        self.running.insert(name.to_owned());
        Ok(())
    }

    /// How many threads there are.
    pub fn count(&self) -> usize {
        self.running.len()
    }

    /// Returns when all threads have ended after the wish to stop. Errors: one ended otherwise, or
    /// not in time; the process must end.
    pub fn watch(mut self, stop: &Stop, drain_max: Duration) -> Result<(), EngineError> {
        let mut drained_by = None;
        while !self.running.is_empty() {
            if stop.is_wished() {
                let by = *drained_by.get_or_insert_with(|| Instant::now() + drain_max);
                if by <= Instant::now() {
                    let names = self.running.into_iter().collect::<Vec<_>>().join(", ");
                    let drain_ms_max = u64::try_from(drain_max.as_millis()).unwrap_or(u64::MAX);
                    return Err(EngineError::Drain { drain_ms_max, names });
                }
            }
            let Exit { name, outcome } = match self.exits.recv_timeout(LOOK_EVERY) {
                Ok(exit) => exit,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            self.running.remove(&name);
            match outcome {
                Some(Ok(())) if !stop.is_wished() => return Err(self.cause_of(name)),
                Some(Ok(())) => tracing::debug!(thread = name, "drained"),
                failed => return failure(name, failed),
            }
        }
        Ok(())
    }

    /// Why a thread ended by itself: mostly because another failed and took its end of a queue with
    /// it, which is heard of only afterwards.
    fn cause_of(&self, name: String) -> EngineError {
        let until = Instant::now() + CAUSE_WITHIN;
        while let Ok(exit) = self.exits.recv_deadline(until) {
            if let Err(cause) = failure(exit.name, exit.outcome) {
                return cause;
            }
        }
        EngineError::EndedEarly { name }
    }
}

fn failure(name: String, outcome: Option<Result<(), EngineError>>) -> Result<(), EngineError> {
    match outcome {
        None => Err(EngineError::Panicked { name }),
        Some(Err(cause)) => Err(EngineError::Failed { name, cause: Box::new(cause) }),
        Some(Ok(())) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    #[test]
    fn a_panic_is_reported_with_the_name_of_its_thread() {
        let mut crew = Crew::new();
        crew.spawn("shard-7", || panic!("for the test")).unwrap();
        let error = crew.watch(&Stop::default(), SOON).unwrap_err();
        assert!(matches!(error, EngineError::Panicked { name } if name == "shard-7"));
    }

    #[test]
    fn a_thread_that_ends_unasked_is_an_error_and_one_that_drains_is_not() {
        let stop = Stop::default();
        let mut crew = Crew::new();
        crew.spawn("journal", || Ok(())).unwrap();
        let error = crew.watch(&stop, SOON).unwrap_err();
        assert!(matches!(error, EngineError::EndedEarly { .. }));
        let mut crew = Crew::new();
        let inner = stop.clone();
        crew.spawn("journal", move || {
            inner.sleep(SOON);
            Ok(())
        })
        .unwrap();
        stop.wish();
        crew.watch(&stop, SOON).unwrap();
    }

    #[test]
    fn whoever_failed_is_named_and_not_a_neighbour_that_ended_with_it() {
        let mut crew = Crew::new();
        let (gone, is_gone) = channel::bounded::<()>(1);
        crew.spawn("shard-0", move || {
            assert!(is_gone.recv().is_err());
            Ok(())
        })
        .unwrap();
        crew.spawn("journal", move || {
            drop(gone);
            // As a thread that still puts its things away when the other has ended.
            thread::sleep(2 * LOOK_EVERY);
            Err(EngineError::EndedEarly { name: "the disk".to_owned() })
        })
        .unwrap();
        let error = crew.watch(&Stop::default(), SOON).unwrap_err();
        assert!(matches!(error, EngineError::Failed { name, .. } if name == "journal"));
    }

    #[test]
    fn a_thread_that_does_not_drain_is_named() {
        let (stop, hold) = (Stop::default(), Stop::default());
        stop.wish();
        let mut crew = Crew::new();
        let inner = hold.clone();
        crew.spawn("replies", move || {
            inner.sleep(SOON);
            Ok(())
        })
        .unwrap();
        let error = crew.watch(&stop, Duration::from_millis(1)).unwrap_err();
        assert!(error.to_string().contains("replies"));
        hold.wish();
    }
}
