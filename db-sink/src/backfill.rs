//! `db-sink backfill --from-journal`: rebuilds a database from the engine's journal, and ends.
//!
//! ```text
//! engine's journal ─▶ reader ─▶ batcher ─▶ tally ─▶ writer ─▶ database    writer ─▶ trim ─▶ redis
//!                     pages     frames     counts   as ever                         what is there
//! ```
//!
//! Queues are not read: what they hold stands in the journal too, and a sink that runs afterwards
//! goes on from the positions, be it by its queues or by the journal. The streams are claimed as by
//! any sink, so that one that runs ends, and one that starts meanwhile ends this. Redis and engine
//! are told how far the database is, else the engine would let go of files for what a lost database
//! once had. Streams are taken by turns, the one that is furthest behind first: time goes on in all
//! of them alike, and the engine finds in memory what it has just read for another.

use std::sync::Arc;
use std::time::Duration;

use protocol::Catalog;
use tokio_util::sync::CancellationToken;

use crate::checkpoint::{self, Claim};
use crate::config::Config;
use crate::database::{Database, within};
use crate::error::{SinkError, StreamFault};
use crate::journal::{Archive, JournalError};
use crate::migrate;
use crate::streams::Streams;

pub mod holes;
pub mod reader;
pub mod tally;
pub mod pass;

use holes::Holes;
use pass::Pass;
use tally::{Done, Tally};

/// After so long a catalog has been looked at again (`service::SharedCatalog`).
const LISTING_SETTLES: Duration = Duration::from_millis(400);

#[derive(Debug, thiserror::Error)]
pub enum BackfillError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error("nothing was written: {0}")]
    Holes(Holes),
    #[error("stream {stream} cannot go on")]
    Stream {
        stream: String,
        #[source]
        fault: StreamFault,
    },
    #[error("streams {streams} stopped: the log says why")]
    Stopped { streams: String },
    #[error("the engine does not list the market of stream {stream} any more")]
    Unlisted { stream: String },
    #[error("told to stop; what is written stays, and the same command goes on from there")]
    Interrupted,
}

#[derive(Debug)]
pub struct Backfill {
    pub config: Config,
    /// Until the engine says what is listed.
    pub catalog: Catalog,
}

impl Backfill {
    /// Takes every stream from where the database stands to where the journal ends now. What came
    /// of each is returned, accounts first.
    pub async fn run(self, stop: CancellationToken) -> Result<Vec<Done>, BackfillError> {
        let work = self.all_listed(stop.clone());
        tokio::pin!(work);
        tokio::select! {
            done = &mut work => return done,
            () = stop.cancelled() => (),
        }
        let drained = tokio::time::timeout(self.config.drain_max, work).await;
        drained.unwrap_or(Err(BackfillError::Interrupted))
    }

    async fn all_listed(&self, stop: CancellationToken) -> Result<Vec<Done>, BackfillError> {
        let config = &self.config;
        let mut database = Database::new(&config.database_url, config.database_deadline)?;
        migrate::prepare(&mut database, config.timescale).await?;
        let archive = Archive::open(config, self.catalog.clone()).await?;
        let target = archive.ends_at(config.redis_deadline).await?.0;
        let tally = Arc::new(Tally::new(target));
        loop {
            let catalog = archive.catalog();
            let streams = Arc::new(Streams::of(&catalog));
            let claim = self.claim(&mut database, &archive, &streams, target);
            let claim = stop.run_until_cancelled(claim).await;
            let claim = claim.ok_or(BackfillError::Interrupted)??;
            tally.begin(&streams, &claim);
            let pass = Pass { config, archive: &archive, streams, target, tally: &tally };
            pass.run(claim, stop.child_token()).await?;
            // A market is listed by a frame, and its own frames come behind it.
            tokio::time::sleep(LISTING_SETTLES).await;
            if archive.catalog().markets().len() == catalog.markets().len() {
                break;
            }
            tracing::info!("more is listed: its events are written too");
        }
        Ok(tally.done())
    }

    /// Only what has no holes is claimed: a sink that runs goes on where this can do nothing.
    async fn claim(
        &self,
        database: &mut Database,
        archive: &Archive,
        streams: &Arc<Streams>,
        target: u64,
    ) -> Result<Claim, BackfillError> {
        let deadline = database.deadline();
        let connection = database.connection().await?;
        let stand = within(deadline, "tell the positions", checkpoint::positions(connection));
        let stand = stand.await??;
        let holes = holes::look(archive, &self.config, streams, &stand, target).await?;
        if !holes.is_empty() {
            return Err(BackfillError::Holes(holes));
        }
        let connection = database.connection().await?;
        let claim = checkpoint::claim(connection, streams);
        let claim = within(deadline, "hand over the streams", claim).await??;
        let epoch = claim.epoch;
        tracing::info!(epoch, target, "streams claimed: a sink that was running ends now");
        Ok(claim)
    }
}
