//! A thread's share of the sockets: passes messages on to who hears them and writes.
//!
//! ```text
//! upstream ─▶ local stream (log) ─▶ line of peers that have something to take ─▶ write to a few
//! ```
//!
//! One thread and no lock: a message costs one copy into its stream's log and, for each listener, a
//! look whether it stands in line already. Writing begins at once and takes all that has come up
//! meanwhile, so the more there is the fewer writes carry it.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use indexmap::IndexMap;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::close_reason::CloseReason;
use crate::config::ConnectionConfig;
use crate::links::{ToUpstream, ToWorker, Token, WorkerId};
use crate::local_stream::LocalStream;
use crate::peer::{Flushed, Left, Peer, SocketId};
use crate::stream_name::StreamName;
use crate::wire;

/// Messages taken before who has something to take is written to.
const BATCH_MAX: usize = 32;
/// Sockets written to before others on this thread have their turn.
const WRITES_MAX: usize = 64;
/// How often pings are looked at.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Worker {
    id: WorkerId,
    config: ConnectionConfig,
    upstream: mpsc::Sender<ToUpstream>,
    streams: RefCell<HashMap<StreamName, Rc<LocalStream>>>,
    next_token: Cell<u64>,
    line: RefCell<VecDeque<Rc<Peer>>>,
    /// The line is not empty any more, or a peer has left.
    woken: Notify,
    peers: RefCell<IndexMap<SocketId, Rc<Peer>>>,
}

impl Worker {
    pub fn new(
        id: WorkerId,
        config: ConnectionConfig,
        upstream: mpsc::Sender<ToUpstream>,
    ) -> Rc<Worker> {
        Rc::new(Worker {
            id,
            config,
            upstream,
            streams: RefCell::default(),
            next_token: Cell::new(1),
            line: RefCell::default(),
            woken: Notify::new(),
            peers: RefCell::default(),
        })
    }

    /// Runs until told to stop and, behind that, every socket has ended. Never waits for the
    /// upstream or for a socket.
    pub async fn run(&self, mut inbound: mpsc::Receiver<ToWorker>, stop: CancellationToken) {
        let mut sweep = interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH_MAX);
        loop {
            let is_idle = self.line.borrow().is_empty();
            tokio::select! {
                biased;
                taken = inbound.recv_many(&mut batch, BATCH_MAX) => {
                    if taken == 0 {
                        // Without an upstream nothing more comes.
                        self.close_all(CloseReason::Gap);
                        return;
                    }
                    batch.drain(..).for_each(|message| self.take(message));
                }
                () = stop.cancelled() => break,
                _ = sweep.tick() => self.sweep(Instant::now()),
                () = self.woken.notified(), if is_idle => (),
                () = std::future::ready(()), if !is_idle => (),
            }
            self.write_to_some();
            if !self.line.borrow().is_empty() {
                yield_now().await;
            }
        }
        self.close_all(CloseReason::Shutdown);
        while !self.peers.borrow().is_empty() {
            self.write_to_some();
            tokio::select! {
                () = self.woken.notified() => (),
                Some(_) = inbound.recv() => (),
            }
        }
    }

    fn take(&self, message: ToWorker) {
        match message {
            ToWorker::Joined { stream, token } => {
                if let Some(local) = self.member(stream, token) {
                    local.joined();
                }
            }
            ToWorker::Message { stream, message } => {
                let found = self.streams.borrow().get(&stream).map(Rc::clone);
                let Some(local) = found else { return };
                let mut full = Vec::new();
                local.tell(&message, |peer| self.enqueue(peer), &mut full);
                full.iter().for_each(|peer| self.close(peer, CloseReason::Lagging));
                let listeners = local.listeners_count() as u64;
                metrics::counter!("fanout_frames_out_total").increment(listeners);
                let bytes = listeners * message.len() as u64;
                metrics::counter!("fanout_bytes_out_total").increment(bytes);
            }
            ToWorker::Broken { stream, token, reason } => {
                if let Some(local) = self.member(stream, token) {
                    self.streams.borrow_mut().remove(&stream);
                    local.listeners().iter().for_each(|peer| self.close(peer, reason));
                }
            }
        }
    }

    fn member(&self, stream: StreamName, token: Token) -> Option<Rc<LocalStream>> {
        let streams = self.streams.borrow();
        streams.get(&stream).filter(|local| local.token == token).map(Rc::clone)
    }

    pub fn admit(&self, peer: Rc<Peer>) {
        self.peers.borrow_mut().insert(peer.id, peer);
    }

    pub fn dismiss(&self, peer: &Peer) {
        self.peers.borrow_mut().swap_remove(&peer.id);
        self.woken.notify_one();
    }

    /// The peer hears the stream from here on. `Some`: whether all of it comes is not certain yet;
    /// see [`LocalStream::add`].
    pub async fn subscribe(
        &self,
        peer: &Rc<Peer>,
        stream: StreamName,
    ) -> Option<oneshot::Receiver<()>> {
        let known = self.streams.borrow().get(&stream).map(Rc::clone);
        if let Some(local) = known {
            peer.hear(Rc::clone(&local));
            return local.add(peer);
        }
        let token = Token(self.next_token.replace(self.next_token.get() + 1));
        let local = Rc::new(LocalStream::new(stream, token));
        self.streams.borrow_mut().insert(stream, Rc::clone(&local));
        peer.hear(Rc::clone(&local));
        let waiting = local.add(peer);
        self.tell_upstream(ToUpstream::Join { worker: self.id, stream, token }).await;
        waiting
    }

    pub async fn unsubscribe(&self, peer: &Peer, stream: StreamName) {
        let Some(Left { local, is_empty: true }) = peer.stop_hearing(stream) else { return };
        let token = local.token;
        if self.member(stream, token).is_some() {
            self.streams.borrow_mut().remove(&stream);
            self.tell_upstream(ToUpstream::Leave { worker: self.id, stream, token }).await;
        }
    }

    async fn tell_upstream(&self, message: ToUpstream) {
        if self.upstream.send(message).await.is_err() {
            tracing::debug!("the upstream ended before its worker");
        }
    }

    /// What is for this peer alone.
    pub fn tell_one(&self, peer: &Rc<Peer>, bytes: &[u8]) {
        peer.add_own(bytes);
        self.enqueue(peer);
    }

    pub fn close(&self, peer: &Rc<Peer>, reason: CloseReason) {
        peer.close(reason);
        self.enqueue(peer);
    }

    pub fn enqueue(&self, peer: &Rc<Peer>) {
        if peer.queue() {
            self.line.borrow_mut().push_back(Rc::clone(peer));
            self.woken.notify_one();
        }
    }

    fn write_to_some(&self) {
        for _ in 0..WRITES_MAX {
            let Some(peer) = self.line.borrow_mut().pop_front() else { return };
            peer.dequeue();
            if peer.flush() == Flushed::Partly {
                self.enqueue(&peer);
            }
        }
    }

    fn sweep(&self, now: Instant) {
        let peers: Vec<Rc<Peer>> = self.peers.borrow().values().map(Rc::clone).collect();
        for peer in peers {
            if self.config.pong_max <= now - peer.pong_at.get() {
                self.close(&peer, CloseReason::NoPong);
            } else if self.config.ping_every <= now - peer.pinged_at.get() {
                peer.pinged_at.set(now);
                self.tell_one(&peer, &wire::ping_message());
            }
        }
    }

    fn close_all(&self, reason: CloseReason) {
        let peers: Vec<Rc<Peer>> = self.peers.borrow().values().map(Rc::clone).collect();
        peers.iter().for_each(|peer| self.close(peer, reason));
    }
}

/// Waits for what [`Worker::subscribe`] could not tell at once; at most `patience`.
pub async fn until_joined(waiting: Vec<oneshot::Receiver<()>>, patience: Duration) {
    let all = async {
        for joined in waiting {
            // An error: it was broken off, and the socket is being closed.
            joined.await.unwrap_or_default();
        }
    };
    if timeout(patience, all).await.is_err() {
        tracing::debug!("a stream has not begun in time; it begins when it can");
    }
}
