//! The recalls thread: first answers that are only on disk any more.
//!
//! A command that comes again is answered what it was answered the first time. That frame is mostly
//! in memory, where the replies thread finds it; after a restart, or a long time, it is read from
//! the journal here, so that no other reply waits for the disk. When the journal does not have it
//! any more, the *recognised* frame goes out: it says that the command was decided, and when.

use crossbeam::channel::Receiver;
use protocol::{Frame, Sequence};

use super::Broadcast;
use super::replies::{Letters, is_answer_to};
use crate::error::{EngineError, JournalError};
use crate::journal::follow::Follower;

/// Looked up in one pass over the journal.
const PASS_MAX: usize = 4096;

/// A frame whose command had been decided before.
#[derive(Debug)]
pub struct Recall {
    /// By this frame.
    pub first: Sequence,
    pub recognised: Vec<u8>,
}

pub struct Recalls {
    pub requests: Receiver<Recall>,
    pub follower: Follower,
    pub broadcast: Broadcast,
}

impl Recalls {
    /// Runs until the replies thread has ended and everything is sent.
    pub fn run(mut self) -> Result<(), EngineError> {
        let mut letters = Letters::default();
        while let Ok(recall) = self.requests.recv() {
            let mut recalls = vec![recall];
            recalls.extend(self.requests.try_iter().take(PASS_MAX - 1));
            // In the order of the journal, which is then read forwards only.
            recalls.sort_by_key(|recall| recall.first);
            for recall in &recalls {
                self.answer(recall, &mut letters)?;
            }
            let broadcast = &mut self.broadcast;
            letters.send_rest(|channel, frames| broadcast.push(channel.as_bytes(), frames));
            broadcast.flush();
        }
        Ok(())
    }

    fn answer(&mut self, recall: &Recall, letters: &mut Letters) -> Result<(), EngineError> {
        let first = recall.first;
        let decode = |cause| EngineError::Decode { after: Sequence(first.0 - 1), cause };
        let recognised = Frame::parse(&recall.recognised).map_err(decode)?;
        let page = match self.follower.page(first, first, 1) {
            Ok(page) => page,
            Err(error) => {
                report(first, &error);
                None
            }
        };
        let found = match &page {
            Some(page) => Some(Frame::parse(&page.frames).map_err(decode)?),
            None => None,
        };
        let answer = found.filter(|found| is_answer_to(&recognised, found)).unwrap_or(recognised);
        let broadcast = &mut self.broadcast;
        letters.add(&answer, |channel, frames| broadcast.push(channel.as_bytes(), frames));
        if broadcast.is_full() {
            broadcast.flush();
        }
        Ok(())
    }
}

fn report(first: Sequence, error: &JournalError) {
    metrics::counter!("engine_recalls_failed_total").increment(1);
    match error {
        JournalError::Gone { .. } => {
            tracing::debug!(first = first.0, "a first answer is no longer in the journal");
        }
        _ => tracing::error!(first = first.0, %error, "a first answer cannot be read"),
    }
}
