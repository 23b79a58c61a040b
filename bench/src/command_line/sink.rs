//! What `bench sink` is told.

use std::path::PathBuf;

use clap::{Args, value_parser};

use super::{CommonArgs, text};
use crate::error::BenchError;
use crate::machine::{Load, Machine};
use crate::sink;

#[derive(Args)]
pub struct SinkArgs {
    /// Folder on the disk to measure [default: bench-data beside the build]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Trades of one run
    #[arg(long, default_value_t = 500_000, value_parser = value_parser!(u64).range(1..))]
    trades: u64,
    /// Trades a second for the latency of events, one rate after the other
    #[arg(long = "rate", value_name = "N", num_args = 1..)]
    #[arg(default_values_t = [100, 1000, 10_000], value_parser = value_parser!(u64).range(1..))]
    rates: Vec<u64>,
    /// Milliseconds of one rate
    #[arg(long, default_value_t = 10_000, value_parser = value_parser!(u64).range(1..))]
    milliseconds: u64,
    #[command(flatten)]
    common: CommonArgs,
}

impl SinkArgs {
    fn settings(&self) -> sink::Settings {
        let (dir, runs) = (self.dir.clone(), self.common.runs());
        if self.common.quick {
            let (rates, milliseconds) = (vec![500], 300);
            return sink::Settings { dir, trades: 2000, runs, rates, milliseconds };
        }
        let (rates, milliseconds) = (self.rates.clone(), self.milliseconds);
        sink::Settings { dir, trades: self.trades, runs, rates, milliseconds }
    }

    pub fn run(&self, machine: &Machine) -> Result<String, BenchError> {
        let (settings, load) = (self.settings(), Load::read());
        let figures = sink::run(&settings, |of| {
            let (rows, trades) = (of.rows_per_second, of.trades_per_second);
            eprintln!("{}: {rows:.0} rows, {trades:.0} trades a second", of.way.name());
        })?;
        text(&sink::report::Report::of(machine, load, &settings, &figures), self.common.json)
    }
}
