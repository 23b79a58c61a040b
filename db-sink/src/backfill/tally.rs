//! How far a backfill is: counted between batcher and writer, said every few seconds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::batcher::Batch;
use crate::checkpoint::Claim;
use crate::streams::Streams;

const SAY_EVERY: Duration = Duration::from_secs(3);

/// What came of one stream.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Done {
    pub stream: String,
    /// The last frame that the database had before.
    pub from: u64,
    /// ... and has now.
    pub to: u64,
    pub frames: u64,
    pub rows: u64,
    /// The journal was read up to here.
    read: u64,
}

#[derive(Debug)]
pub struct Tally {
    target: u64,
    begun: Instant,
    done: Mutex<Vec<Done>>,
}

/// How far it is, and how long it takes from here at the pace so far.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Progress {
    percent: f64,
    left: Option<Duration>,
}

impl Tally {
    pub fn new(target: u64) -> Tally {
        Tally { target, begun: Instant::now(), done: Mutex::new(Vec::new()) }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Done>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Of markets listed since, behind those that are known.
    pub fn begin(&self, streams: &Streams, claim: &Claim) {
        let mut done = self.lock();
        for (stream, position) in streams.all().iter().zip(&claim.positions).skip(done.len()) {
            let (from, stream) = (position.sequence, stream.name.clone());
            done.push(Done { stream, from, to: from, read: from, ..Done::default() });
        }
    }

    pub fn read(&self, place: usize, up_to: u64) {
        self.lock()[place].read = up_to;
    }

    fn count(&self, batch: &Batch) {
        let mut done = self.lock();
        for slice in &batch.slices {
            let done = &mut done[slice.stream];
            done.to = slice.to.sequence;
            done.frames += slice.frames as u64;
            done.rows += slice.rows.len() as u64;
        }
    }

    pub fn done(&self) -> Vec<Done> {
        self.lock().clone()
    }

    /// Passes batches on and counts them, until there are no more or nobody takes them.
    pub async fn relay(&self, mut inbound: mpsc::Receiver<Batch>, outbound: mpsc::Sender<Batch>) {
        while let Some(batch) = inbound.recv().await {
            self.count(&batch);
            if outbound.send(batch).await.is_err() {
                return;
            }
        }
    }

    /// Says how far it is, for as long as it is let. Cancel safe.
    pub async fn say(&self) {
        let mut ticks = interval_at(Instant::now() + SAY_EVERY, SAY_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut frames, mut rows, mut at) = (self.frames(), self.rows(), Instant::now());
        loop {
            ticks.tick().await;
            let (frames_now, rows_now, now) = (self.frames(), self.rows(), Instant::now());
            let seconds = (now - at).as_secs_f64().max(0.001);
            let rate = |more: u64| (more as f64 / seconds).round();
            let Progress { percent, left } = self.progress(now - self.begun);
            tracing::info!(
                percent = format_args!("{percent:.1}"),
                frames = frames_now,
                rows = rows_now,
                frames_per_s = rate(frames_now - frames),
                rows_per_s = rate(rows_now - rows),
                left_s = left.map(|left| left.as_secs()),
                "backfilling"
            );
            (frames, rows, at) = (frames_now, rows_now, now);
        }
    }

    fn frames(&self) -> u64 {
        self.lock().iter().map(|done| done.frames).sum()
    }

    fn rows(&self) -> u64 {
        self.lock().iter().map(|done| done.rows).sum()
    }

    /// Each stream has to get from where the database stood to the target.
    fn progress(&self, elapsed: Duration) -> Progress {
        let done = self.lock();
        let way = |to: u64, done: &Done| to.min(self.target).saturating_sub(done.from) as f64;
        let whole: f64 = done.iter().map(|done| way(self.target, done)).sum();
        let gone: f64 = done.iter().map(|done| way(done.read, done)).sum();
        let part = if whole == 0.0 { 1.0 } else { gone / whole };
        let left = (0.0 < part).then(|| elapsed.mul_f64((1.0 - part) / part));
        Progress { percent: 100.0 * part, left }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_the_way_gone_of_all_streams() {
        let tally = Tally::new(1000);
        let stream = |from, read| Done { from, read, ..Done::default() };
        // One has gone half its way; one is past the target; one has not begun.
        *tally.lock() = vec![stream(600, 800), stream(0, 1200), stream(800, 800)];
        let progress = tally.progress(Duration::from_secs(120));
        assert_eq!(progress.percent, 75.0);
        assert_eq!(progress.left, Some(Duration::from_secs(40)));
        *tally.lock() = vec![stream(0, 0)];
        let progress = tally.progress(Duration::from_secs(1));
        assert_eq!(progress, Progress { percent: 0.0, left: None });
        *tally.lock() = vec![stream(1000, 1000), stream(1200, 1200)];
        assert_eq!(tally.progress(Duration::from_secs(1)).percent, 100.0);
    }
}
