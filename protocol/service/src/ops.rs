//! The operator's endpoint: `/healthz` (the process lives), `/readyz` (it can do its work now),
//! `/metrics` (Prometheus text). Served by a thread of its own, so that a busy process still
//! answers.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};
use tiny_http::{Header, Method, Request, Response, Server};

/// Upper ends of the histograms, in seconds: from what a lock takes to what nobody waits for.
const BUCKETS_S: [f64; 22] = [
    10e-6, 20e-6, 50e-6, 100e-6, 150e-6, 200e-6, 300e-6, 500e-6, 750e-6, 1e-3, 1.5e-3, 2e-3, 3e-3,
    5e-3, 10e-3, 20e-3, 50e-3, 100e-3, 250e-3, 1.0, 5.0, 30.0,
];
/// Recorded values are put into their buckets this often, or they would be kept until somebody
/// scrapes.
const UPKEEP_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    #[error("could not listen on {address}: {cause}")]
    Listen { address: SocketAddr, cause: String },
    #[error("could not install the metrics recorder")]
    Recorder(#[source] BuildError),
    #[error("could not start the operations thread")]
    Thread(#[source] std::io::Error),
}

/// Something that must hold for the process to be ready. The default is none of an endpoint's.
#[derive(Clone, Debug, Default)]
pub struct Condition(Arc<AtomicBool>);

impl Condition {
    pub fn set(&self, holds: bool) {
        self.0.store(holds, Ordering::Relaxed);
    }

    pub fn holds(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

type Conditions = Arc<Mutex<Vec<(&'static str, Condition)>>>;

/// Handle on the running endpoint.
#[derive(Clone, Debug)]
pub struct Ops {
    pub address: SocketAddr,
    conditions: Conditions,
}

impl Ops {
    /// Installs the process's metrics recorder and starts answering. `refresh` runs before each
    /// scrape, for figures that are read and not counted.
    pub fn start(
        address: SocketAddr,
        refresh: impl Fn() + Send + 'static,
    ) -> Result<Ops, OpsError> {
        let recorder = PrometheusBuilder::new().set_buckets(&BUCKETS_S);
        let recorder = recorder.and_then(PrometheusBuilder::install_recorder);
        let recorder = recorder.map_err(OpsError::Recorder)?;
        let server = Server::http(address)
            .map_err(|cause| OpsError::Listen { address, cause: cause.to_string() })?;
        let address = server.server_addr().to_ip().unwrap_or(address);
        let conditions = Conditions::default();
        let ops = Ops { address, conditions: Arc::clone(&conditions) };
        let serve = move || {
            let mut upkept = Instant::now();
            // An error is the end of the listener.
            while let Ok(request) = server.recv_timeout(UPKEEP_EVERY) {
                if let Some(request) = request {
                    answer(request, &conditions, &recorder, &refresh);
                }
                if UPKEEP_EVERY <= upkept.elapsed() {
                    recorder.run_upkeep();
                    upkept = Instant::now();
                }
            }
        };
        thread::Builder::new().name("ops".to_owned()).spawn(serve).map_err(OpsError::Thread)?;
        tracing::info!(%address, "operations endpoint");
        Ok(ops)
    }

    /// Adds a condition of readiness, not holding yet.
    pub fn condition(&self, name: &'static str) -> Condition {
        let condition = Condition(Arc::default());
        let mut conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        conditions.push((name, condition.clone()));
        condition
    }
}

fn answer(
    request: Request,
    conditions: &Conditions,
    recorder: &PrometheusHandle,
    refresh: &impl Fn(),
) {
    let path = request.url().split('?').next().unwrap_or_default();
    let (status, body) = match (request.method(), path) {
        (Method::Get | Method::Head, "/healthz") => (200, "ok\n".to_owned()),
        (Method::Get | Method::Head, "/readyz") => readiness(conditions),
        (Method::Get | Method::Head, "/metrics") => {
            refresh();
            recorder.run_upkeep();
            (200, recorder.render())
        }
        _ => (404, "not found\n".to_owned()),
    };
    let mut response = Response::from_string(body).with_status_code(status);
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    if let Ok(header) = Header::from_bytes("Content-Type", content_type) {
        response = response.with_header(header);
    }
    if let Err(error) = request.respond(response) {
        tracing::debug!(%error, "a probe hung up");
    }
}

/// One line a condition; 200 when there are some and all hold.
fn readiness(conditions: &Conditions) -> (u16, String) {
    let conditions = conditions.lock().unwrap_or_else(PoisonError::into_inner);
    let mut body = Vec::new();
    for (name, condition) in conditions.iter() {
        let state = if condition.holds() { "ready" } else { "waiting" };
        // Writing to a Vec cannot fail.
        writeln!(body, "{name} {state}").unwrap_or_default();
    }
    let ready = !conditions.is_empty() && conditions.iter().all(|(_, it)| it.holds());
    (if ready { 200 } else { 503 }, String::from_utf8_lossy(&body).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpStream;

    fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn ready_only_when_every_condition_holds() {
        let ops = Ops::start("127.0.0.1:0".parse().unwrap(), || ()).unwrap();
        assert!(get(ops.address, "/readyz").starts_with("HTTP/1.1 503"));
        let (redis, database) = (ops.condition("redis"), ops.condition("database"));
        redis.set(true);
        assert!(get(ops.address, "/readyz").contains("database waiting"));
        database.set(true);
        assert!(get(ops.address, "/readyz").starts_with("HTTP/1.1 200"));
        metrics::counter!("orders_total").increment(3);
        assert!(get(ops.address, "/metrics").contains("orders_total 3"));
        assert!(get(ops.address, "/healthz").starts_with("HTTP/1.1 200"));
        assert!(get(ops.address, "/").starts_with("HTTP/1.1 404"));
    }
}
