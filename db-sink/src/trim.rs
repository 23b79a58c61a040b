//! Tells Redis what it need not keep: everything that is committed. Also measures how far behind
//! the sink is. Neither is needed for correctness, so a failure is only tried again later.

use std::sync::Arc;
use std::time::Duration;

use protocol::StreamCursor;
use redis::aio::MultiplexedConnection;
use redis::streams::StreamInfoStreamReply;
use redis::{Client, FromRedisValue, RedisError, Value};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::backoff::Backoff;
use crate::checkpoint::Position;
use crate::feed::connect;
use crate::streams::Streams;

const MEASURE_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Trim {
    pub client: Client,
    pub streams: Arc<Streams>,
    pub deadline: Duration,
    pub retry_max: Duration,
    /// By place in `streams`, as committed. Only the latest counts, so nothing queues up here.
    pub committed: watch::Receiver<Vec<Position>>,
}

impl Trim {
    /// Works until the writer is gone, and trims what it committed last.
    pub async fn run(mut self) {
        let mut backoff = Backoff::new(self.retry_max);
        let mut trimmed = vec![Position::default(); self.streams.all().len()];
        loop {
            match self.session(&mut trimmed, &mut backoff).await {
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

    async fn session(
        &mut self,
        trimmed: &mut [Position],
        backoff: &mut Backoff,
    ) -> Result<(), RedisError> {
        let mut connection = connect(&self.client, self.deadline).await?;
        let mut ticks = interval(MEASURE_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let committed = self.committed.borrow_and_update().clone();
            self.trim(&mut connection, &committed, trimmed).await?;
            backoff.reset();
            tokio::select! {
                changed = self.committed.changed() => if changed.is_err() {
                    return Ok(());
                },
                _ = ticks.tick() => self.measure(&mut connection).await?,
            }
        }
    }

    async fn trim(
        &self,
        connection: &mut MultiplexedConnection,
        committed: &[Position],
        trimmed: &mut [Position],
    ) -> Result<(), RedisError> {
        let mut pipeline = redis::pipe();
        let mut commands = 0;
        for (place, position) in committed.iter().enumerate() {
            if *position == trimmed[place] {
                continue;
            }
            let cursor = position.cursor;
            let keep_from = StreamCursor { counter: cursor.counter.saturating_add(1), ..cursor };
            let key = &self.streams.at(place).key;
            pipeline.cmd("XTRIM").arg(key).arg("MINID").arg(keep_from.to_string()).ignore();
            commands += 1;
        }
        if commands == 0 {
            return Ok(());
        }
        pipeline.query_async::<()>(connection).await?;
        trimmed.copy_from_slice(committed);
        Ok(())
    }

    /// How many entries wait in Redis, and how far the last of them is ahead of the position.
    async fn measure(&self, connection: &mut MultiplexedConnection) -> Result<(), RedisError> {
        let mut pipeline = redis::pipe();
        // A stream that does not exist is an error for XINFO.
        pipeline.ignore_errors();
        for stream in self.streams.all() {
            pipeline.cmd("XINFO").arg("STREAM").arg(&stream.key);
        }
        let replies: Vec<Value> = pipeline.query_async(connection).await?;
        let committed = self.committed.borrow().clone();
        for (place, reply) in replies.into_iter().enumerate() {
            let stream = self.streams.at(place);
            let (entries, last) = match reply {
                Value::ServerError(_) => (0, None),
                reply => {
                    let info = StreamInfoStreamReply::from_redis_value(reply)?;
                    (info.length, StreamCursor::parse(&info.last_generated_id))
                }
            };
            let last = last.map_or(0, |cursor| cursor.milliseconds);
            let behind = last.saturating_sub(committed[place].cursor.milliseconds);
            metrics::gauge!("sink_lag_entries", "stream" => stream.name.clone())
                .set(entries as f64);
            metrics::gauge!("sink_lag_sequences", "stream" => stream.name.clone())
                .set(behind as f64);
        }
        Ok(())
    }
}
