//! Command line of `bench`. Exit 0 done, 1 failed (a wrong digest above all), 2 misused.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use mimalloc::MiMalloc;

use bench::command_line::{self, CommandLine};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match run(CommandLine::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command_line: CommandLine) -> anyhow::Result<()> {
    let text = command_line::run(command_line)?;
    io::stdout().lock().write_all(text.as_bytes()).context("could not write to stdout")
}
