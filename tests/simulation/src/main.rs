//! Runs seeds side by side until one fails. Exit 0: none did.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use mimalloc::MiMalloc;
use simulation::run::{Failure, run};
use simulation::variant::Variant;
use simulation::world::Counts;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Between two lines of progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

#[derive(Parser, Debug)]
#[command(about = "Runs the engine over a simulated world")]
struct Args {
    /// How many seeds to run.
    #[arg(long, default_value_t = 2000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Run this seed alone.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Seeds at a time; as many as there are cores when not given.
    #[arg(long)]
    jobs: Option<usize>,
}

struct Shared {
    next: AtomicU64,
    end: u64,
    done: AtomicU64,
    counts: Mutex<Counts>,
    failure: Mutex<Option<Failure>>,
}

impl Shared {
    /// `tells`: says now and then how far all of them are.
    fn work(&self, tells: bool, began: Instant) {
        let mut shown = Instant::now();
        loop {
            let seed = self.next.fetch_add(1, Ordering::Relaxed);
            if self.end <= seed || self.failure.lock().is_ok_and(|failure| failure.is_some()) {
                return;
            }
            let run = run(seed, Variant::AsItIs);
            let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
            if let Ok(mut counts) = self.counts.lock() {
                counts.add(&run.counts);
            }
            if let (Some(failure), Ok(mut first)) = (run.failure, self.failure.lock()) {
                first.get_or_insert(failure);
            }
            if tells && PROGRESS_EVERY <= shown.elapsed() {
                shown = Instant::now();
                eprintln!("{done} seeds, {:.1}/s", done as f64 / began.elapsed().as_secs_f64());
            }
        }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    // What a violation says is in its report; engines that end by themselves are part of runs.
    std::panic::set_hook(Box::new(|_| ()));
    let (from, seeds) = args.seed.map_or((args.from, args.seeds), |seed| (seed, 1));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let shared = Shared {
        next: AtomicU64::new(from),
        end: from.saturating_add(seeds),
        done: AtomicU64::new(0),
        counts: Mutex::default(),
        failure: Mutex::new(None),
    };
    let began = Instant::now();
    thread::scope(|scope| {
        for job in 0..args.jobs.unwrap_or(cores).max(1) {
            let shared = &shared;
            scope.spawn(move || shared.work(job == 0, began));
        }
    });
    let (done, seconds) = (shared.done.into_inner(), began.elapsed().as_secs_f64());
    println!("{done} seeds in {seconds:.1} s: {:.1} seeds/s", done as f64 / seconds);
    if let Ok(counts) = shared.counts.into_inner() {
        println!("{counts}");
    }
    match shared.failure.into_inner() {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(failure)) => {
            println!("{}", failure.report);
            println!("again: cargo xtask simulate --seed {}", failure.seed);
            ExitCode::FAILURE
        }
        Err(_) => ExitCode::FAILURE,
    }
}
