//! Trades that orders over REST make, and when each client has them.
//!
//! One thread sends orders, each due at a time of its own; this one hears. Each order makes one
//! trade, and both go in order, so that the first trade is of the first order.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use serde::Serialize;

use super::frames;
use super::listeners::{Heard, Listeners, now_ns};
use crate::error::BenchError;
use crate::pace::{Schedule, wake_exactly};
use crate::recorder::{Percentiles, Recorder};
use crate::rest::requests::Requests;
use crate::rest::wire::Wire;

/// Trades that come first and do not count.
pub const WARM_UP: usize = 5;
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// How long until so many clients have a trade, over all trades.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TradesFigures {
    pub sockets: usize,
    pub trades: usize,
    pub from_order: Reached,
    pub from_engine: Reached,
}

/// ns until the first client has it, half of them, 99 %, and the last.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Reached {
    pub first: Percentiles,
    pub half: Percentiles,
    pub most: Percentiles,
    pub last: Percentiles,
}

struct Trade {
    engine_ns: u64,
    /// In the order of time.
    reached_ns: Vec<u64>,
}

pub fn measure(
    address: SocketAddr,
    requests: &Requests,
    per_second: u64,
    listeners: &mut Listeners,
) -> Result<TradesFigures, BenchError> {
    let sent: Vec<AtomicU64> = requests_of(requests).map(|_| AtomicU64::new(0)).collect();
    let trades = thread::scope(|scope| {
        let sender = scope.spawn(|| send(address, requests, per_second, &sent));
        let heard = hear(listeners, requests.len());
        sender.join().map_err(|_| BenchError::Thread)??;
        heard
    })?;
    let sent_ns = |number: usize| sent.get(number).map(|at| at.load(Ordering::Relaxed));
    let counted = || trades.iter().enumerate().skip(WARM_UP);
    let from_order = counted().filter_map(|(number, trade)| Some((sent_ns(number)?, trade)));
    let from_engine = counted().map(|(_, trade)| (trade.engine_ns, trade));
    Ok(TradesFigures {
        sockets: listeners.count(),
        trades: counted().count(),
        from_order: reached(from_order)?,
        from_engine: reached(from_engine)?,
    })
}

fn requests_of(requests: &Requests) -> impl Iterator<Item = &[u8]> {
    (0..requests.len()).filter_map(|number| requests.get(number))
}

fn send(
    address: SocketAddr,
    requests: &Requests,
    per_second: u64,
    sent: &[AtomicU64],
) -> Result<(), BenchError> {
    wake_exactly()?;
    let mut wire = Wire::connect(address)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(BenchError::Clock)?;
    epoll.add(&wire, EpollEvent::new(EpollFlags::EPOLLIN, 0)).map_err(BenchError::Clock)?;
    let schedule = Schedule::begin(per_second);
    for (number, (request, sent)) in requests_of(requests).zip(sent).enumerate() {
        schedule.sleep_until(number as u64);
        sent.store(now_ns(), Ordering::Relaxed);
        wire.send(request)?;
        let began = Instant::now();
        loop {
            let mut events = [EpollEvent::empty()];
            epoll.wait(&mut events, EpollTimeout::from(500u16)).map_err(BenchError::Clock)?;
            if let Some(answer) = wire.receive()? {
                if !requests.is_wanted(answer.status, answer.body) {
                    let said = String::from_utf8_lossy(answer.body);
                    return Err(BenchError::Answer(format!("{} {said}", answer.status)));
                }
                break;
            }
            if SILENCE_MAX < began.elapsed() {
                return Err(BenchError::Answer("none to an order".to_owned()));
            }
        }
    }
    Ok(())
}

/// Until every client has every trade.
fn hear(listeners: &mut Listeners, wanted: usize) -> Result<Vec<Trade>, BenchError> {
    let sockets = listeners.count();
    let mut trades: Vec<Trade> = Vec::with_capacity(wanted);
    let mut first_id = None;
    let mut left = wanted * sockets;
    let mut heard = Instant::now();
    while 0 < left {
        let before = left;
        listeners.hear(100, &mut |came: Heard<'_>| {
            let damaged = || BenchError::Frame(String::from_utf8_lossy(came.text).into_owned());
            let id = frames::trade_id(came.text).ok_or_else(damaged)?;
            // A socket's first frame is of the first trade, and the first of all is of some socket.
            let number = id.checked_sub(*first_id.get_or_insert(id)).ok_or_else(damaged)?;
            if trades.len() as u64 == number {
                let time_us = frames::engine_time_us(came.text).ok_or_else(damaged)?;
                let reached_ns = Vec::with_capacity(sockets);
                trades.push(Trade { engine_ns: time_us * 1000, reached_ns });
            }
            let trade = trades.get_mut(number as usize).ok_or_else(damaged)?;
            trade.reached_ns.push(came.at_ns);
            left = left.saturating_sub(1);
            Ok(())
        })?;
        if left < before {
            heard = Instant::now();
        } else if SILENCE_MAX < heard.elapsed() || !listeners.closed().is_empty() {
            let closed = listeners.closed();
            let what = format!("{left} trades did not come; closed with {closed:?}");
            return Err(BenchError::Frame(what));
        }
    }
    Ok(trades)
}

fn reached<'a>(
    trades: impl Iterator<Item = (u64, &'a Trade)> + Clone,
) -> Result<Reached, BenchError> {
    let of = |share: fn(usize) -> usize| -> Result<Percentiles, BenchError> {
        let mut recorder = Recorder::new(0)?;
        for (began_ns, trade) in trades.clone() {
            let count = trade.reached_ns.len();
            let at = trade.reached_ns.get(share(count)).copied().unwrap_or_default();
            recorder.record(at.saturating_sub(began_ns));
        }
        Ok(recorder.percentiles())
    };
    Ok(Reached {
        first: of(|_| 0)?,
        half: of(|count| count / 2)?,
        most: of(|count| count * 99 / 100)?,
        last: of(|count| count.saturating_sub(1))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trade_has_reached_the_last_client_when_all_have_it() {
        let trade = Trade { engine_ns: 100, reached_ns: (1..=200).map(|at| 100 + at).collect() };
        let reached = reached([(100, &trade)].into_iter()).unwrap();
        let [first, half, most, last] =
            [reached.first, reached.half, reached.most, reached.last].map(|of| of.max);
        assert_eq!((first, half, most, last), (1, 101, 199, 200));
    }
}
