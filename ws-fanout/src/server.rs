//! Accepts sockets up to the configured numbers, holds the tasks together, drains them at the end.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use service::{Condition, SharedCatalog};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::connection::{Connection, Shared};
use crate::error::FanoutError;
use crate::feed::Feed;
use crate::topics::{Hub, SocketId};

const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Commands and frames that wait for the hub; who sends more waits.
const HUB_QUEUE: usize = 1024;
/// After the sockets' own time to close.
const ENDING_MAX: Duration = Duration::from_millis(500);

/// The running fan-out.
#[derive(Debug)]
pub struct Fanout {
    /// Where it listens.
    pub address: SocketAddr,
    drain_max: Duration,
    stop: CancellationToken,
    sockets: TaskTracker,
    server: JoinHandle<std::io::Result<()>>,
    hub: JoinHandle<()>,
    feed: JoinHandle<()>,
}

impl Fanout {
    pub async fn start(
        config: Config,
        listing: SharedCatalog,
        redis_url: &str,
        redis_ready: Condition,
    ) -> Result<Fanout, FanoutError> {
        let listen = |cause| FanoutError::Listen { address: config.listen, cause };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (wanted, wanted_changes) = watch::channel(BTreeSet::new());
        let (commands, command_queue) = mpsc::channel(HUB_QUEUE);
        let (events, event_queue) = mpsc::channel(HUB_QUEUE);
        let feed = Feed::new(redis_url, wanted_changes, events, redis_ready)
            .map_err(FanoutError::RedisAddress)?;
        let hub = Hub::new(listing.clone(), wanted);
        let (stop, sockets) = (CancellationToken::new(), TaskTracker::new());
        let door = Door {
            shared: Shared {
                config: config.connection,
                listing,
                hub: commands,
                stop: stop.clone(),
                drain_max: config.drain_max,
            },
            sockets: sockets.clone(),
            sockets_max: config.sockets_max,
            sockets_per_address_max: config.sockets_per_address_max,
            next_id: Arc::default(),
            open: Arc::default(),
        };
        let routes = Router::new().route("/", get(enter)).route("/ws", get(enter)).with_state(door);
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "could not set TCP_NODELAY");
            }
        });
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        let served =
            axum::serve(listener, service).with_graceful_shutdown(stop.clone().cancelled_owned());
        tracing::info!(%address, "listening for WebSocket clients");
        Ok(Fanout {
            address,
            drain_max: config.drain_max,
            stop,
            sockets,
            server: tokio::spawn(async move { served.await }),
            hub: tokio::spawn(hub.run(command_queue, event_queue)),
            feed: tokio::spawn(feed.run()),
        })
    }

    /// Runs until told to stop, then closes every socket with 1001 and waits `drain_ms_max` at most
    /// for the clients' answers. Errors: a task that ended on its own.
    pub async fn run_until(mut self, told: CancellationToken) -> Result<(), FanoutError> {
        let ended = |task| Err(FanoutError::TaskEnded { task });
        let outcome = tokio::select! {
            () = told.cancelled() => Ok(()),
            _ = &mut self.server => ended("server"),
            _ = &mut self.hub => ended("hub"),
            _ = &mut self.feed => ended("feed"),
        };
        self.stop.cancel();
        self.sockets.close();
        if timeout(self.drain_max + ENDING_MAX, self.sockets.wait()).await.is_err() {
            tracing::warn!(sockets = self.sockets.len(), "sockets cut off at the end");
        }
        self.feed.abort();
        self.hub.abort();
        self.server.abort();
        outcome
    }
}

#[derive(Clone, Debug)]
struct Door {
    shared: Shared,
    sockets: TaskTracker,
    sockets_max: usize,
    sockets_per_address_max: usize,
    next_id: Arc<AtomicU64>,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place among the open sockets; given back when dropped.
#[derive(Debug)]
struct Seat {
    address: IpAddr,
    open: Arc<Mutex<Open>>,
}

impl Door {
    fn seat(&self, address: IpAddr) -> Option<Seat> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let same = open.by_address.get(&address).copied().unwrap_or(0);
        if self.sockets_max <= open.total || self.sockets_per_address_max <= same {
            return None;
        }
        open.total += 1;
        open.by_address.insert(address, same + 1);
        metrics::gauge!("fanout_sockets").set(open.total as f64);
        Some(Seat { address, open: Arc::clone(&self.open) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        let left = open.by_address.remove(&self.address).unwrap_or(1) - 1;
        if 0 < left {
            open.by_address.insert(self.address, left);
        }
        metrics::gauge!("fanout_sockets").set(open.total as f64);
    }
}

async fn enter(
    State(door): State<Door>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let Some(seat) = door.seat(peer.ip()) else {
        metrics::counter!("fanout_sockets_refused_total").increment(1);
        return (StatusCode::SERVICE_UNAVAILABLE, "too many sockets\n").into_response();
    };
    let id = SocketId(door.next_id.fetch_add(1, Ordering::Relaxed));
    // Counted from here on, so that a socket in the middle of its upgrade is waited for too.
    let token = door.sockets.token();
    upgrade.max_message_size(MESSAGE_BYTES_MAX).max_frame_size(MESSAGE_BYTES_MAX).on_upgrade(
        async move |socket| {
            Connection::new(id, socket, door.shared).run().await;
            drop((seat, token));
        },
    )
}
