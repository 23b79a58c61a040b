//! Orders without end for whatever lies behind the shards: real shards decide them, so every frame
//! is one the engine could have made.
//!
//! First accounts and money, then orders until the books hold as many as they shall; from then on
//! half new orders, half cancels, and every fiftieth command takes liquidity. Cancels that come too
//! late happen as they do in life. Every second order bears a client id.

use engine::recovery;
use engine_core::replica::Replica;
use engine_core::{Input, Shard, ShardLimits};
use orderflow::rng::Rng;
use protocol::{
    AccountId, Action, Catalog, ClientId, Command, Frame, GatewayId, Lots, MarketId, OrderId,
    OrderKind, Origin, Outcome, Place, Price, Record, SelfTradePrevention, Side, StreamCursor,
    Target, TimeInForce,
};
use serde::Serialize;

use crate::error::BenchError;
use crate::listing;

/// The middle between bids and asks, in ticks.
const MIDDLE: u64 = 1_000_000;
/// Orders stand within this of the middle, half of them within a 64th of it.
const DEPTH: u64 = 64 * 128;
const GATEWAYS: u64 = 2;
/// Between two commands by the engine's clock: a hundred thousand a second.
const STEP_US: u64 = 10;
const BEGIN_US: u64 = 1_700_000_000_000_000;

/// How large an exchange is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Size {
    pub markets: u16,
    pub accounts: u32,
    /// At rest, in all markets together.
    pub orders: u32,
}

impl Size {
    pub fn limits(&self) -> ShardLimits {
        let share = self.orders / u32::from(self.markets.max(1));
        let room = (share + share / 4).max(4096).next_power_of_two();
        ShardLimits {
            orders_max: room.min(OrderId::SLOTS_MAX),
            open_orders_per_account_max: self.orders / self.accounts.max(1) * 4 + 1000,
            trades_per_command_max: 1000,
            accounts_max: self.accounts,
            markets_max: 64,
        }
    }
}

/// One command and its frame.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Which shard decided it.
    pub shard: usize,
    pub input: Input,
    pub records: &'a [Record],
}

#[derive(Debug)]
pub struct Traffic {
    size: Size,
    catalog: Catalog,
    shards: Vec<Shard>,
    books: Vec<Resting>,
    rng: Rng,
    /// Commands so far, in all lives.
    steps: u64,
}

/// Orders that came to rest in one market; some may have traded away.
#[derive(Debug)]
struct Resting {
    market: MarketId,
    shard: usize,
    orders: Vec<(OrderId, AccountId)>,
    target: usize,
}

impl Traffic {
    /// Goes on where `replica` stands, which may be the very beginning.
    pub fn after(replica: &Replica, size: Size, shards: usize) -> Result<Traffic, BenchError> {
        let catalog = replica.catalog().clone();
        let books = replica.markets().map(|known| {
            let market = known.spec().id;
            Resting {
                market,
                shard: recovery::shard_of(&catalog, market, shards),
                orders: known.orders().iter().map(|it| (it.order, it.account)).collect(),
                target: (size.orders / u32::from(size.markets.max(1))) as usize,
            }
        });
        Ok(Traffic {
            size,
            books: books.collect(),
            shards: recovery::shards(replica, shards, size.limits()).map_err(BenchError::Engine)?,
            rng: Rng::new(replica.position().0 + 1),
            steps: replica.position().0,
            catalog,
        })
    }

    /// An exchange that has seen nothing.
    pub fn fresh(size: Size, shards: usize) -> Result<Traffic, BenchError> {
        Traffic::after(&Replica::new(listing::catalog(size.markets)?), size, shards)
    }

    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The next frame has this number plus one.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Accounts, money, and orders up to what shall rest.
    pub fn open(
        &mut self,
        mut each: impl FnMut(&Step<'_>) -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        for action in listing::funding(self.size.accounts) {
            each(&self.fund(action)?)?;
        }
        for _ in 0..self.size.orders.max(u32::from(self.size.markets)) {
            each(&self.enter(TimeInForce::GoodTillCancelled)?)?;
        }
        Ok(())
    }

    /// One of [`listing::funding`].
    pub fn fund(&mut self, action: Action) -> Result<Step<'_>, BenchError> {
        self.carry_out(0, None, action)
    }

    /// One command of everyday.
    pub fn trade(&mut self) -> Result<Step<'_>, BenchError> {
        if self.rng.below(50) == 0 {
            return self.enter(TimeInForce::ImmediateOrCancel);
        }
        let at = self.rng.below(self.books.len() as u64) as usize;
        let Resting { market, shard, target, .. } = self.books[at];
        let resting = self.shards[shard].book(market).map_or(0, |book| book.orders());
        // Half and half at the target, further from it one outweighs the other.
        let surplus = (resting as i64 - target as i64) * 2000 / target.max(1) as i64;
        let cancels = self.rng.below(1000) < (500 + surplus).clamp(50, 950) as u64;
        if !cancels || self.books[at].orders.is_empty() {
            return self.enter(TimeInForce::GoodTillCancelled);
        }
        let picked = self.rng.below(self.books[at].orders.len() as u64) as usize;
        let (order, account) = self.books[at].orders.swap_remove(picked);
        let target = Target::Order(order);
        self.carry_out(shard, Some(at), Action::Cancel { market, account, target })
    }

    /// Asks that rest one by one, and a bid that takes them all: as many trades as `makers`. Among
    /// accounts 2 and higher; account 1 takes. For books in which nothing else rests.
    pub fn bout(
        &mut self,
        makers: u64,
        mut each: impl FnMut(&Step<'_>) -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        let at = self.rng.below(self.books.len() as u64) as usize;
        let ticks = MIDDLE + self.rng.below(DEPTH);
        let mut lots = Lots::ZERO;
        for _ in 0..makers {
            let account = 2 + self.rng.below(u64::from(self.size.accounts) - 1) as u32;
            let asked = Lots(1 + self.rng.below(100));
            lots = Lots(lots.0 + asked.0);
            let order = (Side::Ask, TimeInForce::GoodTillCancelled);
            each(&self.place(at, account, order, ticks, asked)?)?;
        }
        each(&self.place(at, 1, (Side::Bid, TimeInForce::ImmediateOrCancel), ticks, lots)?)
    }

    /// A new order: behind the middle when it shall rest, through it when it takes.
    fn enter(&mut self, time_in_force: TimeInForce) -> Result<Step<'_>, BenchError> {
        let rng = &mut self.rng;
        let at = rng.below(self.books.len() as u64) as usize;
        let side = if rng.below(2) == 0 { Side::Bid } else { Side::Ask };
        let octave = 1 + rng.below(6);
        let distance = 1 + rng.below(DEPTH >> (6 - octave));
        let takes = time_in_force == TimeInForce::ImmediateOrCancel;
        let ticks = match (side, takes) {
            (Side::Bid, false) | (Side::Ask, true) => MIDDLE - distance,
            (Side::Ask, false) | (Side::Bid, true) => MIDDLE + distance,
        };
        let lots = Lots(1 + rng.below(if takes { 50 } else { 100 }));
        let account = 1 + rng.below(u64::from(self.size.accounts)) as u32;
        self.place(at, account, (side, time_in_force), ticks, lots)
    }

    /// In the market of that place among the books.
    fn place(
        &mut self,
        at: usize,
        account: u32,
        (side, time_in_force): (Side, TimeInForce),
        ticks: u64,
        lots: Lots,
    ) -> Result<Step<'_>, BenchError> {
        let (Some(price), Some(account)) = (Price::from_ticks(ticks), AccountId::new(account))
        else {
            unreachable!("Invariant: prices and accounts are above zero")
        };
        let named = self.rng.below(2) == 0;
        let Resting { market, shard, .. } = self.books[at];
        let client_id = Some(ClientId(self.steps as u32)).filter(|_| named);
        let place = Place {
            market,
            account,
            side,
            kind: OrderKind::Limit { price, lots, post_only: false },
            time_in_force,
            self_trade_prevention: SelfTradePrevention::RejectTaker,
            client_id,
            valid_until_us: 0,
        };
        self.carry_out(shard, Some(at), Action::Place(place))
    }

    fn carry_out(
        &mut self,
        shard: usize,
        book: Option<usize>,
        action: Action,
    ) -> Result<Step<'_>, BenchError> {
        let number = self.steps;
        self.steps += 1;
        let gateway = GatewayId(1 + (number % GATEWAYS) as u32);
        let origin = Origin { gateway, epoch: 1, sequence: 1 + number / GATEWAYS };
        let time_us = BEGIN_US + number * STEP_US;
        let command = Command { origin, time_us, action };
        let cursor = StreamCursor { milliseconds: time_us / 1000, counter: number % 100 };
        let input = Input { cursor, command };
        let records = self.shards[shard].apply(&input);
        let (header, _) = Frame::head(&records[0]).map_err(BenchError::Decode)?;
        if let (Some(book), Action::Place(place)) = (book, &action)
            && let Outcome::Rested { order, .. } = header.outcome
        {
            self.books[book].orders.push((order, place.account));
        }
        Ok(Step { shard, input, records })
    }
}

/// Frames made ahead, in memory, each with its shard.
#[derive(Debug, Default)]
pub struct Tape {
    records: Vec<Record>,
    /// Of each frame: where it ends, and its shard.
    frames: Vec<(usize, usize)>,
}

impl Tape {
    pub fn push(&mut self, step: &Step<'_>) {
        self.records.extend_from_slice(step.records);
        self.frames.push((self.records.len(), step.shard));
    }

    pub fn len(&self) -> usize {
        self.frames.len()
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frame of that place, from 0, and its shard.
    pub fn frame(&self, at: usize) -> (usize, &[Record]) {
        let from = at.checked_sub(1).map_or(0, |before| self.frames[before].0);
        let (end, shard) = self.frames[at];
        (shard, &self.records[from..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { markets: 3, accounts: 20, orders: 600 };

    #[test]
    fn the_replica_agrees_and_traffic_goes_on_from_it() {
        let mut replica = Replica::new(listing::catalog(SIZE.markets).unwrap());
        let mut tape = Tape::default();
        let mut traffic = Traffic::fresh(SIZE, 2).unwrap();
        let record = |step: &Step<'_>| {
            tape.push(step);
            Ok(())
        };
        traffic.open(record).unwrap();
        for _ in 0..5000 {
            tape.push(&traffic.trade().unwrap());
        }
        let play = |replica: &mut Replica, tape: &Tape| {
            for at in 0..tape.len() {
                let bytes = tape.frame(at).1.concat();
                replica.apply(&Frame::parse(&bytes).unwrap()).unwrap();
            }
        };
        play(&mut replica, &tape);
        let resting: usize = replica.markets().map(|market| market.orders().len()).sum();
        assert!((500..700).contains(&resting), "{resting}");
        let trades: u64 = replica.markets().map(|market| market.last_trade()).sum();
        assert!(50 < trades, "{trades}");

        let mut more = Traffic::after(&replica, SIZE, 1).unwrap();
        let mut tape = Tape::default();
        for _ in 0..1000 {
            tape.push(&more.trade().unwrap());
        }
        play(&mut replica, &tape);
        replica.assert_consistent();
        assert_eq!(replica.position().0, more.steps());
    }
}
