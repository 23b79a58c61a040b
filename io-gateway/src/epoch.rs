//! The epoch under which this gateway names its commands: one that no other life of it ever had.
//!
//! It is taken before the first command, from Redis and the engine together, because either may
//! have forgotten: Redis was flushed, or the engine started on another data folder. Whenever one of
//! them shows that it is not the one it was, a new epoch is taken, so that a name under which
//! somebody else's command is remembered is never used.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::keys;
use protocol::query::{AnswerBody, Ask};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::error::ApiError;
use crate::link::EngineLink;

/// Between two attempts while Redis or the engine is away.
const RETRY_AFTER: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub(crate) struct Epochs {
    state: Mutex<State>,
    doubted: Notify,
}

#[derive(Debug, Default)]
struct State {
    current: Option<u32>,
    /// The last one taken by this process; 0 before the first.
    last: u32,
    /// How often the current one has been doubted.
    doubts: u64,
}

impl Epochs {
    /// The one to name commands with; `None` while there is none that is surely ours alone.
    pub fn current(&self) -> Option<u32> {
        self.state().current
    }

    /// From now on a new one is needed.
    pub fn doubt(&self, cause: &'static str) {
        let mut state = self.state();
        if state.current.take().is_some() {
            tracing::info!(epoch = state.last, cause, "taking a new epoch");
        }
        state.doubts += 1;
        drop(state);
        self.doubted.notify_one();
    }

    /// Redis says which epoch was taken last; it should be ours.
    pub fn compare(&self, on_redis: Option<u32>) {
        let current = self.current();
        match (current, on_redis) {
            (Some(ours), None) => self.forgotten(ours, 0),
            (Some(ours), Some(found)) if found < ours => self.forgotten(ours, found),
            // Another life of the gateway has started; ours is still ours alone.
            _ => (),
        }
    }

    fn forgotten(&self, ours: u32, found: u32) {
        tracing::warn!(ours, found, "Redis has forgotten the epoch of this gateway");
        self.doubt("Redis forgot it");
    }

    /// `None` when there is a current one, else which doubt and which last one a new one follows.
    fn wanted(&self) -> Option<(u64, u32)> {
        let state = self.state();
        state.current.is_none().then_some((state.doubts, state.last))
    }

    /// `false` when there were further doubts meanwhile.
    fn take(&self, doubts: u64, epoch: u32) -> bool {
        let mut state = self.state();
        state.last = epoch;
        let holds = state.doubts == doubts;
        state.current = holds.then_some(epoch);
        holds
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EngineLink {
    /// Takes an epoch whenever one is needed, until the process ends.
    pub(crate) async fn keep_epoch(&self) {
        loop {
            let Some((doubts, last)) = self.epochs.wanted() else {
                self.epochs.doubted.notified().await;
                continue;
            };
            if self.connection().is_err() {
                sleep(RETRY_AFTER).await;
                continue;
            }
            match self.take_epoch(last).await {
                Ok(epoch) => {
                    if self.epochs.take(doubts, epoch) {
                        tracing::info!(epoch, gateway = %self.gateway(), "epoch taken");
                    }
                }
                Err(error) => {
                    tracing::warn!(?error, "no epoch could be taken yet");
                    sleep(RETRY_AFTER).await;
                }
            }
        }
    }

    /// One above all that the engine, Redis and this process (`last`) know of.
    async fn take_epoch(&self, last: u32) -> Result<u32, ApiError> {
        let answer = self.ask(Ask::Epoch { gateway: self.gateway() }).await?;
        let AnswerBody::Epoch(known) = answer.body else {
            return Err(ApiError::bug(format_args!("no epoch in {:?}", answer.body)));
        };
        if last != 0 && last < known {
            let gateway = self.gateway();
            tracing::error!(%gateway, ours = last, known, "another gateway runs with this id");
            metrics::counter!("gateway_epoch_conflicts_total").increment(1);
        }
        let mut take = redis::cmd("EVAL");
        take.arg(keys::TAKE_EPOCH).arg(1).arg(keys::epoch(self.gateway())).arg(known.max(last));
        let mut connection = self.connection()?;
        take.query_async(&mut connection).await.map_err(|error| {
            self.note_failure(&error);
            ApiError::maintenance("Redis gave no epoch").because(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_taken_before_a_doubt_does_not_count() {
        let epochs = Epochs::default();
        let (doubts, last) = epochs.wanted().unwrap();
        epochs.doubt("a test");
        assert!(!epochs.take(doubts, 5));
        assert_eq!((last, epochs.current()), (0, None));
        let (doubts, last) = epochs.wanted().unwrap();
        assert_eq!(last, 5, "but it is never taken again");
        assert!(epochs.take(doubts, 6));
        assert_eq!((epochs.current(), epochs.wanted()), (Some(6), None));
    }

    #[test]
    fn redis_that_forgot_our_epoch_makes_us_take_another() {
        let epochs = Epochs::default();
        epochs.compare(None);
        assert!(epochs.take(0, 5), "nothing to forget yet");
        epochs.compare(Some(5));
        epochs.compare(Some(8));
        assert_eq!(epochs.current(), Some(5));
        epochs.compare(Some(4));
        assert_eq!(epochs.current(), None);
        let (doubts, _) = epochs.wanted().unwrap();
        assert!(epochs.take(doubts, 6));
        epochs.compare(None);
        assert_eq!(epochs.current(), None);
    }
}
