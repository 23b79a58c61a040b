//! Looks a second apart, of two streams.

use super::*;

/// A sink over whose head a clock runs.
struct Sink {
    progress: Progress,
    began: Instant,
    second: u64,
    waiting: [u64; 2],
    newest_us: [i64; 2],
    engine: Option<EngineLook>,
    frames: u64,
}

const SECOND_US: i64 = 1_000_000;

impl Sink {
    fn new() -> Sink {
        Sink {
            progress: Progress::new(2, 0),
            began: Instant::now(),
            second: 0,
            waiting: [0; 2],
            newest_us: [0; 2],
            engine: None,
            frames: 0,
        }
    }

    fn now_us(&self) -> i64 {
        self.second.cast_signed() * SECOND_US
    }

    /// A second later: so many frames more on the first queue, and so many of it committed, which
    /// are so old.
    fn pass(&mut self, arrived: u64, committed: u64, age_s: i64) -> Report {
        self.second += 1;
        self.waiting[0] = self.waiting[0] + arrived - committed;
        self.frames += committed;
        if committed != 0 {
            self.newest_us[0] = self.now_us() - age_s * SECOND_US;
        }
        self.look()
    }

    fn look(&mut self) -> Report {
        let stream = |at: usize| StreamLook {
            waiting: self.waiting[at],
            newest_us: self.newest_us[at],
            is_stopped: false,
        };
        self.progress.look(&Look {
            at: self.began + Duration::from_secs(self.second),
            now_us: self.now_us(),
            streams: vec![stream(0), stream(1)],
            engine: self.engine,
            frames: self.frames,
            rows: 10 * self.frames,
        })
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn what_is_left_is_what_waits_over_how_fast_it_gets_less() {
    let mut sink = Sink::new();
    assert_eq!(sink.pass(10, 0, 0).left, Some(Duration::ZERO), "just on its way");
    for _ in 1..100 {
        assert_eq!(sink.pass(10, 0, 0).left, None);
    }
    // 1000 wait; 10 more come each second and 60 are committed.
    let first = sink.pass(10, 60, 99);
    assert_eq!((first.behind, first.left), (950, None), "one second tells too little");
    let second = sink.pass(10, 60, 98);
    assert_eq!(second.rates, Some(Rates { frames: 60, rows: 600, arriving: 10 }));
    assert_eq!((second.behind, second.left), (900, Some(seconds(18))));
    let mut left = 18;
    for age in (80..97).rev() {
        left -= 1;
        assert_eq!(sink.pass(10, 60, age).left, Some(seconds(left)));
    }
    // More comes than is committed.
    for _ in 0..LOOKS_MAX {
        sink.pass(70, 60, 2);
    }
    assert_eq!(sink.pass(70, 60, 2).left, None);
}

#[test]
fn a_line_is_logged_when_it_is_far_behind_then_every_few_seconds_and_when_it_has_caught_up() {
    let mut sink = Sink::new();
    let news: Vec<_> = (0..12).map(|_| sink.pass(5, 0, 0).news).collect();
    let told: Vec<_> = (0..12).filter(|at| news[*at] == Some(News::Behind)).collect();
    // The first second is that in which something begins to wait.
    assert_eq!(told, [4, 9]);
    assert_eq!(sink.pass(0, 30, 8).news, None);
    assert_eq!(sink.pass(0, 20, 5).news, None);
    assert_eq!(sink.pass(0, 9, 2).news, Some(News::Behind));
    let caught_up = News::CaughtUp { took: seconds(11), frames: 60, rows: 600 };
    assert_eq!(sink.pass(0, 1, 1).news, Some(caught_up));
    assert_eq!(sink.pass(0, 0, 0).news, None);
}

#[test]
fn a_quiet_stream_is_not_behind_when_something_comes_at_last() {
    let mut sink = Sink::new();
    sink.pass(1, 1, 0);
    for _ in 0..3600 {
        assert_eq!(sink.pass(0, 0, 0).lags[0], Duration::ZERO);
    }
    let report = sink.pass(1, 0, 0);
    assert_eq!((report.lags[0], report.news), (seconds(1), None));
    assert_eq!(sink.pass(0, 1, 0).lags[0], Duration::ZERO);
}

#[test]
fn the_newest_committed_event_says_how_far_behind_a_stream_is() {
    let mut sink = Sink::new();
    for _ in 0..100 {
        sink.pass(10, 0, 0);
    }
    let report = sink.pass(10, 60, 95);
    assert_eq!(report.lags, [seconds(95), Duration::ZERO]);
}

#[test]
fn what_no_queue_has_counts_when_it_stays_away() {
    let mut sink = Sink::new();
    // On its way: the next look finds it there.
    sink.engine = Some(EngineLook { durable: 100, queued: 90 });
    assert_eq!(sink.pass(0, 0, 0).behind, 0);
    sink.engine = Some(EngineLook { durable: 200, queued: 190 });
    assert_eq!(sink.pass(0, 0, 0).behind, 0);
    // A queue that is full lets the rest wait in the journal.
    sink.engine = Some(EngineLook { durable: 1000, queued: 190 });
    let report = sink.pass(50, 0, 0);
    assert_eq!((report.behind, report.lags[1]), (860, seconds(1)));
    // With all of the queue committed it is not idle yet; an engine without a sign hides nothing.
    sink.engine = None;
    assert_eq!(sink.pass(0, 50, 7).lags[0], seconds(2));
    sink.engine = Some(EngineLook { durable: 1000, queued: 1000 });
    let report = sink.pass(0, 0, 0);
    assert_eq!((report.behind, report.lags[0]), (0, Duration::ZERO));
}

#[test]
fn a_stopped_stream_is_left_out() {
    let mut sink = Sink::new();
    sink.engine = Some(EngineLook { durable: 1000, queued: 10 });
    sink.second = 100;
    let stopped = StreamLook { waiting: 500, newest_us: 0, is_stopped: true };
    let runs = StreamLook { waiting: 3, ..StreamLook::default() };
    let look = Look {
        at: sink.began + seconds(100),
        now_us: 100 * SECOND_US,
        streams: vec![stopped, runs],
        engine: sink.engine,
        frames: 0,
        rows: 0,
    };
    assert_eq!(sink.progress.look(&look).behind, 3);
    assert_eq!(sink.progress.look(&look).behind, 3, "nor does what the journal has of it");
}
