//! The commands of the command line: files written and read, digests printed and checked.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};

use orderflow::digest::{CSV_HEAD, EXPECTED};
use orderflow::{DEFAULT_SEED, Digest, FLOWS, Flow, generate};

use crate::stats;

const USAGE: &str = "usage:
  orderflow list                               names of the flows
  orderflow gen FLOW FILE [SEED]               write a flow (binary, or CSV if FILE ends in .csv)
  orderflow digest FILE                        digest of a binary flow file, by the reference book
  orderflow expected [SEED]                    digests of all flows, as CSV
  orderflow check                              recompute expected.csv and compare
  orderflow stats FLOW [SEED]                  what the flow is made of";

/// Runs the command of these arguments; false when a check found a difference. Errors: misuse, I/O.
pub fn run(args: &[String]) -> io::Result<bool> {
    let args: Vec<&String> = args.iter().collect();
    match (args.first().map(|s| s.as_str()), args.len()) {
        (Some("list"), 1) => FLOWS.iter().for_each(|name| println!("{name}")),
        (Some("gen"), 3 | 4) => {
            let flow = flow(args[1], seed(args.get(3).copied())?)?;
            let mut out = BufWriter::new(File::create(args[2])?);
            if args[2].ends_with(".csv") {
                flow.write_csv(&mut out)?;
            } else {
                flow.write_binary(&mut out)?;
            }
            out.flush()?;
        }
        (Some("digest"), 2) => {
            let flow = Flow::read_binary(&mut BufReader::new(File::open(args[1])?))?;
            println!("{CSV_HEAD}\n{}", Digest::of(&flow).csv_row(&flow));
        }
        (Some("expected"), 1 | 2) => print!("{}", expected(seed(args.get(1).copied())?)?),
        (Some("check"), 1) => {
            let same = expected(DEFAULT_SEED)? == EXPECTED;
            println!("{}", if same { "as expected" } else { "DIFFERENT" });
            return Ok(same);
        }
        (Some("stats"), 2 | 3) => stats::print(&flow(args[1], seed(args.get(2).copied())?)?),
        _ => return Err(invalid(USAGE.to_owned())),
    }
    Ok(true)
}

fn invalid(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

fn flow(name: &str, seed: u64) -> io::Result<Flow> {
    generate(name, seed).ok_or_else(|| invalid(format!("no flow named {name}")))
}

fn seed(arg: Option<&String>) -> io::Result<u64> {
    match arg {
        None => Ok(DEFAULT_SEED),
        Some(text) => text.parse().map_err(|_| invalid(format!("not a seed: {text}"))),
    }
}

fn expected(seed: u64) -> io::Result<String> {
    let mut text = format!("{CSV_HEAD}\n");
    for name in FLOWS {
        let flow = flow(name, seed)?;
        text += &Digest::of(&flow).csv_row(&flow);
        text.push('\n');
    }
    Ok(text)
}
