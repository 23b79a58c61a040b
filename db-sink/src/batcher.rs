//! Gathers frames into batches: one transaction each.
//!
//! Invariant: within a batch, and from batch to batch, the frames of a stream follow one another
//! without a gap; the feed sees to it. An entry that is no frame of its stream stops the stream.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use protocol::{Frame, StreamCursor};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::checkpoint::Position;
use crate::error::StreamFault;
use crate::feed::Entry;
use crate::streams::{Stream, Streams};
use crate::tables::Rows;

/// Entries moved from the queue at once.
const TAKE_MAX: usize = 64;

/// What a batch has of one stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Slice {
    /// Place in [`Streams`].
    pub stream: usize,
    /// The position it goes on from.
    pub from: u64,
    /// Its last frame.
    pub to: Position,
    pub frames: usize,
    pub rows: Rows,
}

/// Frames of any streams, at most one slice a stream.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    pub slices: Vec<Slice>,
}

impl Batch {
    pub fn rows(&self) -> usize {
        self.slices.iter().map(|slice| slice.rows.len()).sum()
    }

    pub fn frames(&self) -> usize {
        self.slices.iter().map(|slice| slice.frames).sum()
    }
}

#[derive(Debug)]
pub struct Batcher {
    streams: Arc<Streams>,
    inbound: mpsc::Receiver<Entry>,
    rows_max: usize,
    age_max: Duration,
    /// The last frame taken of each stream.
    taken: Vec<Position>,
    /// Streams whose fault was found here. One that the feed stopped is another matter: what it
    /// handed on before is still good.
    faulty: Vec<bool>,
    /// Moved and not in a batch yet.
    entries: VecDeque<Entry>,
    batch: Batch,
    rows: usize,
    flush_at: Instant,
}

impl Batcher {
    /// `positions` as committed, by place in `streams`.
    pub fn new(
        streams: Arc<Streams>,
        positions: Vec<Position>,
        inbound: mpsc::Receiver<Entry>,
        rows_max: usize,
        age_max: Duration,
    ) -> Self {
        Batcher {
            streams,
            inbound,
            rows_max,
            age_max,
            faulty: vec![false; positions.len()],
            taken: positions,
            entries: VecDeque::with_capacity(TAKE_MAX),
            batch: Batch::default(),
            rows: 0,
            flush_at: Instant::now(),
        }
    }

    /// Sends batches until the inbound queue is closed and drained, or nobody takes them any more.
    pub async fn run(mut self, outbound: mpsc::Sender<Batch>) {
        while let Some(batch) = self.next().await {
            if outbound.send(batch).await.is_err() {
                return;
            }
        }
    }

    /// The next batch: full, which is by no more than one frame, or as old as it may get. `None`
    /// when the inbound queue is closed and drained. Cancel safe: what was taken stays.
    pub async fn next(&mut self) -> Option<Batch> {
        let mut moved = Vec::with_capacity(TAKE_MAX);
        loop {
            self.take_entries();
            let waits = !self.batch.slices.is_empty();
            if self.rows_max <= self.rows || (waits && self.flush_at <= Instant::now()) {
                if let Some(batch) = self.close() {
                    return Some(batch);
                }
                continue;
            }
            tokio::select! {
                () = sleep_until(self.flush_at), if waits => (),
                taken = self.inbound.recv_many(&mut moved, TAKE_MAX) => {
                    if taken == 0 {
                        return self.close();
                    }
                    self.entries.extend(moved.drain(..));
                }
            }
        }
    }

    fn close(&mut self) -> Option<Batch> {
        self.rows = 0;
        let mut batch = std::mem::take(&mut self.batch);
        // A slice whose first frame could not be taken is empty.
        batch.slices.retain(|slice| slice.frames != 0);
        Some(batch).filter(|batch| !batch.slices.is_empty())
    }

    /// As many as the batch has room for.
    fn take_entries(&mut self) {
        if self.batch.slices.is_empty() {
            self.flush_at = Instant::now() + self.age_max;
        }
        let streams = Arc::clone(&self.streams);
        while self.rows < self.rows_max
            && let Some(entry) = self.entries.pop_front()
        {
            if self.faulty[entry.stream] {
                continue;
            }
            let stream = streams.at(entry.stream);
            if let Err(fault) = self.take(stream, &entry) {
                self.faulty[entry.stream] = true;
                stream.stop(&fault);
            }
        }
    }

    fn take(&mut self, stream: &Stream, entry: &Entry) -> Result<(), StreamFault> {
        let frame = Frame::parse(&entry.frame)
            .map_err(|cause| StreamFault::Frame { id: entry.id.to_string(), cause })?;
        let sequence = frame.header.sequence.0;
        let previous = frame.header.previous.map_or(0, |previous| previous.0);
        let last = self.taken[entry.stream].sequence;
        assert!(previous == last && last < sequence, "Invariant: the feed hands on a chain");
        let slice = slice_of(&mut self.batch, entry.stream, last);
        let before = slice.rows.len();
        slice
            .rows
            .append(&frame, stream.market.as_ref())
            .map_err(|cause| StreamFault::Rows { sequence, cause })?;
        slice.to = Position { sequence, cursor: entry.id };
        slice.frames += 1;
        self.rows += slice.rows.len() - before;
        self.taken[entry.stream] = slice.to;
        Ok(())
    }
}

/// The batch's slice of a stream, begun if there is none yet.
fn slice_of(batch: &mut Batch, stream: usize, from: u64) -> &mut Slice {
    let at = batch.slices.iter().position(|slice| slice.stream == stream).unwrap_or_else(|| {
        let to = Position { sequence: from, cursor: StreamCursor::START };
        batch.slices.push(Slice { stream, from, to, frames: 0, rows: Rows::default() });
        batch.slices.len() - 1
    });
    &mut batch.slices[at]
}
