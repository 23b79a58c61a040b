//! A sink of all that is listed, also of what is listed while it runs.

use std::time::Duration;

use protocol::Catalog;
use service::SharedCatalog;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::Config;
use crate::error::SinkError;
use crate::sink::{End, Readiness, Sink};

/// The config serves when the engine has not said by then what is listed.
const LISTING_WAIT: Duration = Duration::from_secs(2);

/// A market that is listed meanwhile has a stream of its own: the sink then drains and begins again
/// with all of them, which takes no longer than its last batch.
pub async fn write_all(
    config: &Config,
    catalog: Catalog,
    readiness: &Readiness,
    stop: &CancellationToken,
) -> Result<End, SinkError> {
    let listing = SharedCatalog::new(catalog);
    let (followed, redis_url) = (listing.clone(), config.redis_url.clone());
    let _follow =
        AbortOnDropHandle::new(tokio::spawn(async move { followed.follow(&redis_url).await }));
    listing.said(LISTING_WAIT).await;
    loop {
        let mut changes = listing.subscribe();
        let catalog = changes.borrow_and_update().catalog.clone();
        let markets = catalog.markets().len();
        let (config, readiness) = (config.clone(), readiness.clone());
        let drain = stop.child_token();
        let run = Sink { config, catalog, readiness }.run(drain.clone());
        tokio::pin!(run);
        let end = tokio::select! {
            end = &mut run => end?,
            _ = changes.wait_for(|known| known.catalog.markets().len() != markets) => {
                tracing::info!("more is listed: its events are written too");
                drain.cancel();
                run.await?
            }
        };
        if end == End::TakenOver || stop.is_cancelled() {
            return Ok(end);
        }
    }
}
