//! What is looked at from outside: Redis's memory, the journal's folder, and what engine and sink
//! say of themselves.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Serialize;
use xtask::services::{DB_SINK, ENGINE};

use super::{Stage, pause, sum};
use crate::error::BenchError;
use crate::pace::median;
use crate::rest::exchange::Exchange;
use crate::rest::scrape;
use crate::streams::process::Memory;

const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The sink is as good as there: what it has not committed is on its way.
const NEAR_S: f64 = 1.0;

/// The most of a stage, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Peak {
    /// Redis's `used_memory`, above what it was before the first trade.
    pub redis: u64,
    /// Segments are reserved at their whole length.
    pub journal: u64,
    /// Resident memory of the sink, without files.
    pub sink: u64,
}

/// The engine's own histogram, between two moments.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Durable {
    pub mean_us: f64,
    /// Upper edge of the bucket that holds it.
    pub p99_us_max: f64,
}

/// From the database's first answer until it was as good as there.
#[derive(Clone, Debug, Default, Serialize)]
pub struct CatchUp {
    pub seconds: f64,
    /// Of these, until the sink had tried again: its pauses have grown to `retry_ms_max`.
    pub waited_seconds: f64,
    pub frames: u64,
    /// Since then.
    pub trades_per_second: f64,
    pub rows_per_second: f64,
    /// What the sink said to be left over what was left, the median of all looks; and the least and
    /// most of those in the middle half of the time.
    pub said_over_real: f64,
    pub said_over_real_min: f64,
    pub said_over_real_max: f64,
    /// (seconds since the beginning, said to be left, left)
    pub said: Vec<(f64, f64, f64)>,
}

pub struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Peak>, BenchError>>,
}

impl Watch {
    pub fn start(exchange: &Exchange, stage: &Stage, stages: usize) -> Result<Watch, BenchError> {
        let stop = Arc::new(AtomicBool::new(false));
        let client = redis::Client::open(exchange.redis_url()).map_err(BenchError::Redis)?;
        let mut redis = client.get_connection().map_err(BenchError::Redis)?;
        let journal = exchange.stack().places().engine_data().join("journal");
        let sink = exchange.stack().pid(DB_SINK).map_err(BenchError::Exchange)?;
        let sink = sink.ok_or_else(|| BenchError::Ended(DB_SINK.to_owned()))?;
        let before = used(&mut redis)?;
        let (stage, told) = (stage.clone(), Arc::clone(&stop));
        let look = move || {
            let mut peaks = vec![Peak::default(); stages];
            while !told.load(Ordering::Relaxed) {
                let now = Peak {
                    redis: used(&mut redis)?.saturating_sub(before),
                    journal: size(&journal)?,
                    sink: Memory::of(sink)?.own,
                };
                if let Some(peak) = stage.now().and_then(|stage| peaks.get_mut(stage)) {
                    peak.redis = peak.redis.max(now.redis);
                    peak.journal = peak.journal.max(now.journal);
                    peak.sink = peak.sink.max(now.sink);
                }
                thread::sleep(LOOK_EVERY);
            }
            Ok(peaks)
        };
        Ok(Watch { stop, thread: thread::spawn(look) })
    }

    /// By stage.
    pub fn stop(self) -> Result<Vec<Peak>, BenchError> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| BenchError::Thread)?
    }
}

fn used(redis: &mut redis::Connection) -> Result<u64, BenchError> {
    let text: String = redis::cmd("INFO").arg("memory").query(redis).map_err(BenchError::Redis)?;
    let line = text.lines().find_map(|line| line.strip_prefix("used_memory:"));
    Ok(line.and_then(|number| number.trim().parse().ok()).unwrap_or_default())
}

/// A file that goes meanwhile counts as none.
fn size(folder: &Path) -> Result<u64, BenchError> {
    let entries = fs::read_dir(folder).map_err(BenchError::io(folder))?;
    Ok(entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|file| file.len()).sum())
}

impl Durable {
    pub fn text(exchange: &Exchange) -> Result<String, BenchError> {
        exchange.metrics(ENGINE)
    }

    pub fn between(before: &str, after: &str) -> Durable {
        const NAME: &str = "engine_durable_seconds";
        let (series_before, series_after) = (scrape::series(before), scrape::series(after));
        let more = |suffix: &str| {
            let at = |series: &BTreeMap<String, f64>| {
                series.get(&format!("{NAME}{suffix}")).copied().unwrap_or_default()
            };
            at(&series_after) - at(&series_before)
        };
        let (buckets_before, buckets) = (buckets(before, NAME), buckets(after, NAME));
        let count = more("_count").max(1.0);
        let p99 = buckets.iter().find(|(edge, sum)| {
            let earlier = buckets_before.iter().find(|(other, _)| other == edge);
            0.99 * count <= sum - earlier.map_or(0.0, |earlier| earlier.1)
        });
        let p99_us_max = p99.map_or(f64::INFINITY, |(edge, _)| edge * 1e6);
        Durable { mean_us: more("_sum") / count * 1e6, p99_us_max }
    }
}

/// (upper edge, how many up to it), in their order.
fn buckets(text: &str, name: &str) -> Vec<(f64, f64)> {
    let lead = format!("{name}_bucket{{le=\"");
    let bucket = |line: &str| {
        let (edge, count) = line.strip_prefix(&lead)?.split_once("\"} ")?;
        Some((edge.parse().ok()?, count.parse().ok()?))
    };
    text.lines().filter_map(bucket).collect()
}

/// Frames that are not committed, as the sink says.
pub fn behind(exchange: &Exchange) -> Result<u64, BenchError> {
    let series = scrape::series(&exchange.metrics(DB_SINK)?);
    Ok(sum(&series, "sink_lag_frames").unwrap_or_default() as u64)
}

struct Sample {
    at: Duration,
    left_s: f64,
    behind: u64,
    trades: f64,
    rows: f64,
    frames: f64,
}

/// Waits until the sink is near, and reports on the way there since `began`.
pub fn until_caught_up(exchange: &Exchange, began: Instant) -> Result<CatchUp, BenchError> {
    let mut samples: Vec<Sample> = Vec::new();
    let mut moved = Instant::now();
    loop {
        let series = scrape::series(&exchange.metrics(DB_SINK)?);
        let all = |name: &str| sum(&series, name).unwrap_or_default();
        let sample = Sample {
            at: began.elapsed(),
            left_s: all("sink_catch_up_eta_seconds"),
            behind: all("sink_lag_frames") as u64,
            trades: series.get("sink_rows_total{table=\"trades\"}").copied().unwrap_or_default(),
            rows: all("sink_rows_total"),
            frames: all("sink_frames_total"),
        };
        let lag_s = scrape::named(&series, "sink_lag_seconds").fold(0.0, f64::max);
        if samples.last().is_none_or(|last| last.frames < sample.frames) {
            moved = Instant::now();
        }
        samples.push(sample);
        if lag_s <= NEAR_S {
            return Ok(catch_up(&samples));
        }
        pause(moved)?;
    }
}

fn catch_up(samples: &[Sample]) -> CatchUp {
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
        return CatchUp::default();
    };
    let seconds = (last.at - first.at).as_secs_f64();
    let waits = samples.iter().take_while(|sample| sample.frames == first.frames).last();
    let waited_seconds = waits.map_or(0.0, |last| (last.at - first.at).as_secs_f64());
    let a_second = |more: f64| more / (seconds - waited_seconds).max(1e-9);
    // The gauge changes once a second.
    let mut said: Vec<(f64, f64, f64)> = Vec::new();
    for sample in samples.iter().filter(|sample| sample.left_s.is_finite() && sample.behind != 0) {
        if said.last().is_none_or(|last| last.1 != sample.left_s) {
            let left = (last.at - sample.at).as_secs_f64();
            said.push((sample.at.as_secs_f64(), sample.left_s, left));
        }
    }
    let ratio = |(_, said, real): &(f64, f64, f64)| said / real.max(1e-9);
    let middle = |(at, _, _): &&(f64, f64, f64)| {
        (seconds / 4.0..=seconds * 3.0 / 4.0).contains(&(at - first.at.as_secs_f64()))
    };
    let in_middle: Vec<f64> = said.iter().filter(middle).map(ratio).collect();
    CatchUp {
        seconds,
        waited_seconds,
        frames: (last.frames - first.frames) as u64,
        trades_per_second: a_second(last.trades - first.trades),
        rows_per_second: a_second(last.rows - first.rows),
        said_over_real: median(said.iter().map(ratio).collect()),
        said_over_real_min: in_middle.iter().copied().reduce(f64::min).unwrap_or_default(),
        said_over_real_max: in_middle.iter().copied().reduce(f64::max).unwrap_or_default(),
        said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engines_99th_percentile_is_in_the_bucket_where_99_of_100_are() {
        let text = |counts: [u64; 3], sum: f64| {
            let [one, two, all] = counts;
            format!(
                "engine_durable_seconds_bucket{{le=\"0.001\"}} {one}\n\
                 engine_durable_seconds_bucket{{le=\"0.002\"}} {two}\n\
                 engine_durable_seconds_bucket{{le=\"+Inf\"}} {all}\n\
                 engine_durable_seconds_sum {sum}\nengine_durable_seconds_count {all}\n"
            )
        };
        let durable = Durable::between(&text([10, 10, 100], 1.0), &text([40, 109, 200], 1.1));
        assert_eq!(durable.p99_us_max, 2000.0);
        assert!((durable.mean_us - 1000.0).abs() < 1e-6);
    }

    #[test]
    fn what_was_said_is_compared_with_what_it_took() {
        let sample = |s: u64, left_s: f64| Sample {
            at: Duration::from_secs(s),
            left_s,
            behind: 10 - s,
            trades: 100.0 * s as f64,
            rows: 700.0 * s as f64,
            frames: s.saturating_sub(2) as f64,
        };
        let samples = [sample(0, f64::INFINITY), sample(2, 16.0), sample(5, 5.0), sample(10, 0.0)];
        let found = catch_up(&samples);
        assert_eq!(found.said, [(2.0, 16.0, 8.0), (5.0, 5.0, 5.0)]);
        assert_eq!((found.seconds, found.waited_seconds), (10.0, 2.0));
        assert_eq!((found.trades_per_second, found.rows_per_second), (125.0, 875.0));
        assert_eq!((found.said_over_real_min, found.said_over_real_max), (1.0, 1.0));
    }
}
