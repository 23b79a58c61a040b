//! Owns the threads: the first accepts connections and hears Redis, and all hold sockets.
//!
//! ```text
//!            ┌────────────── first thread ──────────────┐   ┌─ more threads ─┐
//! redis ────▶│ upstream ─▶ worker 0 ─▶ sockets          │──▶│ worker 1 …     │
//! clients ──▶│ accept ─▶ handshake                      │──▶│ handshake      │
//!            └──────────────────────────────────────────┘   └────────────────┘
//! ```

use std::net::{SocketAddr, TcpListener as StdListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::SndBuf};
use service::{Condition, SharedCatalog};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_blocking, spawn_local};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::Access;
use crate::config::Config;
use crate::connection::Shared;
use crate::error::FanoutError;
use crate::handshake::{Door, Entering, greet};
use crate::links::{ToDisconnects, ToUpstream, ToWorker, WorkerId};
use crate::upstream::{self, Upstream};
use crate::worker::Worker;

/// Messages on their way to a worker; the upstream waits for room.
const TO_WORKER: usize = 4096;
/// What sockets ask of the upstream; who asks waits for room.
const TO_UPSTREAM: usize = 1024;
/// Accepted connections on their way to their thread.
const ARRIVALS: usize = 128;
/// Polls of tasks between two looks at the sockets: a task that writes to many must not keep those
/// who ask waiting.
const POLLS_BETWEEN_LOOKS: u32 = 4;
/// After an accept that failed, out of file descriptors for example.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// For the last commands of the upstream, after the sockets' own time to close.
const ENDING_MAX: Duration = Duration::from_secs(2);

/// The running fan-out.
#[derive(Debug)]
pub struct Fanout {
    /// Where it listens.
    pub address: SocketAddr,
    stop: CancellationToken,
    /// A thread has come to its end.
    ended: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

/// What each thread is given.
struct Thread {
    id: WorkerId,
    core: Option<usize>,
    config: Arc<Config>,
    listing: SharedCatalog,
    access: Access,
    door: Door,
    to_upstream: mpsc::Sender<ToUpstream>,
    to_disconnects: mpsc::Sender<ToDisconnects>,
    inbound: mpsc::Receiver<ToWorker>,
    stop: CancellationToken,
    ended: CancellationToken,
}

/// What the first thread is given beside.
struct First {
    listener: StdListener,
    upstream: Upstream,
    arrivals: Vec<mpsc::Sender<Arrival>>,
    others: TaskTracker,
}

struct Arrival {
    stream: std::net::TcpStream,
    peer: SocketAddr,
    entering: Entering,
}

impl Fanout {
    pub fn start(
        config: Config,
        listing: SharedCatalog,
        redis_url: &str,
        redis_ready: Condition,
    ) -> Result<Fanout, FanoutError> {
        let listen = |cause| FanoutError::Listen { address: config.listen, cause };
        let listener = StdListener::bind(config.listen).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let (to_upstream, commands) = mpsc::channel(TO_UPSTREAM);
        let (to_disconnects, disconnects) = mpsc::channel(TO_UPSTREAM);
        let (to_workers, inbounds): (Vec<_>, Vec<_>) =
            (0..config.threads).map(|_| mpsc::channel(TO_WORKER)).unzip();
        let settings = upstream::Settings {
            redis_url: redis_url.to_owned(),
            asker: config.id,
            listing: listing.clone(),
            redis_ready,
        };
        let (upstream, access) = upstream::connect(settings, to_workers, commands, disconnects)?;
        let door = Door::new(
            config.sockets_max,
            config.sockets_per_address_max,
            &config.trusted_proxies,
            config.handshake_max,
        );
        let (stop, ended) = (CancellationToken::new(), CancellationToken::new());
        let config = Arc::new(config);
        let mut threads = inbounds.into_iter().enumerate().map(|(number, inbound)| Thread {
            id: WorkerId(number),
            core: config.cores.get(number % config.cores.len().max(1)).copied(),
            config: Arc::clone(&config),
            listing: listing.clone(),
            access: access.clone(),
            door: door.clone(),
            to_upstream: to_upstream.clone(),
            to_disconnects: to_disconnects.clone(),
            inbound,
            stop: stop.clone(),
            ended: ended.clone(),
        });
        let first = threads.next().ok_or(FanoutError::NoThread)?;
        let (others, mut arrivals, mut handles) = (TaskTracker::new(), Vec::new(), Vec::new());
        for thread in threads {
            let (sender, receiver) = mpsc::channel(ARRIVALS);
            arrivals.push(sender);
            let token = others.token();
            handles.push(spawn(thread, async move |thread| {
                let shared = thread.shared();
                spawn_local(take_arrivals(receiver, thread.door.clone(), Rc::clone(&shared)));
                shared.worker.run(thread.inbound, thread.stop).await;
                drop(token);
            })?);
        }
        others.close();
        let parts = First { listener, upstream, arrivals, others };
        handles.push(spawn(first, async move |thread| run_first(thread, parts).await)?);
        tracing::info!(%address, threads = handles.len(), "listening for WebSocket clients");
        Ok(Fanout { address, stop, ended, threads: handles })
    }

    /// Runs until told to stop, then closes every socket with 1001 and waits `drain_ms_max` at most
    /// for the clients' answers. Errors: a thread that ended on its own.
    pub async fn run_until(self, told: CancellationToken) -> Result<(), FanoutError> {
        let outcome = tokio::select! {
            () = told.cancelled() => Ok(()),
            () = self.ended.cancelled() => Err(FanoutError::ThreadEnded),
        };
        self.stop.cancel();
        let joined = spawn_blocking(move || {
            self.threads.into_iter().map(JoinHandle::join).filter(Result::is_err).count()
        });
        match joined.await {
            Ok(0) => outcome,
            _ => Err(FanoutError::ThreadEnded),
        }
    }
}

impl Thread {
    fn shared(&self) -> Rc<Shared> {
        let worker = Worker::new(self.id, self.config.connection, self.to_upstream.clone());
        Rc::new(Shared {
            worker,
            config: self.config.connection,
            listing: self.listing.clone(),
            access: self.access.clone(),
            disconnects: self.to_disconnects.clone(),
            drain_max: self.config.drain_max,
        })
    }
}

/// Starts a thread with a runtime of its own.
fn spawn<F>(thread: Thread, main: F) -> Result<JoinHandle<()>, FanoutError>
where
    F: AsyncFnOnce(Thread) + Send + 'static,
{
    let name = format!("fanout-{}", thread.id.0);
    let started = thread::Builder::new().name(name).spawn(move || {
        // However it ends, the others hear of it.
        let _ended = thread.ended.clone().drop_guard();
        if let Some(core) = thread.core
            && !core_affinity::set_for_current(core_affinity::CoreId { id: core })
        {
            tracing::warn!(core, "could not pin the thread");
        }
        let mut builder = Builder::new_current_thread();
        match builder.enable_all().event_interval(POLLS_BETWEEN_LOOKS).build() {
            Ok(runtime) => runtime.block_on(LocalSet::new().run_until(main(thread))),
            Err(error) => tracing::error!(%error, "no runtime"),
        }
    });
    started.map_err(FanoutError::Thread)
}

async fn run_first(thread: Thread, parts: First) {
    let First { listener, upstream, arrivals, others } = parts;
    let shared = thread.shared();
    let upstream_stop = CancellationToken::new();
    let mut upstream = spawn_local(upstream.run(upstream_stop.clone()));
    let (door, accepting) = (thread.door.clone(), Rc::clone(&shared));
    // Accepted sockets inherit it. What a slow reader does not take then soon waits in the streams'
    // logs, once for all, and not in the kernel for each.
    if let Err(error) = setsockopt(&listener, SndBuf, &thread.config.send_buffer_bytes) {
        tracing::warn!(%error, "sockets have the system's own buffers");
    }
    let accepting = spawn_local(async move {
        match TcpListener::from_std(listener) {
            Ok(listener) => accept(listener, arrivals, door, accepting).await,
            Err(error) => tracing::error!(%error, "cannot accept connections"),
        }
    });
    let serving = thread.stop.clone();
    spawn_local(async move {
        serving.cancelled().await;
        accepting.abort();
    });
    shared.worker.run(thread.inbound, thread.stop).await;
    others.wait().await;
    // Nobody disconnects any more; what those who did leave to be done is done now.
    upstream_stop.cancel();
    if timeout(ENDING_MAX, &mut upstream).await.is_err() {
        tracing::warn!("the upstream was cut off at the end");
    }
}

/// Takes connections in and deals them out to the threads in turn.
async fn accept(
    listener: TcpListener,
    arrivals: Vec<mpsc::Sender<Arrival>>,
    door: Door,
    shared: Rc<Shared>,
) {
    let mut turns = (0..=arrivals.len()).cycle();
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "could not accept a connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "could not set TCP_NODELAY");
        }
        let Some(entering) = door.enter() else {
            metrics::counter!("fanout_handshakes_dropped_total").increment(1);
            continue;
        };
        let other = turns.next().and_then(|turn| arrivals.get(turn.checked_sub(1)?));
        let Some(other) = other else {
            spawn_local(greet(stream, peer, door.clone(), Rc::clone(&shared), entering));
            continue;
        };
        match stream.into_std() {
            Ok(stream) => {
                if other.send(Arrival { stream, peer, entering }).await.is_err() {
                    tracing::debug!("a thread has ended");
                }
            }
            Err(error) => tracing::warn!(%error, "could not hand a connection on"),
        }
    }
}

async fn take_arrivals(mut arrivals: mpsc::Receiver<Arrival>, door: Door, shared: Rc<Shared>) {
    while let Some(Arrival { stream, peer, entering }) = arrivals.recv().await {
        match TcpStream::from_std(stream) {
            Ok(stream) => {
                spawn_local(greet(stream, peer, door.clone(), Rc::clone(&shared), entering));
            }
            Err(error) => tracing::warn!(%error, "could not take a connection over"),
        }
    }
}
