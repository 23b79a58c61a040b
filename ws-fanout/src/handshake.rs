//! From a connection to a WebSocket: the upgrade, and which connections are let in.
//!
//! permessage-deflate is declined: each socket would need its own copy of every message.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, COOKIE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use service::client_address::client_address;
use sha1_smol::Sha1;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::timeout;

use crate::connection::{Client, Connection, Shared};
use crate::peer::SocketId;

/// RFC 6455, section 1.3.
const ACCEPT_SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const PROTOCOL_VERSION: &str = "13";
/// Connections in the middle of their handshake; more are dropped.
const HANDSHAKES_MAX: usize = 1024;
/// Of a request's head.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// Who may come in; the same for all threads.
#[derive(Clone, Debug)]
pub struct Door {
    pub trusted_proxies: Arc<[IpAddr]>,
    pub handshake_max: Duration,
    seats: Arc<Seats>,
    next_id: Arc<AtomicU64>,
    handshakes: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Seats {
    max: usize,
    per_address_max: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place among the open sockets; given back when dropped.
#[derive(Debug)]
struct Seat {
    address: IpAddr,
    seats: Arc<Seats>,
}

/// One of the handshakes under way.
#[derive(Debug)]
pub struct Entering(Arc<AtomicUsize>);

impl Drop for Entering {
    fn drop(&mut self) {
        // Relaxed: a count alone.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Door {
    pub fn new(
        sockets_max: usize,
        per_address_max: usize,
        trusted_proxies: &[IpAddr],
        handshake_max: Duration,
    ) -> Door {
        let seats = Seats { max: sockets_max, per_address_max, taken: Mutex::default() };
        Door {
            trusted_proxies: trusted_proxies.into(),
            handshake_max,
            seats: Arc::new(seats),
            next_id: Arc::default(),
            handshakes: Arc::default(),
        }
    }

    /// `None`: too many are in the middle of it.
    pub fn enter(&self) -> Option<Entering> {
        let entering = Entering(Arc::clone(&self.handshakes));
        let before = self.handshakes.fetch_add(1, Ordering::Relaxed);
        (before < HANDSHAKES_MAX).then_some(entering)
    }

    fn seat(&self, address: IpAddr) -> Option<Seat> {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let same = taken.by_address.get(&address).copied().unwrap_or(0);
        if self.seats.max <= taken.total || self.seats.per_address_max <= same {
            metrics::counter!("fanout_sockets_refused_total").increment(1);
            return None;
        }
        taken.total += 1;
        taken.by_address.insert(address, same + 1);
        metrics::gauge!("fanout_sockets").set(taken.total as f64);
        Some(Seat { address, seats: Arc::clone(&self.seats) })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.total -= 1;
        let left = taken.by_address.remove(&self.address).unwrap_or(1) - 1;
        if 0 < left {
            taken.by_address.insert(self.address, left);
        }
        metrics::gauge!("fanout_sockets").set(taken.total as f64);
    }
}

/// Serves one connection until its socket is open or it was refused. Needs a `LocalSet`.
pub async fn greet(
    stream: TcpStream,
    peer: SocketAddr,
    door: Door,
    shared: Rc<Shared>,
    entering: Entering,
) {
    let handshake_max = door.handshake_max;
    let answer = service_fn(move |request| {
        let answer = answer(request, peer.ip(), &door, &shared);
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(handshake_max)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), answer)
        .with_upgrades();
    match timeout(handshake_max, connection).await {
        Ok(Ok(())) => (),
        Ok(Err(error)) => tracing::debug!(%error, %peer, "a handshake failed"),
        Err(_) => tracing::debug!(%peer, "a handshake took too long"),
    }
    drop(entering);
}

fn answer(
    mut request: Request<Incoming>,
    peer: IpAddr,
    door: &Door,
    shared: &Rc<Shared>,
) -> Response<Full<Bytes>> {
    if !matches!(request.uri().path(), "/" | "/ws") {
        return refuse(StatusCode::NOT_FOUND, "streams are at / and /ws\n");
    }
    let Some(accept) = accept_key(&request) else {
        let mut refused = refuse(StatusCode::UPGRADE_REQUIRED, "a WebSocket is served here\n");
        let headers = refused.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(PROTOCOL_VERSION));
        return refused;
    };
    let address = client_address(peer, request.headers(), &door.trusted_proxies);
    let Some(seat) = door.seat(address) else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "too many sockets\n");
    };
    let id = SocketId(door.next_id.fetch_add(1, Ordering::Relaxed));
    let client = Client { address, cookie: cookie(request.headers()) };
    let upgrade = hyper::upgrade::on(&mut request);
    spawn_local(open(upgrade, id, client, Rc::clone(shared), seat));
    let mut switching = Response::new(Full::default());
    *switching.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = switching.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    switching
}

async fn open(upgrade: OnUpgrade, id: SocketId, client: Client, shared: Rc<Shared>, seat: Seat) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "an upgrade failed"),
    };
    match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => {
            let socket = parts.io.into_inner();
            let connection = Connection::new(id, socket, &parts.read_buf, client, shared);
            // Even empty it holds on to the buffer that the handshake was read into.
            drop(parts.read_buf);
            connection.run().await;
        }
        Err(_) => tracing::error!("an upgraded connection is not what was accepted"),
    }
    drop(seat);
}

fn refuse(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What proves that the upgrade was understood; `None`: the request is no such upgrade.
fn accept_key<B>(request: &Request<B>) -> Option<HeaderValue> {
    let headers = request.headers();
    let asks = request.method() == Method::GET
        && has_token(headers, &CONNECTION, "upgrade")
        && has_token(headers, &UPGRADE, "websocket")
        && headers.get(SEC_WEBSOCKET_VERSION)? == PROTOCOL_VERSION;
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|_| asks)?.as_bytes();
    // 16 random bytes.
    if STANDARD.decode(key).ok()?.len() != 16 {
        return None;
    }
    let mut digest = Sha1::new();
    digest.update(key);
    digest.update(ACCEPT_SUFFIX);
    HeaderValue::from_str(&STANDARD.encode(digest.digest().bytes())).ok()
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|found| found.trim().eq_ignore_ascii_case(token))
}

/// The cookies of a page of our own host, on whatever port, or of a client that is no browser. A
/// page of another host may open a socket, but not speak for the user of ours.
fn cookie(headers: &HeaderMap) -> Option<String> {
    if let Some(origin) = headers.get(ORIGIN) {
        let origin: Uri = origin.to_str().ok()?.parse().ok()?;
        let host: Uri = headers.get(HOST)?.to_str().ok()?.parse().ok()?;
        let is_ours = origin.host()?.eq_ignore_ascii_case(host.host()?);
        is_ours.then_some(())?;
    }
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let all = lines.collect::<Vec<_>>().join("; ");
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    const UPGRADES: [(&str, &str); 4] = [
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "WebSocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn an_upgrade_is_answered_as_the_standard_shows() {
        let accept = accept_key(&request(&UPGRADES)).unwrap();
        assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn what_is_no_upgrade_is_told_from_one() {
        for left_out in 0..UPGRADES.len() {
            let mut headers = UPGRADES.to_vec();
            headers.remove(left_out);
            assert!(accept_key(&request(&headers)).is_none(), "{headers:?}");
        }
        for (at, wrong) in [(0, "close"), (1, "h2c"), (2, "8"), (3, "c2hvcnQ="), (3, "%")] {
            let mut headers = UPGRADES;
            headers[at].1 = wrong;
            assert!(accept_key(&request(&headers)).is_none(), "{headers:?}");
        }
    }

    #[test]
    fn cookies_speak_for_pages_of_our_own_host_alone() {
        let found = |headers: &[(&str, &str)]| cookie(request(headers).headers());
        let session = ("cookie", "exchange_session=x");
        let host = ("host", "exchange.example:8081");
        let expected = Some("exchange_session=x".to_owned());
        assert_eq!(found(&[host, session]), expected);
        assert_eq!(found(&[host, session, ("origin", "http://Exchange.example:8080")]), expected);
        let others = ["https://evil.example", "http://exchange.example.evil", "null", ""];
        for origin in others {
            assert_eq!(found(&[host, session, ("origin", origin)]), None, "{origin}");
        }
        assert_eq!(found(&[host, ("origin", "http://exchange.example:8080")]), None);
    }

    #[test]
    fn seats_are_given_back() {
        let address = |last: u8| IpAddr::from([10, 0, 0, last]);
        let door = Door::new(3, 2, &[], Duration::from_secs(1));
        let first = door.seat(address(1)).unwrap();
        let _second = door.seat(address(1)).unwrap();
        assert!(door.seat(address(1)).is_none());
        let _third = door.seat(address(2)).unwrap();
        assert!(door.seat(address(3)).is_none());
        drop(first);
        assert!(door.seat(address(1)).is_some());
    }
}
