//! Scenarios across processes, told through the public surfaces alone.
//!
//! Two exchanges run side by side: in the quiet lane no process may end, in the rough one that is
//! the subject. A failure prints its seed, the end of every service's log, and where its files are.
//! `cargo test -p scenarios --test scenarios -- --list` names them all.

#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails where it stands")]

mod first_trade;
mod placing;
mod matching;
mod cancelling;
mod triggers;
mod amending;
mod cancel_after;
mod balances;
mod past;
mod market_data;
mod streams_errors;
mod streams_private;
mod streams_faults;
mod disconnects;
mod fanouts;
mod administration;
mod hostile;
mod hang_up;
mod foreign_clients;
mod browser_session;
mod openapi;
mod crowding;

mod torture;
mod faults;
mod outage;
mod machine;
mod listing;
mod rebuilding;
mod recovery;
mod streams_books;
mod persistence;
mod overload;
mod shutdown;
mod gateways;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use scenarios::lane::{Apart, Lane, Scenario};
use xtask::interrupt;
use xtask::stack::MarketMaker;

static QUIET: Lane = Lane::new("quiet", MarketMaker::LeftOut);
static ROUGH: Lane = Lane::new("rough", MarketMaker::Runs);

const GENTLE: &[&[Scenario]] = &[
    first_trade::SCENARIOS,
    placing::SCENARIOS,
    matching::SCENARIOS,
    cancelling::SCENARIOS,
    triggers::SCENARIOS,
    amending::SCENARIOS,
    cancel_after::SCENARIOS,
    balances::SCENARIOS,
    past::SCENARIOS,
    market_data::SCENARIOS,
    streams_errors::SCENARIOS,
    streams_private::SCENARIOS,
    streams_faults::SCENARIOS,
    disconnects::SCENARIOS,
    fanouts::SCENARIOS,
    administration::SCENARIOS,
    hang_up::SCENARIOS,
    hostile::SCENARIOS,
    crowding::SCENARIOS,
];

const HARSH: &[&[Scenario]] = &[
    torture::SCENARIOS,
    faults::SCENARIOS,
    recovery::SCENARIOS,
    streams_books::SCENARIOS,
    persistence::SCENARIOS,
    overload::SCENARIOS,
    shutdown::SCENARIOS,
    gateways::SCENARIOS,
];

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Most wait for their lane; one thread a lane would leave a lane idle while both want the same.
    arguments.test_threads = arguments.test_threads.or(Some(4));
    if let Err(error) = interrupt::watch() {
        eprintln!("{}", error.in_full());
        return ExitCode::FAILURE;
    }
    let conclusion = libtest_mimic::run(&arguments, trials());
    let mut code = conclusion.exit_code();
    for lane in [&QUIET, &ROUGH] {
        if let Err(failed) = lane.end() {
            eprintln!("the exchange did not end well: {}", failed.message().unwrap_or_default());
            code = ExitCode::FAILURE;
        }
    }
    code
}

/// Of both lanes in turn, so that neither has to wait for the other to be through.
fn trials() -> Vec<Trial> {
    let of = |lane: &'static Lane, groups: &[&[Scenario]]| -> Vec<Trial> {
        let scenarios = groups.iter().copied().flatten().copied();
        scenarios.map(|(name, scenario)| Trial::test(name, move || lane.run(scenario))).collect()
    };
    let (mut gentle, mut harsh) = (of(&QUIET, GENTLE), of(&ROUGH, HARSH));
    let foreign = foreign_clients::SCENARIOS.iter().chain(browser_session::SCENARIOS);
    gentle.extend(foreign.map(|foreign| {
        let run = move || QUIET.run(foreign.scenario);
        where_possible(foreign.name, foreign.possible(), run)
    }));
    let apart = |lane: &'static Lane, apart: &'static Apart| {
        where_possible(apart.name, (apart.possible)(), move || lane.run_apart(apart))
    };
    gentle.extend(openapi::SCENARIOS.iter().map(|one| apart(&QUIET, one)));
    let harshest = machine::SCENARIOS.iter().chain(listing::SCENARIOS).chain(outage::SCENARIOS);
    harsh.extend(harshest.map(|one| apart(&ROUGH, one)));
    let mut trials = Vec::with_capacity(gentle.len() + harsh.len());
    let (mut gentle, mut harsh) = (gentle.into_iter(), harsh.into_iter());
    loop {
        let pair = (gentle.next(), harsh.next());
        if pair.0.is_none() && pair.1.is_none() {
            return trials;
        }
        trials.extend(pair.0);
        trials.extend(pair.1);
    }
}

/// Left out, and said so, where this machine lacks something for it.
fn where_possible(
    name: &str,
    possible: Result<(), String>,
    run: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Trial {
    if let Err(lacking) = &possible {
        eprintln!("{name} is left out: {lacking}");
    }
    Trial::test(name, run).with_ignored_flag(possible.is_err())
}
