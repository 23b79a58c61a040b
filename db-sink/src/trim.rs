//! Tells Redis what it need not keep, everything that is committed, and the engine how far that
//! is. Also measures how far behind the sink is. None of it is needed for correctness, so a failure
//! is only tried again later.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use protocol::query::Heartbeat;
use protocol::{StreamCursor, keys};
use redis::aio::MultiplexedConnection;
use redis::{AsyncCommands, Client, RedisError};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::backoff::Backoff;
use crate::checkpoint::Position;
use crate::feed::connect;
use crate::progress::{EngineLook, Look, Progress, StreamLook, Tally};
use crate::queue_info::{QueueInfo, queues};
use crate::streams::Streams;

/// Also how long the engine goes without [`keys::COMMITTED`] when Redis has lost its data.
const TELL_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Trim {
    pub client: Client,
    pub streams: Arc<Streams>,
    pub deadline: Duration,
    pub retry_max: Duration,
    /// By place in `streams`, as committed. Only the latest counts, so nothing queues up here.
    pub committed: watch::Receiver<Vec<Position>>,
    pub tally: Arc<Tally>,
    pub progress: Progress,
}

impl Trim {
    /// Works until the writer is gone, and trims what it committed last.
    pub async fn run(mut self) {
        let mut backoff = Backoff::new(self.retry_max);
        loop {
            match self.session(&mut backoff).await {
                Ok(()) => return,
                Err(error) => {
                    let pause = backoff.pause();
                    tracing::warn!(%error, retry_ms = pause.as_millis(), "trimming failed");
                    tokio::time::sleep(pause).await;
                    if self.committed.has_changed().is_err() {
                        return;
                    }
                }
            }
        }
    }

    async fn session(&mut self, backoff: &mut Backoff) -> Result<(), RedisError> {
        let mut connection = connect(&self.client, self.deadline).await?;
        let mut ticks = interval(TELL_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Redis may be another one than before: what was told to that does not count.
        let mut told: Vec<Option<Position>> = vec![None; self.streams.all().len()];
        loop {
            let committed = self.committed.borrow_and_update().clone();
            self.tell(&mut connection, &committed, &mut told).await?;
            backoff.reset();
            tokio::select! {
                changed = self.committed.changed() => if changed.is_err() {
                    return Ok(());
                },
                _ = ticks.tick() => {
                    self.measure(&mut connection).await?;
                    told.fill(None);
                }
            }
        }
    }

    /// Those positions that are not told yet.
    async fn tell(
        &self,
        connection: &mut MultiplexedConnection,
        committed: &[Position],
        told: &mut [Option<Position>],
    ) -> Result<(), RedisError> {
        let mut pipeline = redis::pipe();
        for (place, position) in committed.iter().enumerate() {
            if told[place] == Some(*position) {
                continue;
            }
            let stream = self.streams.at(place);
            pipeline.hset(keys::COMMITTED, &stream.name, position.sequence).ignore();
            let cursor = position.cursor;
            let keep_from = StreamCursor { counter: cursor.counter.saturating_add(1), ..cursor };
            pipeline.cmd("XTRIM").arg(&stream.key).arg("MINID").arg(keep_from.to_string()).ignore();
        }
        if pipeline.is_empty() {
            return Ok(());
        }
        pipeline.query_async::<()>(connection).await?;
        for (told, position) in told.iter_mut().zip(committed) {
            *told = Some(*position);
        }
        Ok(())
    }

    /// How many entries wait in Redis, and how far the last of them is ahead of the position.
    async fn measure(&mut self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        // Before the queues: what is committed meanwhile is no more on them.
        let (frames, rows) = (self.tally.frames(), self.tally.rows());
        let heartbeat: Option<Vec<u8>> = connection.get(keys::HEARTBEAT).await?;
        let queues = queues(connection, &self.streams).await?;
        let place = |(place, queue): (usize, &QueueInfo)| StreamLook {
            waiting: queue.entries as u64,
            newest_us: self.tally.newest_us(place),
            is_stopped: self.streams.at(place).is_stopped(),
        };
        let look = Look {
            at: Instant::now(),
            now_us: Utc::now().timestamp_micros(),
            streams: queues.iter().enumerate().map(place).collect(),
            engine: heartbeat.as_deref().and_then(engine),
            frames,
            rows,
        };
        self.progress.look(&look).tell(&self.streams);
        let committed = self.committed.borrow().clone();
        for ((stream, queue), position) in self.streams.all().iter().zip(queues).zip(committed) {
            let behind = queue.last.saturating_sub(position.sequence);
            metrics::gauge!("sink_lag_entries", "stream" => stream.name.clone())
                .set(queue.entries as f64);
            metrics::gauge!("sink_lag_sequences", "stream" => stream.name.clone())
                .set(behind as f64);
        }
        Ok(())
    }
}

/// `None` for a heartbeat that tells nothing of the queues.
fn engine(heartbeat: &[u8]) -> Option<EngineLook> {
    let heartbeat: Heartbeat = serde_json::from_slice(heartbeat).ok()?;
    Some(EngineLook { durable: heartbeat.sequence.0, queued: heartbeat.queued?.0 })
}
