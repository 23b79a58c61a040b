//! What a gapless source does while it does not stand where its channel does: it asks the replica,
//! and holds back what is published meanwhile.

use std::time::Duration;

use protocol::query::Ask;
use tokio::time::Instant;

use super::{Act, Moment};

/// How long listeners are left in the dark before they are sent away: longer than a restart of the
/// engine takes, and not so long that somebody trades on a book that stands still for ever.
const DARK_MAX: Duration = Duration::from_secs(60);
/// Messages held back; more are let go, which shows as another gap and makes it ask once more.
const HELD_MAX: usize = 4096;

#[derive(Debug)]
pub struct CatchingUp<M> {
    since: Instant,
    /// Of the question that is on its way.
    attempt: Option<u64>,
    held: Vec<M>,
}

impl<M> CatchingUp<M> {
    pub fn new(at: Moment<'_>) -> Self {
        CatchingUp { since: at.now, attempt: None, held: Vec::new() }
    }

    /// What was asked or held back before has no meaning any more.
    pub fn restart(&mut self) {
        self.attempt = None;
        self.held.clear();
    }

    pub fn hold(&mut self, message: M) {
        if self.held.len() == HELD_MAX {
            self.held.clear();
        }
        self.held.push(message);
    }

    pub fn first_held(&self) -> Option<&M> {
        self.held.first()
    }

    pub fn into_held(self) -> Vec<M> {
        self.held
    }

    pub fn is_asking(&self) -> bool {
        self.attempt.is_some()
    }

    /// `attempts` counts the questions of the source.
    pub fn ask(&mut self, ask: Ask, attempts: &mut u64, acts: &mut Vec<Act>) {
        *attempts += 1;
        self.attempt = Some(*attempts);
        acts.push(Act::Ask { attempt: *attempts, ask });
    }

    /// Whether this was the answer that is waited for; then none is any more.
    pub fn takes(&mut self, attempt: u64) -> bool {
        let takes = self.attempt == Some(attempt);
        if takes {
            self.attempt = None;
        }
        takes
    }

    /// Whether it has taken too long; then it begins anew to count.
    pub fn is_over(&mut self, at: Moment<'_>) -> bool {
        let is_over = DARK_MAX <= at.now.duration_since(self.since);
        if is_over {
            self.since = at.now;
        }
        is_over
    }
}
