//! What the engine would have put on its event queues, made ahead by real shards, and the same as
//! rows.

use std::collections::HashMap;

use db_sink::streams::Streams;
use db_sink::tables::Rows;
use orderflow::rng::Rng;
use protocol::{Catalog, Frame, MarketId, Record};

use crate::error::BenchError;
use crate::listing;
use crate::traffic::{Size, Step, Traffic};

/// Makers that one order takes, at most.
const MAKERS_MAX: u64 = 5;

/// One frame of one stream.
#[derive(Clone, Debug)]
pub struct Event {
    /// Place in [`Streams`].
    pub stream: usize,
    pub sequence: u64,
    pub frame: Vec<u8>,
}

#[derive(Debug)]
pub struct Events {
    pub catalog: Catalog,
    pub all: Vec<Event>,
    /// So many of them come before the first order.
    pub funding: usize,
    pub trades: u64,
    /// Of all tables.
    pub rows: u64,
}

impl Events {
    /// At least so many trades, in bouts of one to five makers and one that takes them.
    pub fn of_trades(trades: u64, markets: u16, accounts: u32) -> Result<Events, BenchError> {
        let size = Size { markets, accounts, orders: 0 };
        let mut traffic = Traffic::fresh(size, 1)?;
        let catalog = traffic.catalog().clone();
        let streams = Streams::of(&catalog);
        let place_of: HashMap<MarketId, usize> =
            streams.all().iter().zip(0..).map(|(stream, at)| (stream.market_id(), at)).collect();
        let mut all = Vec::new();
        let mut done = 0;
        let mut push = |step: &Step<'_>| -> Result<(), BenchError> {
            let event = event(step.records, &place_of)?;
            done += Frame::parse(&event.frame).map_err(BenchError::Decode)?.trades().count() as u64;
            all.push(event);
            Ok(())
        };
        for action in listing::funding(accounts) {
            push(&traffic.fund(action)?)?;
        }
        let mut rng = Rng::new(1);
        let mut planned = 0;
        while planned < trades {
            let makers = 1 + rng.below(MAKERS_MAX);
            traffic.bout(makers, &mut push)?;
            planned += makers;
        }
        let is_funding = |event: &&Event| streams.at(event.stream).market.is_none();
        let funding = all.iter().take_while(is_funding).count();
        let mut events = Events { catalog, all, funding, trades: done, rows: 0 };
        events.rows = events.batches(usize::MAX)?.iter().map(|rows| rows.len() as u64).sum();
        Ok(events)
    }

    /// In batches of at least so many rows, as the sink makes them of events that have queued up.
    pub fn batches(&self, rows_max: usize) -> Result<Vec<Rows>, BenchError> {
        let streams = Streams::of(&self.catalog);
        let (mut batches, mut batch) = (Vec::new(), Rows::default());
        for event in &self.all {
            if rows_max <= batch.len() {
                batches.push(std::mem::take(&mut batch));
            }
            let frame = Frame::parse(&event.frame).map_err(BenchError::Decode)?;
            let market = streams.at(event.stream).market.as_ref();
            batch.append(&frame, market).map_err(BenchError::Frames)?;
        }
        batches.push(batch);
        Ok(batches)
    }

    /// The last sequence of each stream, by place; 0 where there is none.
    pub fn ends(&self) -> Vec<u64> {
        let mut ends = vec![0; Streams::of(&self.catalog).all().len()];
        self.all.iter().for_each(|event| ends[event.stream] = event.sequence);
        ends
    }
}

fn event(records: &[Record], place_of: &HashMap<MarketId, usize>) -> Result<Event, BenchError> {
    let frame = records.concat();
    let parsed = Frame::parse(&frame).map_err(BenchError::Decode)?;
    let market = parsed.command.market();
    let stream = place_of.get(&market).copied();
    let stream = stream.ok_or(BenchError::NoSuchFlow(format!("of market {}", market.0)))?;
    Ok(Event { stream, sequence: parsed.header.sequence.0, frame })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_have_every_trade_and_all_that_belongs_to_it() {
        let events = Events::of_trades(200, 2, 20).unwrap();
        let batches = events.batches(100).unwrap();
        let sum = |of: fn(&Rows) -> usize| batches.iter().map(of).sum::<usize>() as u64;
        assert!((200..205).contains(&events.trades), "{}", events.trades);
        assert_eq!(sum(|rows| rows.trades.len()), events.trades);
        assert_eq!(sum(|rows| rows.fills.len()), 2 * events.trades);
        assert!(batches.iter().rev().skip(1).all(|rows| (100..140).contains(&rows.len())));
        let last = events.all.last().unwrap();
        assert_eq!(events.ends()[last.stream], last.sequence);
    }
}
