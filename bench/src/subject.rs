//! What is measured: a book that takes the commands of a flow. Two of them stand against each
//! other, the engine's and the reference of `orderflow`.

use engine_core::book::Book;
use orderflow::digest::Fnv;
use orderflow::{Command, Digest, Flow, RefBook, Trade};
use protocol::Side;

use crate::error::BenchError;

/// How large a flow grows; what a book may reserve before the clock starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Order ids go from 1 to this.
    pub order_id_max: u64,
    /// Orders at rest at once, and levels, at most.
    pub resting_max: usize,
    pub trades: usize,
}

/// A flow with what the reference book says of it.
#[derive(Debug)]
pub struct Workload {
    pub flow: Flow,
    pub extent: Extent,
    pub digest: Digest,
}

impl Workload {
    /// Makes the flow and runs it through the reference book once.
    pub fn new(name: &str, seed: u64) -> Result<Workload, BenchError> {
        let flow = orderflow::generate(name, seed);
        let flow = flow.ok_or_else(|| BenchError::NoSuchFlow(name.to_owned()))?;
        let mut book = RefBook::new();
        let mut extent = Extent { order_id_max: 0, resting_max: 0, trades: 0 };
        for command in &flow.commands {
            book.apply(command, &mut |_| extent.trades += 1);
            extent.order_id_max = extent.order_id_max.max(command.id);
            extent.resting_max = extent.resting_max.max(book.resting());
        }
        Ok(Workload { flow, extent, digest: book.digest() })
    }

    /// What any book must leave behind, as a row of `expected.csv`: the published one where there
    /// is one, else the reference book's.
    pub fn expected_row(&self) -> String {
        let published = (self.flow.seed == orderflow::DEFAULT_SEED)
            .then(|| orderflow::expected_row(&self.flow.name))
            .flatten();
        published.map_or_else(|| self.digest.csv_row(&self.flow), str::to_owned)
    }
}

/// A book under measurement.
pub trait Subject: Sized {
    const NAME: &'static str;

    /// A command in the book's own terms, made before the clock starts.
    type Command;

    /// A fresh book with room for a flow of that extent.
    fn fresh(extent: &Extent) -> Result<Self, BenchError>;

    /// Turns all commands of the flow into the book's own.
    fn prepare(workload: &Workload) -> Result<Vec<Self::Command>, BenchError>;

    /// Carries out one command and appends its trades; false if it was rejected because its order
    /// does not rest.
    fn apply(&mut self, command: &Self::Command, trades: &mut Vec<Trade>) -> bool;

    /// The outcome. `trades` are all trades since the book was fresh, `rejected` how many commands
    /// were.
    fn digest(&self, trades: &[Trade], rejected: u64) -> Digest;
}

/// What came of a flow in a book of the engine; `id_in_slot` tells the flow's id of an order.
pub fn digest_of(
    book: &Book,
    trades: &[Trade],
    rejected: u64,
    id_in_slot: impl Fn(u32) -> u64,
) -> Digest {
    let mut trade_hash = Fnv::default();
    trades.iter().for_each(|trade| trade_hash.trade(trade));
    let mut book_hash = Fnv::default();
    let mut resting_qty = 0;
    for front in book.walk(Side::Bid).chain(book.walk(Side::Ask)) {
        book_hash.word(id_in_slot(front.slot));
        book_hash.word(front.price.ticks());
        book_hash.word(front.lots_left.0);
        resting_qty += front.lots_left.0;
    }
    Digest {
        trades: trades.len() as u64,
        traded_qty: trades.iter().map(|trade| trade.qty).sum(),
        notional: trades.iter().map(|trade| trade.price * trade.qty).sum(),
        rejected,
        resting_orders: book.orders() as u64,
        resting_qty,
        levels: (book.levels(Side::Bid) + book.levels(Side::Ask)) as u64,
        trade_hash: trade_hash.0,
        book_hash: book_hash.0,
    }
}

/// The naive book: a `BTreeMap` of queues and a `HashMap` of orders. Hashes its trades as it goes.
impl Subject for RefBook {
    const NAME: &'static str = "reference book";

    type Command = Command;

    fn fresh(_: &Extent) -> Result<Self, BenchError> {
        Ok(RefBook::new())
    }

    fn prepare(workload: &Workload) -> Result<Vec<Command>, BenchError> {
        Ok(workload.flow.commands.clone())
    }

    fn apply(&mut self, command: &Command, trades: &mut Vec<Trade>) -> bool {
        RefBook::apply(self, command, &mut |trade| trades.push(trade))
    }

    fn digest(&self, _: &[Trade], _: u64) -> Digest {
        RefBook::digest(self)
    }
}
