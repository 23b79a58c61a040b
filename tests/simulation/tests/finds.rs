//! The simulation finds what is wrong, says the same of a seed each time, and finds nothing wrong
//! with the engine as it is.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it stands")]

use simulation::run::{Failure, run};
use simulation::variant::Variant;
use simulation::world::Counts;

/// Each broken engine must be found within so many seeds.
const SEEDS_MAX: u64 = 60;

fn first_failure(variant: Variant) -> Option<Failure> {
    (1..=SEEDS_MAX).find_map(|seed| run(seed, variant).failure)
}

/// Finds the engine's fault, and finds it again at the same step.
fn is_found(variant: Variant, told: &[&str]) {
    let failure = first_failure(variant).expect("a broken engine is found");
    println!("{variant:?}: {}", failure.report.lines().next().unwrap());
    let text = &failure.violation.0;
    assert!(told.iter().any(|part| text.contains(part)), "{variant:?} was found by: {text}");
    let again = run(failure.seed, variant).failure.expect("the seed fails again");
    assert_eq!((again.step, &again.report), (failure.step, &failure.report));
    assert!(failure.report.contains(&format!("seed {}", failure.seed)));
}

#[test]
fn answers_before_the_sync_are_found() {
    is_found(Variant::AnsweredBeforeSync, &["was acknowledged", "was never durable"]);
}

#[test]
fn a_writer_that_goes_on_after_a_failed_sync_is_found() {
    is_found(
        Variant::FailedSyncsIgnored,
        &["was durable", "Damaged", "damaged", "missing", "Absent"],
    );
}

#[test]
fn names_that_were_never_made_durable_are_found() {
    is_found(Variant::FoldersNotSynced, &["was durable", "missing", "Missing", "ends"]);
}

#[test]
fn an_engine_that_recognises_nothing_is_found() {
    is_found(Variant::NothingRecognised, &["was carried out as"]);
}

#[test]
fn event_queues_that_are_not_filled_are_found() {
    is_found(Variant::EventsNotFilled, &["never"]);
}

#[test]
fn a_seed_does_the_same_each_time_and_the_engine_stands() {
    let (mut fingerprints, mut counts) = (Vec::new(), Counts::default());
    for seed in 1..=8 {
        let (one, two) = (run(seed, Variant::AsItIs), run(seed, Variant::AsItIs));
        assert!(one.failure.is_none(), "{}", one.failure.unwrap().report);
        assert_eq!(one.fingerprint, two.fingerprint, "seed {seed}");
        fingerprints.push(one.fingerprint);
        counts.add(&one.counts);
    }
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 8);
    println!("{counts}");
    assert!(0 < counts.deadlines_passed && 0 < counts.sockets_closed, "{counts}");
}
