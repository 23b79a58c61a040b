//! The tasks of a sink and how they end.
//!
//! Draining goes with the flow: the feed stops, the batcher closes what it has, the writer commits
//! it, and the trimmer tells Redis.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use protocol::Catalog;
use redis::Client;
use service::Condition;
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::batcher::Batcher;
use crate::checkpoint::{self, Claim, Position};
use crate::config::Config;
use crate::database::{Database, within};
use crate::error::SinkError;
use crate::feed::{Entry, Feed};
use crate::migrate;
use crate::progress::Progress;
use crate::refill::Refill;
use crate::retention::Retention;
use crate::shares::Shares;
use crate::streams::Streams;
use crate::trim::Trim;
use crate::writer::Writer;

/// A batch being written, and one more that is ready.
const BATCHES_AHEAD: usize = 1;

/// A page being handed on, and one more.
const PAGES_AHEAD: usize = 1;

/// After the writer has ended the other tasks have nothing left to do but one trim.
const NEIGHBOURS_END_WITHIN: Duration = Duration::from_secs(5);

/// What `/readyz` says; nothing where nobody asks.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    pub redis: Option<Condition>,
    pub database: Option<Condition>,
    /// Whether every stream is being written: none is stopped or lacks frames.
    pub streams: Option<Condition>,
}

impl Readiness {
    pub fn redis(&self, holds: bool) {
        set(self.redis.as_ref(), holds);
    }

    pub fn database(&self, holds: bool) {
        set(self.database.as_ref(), holds);
    }

    pub fn streams(&self, holds: bool) {
        set(self.streams.as_ref(), holds);
    }
}

fn set(condition: Option<&Condition>, holds: bool) {
    if let Some(condition) = condition {
        condition.set(holds);
    }
}

/// How a sink ended that did not fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// Told to, with everything in hand committed.
    Drained,
    /// Another sink has the streams now.
    TakenOver,
}

#[derive(Debug)]
pub struct Sink {
    pub config: Config,
    pub catalog: Catalog,
    pub readiness: Readiness,
}

impl Sink {
    /// Runs until `stop`, until another sink takes over, or until something fails that trying again
    /// does not mend.
    pub async fn run(self, stop: CancellationToken) -> Result<End, SinkError> {
        let client = Client::open(self.config.redis_url.as_str()).map_err(SinkError::RedisUrl)?;
        let streams = Arc::new(Streams::of(&self.catalog));
        let mut database = Database::new(&self.config.database_url, self.config.database_deadline)?;
        let claim = tokio::select! {
            () = stop.cancelled() => return Ok(End::Drained),
            claim = self.start(&mut database, &streams) => claim?,
        };
        self.readiness.database(true);
        self.readiness.streams(true);
        let drain_max = self.config.drain_max;
        let work = self.work(client, streams, database, claim, stop.clone());
        tokio::pin!(work);
        tokio::select! {
            end = &mut work => return end,
            () = stop.cancelled() => (),
        }
        let drain_ms_max = u64::try_from(drain_max.as_millis()).unwrap_or(u64::MAX);
        let drained = timeout(drain_max, work).await;
        drained.unwrap_or(Err(SinkError::DrainDeadline { drain_ms_max }))
    }

    /// Prepares the database and claims the streams, for as long as it takes.
    async fn start(&self, database: &mut Database, streams: &Streams) -> Result<Claim, SinkError> {
        let mut backoff = Backoff::new(self.config.retry_max);
        loop {
            let error = match self.start_once(database, streams).await {
                Ok(claim) => return Ok(claim),
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(error),
            };
            database.reset();
            let pause = backoff.pause();
            let cause = std::error::Error::source(&error);
            let cause = cause.map(ToString::to_string).unwrap_or_default();
            tracing::warn!(%error, cause, retry_ms = pause.as_millis(), "database not ready");
            tokio::time::sleep(pause).await;
        }
    }

    async fn start_once(
        &self,
        database: &mut Database,
        streams: &Streams,
    ) -> Result<Claim, SinkError> {
        migrate::prepare(database, self.config.timescale).await?;
        let deadline = database.deadline();
        let connection = database.connection().await?;
        let claim = checkpoint::claim(connection, streams);
        let claim = within(deadline, "hand over the streams", claim).await??;
        for (stream, position) in streams.all().iter().zip(&claim.positions) {
            tracing::info!(stream = %stream.name, position.sequence, claim.epoch, "claimed");
        }
        Ok(claim)
    }

    async fn work(
        &self,
        client: Client,
        streams: Arc<Streams>,
        database: Database,
        claim: Claim,
        stop: CancellationToken,
    ) -> Result<End, SinkError> {
        let config = &self.config;
        let (entries_out, entries_in) = Shares::new(config.writers, config.read_entries_max);
        let (orders_out, orders_in) = mpsc::channel(streams.all().len());
        let (pages_out, pages_in) = mpsc::channel(PAGES_AHEAD);
        let feed = Feed {
            client: client.clone(),
            streams: Arc::clone(&streams),
            lanes: Feed::lanes(&claim.positions, config.retry_max),
            orders: orders_out,
            pages: pages_in,
            entries_max: config.read_entries_max,
            deadline: config.redis_deadline,
            retry_max: config.retry_max,
            readiness: self.readiness.clone(),
        };
        let refill = Refill {
            client: client.clone(),
            streams: Arc::clone(&streams),
            // Also where epochs repeat because the database is another or an older one.
            asker: format!("sink-{}-{:016x}", claim.epoch, rand::random::<u64>()),
            wait: config.refill_max,
            deadline: config.redis_deadline,
            retry_max: config.retry_max,
        };
        let positions = claim.positions.clone();
        let (first, committed) = Writer::new(
            database,
            Arc::clone(&streams),
            claim,
            config.write_by,
            config.retry_max,
            self.readiness.clone(),
        );
        let (deadline, retry_max) = (config.redis_deadline, config.retry_max);
        let retention = Retention::new(&config.database_url, config.retention, retry_max)?;
        let tally = first.tally();
        let progress = Progress::new(streams.all().len(), Utc::now().timestamp_micros());
        let told = Arc::clone(&streams);
        let trim = Trim { client, streams: told, deadline, retry_max, committed, tally, progress };

        let mut tasks = Tasks::default();
        let stop_reading = stop.child_token();
        let feed = tasks.spawn(feed.run(entries_out, stop_reading.clone()));
        let refill = tasks.spawn(refill.run(orders_in, pages_out, stop_reading.clone()));
        let trim = tasks.spawn(trim.run());
        let retention = tasks.spawn(retention.run(stop_reading.clone()));
        let written = self.write(first, entries_in, &streams, &positions, &stop_reading).await?;
        joined(timeout(NEIGHBOURS_END_WITHIN, async {
            feed.await?;
            refill.await?;
            trim.await?;
            retention.await
        }))
        .await?;
        match written {
            Ok(()) => Ok(End::Drained),
            Err(error @ SinkError::TakenOver { .. }) => {
                tracing::warn!(%error, "stopping");
                Ok(End::TakenOver)
            }
            Err(error) => Err(error),
        }
    }

    /// The writers and their batchers. They end when all before them have, or first because one of
    /// them cannot go on; nothing more is read then.
    async fn write(
        &self,
        first: Writer,
        entries: Vec<mpsc::Receiver<Entry>>,
        streams: &Arc<Streams>,
        positions: &[Position],
        stop_reading: &CancellationToken,
    ) -> Result<Result<(), SinkError>, SinkError> {
        let config = &self.config;
        let mut writers = vec![first];
        while writers.len() < entries.len() {
            let database = Database::new(&config.database_url, config.database_deadline)?;
            writers.push(writers[0].beside(database));
        }
        let (mut batching, mut writing) = (JoinSet::new(), JoinSet::new());
        for (writer, inbound) in writers.into_iter().zip(entries) {
            let (streams, positions) = (Arc::clone(streams), positions.to_vec());
            let (rows_max, age_max) = (config.rows_max, config.age_max);
            let batcher = Batcher::new(streams, positions, inbound, rows_max, age_max);
            let (batches_out, batches_in) = mpsc::channel(BATCHES_AHEAD);
            batching.spawn(batcher.run(batches_out));
            writing.spawn(writer.run(batches_in));
        }
        let mut written = Ok(());
        while let Some(ended) = writing.join_next().await {
            stop_reading.cancel();
            written = written.and(ended.map_err(SinkError::Task)?);
            if written.is_err() {
                // What they cannot commit soon stays where it is.
                let rest = async { while writing.join_next().await.is_some() {} };
                timeout(NEIGHBOURS_END_WITHIN, rest).await.ok();
                break;
            }
        }
        Ok(written)
    }
}

/// A neighbour that does not end in time is not waited for: it holds nothing that is not in Redis.
async fn joined(
    ends: impl Future<Output = Result<Result<(), JoinError>, tokio::time::error::Elapsed>>,
) -> Result<(), SinkError> {
    match ends.await {
        Ok(end) => end.map_err(SinkError::Task),
        Err(_) => {
            tracing::warn!("a task did not end in time");
            Ok(())
        }
    }
}

/// The tasks of one sink; dropping it ends those that still run.
#[derive(Debug, Default)]
struct Tasks(Vec<tokio::task::AbortHandle>);

impl Tasks {
    fn spawn<T: Send + 'static>(
        &mut self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        let task = tokio::spawn(task);
        self.0.push(task.abort_handle());
        task
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        for task in &self.0 {
            task.abort();
        }
    }
}
