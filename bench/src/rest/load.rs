//! Many connections on one thread, each with one request under way at most.
//!
//! The closed loop sends a connection's next request when its last one is answered. The open loop
//! has a time for each request and sends it over whatever connection is free; a request that finds
//! none waits, and its time runs: what a slow answer does to those behind it counts.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use xtask::interrupt;

use super::per_second;
use super::requests::Requests;
use super::wire::Wire;
use crate::clock::nanoseconds;
use crate::error::BenchError;
use crate::pace::wake_exactly;
use crate::recorder::Recorder;

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Loop {
    Closed,
    Open { per_second: f64 },
}

#[derive(Debug)]
pub struct Measured {
    pub latency: Recorder,
    pub latency_ns_sum: u64,
    pub answered: u64,
    /// Of these, those with another answer than the wanted one.
    pub failed: u64,
    /// What the first of them said.
    pub first_failure: Option<String>,
    /// From the first request to the last answer.
    pub took: Duration,
}

impl Measured {
    pub fn answered_per_second(&self) -> f64 {
        per_second(self.answered, self.took)
    }

    /// An error unless each request got what it was for.
    pub fn expect_all(&self, requests: &Requests) -> Result<(), BenchError> {
        match &self.first_failure {
            Some(said) => Err(BenchError::Answer(said.clone())),
            None if self.answered != requests.len() as u64 => {
                Err(BenchError::Answer("not every request was answered".to_owned()))
            }
            None => Ok(()),
        }
    }
}

/// Nothing that is answered at all takes longer.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How often a look is taken for a signal.
const LOOK_EVERY_MS: u16 = 500;
const EVENTS_MAX: usize = 64;
/// Names the timer; connections are named by their places.
const TIMER: u64 = u64::MAX;

/// Sends all requests in their order; returns when all are answered.
pub fn run(
    address: SocketAddr,
    requests: &Requests,
    connections: usize,
    how: Loop,
) -> Result<Measured, BenchError> {
    wake_exactly()?;
    let mut load = Load::connect(address, requests, connections, how)?;
    load.began = Instant::now();
    load.send_due()?;
    let mut events = [EpollEvent::empty(); EVENTS_MAX];
    let mut heard = Instant::now();
    while load.measured.answered < requests.len() as u64 {
        interrupt::check().map_err(BenchError::Exchange)?;
        let timeout = EpollTimeout::from(LOOK_EVERY_MS);
        let count = match load.epoll.wait(&mut events, timeout) {
            Ok(count) => count,
            // A signal: looked at above.
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(BenchError::Clock(error)),
        };
        for event in events.iter().take(count) {
            match event.data() {
                TIMER => load.timer.wait().map_err(BenchError::Clock)?,
                place => {
                    load.receive(place as usize)?;
                    heard = Instant::now();
                }
            }
        }
        if SILENCE_MAX < heard.elapsed() && load.is_waiting() {
            return Err(BenchError::Answer("no answer for half a minute".to_owned()));
        }
        load.send_due()?;
    }
    load.measured.took = load.began.elapsed();
    Ok(load.measured)
}

struct Load<'a> {
    requests: &'a Requests,
    how: Loop,
    began: Instant,
    /// The request that is sent next.
    next: usize,
    wires: Vec<Wire>,
    /// Since when the request of a connection counts, in ns.
    since_ns: Vec<u64>,
    free: Vec<usize>,
    epoll: Epoll,
    /// Wakes when the next request is due.
    timer: TimerFd,
    measured: Measured,
}

impl<'a> Load<'a> {
    fn connect(
        address: SocketAddr,
        requests: &'a Requests,
        connections: usize,
        how: Loop,
    ) -> Result<Load<'a>, BenchError> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(BenchError::Clock)?;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC);
        let timer = timer.map_err(BenchError::Clock)?;
        let readable = |data| EpollEvent::new(EpollFlags::EPOLLIN, data);
        epoll.add(&timer, readable(TIMER)).map_err(BenchError::Clock)?;
        let mut wires = Vec::with_capacity(connections);
        for place in 0..connections {
            let wire = Wire::connect(address)?;
            epoll.add(&wire, readable(place as u64)).map_err(BenchError::Clock)?;
            wires.push(wire);
        }
        let measured = Measured {
            latency: Recorder::new(0)?,
            latency_ns_sum: 0,
            answered: 0,
            failed: 0,
            first_failure: None,
            took: Duration::ZERO,
        };
        let (since_ns, free) = (vec![0; connections], (0..connections).rev().collect());
        let (began, next) = (Instant::now(), 0);
        Ok(Load { requests, how, began, next, wires, since_ns, free, epoll, timer, measured })
    }

    fn now_ns(&self) -> u64 {
        nanoseconds(self.began.elapsed())
    }

    /// When the next request is due; `None` for at once.
    fn due_ns(&self) -> Option<u64> {
        match self.how {
            Loop::Closed => None,
            Loop::Open { per_second } => Some((self.next as f64 * 1e9 / per_second) as u64),
        }
    }

    fn is_waiting(&self) -> bool {
        self.free.len() < self.wires.len()
    }

    /// Sends what is due over what is free.
    fn send_due(&mut self) -> Result<(), BenchError> {
        while let Some(request) = self.requests.get(self.next)
            && let Some(&place) = self.free.last()
        {
            let now = self.now_ns();
            let due = self.due_ns();
            if let Some(due) = due
                && now < due
            {
                let left = TimeSpec::from_duration(Duration::from_nanos(due - now));
                let once = Expiration::OneShot(left);
                let set = self.timer.set(once, TimerSetTimeFlags::empty());
                return set.map_err(BenchError::Clock);
            }
            self.free.pop();
            if let Some(since) = self.since_ns.get_mut(place) {
                *since = due.unwrap_or(now);
            }
            if let Some(wire) = self.wires.get_mut(place) {
                wire.send(request)?;
            }
            self.next += 1;
        }
        Ok(())
    }

    fn receive(&mut self, place: usize) -> Result<(), BenchError> {
        let now = self.now_ns();
        let Some(wire) = self.wires.get_mut(place) else { return Ok(()) };
        let Some(answer) = wire.receive()? else { return Ok(()) };
        let latency_ns = now.saturating_sub(self.since_ns.get(place).copied().unwrap_or_default());
        let measured = &mut self.measured;
        measured.latency.record(latency_ns);
        measured.latency_ns_sum += latency_ns;
        measured.answered += 1;
        if !self.requests.is_wanted(answer.status, answer.body) {
            measured.failed += 1;
            let said = || format!("{} {}", answer.status, String::from_utf8_lossy(answer.body));
            measured.first_failure.get_or_insert_with(said);
        }
        self.free.push(place);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::exchange::Signer;
    use crate::rest::requests::Kind;
    use ed25519_dalek::SigningKey;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Answers each connection's requests one by one, each after a while.
    fn server(delay: Duration, answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    let mut bytes = [0; 4096];
                    while stream.read(&mut bytes).is_ok_and(|count| 0 < count) {
                        std::thread::sleep(delay);
                        let length = answer.len();
                        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                        stream.write_all(format!("{head}{answer}").as_bytes()).unwrap();
                    }
                });
            }
        });
        address
    }

    fn requests(count: u64) -> Requests {
        let signer = Signer { api_key: "key".to_owned(), key: SigningKey::from_bytes(&[1; 32]) };
        Requests::sign(&[signer], Kind::Rest, count).unwrap()
    }

    #[test]
    fn the_closed_loop_keeps_every_connection_busy() {
        let address = server(Duration::from_millis(5), "{\"status\":\"New\"}");
        let measured = run(address, &requests(40), 4, Loop::Closed).unwrap();
        measured.expect_all(&requests(40)).unwrap();
        assert!(Duration::from_millis(50) <= measured.took, "{:?}", measured.took);
        assert!(5_000_000 <= measured.latency.percentiles().p50);
    }

    #[test]
    fn in_the_open_loop_waiting_for_a_connection_counts() {
        let address = server(Duration::from_millis(20), "{\"status\":\"New\"}");
        // All due within 10 ms, over one connection that takes 20 ms for each.
        let open = Loop::Open { per_second: 1000.0 };
        let measured = run(address, &requests(10), 1, open).unwrap();
        assert_eq!(measured.answered, 10);
        assert!(180_000_000 <= measured.latency.percentiles().max);
    }

    #[test]
    fn an_answer_that_was_not_wanted_is_told_of() {
        let address = server(Duration::ZERO, "{\"status\":\"Expired\"}");
        let measured = run(address, &requests(3), 2, Loop::Closed).unwrap();
        assert_eq!((measured.answered, measured.failed), (3, 3));
        let error = measured.expect_all(&requests(3)).unwrap_err();
        assert!(error.to_string().contains("Expired"), "{error}");
    }
}
