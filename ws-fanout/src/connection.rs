//! One socket from its handshake to its end: what its client asks, its answers, its farewell.

use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use protocol::AccountId;
use protocol::access::{Credentials, Identity, Verdict};
use service::SharedCatalog;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::access::Access;
use crate::allowance::Allowance;
use crate::close_reason::CloseReason;
use crate::config::ConnectionConfig;
use crate::links::ToDisconnects;
use crate::peer::{Bounds, Peer, SocketId};
use crate::requests::{self, Request, RequestError, Subscribe};
use crate::stream_name::{Private, PrivateName, StreamName};
use crate::wire::{self, Incoming, Reader};
use crate::worker::{Worker, until_joined};

/// Requests behind a SUBSCRIBE wait until its streams have begun, so that whatever is answered to
/// them (a pong, too) says that they have; at most so long.
const JOIN_PATIENCE: Duration = Duration::from_secs(5);

/// What all connections of a worker share.
#[derive(Debug)]
pub struct Shared {
    pub worker: Rc<Worker>,
    pub config: ConnectionConfig,
    pub listing: SharedCatalog,
    pub access: Access,
    pub disconnects: mpsc::Sender<ToDisconnects>,
    /// How long the Close of a shutdown may take.
    pub drain_max: Duration,
}

/// What the handshake told of the client.
#[derive(Clone, Debug)]
pub struct Client {
    pub address: IpAddr,
    /// Cookies that may speak for it.
    pub cookie: Option<String>,
}

pub struct Connection {
    shared: Rc<Shared>,
    peer: Rc<Peer>,
    reader: Reader,
    client: Client,
    allowance: Allowance,
    /// Whose each private stream is that it hears.
    private: HashMap<PrivateName, AccountId>,
    /// Accounts whose orders go with it.
    armed: Vec<AccountId>,
}

impl Connection {
    /// `first` came behind the handshake.
    pub fn new(
        id: SocketId,
        socket: TcpStream,
        first: &[u8],
        client: Client,
        shared: Rc<Shared>,
    ) -> Connection {
        let config = shared.config;
        let bounds =
            Bounds { messages_max: config.outbox_frames_max, bytes_max: config.outbox_bytes_max };
        let socket = Rc::new(socket);
        let now = Instant::now();
        let peer = Rc::new(Peer::new(id, Rc::clone(&socket), bounds, now));
        let reader = Reader::new(socket, first);
        let allowance = Allowance::new(config.requests_per_s_max, now);
        let (private, armed) = (HashMap::new(), Vec::new());
        Connection { shared, peer, reader, client, allowance, private, armed }
    }

    pub async fn run(mut self) {
        let (shared, peer) = (Rc::clone(&self.shared), Rc::clone(&self.peer));
        let _admitted = Admitted::new(&shared.worker, &peer);
        tokio::select! {
            () = peer.ending() => (),
            () = self.listen() => (),
            () = keep_writing(&shared.worker, &peer) => (),
        }
        for stream in peer.hears() {
            shared.worker.unsubscribe(&peer, stream).await;
        }
        for account in self.armed.drain(..) {
            tell(&shared.disconnects, ToDisconnects::Closed(account)).await;
        }
        let patience = match peer.closing() {
            Some(CloseReason::Shutdown) => shared.drain_max,
            _ => shared.config.close_max,
        };
        if !peer.is_gone() {
            tokio::select! {
                ended = timeout(patience, self.farewell()) => if ended.is_err() {
                    tracing::debug!(socket = peer.id.0, "a client did not answer its Close");
                },
                () = keep_writing(&shared.worker, &peer) => (),
            }
        }
    }

    /// Until the client closes.
    async fn listen(&mut self) {
        loop {
            match self.next().await {
                Incoming::Text(text) => self.obey(&text).await,
                Incoming::Binary => {
                    self.count_request();
                    self.refuse(RequestError::Parse);
                }
                Incoming::Ping => self.count_request(),
                Incoming::Pong => self.peer.pong_at.set(Instant::now()),
                Incoming::Violation(reason) => self.shared.worker.close(&self.peer, reason),
                Incoming::Closed => return,
            }
            if self.peer.closing().is_some() {
                return;
            }
        }
    }

    /// Reads until the client has closed, too; the library's answer to its Close goes out.
    async fn farewell(&mut self) {
        if self.peer.closing().is_none() {
            // It was the client who closed: asking once more has the answer made.
            self.next().await;
            self.peer.until_all_taken().await;
            return;
        }
        while !matches!(self.next().await, Incoming::Closed | Incoming::Violation(_)) {}
    }

    async fn next(&mut self) -> Incoming {
        self.reader.next(|bytes| self.shared.worker.tell_one(&self.peer, bytes)).await
    }

    fn count_request(&mut self) {
        if !self.allowance.take(Instant::now()) {
            self.shared.worker.close(&self.peer, CloseReason::TooManyRequests);
        }
    }

    async fn obey(&mut self, text: &str) {
        self.count_request();
        if self.peer.closing().is_some() {
            return;
        }
        let catalog = &self.shared.listing.get().catalog;
        match requests::parse(text, catalog) {
            Err(error) => self.refuse(error),
            Ok(Request::Subscribe(wanted)) => self.subscribe(wanted).await,
            Ok(Request::Unsubscribe { public, private }) => {
                for stream in public {
                    self.shared.worker.unsubscribe(&self.peer, stream).await;
                }
                for name in private {
                    self.end_private(name).await;
                }
            }
        }
    }

    async fn subscribe(&mut self, wanted: Subscribe) {
        let mut streams = wanted.public;
        if !wanted.private.is_empty() {
            let Some(identity) = self.identify(wanted.signature).await else { return };
            let arms = wanted.private.contains(&Private::CancelOnDisconnect);
            if arms && identity.read_only {
                return self.refuse(RequestError::Signature);
            }
            let Identity { account, .. } = identity;
            for private in wanted.private {
                let Private::Stream(name) = private else { continue };
                self.rebind(name, account).await;
                streams.push(StreamName::Private { account, name });
            }
            if arms && !self.armed.contains(&account) {
                self.armed.push(account);
                tell(&self.shared.disconnects, ToDisconnects::Armed(account)).await;
            }
        }
        let mut waiting = Vec::new();
        for stream in streams {
            if self.peer.hears_stream(stream) {
                continue;
            }
            if self.shared.config.streams_max <= self.peer.hears_count() {
                return self.shared.worker.close(&self.peer, CloseReason::TooManyStreams);
            }
            waiting.extend(self.shared.worker.subscribe(&self.peer, stream).await);
        }
        until_joined(waiting, JOIN_PATIENCE).await;
    }

    /// `None`: the client has been told.
    async fn identify(&self, signature: Option<Credentials>) -> Option<Identity> {
        let cookie = || self.client.cookie.clone().map(Credentials::Cookie);
        let Some(credentials) = signature.or_else(cookie) else {
            self.refuse(RequestError::Signature);
            return None;
        };
        match self.shared.access.identify(self.client.address, credentials).await {
            Verdict::Granted(identity) => Some(identity),
            Verdict::Refused => {
                self.refuse(RequestError::Signature);
                None
            }
            Verdict::Unavailable => {
                self.shared.worker.close(&self.peer, CloseReason::Unverifiable);
                None
            }
        }
    }

    /// A name is of one account at a time: the latest that proved itself.
    async fn rebind(&mut self, name: PrivateName, account: AccountId) {
        match self.private.insert(name, account) {
            Some(before) if before != account => {
                let stream = StreamName::Private { account: before, name };
                self.shared.worker.unsubscribe(&self.peer, stream).await;
            }
            _ => (),
        }
    }

    async fn end_private(&mut self, private: Private) {
        match private {
            Private::Stream(name) => {
                if let Some(account) = self.private.remove(&name) {
                    let stream = StreamName::Private { account, name };
                    self.shared.worker.unsubscribe(&self.peer, stream).await;
                }
            }
            Private::CancelOnDisconnect => {
                for account in self.armed.drain(..) {
                    tell(&self.shared.disconnects, ToDisconnects::Disarmed(account)).await;
                }
            }
            Private::Silent => (),
        }
    }

    fn refuse(&self, error: RequestError) {
        self.shared.worker.tell_one(&self.peer, &wire::text_message(&[error.frame()]));
    }
}

/// A socket the worker knows of, for as long as its connection runs, however that ends.
struct Admitted {
    worker: Rc<Worker>,
    peer: Rc<Peer>,
}

impl Admitted {
    fn new(worker: &Rc<Worker>, peer: &Rc<Peer>) -> Admitted {
        worker.admit(Rc::clone(peer));
        Admitted { worker: Rc::clone(worker), peer: Rc::clone(peer) }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.peer.break_off();
        for stream in self.peer.hears() {
            self.peer.stop_hearing(stream);
        }
        self.worker.dismiss(&self.peer);
    }
}

/// Puts the peer in line whenever it takes bytes again.
async fn keep_writing(worker: &Worker, peer: &Rc<Peer>) {
    loop {
        peer.unblocked().await;
        worker.enqueue(peer);
        if peer.is_gone() {
            return;
        }
    }
}

async fn tell(disconnects: &mpsc::Sender<ToDisconnects>, message: ToDisconnects) {
    if disconnects.send(message).await.is_err() {
        tracing::warn!(?message, "nobody is left to see to orders of closed sockets");
    }
}
