//! The command line of `cargo xtask`.

use clap::{Parser, Subcommand};

use crate::error::Result;
use crate::operate::{self, StartArgs, StatusArgs};
use crate::order::{self, OrderArgs};
use crate::simulate::{self, SimulateArgs};
use crate::torture::{self, TortureArgs};
use crate::up::{self, UpArgs};
use crate::{clients, interrupt, suite};

#[derive(Parser, Debug)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version, about = "Runs the exchange")]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Install what is missing, build, start the whole exchange on this machine.
    Up(UpArgs),
    /// Drain and stop it.
    Down,
    /// Show each process. Exit 0: all of them are ready.
    Status(StatusArgs),
    /// Start one dead process again, with the settings it had.
    Start(StartArgs),
    /// Place one signed order on it.
    Order(OrderArgs),
    /// Install what is missing, run every check and every test.
    Test,
    /// Install the clients of others that the suite runs against the exchange.
    Clients,
    /// Format, lints and structure only.
    Check,
    /// Run the engine over a simulated disk, Redis and clock, one run a seed.
    Simulate(SimulateArgs),
    /// Kill processes under load, and compare what clients were told with what is left.
    Torture(TortureArgs),
}

pub fn run(cli: &Cli) -> Result<()> {
    interrupt::watch()?;
    match &cli.verb {
        Verb::Up(args) => up::up(args),
        Verb::Down => operate::down(),
        Verb::Status(args) => operate::status(args),
        Verb::Start(args) => operate::start(args),
        Verb::Order(args) => order::order(args),
        Verb::Test => suite::test(),
        Verb::Clients => clients::install(),
        Verb::Check => suite::check(),
        Verb::Simulate(args) => simulate::simulate(args),
        Verb::Torture(args) => torture::torture(args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
        assert!(Cli::try_parse_from(["xtask", "up", "--detach", "--no-mm", "--fresh"]).is_ok());
        assert!(Cli::try_parse_from(["xtask", "start"]).is_err());
        assert!(Cli::try_parse_from(["xtask", "simulate", "--seed", "7"]).is_ok());
        assert!(Cli::try_parse_from(["xtask", "simulate", "--seed", "7", "--from", "1"]).is_err());
        assert!(Cli::try_parse_from(["xtask", "torture", "--rounds", "5", "--seed", "1"]).is_ok());
        assert!(Cli::try_parse_from(["xtask", "torture", "--rounds", "0"]).is_err());
    }
}
