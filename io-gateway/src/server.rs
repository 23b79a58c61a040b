//! The listener: one task a connection, bounded in number and in what a slow client may hold.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Duration, Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::app::SharedApp;
use crate::connections::{ConnectionCounts, Place, cut_when_unread};
use crate::error::GatewayError;
use crate::routes::single_slash;

/// Where a request came from.
#[derive(Clone, Copy, Debug)]
pub struct Remote(pub SocketAddr);

/// After the process ran out of something, as file descriptors, accepting pauses this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const HEADER_BYTES_MAX: usize = 32 * 1024;

pub async fn listen(address: SocketAddr) -> Result<TcpListener, GatewayError> {
    TcpListener::bind(address).await.map_err(|cause| GatewayError::Listen { address, cause })
}

/// Serves until `stop`, then finishes what is in flight, for `drain_max` at most.
pub async fn serve(listener: TcpListener, router: Router, app: SharedApp, stop: CancellationToken) {
    let connections = Arc::new(Semaphore::new(app.http.connections_max));
    let counts = ConnectionCounts::new(app.http.connections_per_address_max);
    let graceful = GracefulShutdown::new();
    loop {
        // At the bound nobody new is accepted: they wait in the listen queue.
        let accepted = async {
            let permit = Arc::clone(&connections).acquire_owned().await.ok();
            (listener.accept().await, permit)
        };
        let (accepted, permit) = tokio::select! {
            accepted = accepted => accepted,
            () = stop.cancelled() => break,
        };
        match accepted {
            Ok((stream, remote)) => {
                // Who has too many is hung up on: to say why takes as much as to serve.
                let Some(place) = counts.admit(remote.ip().to_canonical()) else { continue };
                let watcher = graceful.watcher();
                connection(stream, remote, router.clone(), &app, watcher, (permit, place));
            }
            Err(error) => {
                tracing::warn!(%error, "could not accept");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let deadline = Instant::now() + app.http.drain_max;
    let connections = timeout_at(deadline, graceful.shutdown()).await;
    app.tasks.close();
    let tasks = timeout_at(deadline, app.tasks.wait()).await;
    if connections.is_err() || tasks.is_err() {
        tracing::warn!(tasks = app.tasks.len(), "not all requests were finished in time");
    }
}

fn connection(
    stream: TcpStream,
    remote: SocketAddr,
    router: Router,
    app: &SharedApp,
    watcher: hyper_util::server::graceful::Watcher,
    places: (Option<OwnedSemaphorePermit>, Place),
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "could not switch off Nagle's algorithm");
    }
    cut_when_unread(&stream, app.http.unread_max);
    let service = router.map_request(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Remote(remote));
        single_slash(request.map(Body::new))
    });
    let service = TowerToHyperService::new(service);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Runs from the answer before, so that an idle connection is closed by it too.
        .header_read_timeout(app.http.header_read_max)
        .max_header_size(HEADER_BYTES_MAX)
        // Who sends no more may still wait; and a whole request counts, whoever waits for it.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service);
    let connection = watcher.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, %remote, "a connection broke");
        }
        drop(places);
        Ok::<(), Infallible>(())
    });
}
