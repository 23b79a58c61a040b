//! Reads the event streams, each from where the database stands: from its queue on Redis, and what
//! the queue lacks from the engine's journal.
//!
//! No consumer group: the database's position is the only one there is. A queue that does not exist
//! yet is an empty one. A full channel stops the reading, and Redis keeps what is not read. While
//! frames of a stream lack, its queue is not read, and the other streams go on.

use std::sync::Arc;
use std::time::Duration;

use protocol::refill::Content;
use protocol::{Frame, RECORD_BYTES, StreamCursor, keys};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, RedisError};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::chain::Link;
use crate::checkpoint::Position;
use crate::error::StreamFault;
use crate::lane::{self, Lane};
use crate::queue_info::{QueueInfo, queues};
use crate::refill::{Order, Page};
use crate::shares::{Closed, Shares};
use crate::sink::Readiness;
use crate::streams::Streams;

/// How long Redis may hold a read open when there is nothing to read.
const BLOCK: Duration = Duration::from_millis(1000);
/// The same while frames lack, because a stream that has them again waits for the read's end.
const BLOCK_IN_GAP: Duration = Duration::from_millis(100);
/// How often the queues' ends are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1000);

/// A frame of an event stream as read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Place in [`Streams`].
    pub stream: usize,
    /// Its id on the queue, whether it came from there or not.
    pub id: StreamCursor,
    pub frame: Vec<u8>,
}

#[derive(Debug)]
pub struct Feed {
    pub client: Client,
    pub streams: Arc<Streams>,
    /// By place in `streams`.
    pub lanes: Vec<Lane>,
    /// At most one a stream is not answered, and as many find room.
    pub orders: mpsc::Sender<Order>,
    pub pages: mpsc::Receiver<Page>,
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

type Fields = Vec<(String, Vec<u8>)>;
/// What XREAD answers: streams of entries of fields; nothing when the time was up.
type Reply = Option<Vec<(String, Vec<(String, Fields)>)>>;

/// One read of the queues, and what came of it.
struct Read {
    /// Which streams' queues.
    places: Vec<usize>,
    /// Entries of each, at most.
    count: usize,
    reply: Reply,
    /// By place, where they were looked at.
    infos: Option<Vec<QueueInfo>>,
}

/// What an entry of a queue means.
enum Step {
    HandOn(Entry),
    Skip,
    /// Nothing behind it is taken before the gap is closed.
    Halt,
}

impl Feed {
    pub fn lanes(positions: &[Position], retry_max: Duration) -> Vec<Lane> {
        positions.iter().map(|position| Lane::new(position.sequence, retry_max)).collect()
    }

    /// Reads until told to stop. Dropping what was read and not yet handed on is harmless: it is
    /// read again from where the database then stands.
    pub async fn run(mut self, outbound: Shares, stop: CancellationToken) {
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

    /// One connection's life. Not cancel safe: a frame may count as handed on and not be.
    async fn session(&mut self, outbound: &Shares, backoff: &mut Backoff) -> Ended {
        let connection = match connect(&self.client, BLOCK + self.deadline).await {
            Ok(connection) => connection,
            Err(error) => return Ended::Failed(error),
        };
        self.readiness.redis(true);
        let mut looked = Instant::now();
        self.lanes.iter_mut().for_each(|lane| lane.doubt(looked));
        let read = read(connection.clone(), self.next_read(), true, Arc::clone(&self.streams));
        tokio::pin!(read);
        loop {
            // A read goes on while pages come: the connection would serve no other meanwhile.
            let done = tokio::select! {
                done = &mut read => match done {
                    Ok(done) => {
                        backoff.reset();
                        let taken = self.take_read(done, outbound).await;
                        if self.streams.all().iter().all(|stream| stream.is_stopped()) {
                            tracing::error!("every stream is stopped: nothing is read any more");
                            outbound.closed().await;
                            return Ended::Stopped;
                        }
                        let now = Instant::now();
                        let looks = LOOK_EVERY <= now - looked;
                        if looks {
                            looked = now;
                        }
                        let streams = Arc::clone(&self.streams);
                        let next = self.next_read();
                        read.set(self::read(connection.clone(), next, looks, streams));
                        taken
                    }
                    Err(error) => return Ended::Failed(error),
                },
                page = self.pages.recv() => match page {
                    Some(page) => self.take_page(&page, outbound).await,
                    None => Err(Closed),
                },
            };
            if done.and_then(|()| self.place_orders()).is_err() {
                return Ended::Stopped;
            }
        }
    }

    /// The queues of all streams that are not stopped and lack nothing.
    fn next_read(&self) -> (Read, Option<Cmd>) {
        let reads = |place: &usize| {
            !self.streams.at(*place).is_stopped() && self.lanes[*place].chain.gap().is_none()
        };
        let places: Vec<usize> = (0..self.lanes.len()).filter(reads).collect();
        let count = (self.entries_max / places.len().max(1)).max(1);
        let in_gap = self.streams.all().iter().any(|stream| stream.has_gap());
        let block = if in_gap { BLOCK_IN_GAP } else { BLOCK };
        let command = Some(places.as_slice()).filter(|places| !places.is_empty()).map(|places| {
            let mut command = redis::cmd("XREAD");
            command.arg("COUNT").arg(count);
            command.arg("BLOCK").arg(u64::try_from(block.as_millis()).unwrap_or(u64::MAX));
            command.arg("STREAMS");
            for place in places {
                command.arg(&self.streams.at(*place).key);
            }
            for place in places {
                command.arg(self.lanes[*place].cursor.to_string());
            }
            command
        });
        (Read { places, count, reply: None, infos: None }, command)
    }

    async fn take_read(&mut self, read: Read, outbound: &Shares) -> Result<(), Closed> {
        let now = Instant::now();
        for place in &read.places {
            self.lanes[*place].is_drained = true;
        }
        for (place, info) in read.infos.into_iter().flatten().enumerate() {
            let stream = self.streams.at(place);
            if self.lanes[place].queue_reaches(info.last, now) {
                metrics::counter!("sink_queue_losses_total", "stream" => stream.name.clone())
                    .increment(1);
                tracing::warn!(stream = %stream.name, "the queue has lost its end");
            }
        }
        for (key, entries) in read.reply.into_iter().flatten() {
            let place = read.places.iter().find(|place| self.streams.at(**place).key == key);
            let Some(&place) = place else { continue };
            self.lanes[place].is_drained &= entries.len() < read.count;
            for (id, fields) in entries {
                match self.entry(place, &id, fields) {
                    Ok(Step::HandOn(entry)) => {
                        outbound.send(entry).await?;
                    }
                    Ok(Step::Skip) => (),
                    Ok(Step::Halt) => break,
                    Err(fault) => {
                        self.streams.at(place).stop(&fault);
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    fn entry(&mut self, place: usize, id: &str, fields: Fields) -> Result<Step, StreamFault> {
        let (stream, lane) = (self.streams.at(place), &mut self.lanes[place]);
        // The read was under way when the gap opened, or the fault was found.
        if lane.chain.gap().is_some() || stream.is_stopped() {
            return Ok(Step::Halt);
        }
        let text = || id.to_owned();
        let id = StreamCursor::parse(id).ok_or_else(|| StreamFault::EntryId { id: text() })?;
        let frame = fields.into_iter().find(|(name, _)| name == keys::FRAME_FIELD);
        let (_, frame) = frame.ok_or_else(|| StreamFault::NoFrame { id: text() })?;
        let head = frame.first_chunk::<RECORD_BYTES>();
        let head = head.ok_or(protocol::DecodeError::Length(frame.len())).and_then(Frame::head);
        let (header, _) = head.map_err(|cause| StreamFault::Frame { id: text(), cause })?;
        let sequence = header.sequence.0;
        if id != lane::cursor(sequence) {
            return Err(StreamFault::ForeignId { id: text(), sequence });
        }
        match lane.chain.queued(&header)? {
            Link::Next => {
                lane.passes(id);
                Ok(Step::HandOn(Entry { stream: place, id, frame }))
            }
            Link::Known => {
                lane.passes(id);
                metrics::counter!("sink_frames_repeated_total", "stream" => stream.name.clone())
                    .increment(1);
                Ok(Step::Skip)
            }
            Link::Gap(gap) => {
                lane.rewind();
                stream.open_gap(lane.chain.handed(), gap);
                Ok(Step::Halt)
            }
        }
    }

    async fn take_page(&mut self, page: &Page, outbound: &Shares) -> Result<(), Closed> {
        let (stream, lane) = (self.streams.at(page.stream), &mut self.lanes[page.stream]);
        if stream.is_stopped() {
            return Ok(());
        }
        let mut refilled = 0;
        for frame in Frame::each_of(page.frames()) {
            let frame = frame.map_err(|cause| StreamFault::Page { after: page.after.0, cause });
            let taken = frame.and_then(|frame| {
                let is_next = lane.chain.refilled(&frame.header)?;
                let id = lane::cursor(frame.header.sequence.0);
                let entry = Entry { stream: page.stream, id, frame: frame.bytes().to_vec() };
                Ok(Some(entry).filter(|_| is_next))
            });
            match taken {
                Ok(None) => (),
                Ok(Some(entry)) => {
                    refilled += 1;
                    outbound.send(entry).await?;
                }
                Err(fault) => {
                    stream.stop(&fault);
                    return Ok(());
                }
            }
        }
        metrics::counter!("sink_refilled_frames_total", "stream" => stream.name.clone())
            .increment(refilled);
        if 0 < refilled {
            tracing::info!(
                stream = %stream.name, frames = refilled, to = lane.chain.handed(), "refilled"
            );
        }
        match page.content {
            Content::UpTo(_) => (),
            Content::UnknownMarket => {
                tracing::warn!(stream = %stream.name, "the engine does not list this market");
            }
            // No fault where the stream had nothing in what was removed.
            Content::BeginsAfter(begins_after) => tracing::info!(
                stream = %stream.name, last = lane.chain.handed(), begins_after = begins_after.0,
                "the engine's journal begins behind the last frame here"
            ),
        }
        match lane.page_ends(page, Instant::now()) {
            Ok(None) => (),
            Ok(Some(gap)) => stream.close_gap(gap),
            Err(fault) => stream.stop(&fault),
        }
        Ok(())
    }

    fn place_orders(&mut self) -> Result<(), Closed> {
        let now = Instant::now();
        for (stream, lane) in self.lanes.iter_mut().enumerate() {
            if self.streams.at(stream).is_stopped() {
                continue;
            }
            if let Some(after) = lane.order(now) {
                self.orders.try_send(Order { stream, after }).map_err(|_| Closed)?;
            }
        }
        Ok(())
    }
}

/// One read, and before it a look at the queues' ends where `looks`.
async fn read(
    mut connection: MultiplexedConnection,
    (mut read, command): (Read, Option<Cmd>),
    looks: bool,
    streams: Arc<Streams>,
) -> Result<Read, RedisError> {
    if looks {
        read.infos = Some(queues(&mut connection, &streams).await?);
    }
    match command {
        Some(command) => read.reply = command.query_async(&mut connection).await?,
        // Every stream lacks frames.
        None => tokio::time::sleep(BLOCK_IN_GAP).await,
    }
    Ok(read)
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
