//! The verb about a database that is away: what it is told, and what it answers with.

use std::path::PathBuf;

use clap::{Args, value_parser};

use super::text;
use crate::error::BenchError;
use crate::machine::{Load, Machine};
use crate::outage::{self, Settings};

#[derive(Args)]
pub struct OutageArgs {
    /// Folder on the disk to measure [default: bench-data beside the build]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Trades while the database is away, in all turns together
    #[arg(long, default_value_t = 1_000_000, value_parser = value_parser!(u64).range(1000..))]
    trades: u64,
    /// Turns with the database, without it, and until it has caught up
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u16).range(1..=100))]
    turns: u16,
    /// Trades a second, with and without it
    #[arg(long, default_value_t = 4000, value_parser = value_parser!(u64).range(100..))]
    trades_per_second: u64,
    /// Trades a second while it catches up
    #[arg(long, default_value_t = 1000)]
    trades_per_second_after: u64,
    /// Milliseconds with the database, at most
    #[arg(long, default_value_t = 30_000, value_parser = value_parser!(u64).range(1000..))]
    milliseconds: u64,
    /// Orders over REST a second, whose answers are timed
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u64).range(1..=1000))]
    probes: u64,
    /// Memory of Redis that event queues may take, in MiB
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u64).range(1..=65_536))]
    memory_mib: u64,
    /// Tiny sizes: shows that it works, the figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl OutageArgs {
    pub fn run(&self, machine: &Machine) -> Result<String, BenchError> {
        let (settings, load) = (self.settings(), Load::read());
        let figures = outage::run(&settings, |what| eprintln!("{what}"))?;
        let report = outage::report::Report::of(machine, load, &settings, &figures);
        text(&report, self.json)
    }

    fn settings(&self) -> Settings {
        let dir = self.dir.clone();
        if self.quick {
            return Settings {
                dir,
                trades: 10_000,
                turns: 1,
                trades_per_second: 1000,
                trades_per_second_after: 100,
                milliseconds: 3000,
                probes_per_second: 20,
                memory_mib: 1,
            };
        }
        Settings {
            dir,
            trades: self.trades,
            turns: usize::from(self.turns),
            trades_per_second: self.trades_per_second,
            trades_per_second_after: self.trades_per_second_after,
            milliseconds: self.milliseconds,
            probes_per_second: self.probes,
            memory_mib: self.memory_mib,
        }
    }
}
