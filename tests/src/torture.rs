//! The engine killed again and again under load, the others now and then, and what clients were
//! told compared with what is left.
//!
//! The moments come from the seed: a number of answers to wait for, and a pause of up to some
//! milliseconds after it, so that a kill meets the engine anywhere between two of its writes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use xtask::interrupt;
use xtask::private_servers::{postgres, redis};
use xtask::services::{DB_SINK, ENGINE, IO_GATEWAY, MM, WS_FANOUT};

use crate::conservation::check_conservation;
use crate::crowd::{Crowd, Seen};
use crate::world::World;

/// Who dies together with the engine every [`COMPANY_EVERY`] rounds, in turn.
const COMPANY: [&str; 6] = [DB_SINK, IO_GATEWAY, redis::NAME, WS_FANOUT, postgres::NAME, MM];
const COMPANY_EVERY: usize = 7;
/// Services do not get ready without them.
const SERVERS: [&str; 2] = [redis::NAME, postgres::NAME];
/// The engine is killed once more before it has recovered, every so many rounds.
const TWICE_EVERY: usize = 9;
/// A line of progress every so many rounds.
const SHOWN_EVERY: usize = 10;
const ANSWERS_MAX: usize = 40;
const PAUSE_US_MAX: u64 = 30_000;
/// Of a start that is not let to its end.
const START_US_MAX: u64 = 150_000;

/// What came of it.
#[derive(Debug, Default)]
pub struct Figures {
    rounds: usize,
    pub kills: BTreeMap<&'static str, usize>,
    /// From the kill of the engine until it was ready again, and until the next client was served.
    ready_after: Vec<Duration>,
    served_after: Vec<Duration>,
    pub seen: Seen,
}

/// Leaves the world with mm ended, settled and audited.
pub fn torture(world: &mut World, rounds: usize, seed: u64) -> Figures {
    let mut random = StdRng::seed_from_u64(seed);
    let mut figures = Figures { rounds, ..Figures::default() };
    let crowd = Crowd::start(world, &mut random);
    for round in 1..=rounds {
        crowd.wait_for(random.random_range(1..=ANSWERS_MAX));
        // Not to wait for anything: the moment itself is what is drawn.
        interrupt::pause(Duration::from_micros(random.random_range(0..PAUSE_US_MAX)));
        one_round(world, &crowd, round, &mut random, &mut figures);
        if round.is_multiple_of(SHOWN_EVERY) {
            println!("{round} of {rounds} rounds, {} orders and cancels", crowd.acknowledged());
        }
    }
    figures.seen = crowd.finish(world);
    figures
}

fn one_round(
    world: &mut World,
    crowd: &Crowd,
    round: usize,
    random: &mut StdRng,
    figures: &mut Figures,
) {
    let company = company(round).filter(|name| *name != MM || world.has_market_maker());
    let dies_first = random.random_bool(0.5);
    if let Some(name) = company.filter(|_| dies_first) {
        figures.kill(world, name);
    }
    let since = Instant::now();
    figures.kill(world, ENGINE);
    if let Some(name) = company.filter(|_| !dies_first) {
        figures.kill(world, name);
    }
    if let Some(name) = company.filter(|name| SERVERS.contains(name)) {
        world.start_again(name);
    }
    if round.is_multiple_of(TWICE_EVERY) {
        let after = Duration::from_micros(random.random_range(0..START_US_MAX));
        world.kill9_while_starting(ENGINE, after);
        figures.count(ENGINE);
    }
    let before = crowd.acknowledged();
    world.start_again(ENGINE);
    figures.ready_after.push(since.elapsed());
    if let Some(name) = company.filter(|name| !SERVERS.contains(name)) {
        world.start_again(name);
    }
    crowd.wait_until(before + 1);
    figures.served_after.push(since.elapsed());
    crowd.note_blow();
    check_conservation(world);
}

fn company(round: usize) -> Option<&'static str> {
    let turn = round.is_multiple_of(COMPANY_EVERY).then(|| round / COMPANY_EVERY - 1);
    turn.map(|turn| COMPANY[turn % COMPANY.len()])
}

impl Figures {
    fn kill(&mut self, world: &World, name: &'static str) {
        world.kill9(name);
        self.count(name);
    }

    fn count(&mut self, name: &'static str) {
        *self.kills.entry(name).or_default() += 1;
    }

    /// For whoever reads what the run has shown.
    pub fn report(&self) -> String {
        let kills: Vec<String> =
            self.kills.iter().map(|(name, count)| format!("{name} {count}")).collect();
        let line = |what: &str, times: &[Duration]| {
            let mut times = times.to_vec();
            times.sort();
            let ms = |time: Option<&Duration>| time.map_or(0, Duration::as_millis);
            let (median, max) = (ms(times.get(times.len() / 2)), ms(times.last()));
            format!("{what}: median {median} ms, max {max} ms\n")
        };
        format!(
            "{} rounds; kills: {}\n{}{}{}",
            self.rounds,
            kills.join(", "),
            self.seen.report(),
            line("engine ready after its kill", &self.ready_after),
            line("next client served after it", &self.served_after),
        )
    }
}
