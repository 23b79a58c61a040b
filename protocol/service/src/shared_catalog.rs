//! What is listed, for every task of a process: the config's catalog until the engine has said what
//! is, then what the engine last said, followed without a restart.
//!
//! The engine writes it under one key of Redis ([`protocol::catalog_json`]) whenever it changes and
//! once a second; [`SharedCatalog::follow`] looks several times a second.

use std::sync::Arc;
use std::time::Duration;

use protocol::Catalog;
use protocol::catalog_json::{Known, Published};
use protocol::keys;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisResult};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

const LOOK_EVERY: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(2);

/// Clones show the same.
#[derive(Clone, Debug)]
pub struct SharedCatalog {
    known: Arc<watch::Sender<Arc<Known>>>,
}

impl SharedCatalog {
    /// What stands in the config, for as long as the engine has said nothing.
    pub fn new(config: Catalog) -> SharedCatalog {
        let known = watch::Sender::new(Arc::new(Known::of_config(config)));
        SharedCatalog { known: Arc::new(known) }
    }

    /// As of now; whoever looks up several things holds on to one.
    pub fn get(&self) -> Arc<Known> {
        Arc::clone(&self.known.borrow())
    }

    /// Told of every change.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Known>> {
        self.known.subscribe()
    }

    /// Takes what the engine said, unless something newer is known.
    pub fn take(&self, published: Published) {
        match Known::try_from(published) {
            Ok(now) => {
                self.known.send_if_modified(|known| {
                    let is_newer = known.version <= now.version && **known != now;
                    if is_newer {
                        *known = Arc::new(now);
                    }
                    is_newer
                });
            }
            Err(error) => tracing::error!(%error, "what the engine lists contradicts itself"),
        }
    }

    /// Waits until the engine has said what is listed, at most so long; the config serves until
    /// then. Cancel safe.
    pub async fn said(&self, wait: Duration) -> bool {
        let mut known = self.known.subscribe();
        matches!(timeout(wait, known.wait_for(|known| known.version.0 != 0)).await, Ok(Ok(_)))
    }

    /// Runs for as long as the process. Cancel safe.
    pub async fn follow(&self, redis_url: &str) {
        let client = match Client::open(redis_url) {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(%error, "redis url: what is listed cannot be followed");
                return;
            }
        };
        let (mut connection, mut before) = (None, Vec::new());
        loop {
            if let Err(error) = self.look(&client, &mut connection, &mut before).await {
                tracing::debug!(%error, "what is listed cannot be looked up");
                connection = None;
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn look(
        &self,
        client: &Client,
        connection: &mut Option<MultiplexedConnection>,
        before: &mut Vec<u8>,
    ) -> RedisResult<()> {
        let mut open = match connection.take() {
            Some(open) => open,
            None => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(PATIENCE))
                    .set_response_timeout(Some(PATIENCE));
                client.get_multiplexed_async_connection_with_config(&config).await?
            }
        };
        let found: Option<Vec<u8>> =
            redis::cmd("GET").arg(keys::CATALOG).query_async(&mut open).await?;
        *connection = Some(open);
        let Some(found) = found.filter(|found| found != before) else { return Ok(()) };
        match serde_json::from_slice::<Published>(&found) {
            Ok(published) => self.take(published),
            Err(error) => tracing::error!(%error, "what the engine lists cannot be read"),
        }
        *before = found;
        Ok(())
    }
}
