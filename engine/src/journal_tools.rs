//! `engine journal inspect | dump | verify`: what people ask a journal, answered from its files.
//!
//! They only read, take no lock, and know everything from the files themselves: markets, terms and
//! limits stand at the head of each segment. So they work beside a running engine, up to the last
//! block that is whole; what is behind it, torn or being written, is reported and left alone.

pub mod inspect;
pub mod dump;
pub mod verify;
pub mod frame_view;
pub mod command_view;
pub mod outcome_view;
pub mod frame_text;
#[cfg(test)]
mod tests;

use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use engine_core::ShardLimits;
use protocol::{Catalog, Sequence};
use serde::Serialize;

use crate::data_dir::Folders;
use crate::disk::{Disk, RealDisk};
use crate::error::{EngineError, JournalError};
use crate::journal::definitions::{Definitions, DefinitionsError};
use crate::journal::reader::Visit;
use dump::Selection;

#[derive(Clone, Debug, Subcommand)]
pub enum JournalVerb {
    /// Show segments, their frames and definitions, the tail, and the snapshots.
    Inspect {
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show frames, one a line.
    Dump {
        /// The first frame to show.
        #[arg(long, value_name = "SEQUENCE", default_value_t = 1)]
        from: u64,
        /// The last frame to show.
        #[arg(long, value_name = "SEQUENCE", default_value_t = u64::MAX)]
        to: u64,
        /// Only frames of this market, or of `accounts`.
        #[arg(long, value_name = "NAME")]
        stream: Option<String>,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Check every checksum, link and digest, and carry out every command again.
    Verify {
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Whether what was asked for is as it should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Right,
    Wrong,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Right => ExitCode::SUCCESS,
            Verdict::Wrong => ExitCode::FAILURE,
        }
    }
}

/// Answers to stdout what is asked of the journal in `data_dir`.
pub fn answer(data_dir: &Path, verb: JournalVerb) -> Result<Verdict, EngineError> {
    run(&RealDisk, data_dir, verb, &mut BufWriter::new(io::stdout().lock()))
}

/// Answers to `out`. A reader that has seen enough ends the answer early.
pub fn run(
    disk: &dyn Disk,
    data_dir: &Path,
    verb: JournalVerb,
    out: &mut dyn Write,
) -> Result<Verdict, EngineError> {
    let folders = Folders::of(data_dir);
    let answered = match verb {
        JournalVerb::Inspect { json } => {
            let found = inspect::inspect(disk, &folders)?;
            show(out, &found, json).map(|()| found.verdict())
        }
        JournalVerb::Dump { from, to, stream, json } => {
            let selection = Selection { first: Sequence(from), last: Sequence(to), stream };
            dump::dump(disk, &folders, &selection, json, out)?
        }
        JournalVerb::Verify { json } => {
            let found = verify::verify(disk, &folders);
            show(out, &found, json).map(|()| found.verdict())
        }
    };
    match answered.and_then(|verdict| out.flush().map(|()| verdict)) {
        Ok(verdict) => Ok(verdict),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Verdict::Right),
        Err(cause) => Err(EngineError::Output { cause }),
    }
}

fn show<T: Serialize + std::fmt::Display>(
    out: &mut dyn Write,
    found: &T,
    json: bool,
) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, found)?;
        return writeln!(out);
    }
    writeln!(out, "{found}")
}

/// What the numbers of a block mean, when that is not as for the block before.
fn catalog_of(block: &Visit<'_>) -> Result<Option<Catalog>, JournalError> {
    block.definitions.map(Definitions::catalog).transpose().map_err(|cause| unusable(block, cause))
}

/// As [`catalog_of`].
fn limits_of(block: &Visit<'_>) -> Result<Option<ShardLimits>, JournalError> {
    block.definitions.map(Definitions::limits).transpose().map_err(|cause| unusable(block, cause))
}

fn unusable(block: &Visit<'_>, cause: DefinitionsError) -> JournalError {
    JournalError::Definitions { first: block.header.first, cause }
}

/// An error with all that caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
