//! The writing half of one socket: which streams it hears, how far it has taken each, and what is
//! for it alone.
//!
//! Invariant: it is never waited for. What it does not take at once stays in the streams' logs,
//! bounded in messages and bytes; past either it is closed.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::rc::Rc;

use bytes::{Buf, BytesMut};
use indexmap::IndexMap;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::close_reason::CloseReason;
use crate::local_stream::LocalStream;
use crate::stream_name::StreamName;
use crate::wire;

/// Streams of which one write takes what there is; more wait for the next.
const STREAMS_A_WRITE: usize = 32;
/// Of what its streams have still to give, at most so much goes before its Close.
const LAST_BYTES_MAX: usize = 256 << 10;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SocketId(pub u64);

/// Of what one socket may have still to take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    pub messages_max: usize,
    pub bytes_max: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Offer {
    /// It should be written to.
    Ready,
    /// It is about to be, or takes nothing now, or is being closed.
    Waits,
    /// It has too much to take already.
    Full,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flushed {
    All,
    /// Some is left, for another turn.
    Partly,
    /// It takes nothing now.
    Blocked,
    Gone,
}

#[derive(Debug)]
pub struct Peer {
    pub id: SocketId,
    socket: Rc<TcpStream>,
    bounds: Bounds,
    pending_messages: Cell<usize>,
    pending_bytes: Cell<usize>,
    is_queued: Cell<bool>,
    is_blocked: Cell<bool>,
    /// It takes nothing: who waits until it does is told.
    blocked: Notify,
    closing: Cell<Option<CloseReason>>,
    is_gone: Cell<bool>,
    ending: Notify,
    /// All is taken: only its own connection waits for that, at its end.
    emptied: Notify,
    pub pinged_at: Cell<Instant>,
    pub pong_at: Cell<Instant>,
    taking: RefCell<Taking>,
}

#[derive(Debug, Default)]
struct Taking {
    /// Goes before all else: the rest of a message that has begun, then what is for it alone.
    first: BytesMut,
    streams: IndexMap<StreamName, Hearing>,
    /// Where the next write begins among the streams.
    turn: usize,
}

#[derive(Debug)]
struct Hearing {
    local: Rc<LocalStream>,
    /// Offset in the stream's log.
    taken: u64,
}

impl Hearing {
    fn is_behind(&self) -> bool {
        self.taken < self.local.log().end()
    }
}

impl Peer {
    pub fn new(id: SocketId, socket: Rc<TcpStream>, bounds: Bounds, now: Instant) -> Peer {
        Peer {
            id,
            socket,
            bounds,
            pending_messages: Cell::new(0),
            pending_bytes: Cell::new(0),
            is_queued: Cell::new(false),
            is_blocked: Cell::new(false),
            blocked: Notify::new(),
            closing: Cell::new(None),
            is_gone: Cell::new(false),
            ending: Notify::new(),
            emptied: Notify::new(),
            pinged_at: Cell::new(now),
            pong_at: Cell::new(now),
            taking: RefCell::default(),
        }
    }

    /// A message of `bytes` was put into the log of a stream it hears.
    pub fn offer(&self, bytes: usize) -> Offer {
        if self.is_ending() {
            return Offer::Waits;
        }
        let (messages, bytes) = (self.pending_messages.get() + 1, self.pending_bytes.get() + bytes);
        self.pending_messages.set(messages);
        self.pending_bytes.set(bytes);
        if self.bounds.messages_max < messages || self.bounds.bytes_max < bytes {
            return Offer::Full;
        }
        match self.is_queued.get() || self.is_blocked.get() {
            true => Offer::Waits,
            false => Offer::Ready,
        }
    }

    /// Adds what is for it alone. The caller sees to its being written.
    pub fn add_own(&self, bytes: &[u8]) {
        if self.is_ending() {
            return;
        }
        let pending = self.pending_bytes.get() + bytes.len();
        self.pending_bytes.set(pending);
        if self.bounds.bytes_max < pending {
            return self.close(CloseReason::Lagging);
        }
        self.taking.borrow_mut().first.extend_from_slice(bytes);
    }

    /// Begins to hear what comes from here on.
    pub fn hear(&self, local: Rc<LocalStream>) {
        let taken = local.log().end();
        self.taking.borrow_mut().streams.insert(local.name, Hearing { local, taken });
    }

    /// What it had still to take of the stream is forgotten.
    pub fn stop_hearing(&self, name: StreamName) -> Option<Left> {
        let Hearing { local, taken } = self.taking.borrow_mut().streams.swap_remove(&name)?;
        self.count_pending();
        let is_empty = local.remove(self.id, taken);
        Some(Left { local, is_empty })
    }

    pub fn hears(&self) -> Vec<StreamName> {
        self.taking.borrow().streams.keys().copied().collect()
    }

    /// How many streams it hears.
    pub fn hears_count(&self) -> usize {
        self.taking.borrow().streams.len()
    }

    pub fn hears_stream(&self, name: StreamName) -> bool {
        self.taking.borrow().streams.contains_key(&name)
    }

    /// How far it has come in the stream. `None` while it is being written to.
    pub fn taken(&self, name: StreamName) -> Option<u64> {
        let taking = self.taking.try_borrow().ok()?;
        taking.streams.get(&name).map(|hearing| hearing.taken)
    }

    /// Takes a place in the line of those to be written to; `false`: it has one, or needs none.
    pub fn queue(&self) -> bool {
        !self.is_gone.get() && !self.is_blocked.get() && !self.is_queued.replace(true)
    }

    pub fn dequeue(&self) {
        self.is_queued.set(false);
    }

    /// Ends it with a Close behind what it was already told; the first reason stands.
    pub fn close(&self, reason: CloseReason) {
        if self.is_ending() {
            return;
        }
        if reason == CloseReason::Lagging {
            metrics::counter!("fanout_closed_lagging_total").increment(1);
        } else {
            self.taking.borrow_mut().take_the_last();
        }
        self.taking.borrow_mut().first.extend_from_slice(&wire::close_message(reason));
        self.closing.set(Some(reason));
        self.ending.notify_one();
    }

    /// The connection is of no use any more.
    pub fn break_off(&self) {
        self.is_gone.set(true);
        self.ending.notify_one();
    }

    pub fn closing(&self) -> Option<CloseReason> {
        self.closing.get()
    }

    pub fn is_gone(&self) -> bool {
        self.is_gone.get()
    }

    fn is_ending(&self) -> bool {
        self.closing.get().is_some() || self.is_gone.get()
    }

    /// Until it is being closed, or has broken off. Cancel safe.
    pub async fn ending(&self) {
        while !self.is_ending() {
            self.ending.notified().await;
        }
    }

    /// Until it takes bytes again after it was blocked. Cancel safe.
    pub async fn unblocked(&self) {
        while !self.is_blocked.get() {
            self.blocked.notified().await;
        }
        if self.socket.writable().await.is_err() {
            self.break_off();
        }
        self.is_blocked.set(false);
    }

    /// Until all that is for it has been handed to the system. Cancel safe.
    pub async fn until_all_taken(&self) {
        while !self.has_taken_all() && !self.is_gone() {
            self.emptied.notified().await;
        }
    }

    fn has_taken_all(&self) -> bool {
        let taking = self.taking.borrow();
        taking.first.is_empty() && !taking.streams.values().any(Hearing::is_behind)
    }

    /// Writes what there is, without waiting.
    pub fn flush(&self) -> Flushed {
        if self.is_gone.get() {
            return Flushed::Gone;
        }
        let mut taking = self.taking.borrow_mut();
        let wrote = taking.write(&self.socket, self.closing.get().is_some());
        drop(taking);
        match wrote {
            Ok(Wrote::Nothing) => self.count_pending(),
            Ok(Wrote::All) if self.has_taken_all() => {
                self.pending_messages.set(0);
                self.pending_bytes.set(0);
                self.emptied.notify_one();
            }
            Ok(Wrote::All) => {
                self.count_pending();
                return Flushed::Partly;
            }
            Ok(Wrote::Partly) => {
                self.count_pending();
                self.is_blocked.set(true);
                self.blocked.notify_one();
                return Flushed::Blocked;
            }
            Err(_) => {
                self.break_off();
                return Flushed::Gone;
            }
        }
        Flushed::All
    }

    fn count_pending(&self) {
        let taking = self.taking.borrow();
        let (mut messages, mut bytes) = (0, taking.first.len());
        for hearing in taking.streams.values().filter(|hearing| hearing.is_behind()) {
            let log = hearing.local.log();
            messages += log.messages_from(hearing.taken);
            bytes += (log.end() - hearing.taken) as usize;
        }
        self.pending_messages.set(messages);
        self.pending_bytes.set(bytes);
    }
}

/// A stream that one listener less hears.
#[derive(Debug)]
pub struct Left {
    pub local: Rc<LocalStream>,
    /// Nobody hears it any more.
    pub is_empty: bool,
}

enum Wrote {
    /// There was nothing to write.
    Nothing,
    /// All that was offered.
    All,
    Partly,
}

impl Taking {
    /// Offers the socket what there is. A message that has begun is finished before all else.
    fn write(&mut self, socket: &TcpStream, is_closing: bool) -> io::Result<Wrote> {
        let turn = if self.streams.is_empty() { 0 } else { self.turn % self.streams.len() };
        let order = (turn..self.streams.len()).chain(0..turn);
        let behind: Vec<usize> = match is_closing {
            // Behind the Close nothing may come.
            true => Vec::new(),
            false => {
                order.filter(|at| self.streams[*at].is_behind()).take(STREAMS_A_WRITE).collect()
            }
        };
        let logs: Vec<_> = behind.iter().map(|at| (*at, self.streams[*at].local.log())).collect();
        let mut slices = Vec::with_capacity(1 + 2 * logs.len());
        if !self.first.is_empty() {
            slices.push(IoSlice::new(&self.first));
        }
        for (at, log) in &logs {
            log.add_from(self.streams[*at].taken, &mut slices);
        }
        if slices.is_empty() {
            return Ok(Wrote::Nothing);
        }
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        let written = match socket.try_write_vectored(&slices) {
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        let ends: Vec<(usize, u64)> = logs.iter().map(|(at, log)| (*at, log.end())).collect();
        drop(slices);
        drop(logs);
        self.advance(written, &ends);
        Ok(if written == offered { Wrote::All } else { Wrote::Partly })
    }

    /// Takes note of what was written of `first` and then of the streams up to their ends.
    fn advance(&mut self, written: usize, ends: &[(usize, u64)]) {
        let of_first = written.min(self.first.len());
        self.first.advance(of_first);
        let mut left = written - of_first;
        for (at, end) in ends {
            if left == 0 {
                break;
            }
            let hearing = &mut self.streams[*at];
            let of_stream = left.min((end - hearing.taken) as usize);
            left -= of_stream;
            hearing.taken += of_stream as u64;
            // A message that has begun is finished from here, whatever happens to the stream.
            let rest = hearing.local.log().rest_of_message(hearing.taken);
            hearing.taken += rest.len() as u64;
            self.first.extend_from_slice(&rest);
            if hearing.taken == *end {
                hearing.local.caught_up();
            }
            self.turn = at + 1;
        }
        if self.first.is_empty() && self.first.capacity() != 0 {
            self.first = BytesMut::new();
        }
    }

    /// Before the Close it is given what its streams have said, as far as that is not much.
    fn take_the_last(&mut self) {
        let mut room = LAST_BYTES_MAX;
        for hearing in self.streams.values_mut() {
            let end = hearing.local.log().end();
            let length = (end - hearing.taken) as usize;
            if length == 0 || room < length {
                continue;
            }
            room -= length;
            let log = hearing.local.log();
            let mut slices = Vec::with_capacity(2);
            log.add_from(hearing.taken, &mut slices);
            slices.iter().for_each(|slice| self.first.extend_from_slice(slice));
            drop(slices);
            drop(log);
            hearing.taken = end;
            hearing.local.caught_up();
        }
    }
}
