//! `cargo xtask`: the one command a newcomer needs. Exit 0 done, 1 failed, 2 misused.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use xtask::cli::{Cli, run};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {}", error.in_full());
            ExitCode::FAILURE
        }
    }
}
