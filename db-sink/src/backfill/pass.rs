//! One pass over the streams that are listed when it begins. Draining goes with the flow, as in a
//! sink (`sink.rs`).

use std::sync::Arc;

use chrono::Utc;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::BackfillError;
use super::reader::Reader;
use super::tally::Tally;
use crate::batcher::Batcher;
use crate::checkpoint::Claim;
use crate::config::Config;
use crate::database::Database;
use crate::error::SinkError;
use crate::journal::Archive;
use crate::progress::Progress;
use crate::sink::Readiness;
use crate::streams::Streams;
use crate::trim::Trim;
use crate::writer::Writer;

/// A batch being counted, and one more that is ready.
const BATCHES_AHEAD: usize = 1;

pub struct Pass<'a> {
    pub config: &'a Config,
    pub archive: &'a Archive,
    pub streams: Arc<Streams>,
    pub target: u64,
    pub tally: &'a Arc<Tally>,
}

impl Pass<'_> {
    /// Returns when all of it is committed. What was read before something failed is committed too.
    pub async fn run(self, claim: Claim, stop: CancellationToken) -> Result<(), BackfillError> {
        let Pass { config, archive, streams, target, tally } = self;
        let database = Database::new(&config.database_url, config.database_deadline)?;
        let (entries_out, entries) = mpsc::channel(config.read_entries_max);
        let (batches_out, batches) = mpsc::channel(BATCHES_AHEAD);
        let (counted_out, counted) = mpsc::channel(BATCHES_AHEAD);
        let (retry_max, deadline) = (config.retry_max, config.redis_deadline);
        let positions = claim.positions.clone();
        let reader = Reader::new(
            Arc::clone(&streams),
            archive.pages(config, &streams),
            &positions,
            target,
            Arc::clone(tally),
            entries_out,
            retry_max,
        );
        let (rows_max, age_max) = (config.rows_max, config.age_max);
        let batcher = Batcher::new(Arc::clone(&streams), positions, entries, rows_max, age_max);
        let (writer, committed) = Writer::new(
            database,
            Arc::clone(&streams),
            claim,
            config.write_by,
            retry_max,
            Readiness::default(),
        );
        let trim = Trim {
            client: archive.client.clone(),
            streams: Arc::clone(&streams),
            deadline,
            retry_max,
            committed,
            tally: writer.tally(),
            progress: Progress::new(streams.all().len(), Utc::now().timestamp_micros()),
        };
        let counting = Arc::clone(tally);
        let relay = async move { counting.relay(batches, counted_out).await };
        let saying = Arc::clone(tally);

        let mut reader = spawn(async move { stop.run_until_cancelled_owned(reader.run()).await });
        let _batcher = spawn(batcher.run(batches_out));
        let _relay = spawn(relay);
        let _progress = spawn(async move { saying.say().await });
        let trim = spawn(trim.run());
        // It ends when all before it have, or first because it cannot go on; then so do they.
        let written = spawn(writer.run(counted)).await.map_err(SinkError::Task)?;
        written?;
        let read = (&mut reader).await.map_err(SinkError::Task)?;
        trim.await.map_err(SinkError::Task)?;
        read.ok_or(BackfillError::Interrupted)??;
        let stopped = streams.all().iter().filter(|stream| stream.is_stopped());
        let stopped: Vec<&str> = stopped.map(|stream| stream.name.as_str()).collect();
        if stopped.is_empty() {
            return Ok(());
        }
        Err(BackfillError::Stopped { streams: stopped.join(", ") })
    }
}

fn spawn<T: Send + 'static>(
    task: impl Future<Output = T> + Send + 'static,
) -> AbortOnDropHandle<T> {
    AbortOnDropHandle::new(tokio::spawn(task))
}
