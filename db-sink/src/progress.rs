//! How far behind the database is, how fast it catches up, and when it will have. Pure but for
//! [`Report::tell`]: who looks brings the clock.
//!
//! Frames that are not committed wait on the queues, where they can be counted, and behind those in
//! the engine's journal, of which the engine's heartbeat tells. Of the latter some have no effect
//! and never get to a queue, so that their number is an upper bound; the time that is left is
//! worked out from how fast the sum gets smaller, in which that makes no difference.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::batcher::Batch;
use crate::streams::Streams;
use crate::tables::Rows;

/// Rates are those of so many looks, which is about as many seconds.
const LOOKS_MAX: usize = 20;
/// A rate over less time than this is none.
const WINDOW_MIN: Duration = Duration::from_secs(2);
/// Far behind is who is this far behind...
const FAR: Duration = Duration::from_secs(5);
/// ...until it is no further behind than this.
const NEAR: Duration = Duration::from_secs(1);
/// From one line of the log to the next.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// What a sink's writers have committed since they began.
#[derive(Debug)]
pub struct Tally {
    frames: AtomicU64,
    rows: AtomicU64,
    /// By place in [`Streams`]: the time of the newest event, in microseconds since the epoch; 0
    /// before the first.
    newest_us: Vec<AtomicI64>,
}

/// One moment, as it was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Look {
    pub at: Instant,
    /// The same moment in microseconds since the epoch.
    pub now_us: i64,
    /// By place in [`Streams`].
    pub streams: Vec<StreamLook>,
    /// `None` while the engine gives no sign.
    pub engine: Option<EngineLook>,
    /// Committed since the writer began.
    pub frames: u64,
    pub rows: u64,
}

/// What the engine says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EngineLook {
    /// Its last frame.
    pub durable: u64,
    /// Frames up to this one are on their queues.
    pub queued: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StreamLook {
    /// Frames on its queue that are not committed.
    pub waiting: u64,
    /// Of the newest committed event; 0: none in this life.
    pub newest_us: i64,
    /// A person has to act; nothing of it counts.
    pub is_stopped: bool,
}

/// What one look comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Frames that are not committed, at most.
    pub behind: u64,
    /// By place: how old the newest committed event is where more wait; zero where nothing waits.
    pub lags: Vec<Duration>,
    pub rates: Option<Rates>,
    /// Zero when it is as good as there; `None` while it does not get nearer, or nobody knows yet.
    pub left: Option<Duration>,
    pub news: Option<News>,
}

/// A second, over the last looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rates {
    pub frames: u64,
    pub rows: u64,
    /// Frames that the engine has added.
    pub arriving: u64,
}

/// What is worth a line in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    Behind,
    CaughtUp { took: Duration, frames: u64, rows: u64 },
}

#[derive(Debug)]
pub struct Progress {
    looks: VecDeque<Seen>,
    /// By place: when a stream last had nothing to wait for, in microseconds since the epoch.
    idle_us: Vec<i64>,
    /// The engine's last frame at the last look.
    durable: u64,
    /// Frames that no queue has, at most.
    in_journal: u64,
    far: Option<Far>,
}

/// What is kept of a look.
#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Instant,
    behind: u64,
    frames: u64,
    rows: u64,
}

#[derive(Clone, Copy, Debug)]
struct Far {
    /// The look at which it began.
    since: Seen,
    told_at: Instant,
}

impl Tally {
    pub fn of(streams: &Streams) -> Tally {
        let newest_us = streams.all().iter().map(|_| AtomicI64::new(0)).collect();
        Tally { frames: AtomicU64::new(0), rows: AtomicU64::new(0), newest_us }
    }

    pub fn committed(&self, batch: &Batch) {
        self.frames.fetch_add(batch.frames() as u64, Ordering::Relaxed);
        self.rows.fetch_add(batch.rows() as u64, Ordering::Relaxed);
        for slice in &batch.slices {
            if let Some(newest_us) = newest_us(&slice.rows) {
                self.newest_us[slice.stream].fetch_max(newest_us, Ordering::Relaxed);
            }
        }
    }

    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    pub fn newest_us(&self, place: usize) -> i64 {
        self.newest_us[place].load(Ordering::Relaxed)
    }
}

fn newest_us(rows: &Rows) -> Option<i64> {
    let times = [
        rows.order_events.last().map(|row| row.ts),
        rows.balance_changes.last().map(|row| row.ts),
        rows.transfers.last().map(|row| row.ts),
    ];
    times.into_iter().flatten().max().map(|newest| newest.timestamp_micros())
}

impl Progress {
    /// Before anything is committed: what waits is taken to wait since now.
    pub fn new(streams: usize, now_us: i64) -> Progress {
        Progress {
            looks: VecDeque::new(),
            idle_us: vec![now_us; streams],
            durable: 0,
            in_journal: 0,
            far: None,
        }
    }

    pub fn look(&mut self, look: &Look) -> Report {
        if let Some(engine) = look.engine {
            // What was durable a look ago and is on no queue by now is not just on its way.
            let waits = engine.queued < self.durable.min(engine.durable);
            self.in_journal = if waits { engine.durable - engine.queued } else { 0 };
            self.durable = engine.durable;
        }
        let behind = self.behind(look);
        let seen = Seen { at: look.at, behind, frames: look.frames, rows: look.rows };
        self.take(seen);
        let lags: Vec<Duration> =
            look.streams.iter().enumerate().map(|at| self.lag(at, look.now_us)).collect();
        let counted = look.streams.iter().zip(&lags).filter(|(stream, _)| !stream.is_stopped);
        let lag = counted.map(|(_, lag)| *lag).max().unwrap_or_default();
        let rates = self.rates();
        // What is on its way is always there, and gets neither less nor more.
        let left = if lag <= NEAR { Some(Duration::ZERO) } else { self.left() };
        Report { behind, lags, rates, left, news: self.news(seen, lag) }
    }

    fn take(&mut self, seen: Seen) {
        // A standstill that has ended tells nothing of how fast it goes from here on.
        if let Some(last) = self.looks.back().copied()
            && last.frames < seen.frames
            && self.looks.iter().all(|look| look.frames == last.frames)
        {
            self.looks.clear();
            self.looks.push_back(last);
        }
        self.looks.push_back(seen);
        if LOOKS_MAX < self.looks.len() {
            self.looks.pop_front();
        }
    }

    /// A quiet stream's newest event is old, and yet nothing waits: so only the time counts since
    /// something does.
    fn lag(&mut self, (place, stream): (usize, &StreamLook), now_us: i64) -> Duration {
        let idle_us = &mut self.idle_us[place];
        // Whose frames the journal has is not known.
        if stream.waiting == 0 && self.in_journal == 0 {
            *idle_us = now_us;
        }
        let since_us = stream.newest_us.max(*idle_us);
        Duration::from_micros(now_us.saturating_sub(since_us).max(0).unsigned_abs())
    }

    fn behind(&mut self, look: &Look) -> u64 {
        // A stopped stream's frames fill its queue and lie in the journal: how many there are not
        // its own cannot be told.
        if look.streams.iter().any(|stream| stream.is_stopped) {
            self.in_journal = 0;
        }
        let runs = look.streams.iter().filter(|stream| !stream.is_stopped);
        runs.map(|stream| stream.waiting).sum::<u64>() + self.in_journal
    }

    /// The first and the last look, when they are far enough apart.
    fn window(&self) -> Option<(Seen, Seen, f64)> {
        let (first, last) = (*self.looks.front()?, *self.looks.back()?);
        let time = last.at.saturating_duration_since(first.at);
        (WINDOW_MIN <= time).then_some((first, last, time.as_secs_f64()))
    }

    fn rates(&self) -> Option<Rates> {
        let (first, last, seconds) = self.window()?;
        let a_second = |more: u64| (more as f64 / seconds).round() as u64;
        let frames = last.frames.saturating_sub(first.frames);
        Some(Rates {
            frames: a_second(frames),
            rows: a_second(last.rows.saturating_sub(first.rows)),
            arriving: a_second((last.behind + frames).saturating_sub(first.behind)),
        })
    }

    fn left(&self) -> Option<Duration> {
        let (first, last, seconds) = self.window()?;
        let nearer = first.behind.checked_sub(last.behind).filter(|nearer| *nearer != 0)?;
        Some(Duration::from_secs_f64(last.behind as f64 * seconds / nearer as f64))
    }

    fn news(&mut self, seen: Seen, lag: Duration) -> Option<News> {
        let Some(far) = &mut self.far else {
            if lag < FAR || seen.behind == 0 {
                return None;
            }
            self.far = Some(Far { since: seen, told_at: seen.at });
            return Some(News::Behind);
        };
        if lag <= NEAR {
            let since = far.since;
            self.far = None;
            return Some(News::CaughtUp {
                took: seen.at.saturating_duration_since(since.at),
                frames: seen.frames - since.frames,
                rows: seen.rows - since.rows,
            });
        }
        if seen.at.saturating_duration_since(far.told_at) < TELL_EVERY {
            return None;
        }
        far.told_at = seen.at;
        Some(News::Behind)
    }
}

impl Report {
    /// Into the metrics and, when there is news, the log.
    pub fn tell(&self, streams: &Streams) {
        for (stream, lag) in streams.all().iter().zip(&self.lags) {
            metrics::gauge!("sink_lag_seconds", "stream" => stream.name.clone())
                .set(lag.as_secs_f64());
        }
        metrics::gauge!("sink_lag_frames").set(self.behind as f64);
        let left = self.left.map_or(f64::INFINITY, |left| left.as_secs_f64());
        metrics::gauge!("sink_catch_up_eta_seconds").set(left);
        if let Some(rates) = self.rates {
            metrics::gauge!("sink_frames_per_second").set(rates.frames as f64);
            metrics::gauge!("sink_rows_per_second").set(rates.rows as f64);
            metrics::gauge!("sink_arriving_frames_per_second").set(rates.arriving as f64);
        }
        let Some(news) = self.news else { return };
        let (frames_behind, rates) = (self.behind, self.rates.unwrap_or_default());
        let behind_s = self.lags.iter().max().map_or(0, Duration::as_secs);
        let Rates { frames, rows, arriving } = rates;
        match (news, self.left) {
            (News::CaughtUp { took, frames, rows }, _) => {
                let took_s = took.as_secs();
                tracing::info!(took_s, frames, rows, "the database has caught up");
            }
            (News::Behind, Some(left)) => tracing::info!(
                frames_behind,
                behind_s,
                frames_per_s = frames,
                rows_per_s = rows,
                arriving_per_s = arriving,
                left_s = left.as_secs(),
                "the database catches up"
            ),
            (News::Behind, None) => tracing::warn!(
                frames_behind,
                behind_s,
                frames_per_s = frames,
                rows_per_s = rows,
                arriving_per_s = arriving,
                "the database is behind and does not get nearer"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
