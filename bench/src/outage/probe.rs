//! A client that sends orders over REST at a steady rate, and how long each took in which stage.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::Stage;
use crate::error::BenchError;
use crate::recorder::{Percentiles, Recorder};
use crate::rest::exchange::{Exchange, Signer};
use crate::rest::load::{self, Loop};
use crate::rest::requests::{Kind, Requests};

/// Orders that find all of them busy wait, and their time runs.
const CONNECTIONS: usize = 4;

pub struct Probe {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Percentiles>, BenchError>>,
}

impl Probe {
    /// Each order trades at once with the wall that stands in its market.
    pub fn start(
        exchange: &Exchange,
        stage: &Stage,
        stages: usize,
        per_second: u64,
    ) -> Result<Probe, BenchError> {
        let stop = Arc::new(AtomicBool::new(false));
        let signer = exchange.accounts().first().ok_or(BenchError::NoRuns)?;
        let signer = Signer { api_key: signer.api_key.clone(), key: signer.key.clone() };
        let recorders = (0..stages).map(|_| Recorder::new(0)).collect::<Result<Vec<_>, _>>()?;
        let probing = Probing {
            address: exchange.address(),
            signer,
            stage: stage.clone(),
            recorders,
            per_second,
            stop: Arc::clone(&stop),
        };
        Ok(Probe { stop, thread: thread::spawn(|| probing.run()) })
    }

    /// By stage. An error if an order was not answered, or not with a trade.
    pub fn stop(self) -> Result<Vec<Percentiles>, BenchError> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| BenchError::Thread)?
    }
}

struct Probing {
    address: SocketAddr,
    signer: Signer,
    stage: Stage,
    recorders: Vec<Recorder>,
    per_second: u64,
    stop: Arc<AtomicBool>,
}

impl Probing {
    fn run(mut self) -> Result<Vec<Percentiles>, BenchError> {
        while !self.stop.load(Ordering::Relaxed) {
            // A second's orders at a time: signatures hold no longer than a minute.
            let before = self.stage.now();
            let accounts = std::slice::from_ref(&self.signer);
            let requests = Requests::sign(accounts, Kind::Cross, self.per_second)?;
            let open = Loop::Open { per_second: self.per_second as f64 };
            let measured = load::run(self.address, &requests, CONNECTIONS, open)?;
            measured.expect_all(&requests)?;
            // Of a second with the border of two stages in it, it is not known whose it is.
            let stage = before.filter(|stage| self.stage.now() == Some(*stage));
            if let Some(recorder) = stage.and_then(|stage| self.recorders.get_mut(stage)) {
                recorder.add(&measured.latency)?;
            }
        }
        Ok(self.recorders.iter().map(Recorder::percentiles).collect())
    }
}
