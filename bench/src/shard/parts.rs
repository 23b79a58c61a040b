//! What single parts of a shard cost, each on its own over the same commands: what a shard does
//! with its memory of commands, its digest, the ledger and the frames is derived from the frames of
//! the rehearsal and done again, one part at a time.
//!
//! Alone, a part has the caches to itself and nothing to wait for, so these are lower bounds; what
//! the parts leave of the whole is checks, orders' details and indexes, and getting in each other's
//! way. That the digest's part is the engine's is checked: it comes to that of the last frame.

use std::hint::black_box;
use std::time::Duration;

use engine_core::digest::StateSum;
use engine_core::recognition::{Recognition, Verdict};
use protocol::{
    AccountId, Action, AssetId, Command, Event, Frame, FrameHeader, FrameWriter, Lots, MarketSpec,
    OpenOrder, OrderId, OrderKind, Outcome, Place, Side, StateDigest, Trade, Units,
};
use serde::Serialize;

use super::script::Script;
use crate::clock::{nanoseconds, thread_cpu_time};
use crate::error::BenchError;
use crate::listing::MARKET;

/// Thread cpu time a command of each part alone, median of the runs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PartFigures {
    pub recognition_ns: f64,
    pub digest_ns: f64,
    pub ledger_ns: f64,
    pub frame_ns: f64,
}

/// A step of the digest.
#[derive(Clone, Copy, Debug)]
enum Fact {
    Give(AccountId, AssetId, Units),
    Hold(AccountId, AssetId, Units),
    Fee(AssetId, Units),
    Generation(OrderId),
    /// The next of the orders.
    Rest,
    Leave,
    Execute(OrderId, Lots, Units),
    Trade,
}

/// A step of the ledger.
#[derive(Clone, Copy, Debug)]
enum Move {
    Hold(AccountId, AssetId, Units),
    Give(AccountId, AssetId, Units),
}

/// All steps of one stretch of the script, part by part.
#[derive(Debug, Default)]
struct Steps {
    commands: Vec<(Command, FrameHeader)>,
    /// One behind the other, and of each command where its own end.
    events: Vec<Event>,
    event_ends: Vec<usize>,
    facts: Vec<Fact>,
    orders: Vec<OpenOrder>,
    moves: Vec<Move>,
}

/// Times each part over the measured commands of the script.
pub fn measure(script: &Script, runs: u32) -> Result<PartFigures, BenchError> {
    let (before, measured) = derive(script)?;
    let commands = measured.commands.len() as f64;
    let per_command = |spent: Duration| nanoseconds(spent) as f64 / commands;
    let mut spent: [Vec<Duration>; 4] = Default::default();
    for _ in 0..runs {
        let (recognition, remembered) = time_recognition(&before, &measured)?;
        let (digest, summed) = time_digest(&before, &measured)?;
        check(summed.with(remembered).digest(), &measured)?;
        let ledger = time_ledger(script, &before, &measured)?;
        let frame = time_frames(&measured)?;
        for (spent, time) in spent.iter_mut().zip([recognition, digest, ledger, frame]) {
            spent.push(time);
        }
    }
    let [recognition_ns, digest_ns, ledger_ns, frame_ns] = spent.map(|mut spent| {
        spent.sort_unstable();
        spent.get(spent.len() / 2).copied().map_or(0.0, per_command)
    });
    Ok(PartFigures { recognition_ns, digest_ns, ledger_ns, frame_ns })
}

fn check(found: StateDigest, measured: &Steps) -> Result<(), BenchError> {
    let Some((_, last)) = measured.commands.last() else { return Ok(()) };
    let expected = last.digest;
    if expected == found { Ok(()) } else { Err(BenchError::State { expected, found }) }
}

fn time_recognition(before: &Steps, measured: &Steps) -> Result<(Duration, StateSum), BenchError> {
    let (mut known, mut sum) = (Recognition::default(), StateSum::default());
    let mut remember = |commands: &[(Command, FrameHeader)]| {
        let mut unknown = 0;
        for (command, header) in commands {
            let origin = black_box(&command.origin);
            unknown += u64::from(known.look(origin) == Verdict::New);
            known.note(origin, header.sequence, &mut sum);
        }
        unknown
    };
    remember(&before.commands);
    let start = thread_cpu_time()?;
    black_box(remember(&measured.commands));
    Ok((thread_cpu_time()? - start, sum))
}

fn time_digest(before: &Steps, measured: &Steps) -> Result<(Duration, StateSum), BenchError> {
    let mut sum = StateSum::default();
    sum_up(&mut sum, before);
    let start = thread_cpu_time()?;
    sum_up(&mut sum, measured);
    Ok((thread_cpu_time()? - start, black_box(sum)))
}

fn sum_up(sum: &mut StateSum, steps: &Steps) {
    let mut orders = steps.orders.iter();
    for fact in &steps.facts {
        match *black_box(fact) {
            Fact::Give(account, asset, units) => sum.give(account, asset, units),
            Fact::Hold(account, asset, units) => sum.hold(account, asset, units),
            Fact::Fee(asset, units) => sum.fee(asset, units),
            Fact::Generation(order) => sum.generation(order),
            Fact::Rest => orders.next().into_iter().for_each(|order| sum.rest(order)),
            Fact::Leave => orders.next().into_iter().for_each(|order| sum.leave(order)),
            Fact::Execute(order, lots, quote) => sum.execute(order, lots, quote),
            Fact::Trade => sum.trades(1),
        }
    }
}

fn time_ledger(script: &Script, before: &Steps, measured: &Steps) -> Result<Duration, BenchError> {
    let ledger = script.funded_ledger();
    let carry_out = |moves: &[Move]| {
        let mut short = 0;
        for step in moves {
            match *black_box(step) {
                Move::Hold(account, asset, units) => {
                    short += u64::from(ledger.hold(account, asset, units).is_err());
                }
                Move::Give(account, asset, units) => ledger.credit(account, asset, units),
            }
        }
        short
    };
    carry_out(&before.moves);
    let start = thread_cpu_time()?;
    let short = carry_out(&measured.moves);
    let end = thread_cpu_time()?;
    assert!(short == 0, "Invariant: what a shard could hold can be held again");
    Ok(end - start)
}

fn time_frames(measured: &Steps) -> Result<Duration, BenchError> {
    let mut writer = FrameWriter::new(measured.events.len());
    let start = thread_cpu_time()?;
    let mut at = 0;
    for ((command, header), end) in measured.commands.iter().zip(&measured.event_ends) {
        writer.clear();
        measured.events[at..*end].iter().for_each(|event| writer.push(event));
        at = *end;
        black_box(writer.finish(header, command));
    }
    Ok(thread_cpu_time()? - start)
}

/// The steps before the clock starts, and those after.
fn derive(script: &Script) -> Result<(Steps, Steps), BenchError> {
    let Some(market) = script.catalog.market(MARKET) else {
        unreachable!("Invariant: the script's catalog lists the market")
    };
    let mut derivation = Derivation { market, resting: Vec::new(), steps: Steps::default() };
    let mut before = Steps::default();
    for (at, frame) in Frame::each_of(&script.frames).enumerate() {
        if at == script.unmeasured {
            before = std::mem::take(&mut derivation.steps);
        }
        derivation.frame(&frame.map_err(BenchError::Decode)?);
    }
    Ok((before, derivation.steps))
}

struct Derivation<'a> {
    market: &'a MarketSpec,
    /// By slot.
    resting: Vec<Option<OpenOrder>>,
    steps: Steps,
}

impl Derivation<'_> {
    fn frame(&mut self, frame: &Frame<'_>) {
        if frame.command.market() != MARKET {
            return;
        }
        self.steps.commands.push((frame.command, frame.header));
        if let Action::Place(place) = &frame.command.action {
            self.place(frame, place);
        } else {
            for event in frame.events() {
                let Event::Closed(closed) = event else { continue };
                self.steps.events.push(event);
                let Some(open) = self.take(closed.order) else { continue };
                let paid = self.market.paid_asset(open.side);
                let held = self.market.hold(open.side, open.price, open.lots_left);
                self.steps.facts.push(Fact::Leave);
                self.steps.orders.push(open);
                self.give(open.account, paid, held.unwrap_or_default());
            }
        }
        self.steps.event_ends.push(self.steps.events.len());
    }

    fn place(&mut self, frame: &Frame<'_>, place: &Place) {
        let (Some(order), held) = (frame.header.outcome.order(), frame.header.held) else { return };
        let paid = self.market.paid_asset(place.side);
        self.steps.moves.push(Move::Hold(place.account, paid, held));
        self.steps.facts.push(Fact::Generation(order));
        let (mut spent, mut received, mut quote) = (0, 0, 0);
        for trade in frame.trades() {
            self.steps.events.push(Event::Trade(trade));
            let (maker_gets, taker_gets, traded) = self.trade(place, &trade);
            spent += maker_gets.0;
            received += taker_gets.0 - trade.taker_fee.0;
            quote += traded.0;
        }
        let mut kept = Units::ZERO;
        if let (Outcome::Rested { lots_left, .. }, OrderKind::Limit { price, .. }) =
            (frame.header.outcome, place.kind)
        {
            let created_us = frame.command.time_us;
            if let Some(open) = OpenOrder::of(place, order, lots_left, Units(quote), created_us) {
                self.steps.facts.push(Fact::Rest);
                self.steps.orders.push(open);
                self.put(open);
            }
            kept = self.market.hold(place.side, price, lots_left).unwrap_or_default();
        }
        self.give(place.account, self.market.received_asset(place.side), Units(received));
        let unused = Units(held.0 - spent - kept.0);
        self.steps.moves.push(Move::Give(place.account, paid, unused));
        self.steps.facts.push(Fact::Hold(place.account, paid, Units(held.0 - unused.0)));
    }

    /// Settles the maker; returns what he gets, what the taker gets, and what it comes to in quote.
    fn trade(&mut self, place: &Place, trade: &Trade) -> (Units, Units, Units) {
        let quote = self.market.notional(trade.price, trade.lots).unwrap_or_default();
        let base = self.market.base_units(trade.lots).unwrap_or_default();
        let (maker_gets, taker_gets) = match place.side {
            Side::Bid => (quote, base),
            Side::Ask => (base, quote),
        };
        let maker_receives = self.market.received_asset(place.side.opposite());
        let taker_receives = self.market.received_asset(place.side);
        let after_fee = Units(maker_gets.0 - trade.maker_fee.0);
        self.give(trade.maker_account, maker_receives, after_fee);
        self.steps.facts.push(Fact::Fee(maker_receives, trade.maker_fee));
        self.steps.facts.push(Fact::Fee(taker_receives, trade.taker_fee));
        self.steps.facts.push(Fact::Trade);
        if let Some(open) = self.take(trade.maker_order) {
            if trade.maker_lots_left.is_zero() {
                self.steps.facts.push(Fact::Leave);
                self.steps.orders.push(open);
            } else {
                self.steps.facts.push(Fact::Execute(open.order, trade.lots, quote));
                let executed_quote = Units(open.executed_quote.0 + quote.0);
                let lots_left = trade.maker_lots_left;
                self.put(OpenOrder { lots_left, executed_quote, ..open });
            }
        }
        (maker_gets, taker_gets, quote)
    }

    fn give(&mut self, account: AccountId, asset: AssetId, units: Units) {
        self.steps.facts.push(Fact::Give(account, asset, units));
        self.steps.moves.push(Move::Give(account, asset, units));
    }

    fn put(&mut self, open: OpenOrder) {
        let slot = open.order.slot() as usize;
        if self.resting.len() <= slot {
            self.resting.resize(slot + 1, None);
        }
        self.resting[slot] = Some(open);
    }

    fn take(&mut self, order: OrderId) -> Option<OpenOrder> {
        self.resting.get_mut(order.slot() as usize)?.take()
    }
}
