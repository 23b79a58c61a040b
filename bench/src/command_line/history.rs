//! `bench history`: what it is told, and what it answers with.

use std::path::PathBuf;

use clap::{Args, value_parser};

use super::text;
use crate::error::BenchError;
use crate::history;
use crate::machine::{Load, Machine};

#[derive(Args)]
pub struct HistoryArgs {
    /// Folder on the disk to measure [default: bench-data beside the build]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Trades of the market in the year
    #[arg(long, default_value_t = 5_000_000)]
    #[arg(value_parser = value_parser!(u64).range(4000..=100_000_000))]
    trades: u64,
    /// Seed of the year
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Requests of each question
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u64).range(1..=10_000))]
    requests: u64,
    /// File for the whole plans
    #[arg(long, value_name = "FILE")]
    plans: Option<PathBuf>,
    /// Tiny sizes: shows that it works, the figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl HistoryArgs {
    pub fn run(&self, machine: &Machine) -> Result<String, BenchError> {
        let (settings, load) = (self.settings(), Load::read());
        let figures = history::run(&settings, |what| eprintln!("{what}"))?;
        let report = history::report::Report::of(machine, load, &settings, &figures);
        text(&report, self.json)
    }

    fn settings(&self) -> history::Settings {
        let HistoryArgs { dir, trades, seed, requests, plans, quick, .. } = self;
        let (trades, requests) = if *quick { (20_000, 5) } else { (*trades, *requests) };
        let (dir, plans) = (dir.clone(), plans.clone());
        history::Settings { dir, trades, seed: *seed, requests, plans }
    }
}
