//! Everybody who trades and listens while something is done to the exchange, and what they make of
//! it afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::RngExt;
use rand::rngs::StdRng;
use xtask::services::MM;

use crate::acknowledged::{Client, Tally};
use crate::audit::audit;
use crate::eventually::eventually;
use crate::saver::Saver;
use crate::tape::Tape;
use crate::told::Finished;
use crate::world::{BTC_PRICE, SOL_PRICE, World};

const CLIENTS: usize = 6;

pub struct Crowd {
    clients: Vec<Client>,
    savers: Vec<Saver>,
    tape: Tape,
    /// Each time something was done to the exchange, and is over.
    blows: Arc<AtomicUsize>,
}

/// What was seen; all of it was found to be as it should.
#[derive(Debug, Default)]
pub struct Seen {
    pub acknowledged: usize,
    pub refused: usize,
    pub unknown: usize,
    /// How often a client has found its account as it should be after a blow.
    pub looks: usize,
    pub trades_heard: usize,
    pub trades: i128,
}

impl Crowd {
    /// Starts mm too, where there is one. Returns when everybody is served.
    pub fn start(world: &mut World, random: &mut StdRng) -> Crowd {
        if world.has_market_maker() {
            world.start_again(MM);
        }
        let blows = Arc::new(AtomicUsize::new(0));
        let symbols = ["SOL_USDC", "BTC_USDC"];
        let tape = Tape::start(world.stack().ws_url(), world.listing(), &symbols);
        let clients = (0..CLIENTS).map(|number| client(number, world, random)).collect();
        let mut saver = |symbol: &str, asset: &str, deposit: &str| {
            let trader = world.trader(&format!("saver on {symbol}"), &[(asset, deposit)]);
            let market = world.listing().market(symbol);
            Saver::start(&trader, market, deposit, random.random(), &blows)
        };
        let savers = vec![saver("ETH_USDC", "USDC", "1000000"), saver("SOL_BTC", "BTC", "1000")];
        let crowd = Crowd { clients, savers, tape, blows };
        eventually("everybody is served", || {
            let idle = crowd.tallies().position(|tally| tally.placed() == 0);
            idle.map_or(Ok(()), Err)
        });
        crowd
    }

    pub fn acknowledged(&self) -> usize {
        self.tallies().map(Tally::acknowledged).sum()
    }

    pub fn refused(&self) -> usize {
        self.tallies().map(Tally::refused).sum()
    }

    fn unknown(&self) -> usize {
        self.tallies().map(Tally::unknown).sum()
    }

    fn tallies(&self) -> impl Iterator<Item = &Tally> {
        self.clients.iter().map(Client::tally).chain(self.savers.iter().map(Saver::tally))
    }

    /// Waits for this many answers more, of whomever.
    pub fn wait_for(&self, more: usize) {
        self.wait_until(self.acknowledged() + more);
    }

    /// Waits until there have been as many answers.
    pub fn wait_until(&self, wanted: usize) {
        eventually("the clients are served", || {
            let now = self.acknowledged();
            self.assert_unhurt();
            if wanted <= now { Ok(()) } else { Err((now, wanted)) }
        });
    }

    /// Waits until everybody has placed an order more.
    pub fn wait_for_all(&self) {
        let before: Vec<usize> = self.tallies().map(Tally::placed).collect();
        eventually("every client is served", || {
            self.assert_unhurt();
            let mut pairs = self.tallies().zip(&before);
            let waiting = pairs.position(|(tally, before)| tally.placed() == *before);
            waiting.map_or(Ok(()), Err)
        });
    }

    fn assert_unhurt(&self) {
        let failed = self.clients.iter().any(Client::has_failed)
            || self.savers.iter().any(Saver::has_failed)
            || self.tape.has_failed();
        assert!(!failed, "somebody was told what cannot be; see the panic above");
    }

    /// Has the savers look at their accounts.
    pub fn note_blow(&self) {
        self.blows.fetch_add(1, Ordering::Relaxed);
    }

    /// Ends all trading, waits for the database, and compares everything with everything.
    pub fn finish(self, world: &mut World) -> Seen {
        let mut seen = Seen {
            acknowledged: self.acknowledged(),
            refused: self.refused(),
            unknown: self.unknown(),
            ..Seen::default()
        };
        let finished: Vec<Finished> = self.clients.into_iter().map(Client::stop).collect();
        seen.looks = self.savers.into_iter().map(Saver::stop).sum();
        if world.pid(MM).is_some() {
            world.end(MM);
        }
        world.settle();
        let heard = self.tape.stop();
        let database = world.database();
        finished.iter().for_each(|client| client.check(&database));
        seen.trades_heard = heard.check(&database);
        seen.trades = database.number("SELECT count(*) FROM trades");
        audit(world);
        finished.iter().for_each(Finished::clear);
        seen
    }
}

fn client(number: usize, world: &mut World, random: &mut StdRng) -> Client {
    let funds = [("USDC", "10000000"), ("SOL", "100000"), ("BTC", "100")];
    let trader = world.trader(&format!("client {number}"), &funds);
    let (symbol, price, quantity) = match number % 2 {
        0 => ("SOL_USDC", SOL_PRICE, "0.1"),
        _ => ("BTC_USDC", BTC_PRICE, "0.001"),
    };
    let market = world.listing().market(symbol);
    Client::start(&trader, market, price, quantity, random.random())
}

impl Seen {
    /// For whoever reads what a run has shown.
    pub fn report(&self) -> String {
        format!(
            "requests: {} acknowledged, {} refused, {} unknown\n\
             trades: {} in the database, {} of them heard on the public stream\n\
             accounts looked at under load: {}, each to the last unit\n",
            self.acknowledged,
            self.refused,
            self.unknown,
            self.trades,
            self.trades_heard,
            self.looks,
        )
    }
}
