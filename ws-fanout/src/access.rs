//! Who is behind a socket: asked of any gateway, onto `access`, answers from `access:<asker>`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::access::{Answer, Credentials, Question, Verdict};
use protocol::{GatewayId, keys};
use service::clock::now_us;
use service::waiting::Waiting;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::pusher::Push;

/// Longer than a gateway needs to find out that its database is away; who waits longer tries again
/// by itself.
const PATIENCE: Duration = Duration::from_secs(4);
/// Sockets that ask at the same time; the others are told that it could not be found out.
const ASKED_MAX: usize = 4096;

/// Clones ask under the same name, from any thread.
#[derive(Clone, Debug)]
pub struct Access {
    asker: GatewayId,
    /// A random number of this process, by which it knows the answers to its own questions.
    life: u64,
    pushes: mpsc::Sender<Push>,
    waiting: Arc<Waiting<Verdict>>,
}

impl Access {
    pub(crate) fn new(asker: GatewayId, life: u64, pushes: mpsc::Sender<Push>) -> Access {
        Access { asker, life, pushes, waiting: Arc::new(Waiting::new(ASKED_MAX)) }
    }

    /// Waits a bounded time. Cancel safe: a dropped question has no effect.
    pub async fn identify(&self, address: IpAddr, credentials: Credentials) -> Verdict {
        let answer = timeout(PATIENCE, self.ask(address, credentials)).await.ok().flatten();
        answer.unwrap_or_else(|| {
            metrics::counter!("fanout_access_unanswered_total").increment(1);
            Verdict::Unavailable
        })
    }

    async fn ask(&self, address: IpAddr, credentials: Credentials) -> Option<Verdict> {
        let ticket = self.waiting.register()?;
        let question = Question {
            id: ticket.number,
            asker: self.asker,
            life: self.life,
            deadline_us: now_us() + PATIENCE.as_micros() as u64,
            address,
            credentials,
        };
        let json = serde_json::to_vec(&question).ok()?;
        self.pushes.send(Push { list: keys::ACCESS, json }).await.ok()?;
        ticket.answer().await
    }

    /// What came on the channel of answers.
    pub(crate) fn hear(&self, payload: &[u8]) {
        match serde_json::from_slice::<Answer>(payload) {
            Ok(answer) if answer.life == self.life => {
                if !self.waiting.resolve(answer.id, answer.verdict) {
                    tracing::debug!(number = answer.id, "an answer came too late");
                }
            }
            Ok(_) => (),
            Err(error) => tracing::warn!(%error, "a gateway's answer cannot be read"),
        }
    }
}
