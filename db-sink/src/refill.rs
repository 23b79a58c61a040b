//! Asks the engine for frames that a queue lacks: one page an order, for as long as it takes.
//!
//! ```text
//! feed ─ order ─▶ refill ─▶ LPUSH refills ─▶ engine
//! feed ◀─ page ── refill ◀─ BLPOP refill:<asker> ◀─ RPUSH
//! ```
//!
//! An engine that is away is waited for and not asked. A request without an answer is made again
//! under another id and given more time; the page of an earlier id is dropped when it comes late.

use std::sync::Arc;
use std::time::Duration;

use protocol::query::Heartbeat;
use protocol::refill::{Content, PAGE_EXPIRES_MS, PageHead, Request};
use protocol::{Sequence, keys};
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, Client, RedisError};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::feed::connect;
use crate::streams::Streams;

/// How long Redis may hold a look into the mailbox open.
const BLOCK: Duration = Duration::from_millis(1000);
/// A page that is older has expired.
const WAIT_MAX: Duration = Duration::from_millis(PAGE_EXPIRES_MS);

/// Frames of a stream behind `after` are wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    /// Place in [`Streams`].
    pub stream: usize,
    pub after: Sequence,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    pub stream: usize,
    pub after: Sequence,
    /// The engine's last durable frame, or one shortly before it, when it was asked.
    pub engine_at: Sequence,
    pub content: Content,
    bytes: Vec<u8>,
    frames_from: usize,
}

impl Page {
    /// Frames one behind the other.
    pub fn frames(&self) -> &[u8] {
        &self.bytes[self.frames_from..]
    }

    #[cfg(test)]
    pub fn without_frames(after: u64, engine_at: u64, content: Content) -> Page {
        let (after, engine_at) = (Sequence(after), Sequence(engine_at));
        Page { stream: 0, after, engine_at, content, bytes: Vec::new(), frames_from: 0 }
    }
}

#[derive(Debug)]
pub struct Refill {
    pub client: Client,
    pub streams: Arc<Streams>,
    /// Names the mailbox; no other process's, nor another life's.
    pub asker: String,
    /// How long the first request of an order waits.
    pub wait: Duration,
    pub deadline: Duration,
    pub retry_max: Duration,
}

/// Why an attempt brought no page.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("Redis failed")]
    Redis(#[from] RedisError),
    #[error("the engine is away")]
    Away,
    #[error("no page within {0:?}")]
    Unanswered(Duration),
    #[error("the engine's heartbeat or a request is not valid JSON")]
    Json(#[from] serde_json::Error),
}

/// One task's state while it runs.
struct Asker {
    refill: Refill,
    connection: Option<MultiplexedConnection>,
    last_id: u64,
    is_away: bool,
}

impl Refill {
    /// Answers orders until nobody places them or takes the pages any more, or until `stop`.
    pub async fn run(
        self,
        orders: mpsc::Receiver<Order>,
        pages: mpsc::Sender<Page>,
        stop: CancellationToken,
    ) {
        let mut asker = Asker { refill: self, connection: None, last_id: 0, is_away: false };
        // What is cut off here was handed on by nobody, and is asked for again by the next life.
        stop.run_until_cancelled(asker.serve(orders, pages)).await;
    }
}

impl Asker {
    async fn serve(&mut self, mut orders: mpsc::Receiver<Order>, pages: mpsc::Sender<Page>) {
        while let Some(order) = orders.recv().await {
            let page = self.page(order).await;
            if pages.send(page).await.is_err() {
                return;
            }
        }
    }

    async fn page(&mut self, order: Order) -> Page {
        let mut backoff = Backoff::new(self.refill.retry_max);
        let mut wait = self.refill.wait;
        loop {
            let trouble = match self.ask(order, wait).await {
                Ok(page) => {
                    self.engine(None);
                    return page;
                }
                Err(trouble) => trouble,
            };
            metrics::counter!("sink_refill_retries_total").increment(1);
            match trouble {
                Trouble::Redis(_) => self.connection = None,
                Trouble::Unanswered(_) => wait = (wait * 2).min(WAIT_MAX),
                Trouble::Away | Trouble::Json(_) => (),
            }
            self.engine(Some(&trouble));
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    /// Says once that the engine does not answer, and once that it does again.
    fn engine(&mut self, trouble: Option<&Trouble>) {
        let is_away = trouble.is_some();
        metrics::gauge!("sink_engine_away").set(f64::from(u8::from(is_away)));
        if is_away == self.is_away {
            return;
        }
        self.is_away = is_away;
        match trouble {
            Some(trouble) => {
                let cause = std::error::Error::source(trouble);
                let cause = cause.map(ToString::to_string).unwrap_or_default();
                tracing::warn!(%trouble, cause, "the engine cannot be asked for frames: waiting");
            }
            None => tracing::info!("the engine answers requests for frames"),
        }
    }

    async fn ask(&mut self, order: Order, wait: Duration) -> Result<Page, Trouble> {
        let mut connection = self.connection().await?;
        let heartbeat: Option<Vec<u8>> = connection.get(keys::HEARTBEAT).await?;
        let heartbeat: Heartbeat = serde_json::from_slice(&heartbeat.ok_or(Trouble::Away)?)?;
        self.last_id += 1;
        let wait_us = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        let deadline_us = chrono::Utc::now().timestamp_micros().saturating_add(wait_us);
        let request = Request {
            asker: self.refill.asker.clone(),
            id: self.last_id,
            market: self.refill.streams.at(order.stream).market_id(),
            after: order.after,
            deadline_us: deadline_us.unsigned_abs(),
        };
        let _: usize = connection.lpush(keys::REFILLS, serde_json::to_vec(&request)?).await?;
        let until = Instant::now() + wait;
        let mailbox = keys::refill(&request.asker);
        loop {
            let left = until.saturating_duration_since(Instant::now()).min(BLOCK);
            if left.is_zero() {
                return Err(Trouble::Unanswered(wait));
            }
            // Zero would be for ever.
            let block_s = left.as_secs_f64().max(0.001);
            let letter: Option<(String, Vec<u8>)> = connection.blpop(&mailbox, block_s).await?;
            let Some((_, bytes)) = letter else { continue };
            match answer(&request, &bytes) {
                Ok((content, frames_from)) => {
                    let Order { stream, after } = order;
                    let engine_at = heartbeat.sequence;
                    return Ok(Page { stream, after, engine_at, content, bytes, frames_from });
                }
                Err(reason) => {
                    metrics::counter!("sink_refill_pages_dropped_total").increment(1);
                    tracing::debug!(asked = request.id, reason, "page dropped");
                }
            }
        }
    }

    async fn connection(&mut self) -> Result<MultiplexedConnection, RedisError> {
        if let Some(connection) = &self.connection {
            return Ok(connection.clone());
        }
        let fresh = connect(&self.refill.client, BLOCK + self.refill.deadline).await?;
        Ok(self.connection.insert(fresh).clone())
    }
}

/// What the page has, and where its frames begin; or why it is none for this request.
fn answer(request: &Request, bytes: &[u8]) -> Result<(Content, usize), &'static str> {
    let line = bytes.iter().position(|byte| *byte == b'\n').ok_or("it has no head")?;
    let head: PageHead =
        serde_json::from_slice(&bytes[..line]).map_err(|_| "its head is no head")?;
    if head.id != request.id {
        return Err("it answers an earlier request");
    }
    if (head.market, head.after) != (request.market, request.after) {
        return Err("it answers something else");
    }
    Ok((head.content, line + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::MarketId;

    #[test]
    fn a_page_is_for_one_request_alone() {
        let request = Request {
            asker: "sink".to_owned(),
            id: 7,
            market: MarketId(1),
            after: Sequence(40),
            deadline_us: 0,
        };
        let content = Content::UpTo(Sequence(50));
        let head = PageHead { id: 7, market: MarketId(1), after: Sequence(40), content };
        let page = |head: &PageHead| {
            let mut bytes = serde_json::to_vec(head).unwrap();
            bytes.extend_from_slice(b"\nframes");
            bytes
        };
        let bytes = page(&head);
        let (found, frames_from) = answer(&request, &bytes).unwrap();
        assert_eq!((found, &bytes[frames_from..]), (content, b"frames".as_slice()));

        assert!(answer(&request, &page(&PageHead { id: 6, ..head.clone() })).is_err());
        assert!(answer(&request, &page(&PageHead { id: 8, ..head.clone() })).is_err());
        assert!(
            answer(&request, &page(&PageHead { market: MarketId(2), ..head.clone() })).is_err()
        );
        assert!(answer(&request, &page(&PageHead { after: Sequence(1), ..head })).is_err());
        assert!(answer(&request, b"").is_err());
        assert!(answer(&request, b"junk\n").is_err());
    }
}
