//! `cargo xtask torture`: processes killed under load for as long as somebody wants to watch.
//!
//! It is the suite's own scenario with another number of rounds; what it does and compares is told
//! in `tests/src/torture.rs`.

use clap::Args;

use crate::artifacts::{cargo, repository_root};
use crate::client::now_ms;
use crate::error::Result;
use crate::setup::{self, Need};
use crate::suite;

/// The variables by which the scenario is told.
const ROUNDS: &str = "EXCHANGE_TORTURE_ROUNDS";
const SEED: &str = "EXCHANGE_TEST_SEED";
const SCENARIO: &str = "torture::nothing_acknowledged_is_lost_or_done_twice";

#[derive(Args, Clone, Debug)]
pub struct TortureArgs {
    /// How often the engine is killed; the other processes die in some of the rounds.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Repeats the moments and the orders of an earlier run.
    #[arg(long)]
    seed: Option<u64>,
}

pub fn torture(args: &TortureArgs) -> Result<()> {
    setup::ensure(&[Need::Redis, Need::Postgres, Need::CCompiler])?;
    let seed = args.seed.unwrap_or_else(now_ms);
    let again = format!("cargo xtask torture --rounds {} --seed {seed}", args.rounds);
    println!("to repeat it: {again}");
    let mut command = cargo(&repository_root());
    command.args(["test", "-p", "scenarios", "--test", "scenarios", "--"]);
    command.args(["--exact", SCENARIO, "--nocapture"]);
    command.env(ROUNDS, args.rounds.to_string()).env(SEED, seed.to_string());
    suite::run_one("torture", command)
}
