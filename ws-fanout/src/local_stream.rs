//! Those of a worker's sockets that hear one stream, and what they have still to take of it.

use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;

use indexmap::IndexMap;
use tokio::sync::oneshot;

use crate::links::Token;
use crate::peer::{Offer, Peer, SocketId};
use crate::stream_log::StreamLog;
use crate::stream_name::StreamName;

/// A log that has grown by so much since the last look is searched for what all have taken, which
/// takes a walk over all listeners.
const LOOK_EVERY_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub struct LocalStream {
    pub name: StreamName,
    pub token: Token,
    /// Whether the upstream has said that every message comes from here on.
    is_joined: Cell<bool>,
    waiting: RefCell<Vec<oneshot::Sender<()>>>,
    listeners: RefCell<IndexMap<SocketId, Rc<Peer>>>,
    log: RefCell<StreamLog>,
    /// Listeners that have not taken all of the log.
    behind: Cell<usize>,
    look_at_bytes: Cell<usize>,
}

impl LocalStream {
    pub fn new(name: StreamName, token: Token) -> LocalStream {
        LocalStream {
            name,
            token,
            is_joined: Cell::new(false),
            waiting: RefCell::default(),
            listeners: RefCell::default(),
            log: RefCell::default(),
            behind: Cell::new(0),
            look_at_bytes: Cell::new(LOOK_EVERY_BYTES),
        }
    }

    pub fn joined(&self) {
        self.is_joined.set(true);
        for waiting in self.waiting.take() {
            // Whoever waited may have gone.
            waiting.send(()).unwrap_or_default();
        }
    }

    /// Adds a listener, who hears what comes from here on. `Some`: it is not yet certain that all
    /// of it comes; the receiver tells when it is, or that it never will be.
    pub fn add(&self, peer: &Rc<Peer>) -> Option<oneshot::Receiver<()>> {
        self.listeners.borrow_mut().insert(peer.id, Rc::clone(peer));
        if self.is_joined.get() {
            return None;
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.borrow_mut().push(sender);
        Some(receiver)
    }

    /// Returns whether nobody is left. `taken` is how far the listener had come.
    pub fn remove(&self, id: SocketId, taken: u64) -> bool {
        let mut listeners = self.listeners.borrow_mut();
        if listeners.swap_remove(&id).is_some() && taken < self.log().end() {
            self.caught_up();
        }
        listeners.is_empty()
    }

    pub fn log(&self) -> Ref<'_, StreamLog> {
        self.log.borrow()
    }

    pub fn listeners_count(&self) -> usize {
        self.listeners.borrow().len()
    }

    pub fn listeners(&self) -> Vec<Rc<Peer>> {
        self.listeners.borrow().values().map(Rc::clone).collect()
    }

    /// Keeps the message for everybody. Calls `ready` with those who have nothing in the way of
    /// being written to, and `full` with those who have too much to take already.
    pub fn tell(&self, message: &[u8], mut ready: impl FnMut(&Rc<Peer>), full: &mut Vec<Rc<Peer>>) {
        if !self.is_joined.get() {
            // Of a membership that has ended; ours begins with `Joined`.
            return;
        }
        self.log.borrow_mut().push(message);
        let listeners = self.listeners.borrow();
        self.behind.set(listeners.len());
        for peer in listeners.values() {
            match peer.offer(message.len()) {
                Offer::Ready => ready(peer),
                Offer::Waits => (),
                Offer::Full => full.push(Rc::clone(peer)),
            }
        }
        drop(listeners);
        self.forget_what_all_have();
    }

    /// A listener has taken everything, or has gone without.
    pub fn caught_up(&self) {
        let left = self.behind.get().saturating_sub(1);
        self.behind.set(left);
        if left == 0 {
            let mut log = self.log.borrow_mut();
            let end = log.end();
            log.forget_until(end);
            self.look_at_bytes.set(LOOK_EVERY_BYTES);
        }
    }

    /// Somebody lags; the log need not keep what nobody lacks.
    fn forget_what_all_have(&self) {
        let mut log = self.log.borrow_mut();
        if log.kept_bytes() < self.look_at_bytes.get() {
            return;
        }
        let listeners = self.listeners.borrow();
        let taken = listeners.values().filter_map(|peer| peer.taken(self.name)).min();
        let all_have = taken.unwrap_or_else(|| log.end());
        log.forget_until(all_have);
        self.look_at_bytes.set(log.kept_bytes() + LOOK_EVERY_BYTES);
    }
}
