//! The verbs about sockets: what they are told, and what they answer with.

use std::path::PathBuf;

use clap::{Args, value_parser};

use super::{CommonArgs, text};
use crate::error::BenchError;
use crate::machine::{Load, Machine};
use crate::{streams, websockets};

#[derive(Args)]
pub struct StreamsArgs {
    /// Folder on the disk to measure [default: bench-data beside the build]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Sockets that hear trades, one number after the other
    #[arg(long = "sockets", value_name = "N", num_args = 1..)]
    #[arg(default_values_t = [1, 500, 5000, 10_000])]
    #[arg(value_parser = value_parser!(u16).range(1..=20_000))]
    sockets: Vec<u16>,
    /// Trades with each number of sockets
    #[arg(long, default_value_t = 100, value_parser = value_parser!(u64).range(1..=900))]
    trades: u64,
    /// Trades a second
    #[arg(long, default_value_t = 10, value_parser = value_parser!(u64).range(1..=200))]
    trades_per_second: u64,
    /// Updates a second for each of the most sockets, until one is not kept up with
    #[arg(long = "rate", value_name = "N", num_args = 1..)]
    #[arg(default_values_t = [25, 50, 100, 200, 400, 600, 800, 1000, 1200])]
    rates: Vec<u64>,
    /// Milliseconds of each rate
    #[arg(long, default_value_t = 5000, value_parser = value_parser!(u64).range(1..=20_000))]
    milliseconds: u64,
    /// Sockets that do not read, beside 500 that do
    #[arg(long, default_value_t = 1000, value_parser = value_parser!(u16).range(1..=10_000))]
    stalled: u16,
    /// Tiny sizes: shows that it works, the figures mean nothing
    #[arg(long)]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl StreamsArgs {
    pub fn run(&self, machine: &Machine) -> Result<String, BenchError> {
        let (settings, load) = (self.settings(), Load::read());
        let figures = streams::run(&settings, |what| eprintln!("{what}"))?;
        let report = streams::report::Report::of(machine, load, &settings, &figures);
        text(&report, self.json)
    }

    fn settings(&self) -> streams::Settings {
        let dir = self.dir.clone();
        if self.quick {
            return streams::Settings {
                dir,
                sockets: vec![1, 20],
                trades: 5,
                trades_per_second: 50,
                rates: vec![50],
                milliseconds: 300,
                stalled: streams::Stalled {
                    healthy: 10,
                    stalled: 5,
                    updates_per_second: 50,
                    turns: 1,
                },
            };
        }
        streams::Settings {
            dir,
            sockets: self.sockets.iter().copied().map(usize::from).collect(),
            trades: self.trades,
            trades_per_second: self.trades_per_second,
            rates: self.rates.clone(),
            milliseconds: self.milliseconds,
            stalled: streams::Stalled {
                healthy: 500,
                stalled: usize::from(self.stalled),
                updates_per_second: 200,
                turns: 3,
            },
        }
    }
}

#[derive(Args)]
pub struct WebsocketsArgs {
    /// Sockets that are written to
    #[arg(long, default_value_t = 1500, value_parser = value_parser!(u16).range(1..=1900))]
    sockets: u16,
    #[command(flatten)]
    common: CommonArgs,
}

impl WebsocketsArgs {
    pub fn run(&self, machine: &Machine) -> Result<String, BenchError> {
        let (settings, before) = (self.settings(), Load::read());
        let ways = &websockets::run(&settings)?;
        let load = before.to_now();
        text(&websockets::report::Report { machine, load, settings, ways }, self.common.json)
    }

    fn settings(&self) -> websockets::Settings {
        if self.common.quick {
            return websockets::Settings { sockets: 5, rounds: 5, messages: 500, runs: 1 };
        }
        let (sockets, runs) = (usize::from(self.sockets), self.common.runs);
        websockets::Settings { sockets, rounds: 70, messages: 300_000, runs }
    }
}
