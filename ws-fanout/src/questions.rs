//! Asking the engine's replica: questions onto `queries`, answers from `replies:<asker>`.

use std::sync::Arc;
use std::time::Duration;

use protocol::query::{Answer, AnswerBody, Ask, Query};
use protocol::{GatewayId, Sequence, keys};
use service::clock::now_us;
use service::waiting::Waiting;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use crate::pusher::Push;

/// How long an answer is waited for before the question is asked again.
const PATIENCE: Duration = Duration::from_secs(2);
/// Asked at the same time. An answer about a book that changed all over is half a megabyte, and
/// Redis cuts off who lets 32 of those wait.
const ASKED_MAX: usize = 16;

/// Clones ask under the same name.
#[derive(Clone, Debug)]
pub struct Questions {
    asker: GatewayId,
    /// A random number of this process, by which it knows the answers to its own questions.
    life: u64,
    pushes: mpsc::Sender<Push>,
    waiting: Arc<Waiting<Answer>>,
    room: Arc<Semaphore>,
}

impl Questions {
    pub fn new(asker: GatewayId, life: u64, pushes: mpsc::Sender<Push>) -> Questions {
        let waiting = Arc::new(Waiting::new(ASKED_MAX));
        let room = Arc::new(Semaphore::new(ASKED_MAX));
        Questions { asker, life, pushes, waiting, room }
    }

    /// Waits for its turn, then a bounded time for the answer. Cancel safe: a dropped question has
    /// no effect.
    pub async fn ask(&self, ask: Ask, min_sequence: Sequence) -> Option<AnswerBody> {
        let _turn = self.room.acquire().await.ok()?;
        let answer = timeout(PATIENCE, self.ask_now(ask, min_sequence)).await.ok().flatten();
        if answer.is_none() {
            metrics::counter!("fanout_questions_unanswered_total").increment(1);
        }
        answer
    }

    async fn ask_now(&self, ask: Ask, min_sequence: Sequence) -> Option<AnswerBody> {
        let ticket = self.waiting.register()?;
        let query = Query {
            id: ticket.number,
            gateway: self.asker,
            life: self.life,
            min_sequence,
            deadline_us: now_us() + PATIENCE.as_micros() as u64,
            ask,
        };
        let json = serde_json::to_vec(&query).ok()?;
        self.pushes.send(Push { list: keys::QUERIES, json }).await.ok()?;
        Some(ticket.answer().await?.body)
    }

    /// What came on the channel of replies: answers, among decisions on commands, which are frames
    /// and no JSON.
    pub fn hear(&self, payload: &[u8]) {
        if payload.first() != Some(&b'{') {
            return;
        }
        match serde_json::from_slice::<Answer>(payload) {
            Ok(answer) if answer.life == self.life => {
                let number = answer.id;
                if !self.waiting.resolve(number, answer) {
                    tracing::debug!(number, "an answer came too late");
                }
            }
            Ok(_) => (),
            Err(error) => tracing::debug!(%error, "an answer cannot be read"),
        }
    }
}
