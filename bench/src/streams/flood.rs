//! Frames put straight into Redis, as fast as is wanted: what the fan-out alone does with them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::frames;
use super::listeners::{Heard, Listeners, now_ns};
use crate::cpu_time::cpu_time_of;
use crate::error::BenchError;
use crate::pace::{Schedule, wake_exactly};
use crate::recorder::{Percentiles, Recorder};

/// In which nobody trades: all frames on its stream are ours.
pub const SYMBOL: &str = "BTC_USDC";
/// Who is this far behind when the last frame is out does not keep up.
const BEHIND_MAX: Duration = Duration::from_millis(500);
/// For what is still on its way.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(Clone, Debug, Serialize)]
pub struct FloodFigures {
    pub sockets: usize,
    pub updates_per_second: u64,
    /// That came to clients, from the first to the last.
    pub frames_per_second: f64,
    /// That the fan-out would send in a second of one whole core.
    pub frames_per_core: f64,
    /// Of one core each.
    pub fanout_cpu: f64,
    pub client_cpu: f64,
    /// Bytes of a frame's text.
    pub bytes: usize,
    /// ns from the frame's coming into Redis to each client.
    pub lag_ns: Percentiles,
    /// To the last client.
    pub last_lag_ns: Percentiles,
    /// ns until the last client had the last frame.
    pub behind_ns: u64,
    /// Frames that should have come and did not.
    pub missing: u64,
    pub closed: usize,
    pub keeps_up: bool,
}

/// Puts frames of trades into Redis; its ids go on from flood to flood.
pub struct Flood {
    redis: redis::Connection,
    next_id: u64,
}

impl Flood {
    pub fn connect(redis_url: &str) -> Result<Flood, BenchError> {
        let client = redis::Client::open(redis_url).map_err(BenchError::Redis)?;
        let redis = client.get_connection().map_err(BenchError::Redis)?;
        Ok(Flood { redis, next_id: 1 })
    }

    /// `fanout` is the process.
    pub fn run(
        &mut self,
        listeners: &mut Listeners,
        fanout: i32,
        updates_per_second: u64,
        milliseconds: u64,
    ) -> Result<FloodFigures, BenchError> {
        let updates = (updates_per_second * milliseconds / 1000).max(1);
        let published: Vec<AtomicU64> = (0..updates).map(|_| AtomicU64::new(0)).collect();
        let (closed_before, sockets) = (listeners.closed().len(), listeners.count());
        let (first_id, redis) = (self.next_id, &mut self.redis);
        self.next_id += updates;
        let own = std::process::id().cast_signed();
        let cpu = || Ok::<_, BenchError>((cpu_time_of(fanout)?, cpu_time_of(own)?));
        let (cpu_before, began) = (cpu()?, Instant::now());
        let heard = thread::scope(|scope| {
            let publisher =
                scope.spawn(|| publish(redis, first_id, updates_per_second, &published));
            let heard = Hearing::new(first_id, &published, sockets)?.run(listeners);
            publisher.join().map_err(|_| BenchError::Thread)??;
            heard
        })?;
        let (cpu_after, took) = (cpu()?, began.elapsed());
        let share = |before: Duration, after: Duration| {
            after.saturating_sub(before).as_secs_f64() / took.as_secs_f64()
        };
        let fanout_cpu = share(cpu_before.0, cpu_after.0);
        let mut last_lag = Recorder::new(0)?;
        for (at, published) in heard.last_ns.iter().zip(&published) {
            last_lag.record(at.saturating_sub(published.load(Ordering::Relaxed)));
        }
        let last = |at: Option<u64>| at.unwrap_or_default();
        let published_last = published.last().map(|at| at.load(Ordering::Relaxed));
        let behind_ns = last(heard.last_ns.last().copied()).saturating_sub(last(published_last));
        let frames_per_second = heard.frames as f64 / took.as_secs_f64();
        let closed = listeners.closed().len() - closed_before;
        let missing = (updates * sockets as u64).saturating_sub(heard.frames);
        let keeps_up = closed == 0 && missing == 0 && u128::from(behind_ns) < BEHIND_MAX.as_nanos();
        Ok(FloodFigures {
            sockets,
            updates_per_second,
            frames_per_second,
            frames_per_core: frames_per_second / fanout_cpu.max(1e-9),
            fanout_cpu,
            client_cpu: share(cpu_before.1, cpu_after.1),
            bytes: heard.bytes,
            lag_ns: heard.lag.percentiles(),
            last_lag_ns: last_lag.percentiles(),
            behind_ns,
            missing,
            closed,
            keeps_up,
        })
    }
}

fn publish(
    redis: &mut redis::Connection,
    first_id: u64,
    per_second: u64,
    published: &[AtomicU64],
) -> Result<(), BenchError> {
    wake_exactly()?;
    let channel = protocol::keys::trade(SYMBOL);
    let schedule = Schedule::begin(per_second);
    for (number, (id, published)) in (first_id..).zip(published).enumerate() {
        schedule.sleep_until(number as u64);
        let now = now_ns();
        published.store(now, Ordering::Relaxed);
        let frame = trade(&channel, now / 1000, id);
        let mut command = redis::cmd("PUBLISH");
        command.arg(&channel).arg(frame).exec(redis).map_err(BenchError::Redis)?;
    }
    Ok(())
}

/// As the engine publishes it.
fn trade(channel: &str, time_us: u64, id: u64) -> String {
    let (buyer, seller) = (288_230_376_151_000_000 + id, 288_230_376_152_000_000 + id);
    let times = format!(r#""E":{time_us},"T":{time_us}"#);
    let orders = format!(r#""b":"{buyer}","a":"{seller}""#);
    let terms = format!(r#""s":"{SYMBOL}","p":"61234.50","q":"0.01250",{orders}"#);
    let data = format!(r#"{{"e":"trade",{times},{terms},"t":{id},"m":true}}"#);
    format!(r#"{{"stream":"{channel}","data":{data}}}"#)
}

struct Hearing<'a> {
    first_id: u64,
    published: &'a [AtomicU64],
    wanted: u64,
    frames: u64,
    bytes: usize,
    lag: Recorder,
    /// When each frame came to who got it last.
    last_ns: Vec<u64>,
}

impl<'a> Hearing<'a> {
    fn new(
        first_id: u64,
        published: &'a [AtomicU64],
        sockets: usize,
    ) -> Result<Hearing<'a>, BenchError> {
        let (wanted, last_ns) = ((published.len() * sockets) as u64, vec![0; published.len()]);
        let lag = Recorder::new(0)?;
        Ok(Hearing { first_id, published, wanted, frames: 0, bytes: 0, lag, last_ns })
    }

    /// Until all have come, or none comes any more.
    fn run(mut self, listeners: &mut Listeners) -> Result<Hearing<'a>, BenchError> {
        let mut heard = Instant::now();
        while self.frames < self.wanted && heard.elapsed() < PATIENCE {
            let before = self.frames;
            listeners.hear(100, &mut |came| self.take(came))?;
            if before < self.frames {
                heard = Instant::now();
            }
            if listeners.closed().len() == listeners.count() {
                break;
            }
        }
        Ok(self)
    }

    fn take(&mut self, came: Heard<'_>) -> Result<(), BenchError> {
        let damaged = || BenchError::Frame(String::from_utf8_lossy(came.text).into_owned());
        let id = frames::trade_id(came.text).ok_or_else(damaged)?;
        let number = id.checked_sub(self.first_id).ok_or_else(damaged)? as usize;
        let published = self.published.get(number).ok_or_else(damaged)?.load(Ordering::Relaxed);
        self.lag.record(came.at_ns.saturating_sub(published));
        if let Some(last) = self.last_ns.get_mut(number) {
            *last = came.at_ns;
        }
        self.frames += 1;
        self.bytes = came.text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_ours_reads_like_one_of_the_engine() {
        let frame = trade("trade@BTC_USDC", 1_700_000_000_000_000, 42);
        let read: serde_json::Value = serde_json::from_str(&frame).unwrap();
        assert_eq!((&read["data"]["t"], &read["data"]["s"]), (&42.into(), &"BTC_USDC".into()));
        assert_eq!(frames::trade_id(frame.as_bytes()), Some(42));
        assert_eq!(frames::engine_time_us(frame.as_bytes()), Some(1_700_000_000_000_000));
    }
}
