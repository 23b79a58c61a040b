//! Reads the event streams from Redis, each from where the database stands.
//!
//! No consumer group: the database's position is the only one there is. A stream that does not
//! exist yet is an empty one. A full queue stops the reading, and Redis keeps what is not read.

use std::sync::Arc;
use std::time::Duration;

use protocol::{StreamCursor, keys};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::checkpoint::Position;
use crate::error::StreamFault;
use crate::sink::Readiness;
use crate::streams::Streams;

/// How long Redis may hold a read open when there is nothing to read.
const BLOCK: Duration = Duration::from_millis(1000);

/// An entry of an event stream as read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Place in [`Streams`].
    pub stream: usize,
    pub id: StreamCursor,
    /// `None` when the entry has no frame field.
    pub frame: Option<Vec<u8>>,
}

#[derive(Debug)]
pub struct Feed {
    pub client: Client,
    pub streams: Arc<Streams>,
    /// The last entry read of each stream.
    pub cursors: Vec<StreamCursor>,
    pub entries_max: usize,
    pub deadline: Duration,
    pub retry_max: Duration,
    pub readiness: Readiness,
}

enum Ended {
    /// Told to stop, or nobody takes the entries any more.
    Stopped,
    Failed(RedisError),
}

/// What XREAD answers: streams of entries of fields; nothing when the time was up.
type Reply = Option<Vec<(String, Vec<(String, Vec<(String, Vec<u8>)>)>)>>;

impl Feed {
    pub fn cursors(positions: &[Position]) -> Vec<StreamCursor> {
        positions.iter().map(|position| position.cursor).collect()
    }

    /// Reads until told to stop. Dropping what was read and not yet handed on is harmless: it stays
    /// in Redis until it is committed.
    pub async fn run(mut self, outbound: mpsc::Sender<Entry>, stop: CancellationToken) {
        let mut backoff = Backoff::new(self.retry_max);
        loop {
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.session(&outbound, &mut backoff) => ended,
            };
            self.readiness.redis(false);
            let Ended::Failed(error) = ended else { return };
            let pause = backoff.pause();
            tracing::warn!(%error, retry_ms = pause.as_millis(), "reading from Redis failed");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => (),
            }
        }
    }

    /// One connection's life.
    async fn session(&mut self, outbound: &mpsc::Sender<Entry>, backoff: &mut Backoff) -> Ended {
        let mut connection = match connect(&self.client, BLOCK + self.deadline).await {
            Ok(connection) => connection,
            Err(error) => return Ended::Failed(error),
        };
        self.readiness.redis(true);
        loop {
            let running: Vec<usize> = (0..self.cursors.len())
                .filter(|place| !self.streams.at(*place).is_stopped())
                .collect();
            if running.is_empty() {
                tracing::error!("every stream is stopped: nothing is read any more");
                outbound.closed().await;
                return Ended::Stopped;
            }
            let reply = match self.read(&mut connection, &running).await {
                Ok(reply) => reply,
                Err(error) => return Ended::Failed(error),
            };
            backoff.reset();
            for (key, entries) in reply.into_iter().flatten() {
                let place = running.iter().find(|place| self.streams.at(**place).key == key);
                let Some(&place) = place else { continue };
                for (id, fields) in entries {
                    let Some(entry) = self.entry(place, &id, fields) else { break };
                    if outbound.send(entry).await.is_err() {
                        return Ended::Stopped;
                    }
                }
            }
        }
    }

    async fn read(
        &self,
        connection: &mut MultiplexedConnection,
        running: &[usize],
    ) -> Result<Reply, RedisError> {
        let mut command = redis::cmd("XREAD");
        command.arg("COUNT").arg((self.entries_max / running.len()).max(1));
        command.arg("BLOCK").arg(u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX));
        command.arg("STREAMS");
        for place in running {
            command.arg(&self.streams.at(*place).key);
        }
        for place in running {
            command.arg(self.cursors[*place].to_string());
        }
        command.query_async(connection).await
    }

    /// Moves the cursor past the entry. `None` for an id that no stream has; the stream is stopped.
    fn entry(&mut self, place: usize, id: &str, fields: Vec<(String, Vec<u8>)>) -> Option<Entry> {
        let Some(cursor) = StreamCursor::parse(id) else {
            self.streams.at(place).stop(&StreamFault::EntryId { id: id.to_owned() });
            return None;
        };
        self.cursors[place] = cursor;
        let frame = fields.into_iter().find(|(name, _)| name == keys::FRAME_FIELD);
        Some(Entry { stream: place, id: cursor, frame: frame.map(|(_, bytes)| bytes) })
    }
}

/// A connection whose every answer comes within `deadline` or is an error.
pub async fn connect(
    client: &Client,
    deadline: Duration,
) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(deadline))
        .set_response_timeout(Some(deadline));
    client.get_multiplexed_async_connection_with_config(&config).await
}
