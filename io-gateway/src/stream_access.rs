//! Tells fan-outs who is behind a socket ([`protocol::access`]): they ask over a list on Redis that
//! all gateways pop, and hear the answer over pub/sub.
//!
//! ```text
//! fan-out ─▶ access ─▶ one of the gateways: auth, keys │ sessions ─▶ access:<asker> ─▶ fan-out
//! ```
//!
//! Invariants: a signature and a session prove here exactly what they prove over REST, by the same
//! code. Questions take no more from REST than requests of the same address could: they pay out of
//! its bucket, few of them stand in the line for the verifier, and only so many are in work. What
//! waits beyond that waits in Redis until its deadline.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use protocol::access::{Answer, Credentials, Identity, Question, Verdict};
use protocol::keys;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::app::SharedApp;
use crate::auth::{self, Instruction, SigningTexts};
use crate::clock::{now_ms, now_us};
use crate::error::{ApiError, Code, GatewayError};
use crate::limits::weights;
use crate::parameters::Parameters;

/// How long Redis holds a pop of an empty list. A pop is never given up before, because what it
/// takes out would be lost; so this is also what an idle gateway needs to end.
const POP_WAIT: Duration = Duration::from_millis(250);
/// Questions taken at once: few, so that gateways side by side share a crowd.
const BATCH_MAX: usize = 16;
/// Questions in work. Many of them may wait for a database that is slow or away, and must leave
/// room for those that need none.
const ANSWERS_MAX: usize = 256;
/// Of these, so many stand in the line for the verifier at a time: a crowd that comes back after a
/// fan-out's death adds no more than that to the wait of an order.
const IN_LINE_MAX: usize = 8;
/// However long the asker would wait.
const ANSWER_MAX: Duration = Duration::from_secs(5);
const BACK_OFF_MIN: Duration = Duration::from_millis(50);
const BACK_OFF_MAX: Duration = Duration::from_millis(500);

pub struct StreamAccess {
    app: SharedApp,
    client: Client,
    in_line: Semaphore,
}

impl StreamAccess {
    /// Connects to nothing before [`StreamAccess::run`].
    pub fn new(app: SharedApp, redis_url: &str) -> Result<Self, GatewayError> {
        let client = Client::open(redis_url).map_err(GatewayError::RedisUrl)?;
        Ok(StreamAccess { app, client, in_line: Semaphore::new(IN_LINE_MAX) })
    }

    /// Answers until `stop`: then it takes no further questions, and ends when those in work are
    /// answered. Redis being away is waited out.
    pub async fn run(self, stop: CancellationToken) {
        let this = Arc::new(self);
        let mut back_off = BACK_OFF_MIN;
        while !stop.is_cancelled() {
            let mut connected = false;
            if let Err(error) = this.serve(&stop, &mut connected).await {
                metrics::counter!("gateway_access_reconnects_total").increment(1);
                if connected {
                    tracing::warn!(%error, "fan-outs cannot ask who somebody is; trying again");
                }
            }
            back_off = if connected { BACK_OFF_MIN } else { (back_off * 2).min(BACK_OFF_MAX) };
            tokio::select! {
                () = sleep(back_off) => (),
                () = stop.cancelled() => (),
            }
        }
    }

    /// Serves one pair of connections as long as it lasts; what is in work when it breaks is lost
    /// with it. Not cancel safe: questions taken would be lost.
    async fn serve(
        self: &Arc<Self>,
        stop: &CancellationToken,
        connected: &mut bool,
    ) -> RedisResult<()> {
        let patience = self.app.link.limits().redis_timeout;
        let mut questions = self.connect(patience + POP_WAIT).await?;
        let replies = self.connect(patience).await?;
        let mut in_work = JoinSet::new();
        while !stop.is_cancelled() {
            let room = ANSWERS_MAX.saturating_sub(in_work.len());
            let batch = pop(&mut questions, room.clamp(1, BATCH_MAX)).await?;
            if !*connected {
                *connected = true;
                tracing::info!(list = keys::ACCESS, "telling fan-outs who somebody is");
            }
            for question in batch.iter().filter_map(|json| readable(json, now_us())) {
                in_work.spawn(Arc::clone(self).answer(question, replies.clone()));
            }
            if ANSWERS_MAX <= in_work.len() {
                in_work.join_next().await.map_or(Ok(()), ended)?;
            }
            while let Some(answered) = in_work.try_join_next() {
                ended(answered)?;
            }
        }
        while let Some(answered) = in_work.join_next().await {
            ended(answered)?;
        }
        Ok(())
    }

    async fn connect(&self, response_max: Duration) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.app.link.limits().redis_timeout))
            .set_response_timeout(Some(response_max));
        self.client.get_multiplexed_async_connection_with_config(&config).await
    }

    async fn answer(
        self: Arc<Self>,
        question: Question,
        mut replies: MultiplexedConnection,
    ) -> RedisResult<()> {
        let began = Instant::now();
        let left = Duration::from_micros(question.deadline_us.saturating_sub(now_us()));
        let found = timeout(left.min(ANSWER_MAX), self.identify(&question)).await;
        let Ok(found) = found else {
            count_dropped("late");
            return Ok(());
        };
        let verdict = verdict_of(found);
        let labels = [("kind", kind(&question.credentials)), ("verdict", name(verdict))];
        metrics::counter!("gateway_access_answers_total", &labels).increment(1);
        metrics::histogram!("gateway_access_seconds").record(began.elapsed());
        let answer = Answer { id: question.id, life: question.life, verdict };
        let json = match serde_json::to_vec(&answer) {
            Ok(json) => json,
            Err(error) => {
                tracing::error!(%error, "an answer to a fan-out cannot be written");
                return Ok(());
            }
        };
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(keys::access(question.asker)).arg(json);
        let heard: u64 = publish.query_async(&mut replies).await?;
        if heard == 0 {
            count_dropped("unheard");
        }
        Ok(())
    }

    async fn identify(&self, question: &Question) -> Result<Identity, ApiError> {
        let weight = weights::of_signed(Instruction::Subscribe, 1);
        self.app.limits.take_of_address(question.address, weight)?;
        match &question.credentials {
            Credentials::Signature { key, signature, timestamp, window } => {
                let texts = SigningTexts { key, signature, timestamp, window };
                self.signer(question, texts).await
            }
            Credentials::Cookie(cookie) => self.in_session(cookie).await,
        }
    }

    async fn signer(
        &self,
        question: &Question,
        texts: SigningTexts<'_>,
    ) -> Result<Identity, ApiError> {
        let credentials = auth::Credentials::of(texts, now_ms())?;
        let key = self.app.keys.get(&credentials.key).await?;
        let in_line = self.in_line.acquire().await.map_err(ApiError::bug)?;
        let (subscribe, nothing) = (Instruction::Subscribe, [Parameters::default()]);
        self.app.verify(&credentials, &key, subscribe, &nothing).await?;
        drop(in_line);
        key.limits.check(subscribe.effect(), Some(question.address.to_canonical()))?;
        Ok(Identity { account: key.account, read_only: key.limits.read_only })
    }

    /// The asker has seen to it that the page with this cookie is of our own origin.
    async fn in_session(&self, cookie: &str) -> Result<Identity, ApiError> {
        let refused = || ApiError::new(Code::Unauthorized, "Sign in first");
        let cookie = HeaderValue::from_str(cookie).map_err(|_| refused())?;
        let headers = HeaderMap::from_iter([(header::COOKIE, cookie)]);
        let sessions = &self.app.browser.sessions;
        let token = sessions.token(&headers).unwrap_or_else(|| Err(refused()))?;
        let session = sessions.find(token).await?;
        Ok(Identity { account: session.account, read_only: false })
    }
}

/// The oldest questions waiting; none when there was none for a while.
async fn pop(redis: &mut MultiplexedConnection, count: usize) -> RedisResult<Vec<Vec<u8>>> {
    let mut command = redis::cmd("BLMPOP");
    command.arg(POP_WAIT.as_secs_f64()).arg(1).arg(keys::ACCESS).arg("RIGHT");
    command.arg("COUNT").arg(count);
    let popped: Option<(String, Vec<Vec<u8>>)> = command.query_async(redis).await?;
    Ok(popped.map(|(_, batch)| batch).unwrap_or_default())
}

/// `None`, and counted, for what nobody could answer or nobody waits for.
fn readable(json: &[u8], now_us: u64) -> Option<Question> {
    match serde_json::from_slice::<Question>(json) {
        Ok(question) if now_us <= question.deadline_us => Some(question),
        Ok(_) => {
            count_dropped("expired");
            None
        }
        Err(error) => {
            tracing::debug!(%error, "a question of a fan-out cannot be read");
            count_dropped("malformed");
            None
        }
    }
}

/// A client learns no more than this: who is over a limit is told to come again, not that its
/// credentials are bad, since nobody has looked at them.
fn verdict_of(found: Result<Identity, ApiError>) -> Verdict {
    match found {
        Ok(identity) => Verdict::Granted(identity),
        Err(error) if error.is_ours() => {
            error.log();
            Verdict::Unavailable
        }
        Err(_) => Verdict::Refused,
    }
}

/// A question whose answering panicked harms no other.
fn ended(answered: Result<RedisResult<()>, JoinError>) -> RedisResult<()> {
    answered.unwrap_or_else(|error| {
        tracing::error!(%error, "a question of a fan-out was not answered");
        Ok(())
    })
}

const fn kind(credentials: &Credentials) -> &'static str {
    match credentials {
        Credentials::Signature { .. } => "signature",
        Credentials::Cookie(_) => "cookie",
    }
}

const fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Granted(_) => "granted",
        Verdict::Refused => "refused",
        Verdict::Unavailable => "unavailable",
    }
}

fn count_dropped(reason: &'static str) {
    metrics::counter!("gateway_access_dropped_total", "reason" => reason).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{AccountId, GatewayId};

    #[test]
    fn a_question_counts_until_its_deadline_and_rubbish_never() {
        let question = Question {
            id: 1,
            asker: GatewayId(950),
            life: 2,
            deadline_us: 1_000,
            address: [127, 0, 0, 1].into(),
            credentials: Credentials::Cookie("a=b".to_owned()),
        };
        let json = serde_json::to_vec(&question).unwrap();
        assert_eq!(readable(&json, 1_000), Some(question));
        assert_eq!(readable(&json, 1_001), None);
        for rubbish in [&b""[..], b"{}", b"\xff", b"[]", &json[1..]] {
            assert_eq!(readable(rubbish, 0), None);
        }
    }

    #[test]
    fn only_what_is_wrong_with_the_credentials_refuses_them() {
        let identity = Identity { account: AccountId::new(3).unwrap(), read_only: true };
        assert_eq!(verdict_of(Ok(identity)), Verdict::Granted(identity));
        for theirs in [Code::Unauthorized, Code::InvalidSignature, Code::Forbidden] {
            assert_eq!(verdict_of(Err(ApiError::new(theirs, ""))), Verdict::Refused);
        }
        assert_eq!(verdict_of(Err(ApiError::invalid("expired"))), Verdict::Refused);
        let limited = ApiError::limited("address", Duration::from_secs(1));
        let ours = [limited, ApiError::overloaded(), ApiError::maintenance(""), ApiError::bug("")];
        for ours in ours {
            assert_eq!(verdict_of(Err(ours)), Verdict::Unavailable);
        }
    }
}
