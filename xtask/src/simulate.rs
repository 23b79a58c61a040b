//! `cargo xtask simulate`: the engine's own code over a simulated world, one run a seed.

use std::path::Path;
use std::process::Command;

use clap::Args;

use crate::artifacts::{self, cargo};
use crate::error::Result;
use crate::process::run;

/// What the suite runs.
const SUITE_SEEDS: u64 = 2000;

#[derive(Args, Debug)]
pub struct SimulateArgs {
    /// How many seeds to run.
    #[arg(long, default_value_t = SUITE_SEEDS)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Run this seed alone, as one that failed.
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
}

pub fn simulate(args: &SimulateArgs) -> Result<()> {
    let root = artifacts::repository_root();
    let (from, seeds) = args.seed.map_or((args.from, args.seeds), |seed| (seed, 1));
    run(&mut command(&root, &["--release"], from, seeds))
}

/// The runs that belong to the suite: fewer than a release build would be worth.
pub fn of_suite(root: &Path) -> Command {
    command(root, &[], 1, SUITE_SEEDS)
}

fn command(root: &Path, profile: &[&str], from: u64, seeds: u64) -> Command {
    let mut command = cargo(root);
    command.arg("run").args(profile).args(["--quiet", "--package", "simulation", "--"]);
    command.args(["--from", &from.to_string(), "--seeds", &seeds.to_string()]);
    command
}
