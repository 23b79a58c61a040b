//! The digests of `expected.csv` for the smaller flows, and that seeds matter.
//! `orderflow check` compares all of them.

use orderflow::{DEFAULT_SEED, Digest, expected_row, generate};

#[test]
fn digests_are_as_published() {
    for name in ["mixed-1k", "quotes", "far"] {
        let flow = generate(name, DEFAULT_SEED).unwrap();
        assert_eq!(Some(Digest::of(&flow).csv_row(&flow).as_str()), expected_row(name));
    }
}

#[test]
fn another_seed_is_another_flow() {
    let [one, two] = [1, 2].map(|seed| generate("far", seed).unwrap());
    assert_ne!(Digest::of(&one), Digest::of(&two));
    assert_eq!(generate("no-such-flow", 1), None);
}
