//! Streams read from the engine's journal, for the verbs that need no queue: what the engine lists,
//! how far its journal goes, and pages of it, of which the next is fetched while one is worked on.

use std::sync::Arc;
use std::time::Duration;

use protocol::query::Heartbeat;
use protocol::{Catalog, Sequence, keys};
use redis::{AsyncCommands, Client, RedisError};
use service::SharedCatalog;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::Config;
use crate::feed::connect;
use crate::refill::{Order, Page, Refill};
use crate::streams::Streams;

/// An engine that runs beats and says what it lists more often than that.
const ENGINE_WAIT: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Fetched, while the one before it is worked on.
const PAGES_AHEAD: usize = 1;

#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    #[error("REDIS_URL is not valid")]
    RedisUrl(#[source] RedisError),
    #[error("Redis failed")]
    Redis(#[from] RedisError),
    #[error("what the engine says of itself is not valid JSON")]
    Json(#[from] serde_json::Error),
    #[error("no engine within {0:?}: its journal can be read only while it runs")]
    EngineAway(Duration),
    #[error("nobody reads the journal any more")]
    Closed,
}

/// The engine as somebody sees it who asks for its journal.
#[derive(Debug)]
pub struct Archive {
    pub client: Client,
    listing: SharedCatalog,
    _follow: AbortOnDropHandle<()>,
}

impl Archive {
    /// Errors: among others [`JournalError::EngineAway`], when nobody says what is listed.
    pub async fn open(config: &Config, catalog: Catalog) -> Result<Archive, JournalError> {
        let client = Client::open(config.redis_url.as_str()).map_err(JournalError::RedisUrl)?;
        let listing = SharedCatalog::new(catalog);
        // Whatever its version: the first life of an engine says 0 until something is listed.
        let published = said(&client, config.redis_deadline, keys::CATALOG).await?;
        listing.take(serde_json::from_slice(&published)?);
        let (followed, redis_url) = (listing.clone(), config.redis_url.clone());
        let follow = tokio::spawn(async move { followed.follow(&redis_url).await });
        Ok(Archive { client, listing, _follow: AbortOnDropHandle::new(follow) })
    }

    /// What is listed by now.
    pub fn catalog(&self) -> Catalog {
        self.listing.get().catalog.clone()
    }

    /// The last durable frame, or one shortly before it.
    pub async fn ends_at(&self, deadline: Duration) -> Result<Sequence, JournalError> {
        let heartbeat = said(&self.client, deadline, keys::HEARTBEAT).await?;
        Ok(serde_json::from_slice::<Heartbeat>(&heartbeat)?.sequence)
    }

    pub fn pages(&self, config: &Config, streams: &Arc<Streams>) -> Pages {
        let (orders, orders_in) = mpsc::channel(1);
        let (pages_out, pages) = mpsc::channel(PAGES_AHEAD);
        let refill = Refill {
            client: self.client.clone(),
            streams: Arc::clone(streams),
            asker: format!("journal-{:016x}", rand::random::<u64>()),
            wait: config.refill_max,
            deadline: config.redis_deadline,
            retry_max: config.retry_max,
        };
        let work = refill.run(orders_in, pages_out, CancellationToken::new());
        Pages { orders, pages, _refill: AbortOnDropHandle::new(tokio::spawn(work)) }
    }
}

/// What the engine keeps under a key while it runs; waited for.
async fn said(client: &Client, deadline: Duration, key: &str) -> Result<Vec<u8>, JournalError> {
    let mut connection = connect(client, deadline).await?;
    let until = Instant::now() + ENGINE_WAIT;
    loop {
        let found: Option<Vec<u8>> = connection.get(key).await?;
        if let Some(found) = found {
            return Ok(found);
        }
        if until < Instant::now() {
            return Err(JournalError::EngineAway(ENGINE_WAIT));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Pages come in the order in which they were ordered, and wait for an engine that is away.
#[derive(Debug)]
pub struct Pages {
    orders: mpsc::Sender<Order>,
    pages: mpsc::Receiver<Page>,
    _refill: AbortOnDropHandle<()>,
}

impl Pages {
    /// Cancel safe: where it is cut off nothing was ordered.
    pub async fn order(&self, stream: usize, after: u64) -> Result<(), JournalError> {
        let order = Order { stream, after: Sequence(after) };
        self.orders.send(order).await.map_err(|_| JournalError::Closed)
    }

    /// The page ordered longest ago. Cancel safe.
    pub async fn next(&mut self) -> Result<Page, JournalError> {
        self.pages.recv().await.ok_or(JournalError::Closed)
    }

    pub async fn get(&mut self, stream: usize, after: u64) -> Result<Page, JournalError> {
        self.order(stream, after).await?;
        self.next().await
    }
}
