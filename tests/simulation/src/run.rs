//! A run of one seed, from the beginning to the last check.

use std::fmt::Write;

use crate::plan::Plan;
use crate::variant::Variant;
use crate::violation::Violation;
use crate::world::{Counts, World};

#[derive(Clone, Debug)]
pub struct Run {
    pub seed: u64,
    pub counts: Counts,
    /// Two runs of a seed have the same.
    pub fingerprint: u64,
    pub failure: Option<Failure>,
}

#[derive(Clone, Debug)]
pub struct Failure {
    pub seed: u64,
    pub step: u64,
    pub violation: Violation,
    pub report: String,
}

/// Runs the seed; never depends on anything but the seed and the variant.
pub fn run(seed: u64, variant: Variant) -> Run {
    let plan = Plan::of(seed);
    let mut world = World::new(plan.clone(), variant);
    let outcome = world.run();
    // Shards end before the world is looked at.
    world.life = None;
    let failure = outcome.err().map(|violation| {
        let step = world.trace.steps();
        let mut report = format!("seed {seed} failed at step {step}: {violation}\n");
        let last = world.history.last();
        write!(report, "{plan:?}\n{last} frames are durable; the last steps:\n{}", world.trace)
            .expect("text takes everything");
        Failure { seed, step, violation, report }
    });
    let mut counts = world.counts;
    counts.steps = world.trace.steps();
    Run { seed, counts, fingerprint: world.trace.fingerprint(), failure }
}
