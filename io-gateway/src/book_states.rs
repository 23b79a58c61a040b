//! What each market takes, as the engine last said: looked up at most twice a second, and kept
//! while the engine is away.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::{BookState, MarketId};
use tokio::time::Instant;

use crate::queries::Queries;

/// With the way there and back, an answer is at most a second old.
const FRESH: Duration = Duration::from_millis(500);

#[derive(Clone)]
pub struct BookStates {
    queries: Queries,
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    states: HashMap<MarketId, BookState>,
    asked_at: Option<Instant>,
    /// Counts changes of our own making, which an answer under way may not contain.
    changes: u64,
}

impl BookStates {
    pub fn new(queries: Queries) -> Self {
        BookStates { queries, known: Arc::default() }
    }

    /// Asks the engine when what is known is not fresh; who comes meanwhile takes what is known.
    pub async fn refresh(&self) {
        let changes = {
            let mut known = self.known();
            if known.asked_at.is_some_and(|at| at.elapsed() < FRESH) {
                return;
            }
            known.asked_at = Some(Instant::now());
            known.changes
        };
        match self.queries.book_states().await {
            Ok(states) => {
                let mut known = self.known();
                if known.changes == changes {
                    known.states = states.into_iter().collect();
                }
            }
            Err(error) => tracing::debug!(?error, "the states of the books are not known anew"),
        }
    }

    /// Open until the engine has said otherwise.
    pub fn of(&self, market: MarketId) -> BookState {
        self.known().states.get(&market).copied().unwrap_or_default()
    }

    /// The engine has just set it.
    pub fn note(&self, market: MarketId, state: BookState) {
        let mut known = self.known();
        known.states.insert(market, state);
        known.changes += 1;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
