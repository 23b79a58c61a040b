//! Says several times a second how far the public streams have come, so that a fan-out notices what
//! it has not heard although nothing comes any more.

use std::time::Duration;

use engine_core::replica::{MarketReplica, Replica};
use protocol::feed::{Head, Heads};
use protocol::{TradeId, keys};

use crate::durable::Publication;

const EVERY_US: u64 = Duration::from_millis(keys::HEADS_EVERY_MS).as_micros() as u64;

#[derive(Debug)]
pub struct HeadsFeed {
    /// Of the engine.
    life: u64,
    /// `None`: nothing was told in this life.
    told_us: Option<u64>,
}

impl HeadsFeed {
    pub fn new(life: u64) -> HeadsFeed {
        HeadsFeed { life, told_us: None }
    }

    /// Adds what is to be told now. All that `replica` has applied stands in `out` or was sent
    /// before: between blocks no market data is held back.
    pub fn tell(&mut self, replica: &Replica, now_us: u64, out: &mut Vec<Publication>) {
        // A clock that was set back makes it due as well.
        if self.told_us.is_some_and(|told_us| now_us.abs_diff(told_us) < EVERY_US) {
            return;
        }
        self.told_us = Some(now_us);
        let head = |market: &MarketReplica| Head {
            market: market.spec().id,
            update_id: market.update_id(),
            trade: TradeId(market.last_trade()),
        };
        let markets = replica.markets().map(head).collect();
        let heads = Heads { life: self.life, sequence: replica.position(), markets };
        match serde_json::to_vec(&heads) {
            Ok(payload) => out.push(Publication { channel: keys::HEADS.to_owned(), payload }),
            Err(error) => tracing::error!(%error, "heads could not be written"),
        }
    }
}

#[cfg(test)]
mod tests {
    use engine_core::replica::Replica;
    use protocol::{Action, Frame, Increment, Listing, MarketId, Sequence, Side};

    use super::super::fixture::{BASE, MARKET, QUOTE, TestExchange, limit};
    use super::*;

    fn told(feed: &mut HeadsFeed, replica: &Replica, now_us: u64) -> Option<Heads> {
        let mut out = Vec::new();
        feed.tell(replica, now_us, &mut out);
        let publication = out.pop()?;
        assert_eq!((publication.channel.as_str(), out.len()), ("heads", 0));
        Some(serde_json::from_slice(&publication.payload).unwrap())
    }

    fn head(market: MarketId, update_id: u64, trade: u64) -> Head {
        Head { market, update_id, trade: TradeId(trade) }
    }

    #[test]
    fn heads_are_told_at_once_and_then_every_half_second() {
        let (mut exchange, funding) = TestExchange::funded();
        let mut replica = Replica::new(exchange.catalog.clone());
        let mut feed = HeadsFeed::new(7);
        let first = told(&mut feed, &replica, 1_000_000).unwrap();
        assert_eq!((first.life, first.sequence), (7, Sequence(0)));
        assert_eq!(first.markets, [head(MARKET, 0, 0)]);
        assert_eq!(told(&mut feed, &replica, 1_000_000 + EVERY_US - 1), None);
        let trading = [limit(1, Side::Ask, 60, 2), limit(2, Side::Bid, 60, 1)];
        for block in [funding, exchange.block(&trading)] {
            Frame::each_of(&block.frames).for_each(|frame| {
                replica.apply(&frame.unwrap()).unwrap();
            });
        }
        let second = told(&mut feed, &replica, 1_000_000 + EVERY_US).unwrap();
        assert_eq!((second.sequence, second.markets), (exchange.last(), vec![head(MARKET, 2, 1)]));
        assert!(told(&mut feed, &replica, 5).is_some(), "after the clock was set back at once");
    }

    #[test]
    fn a_market_that_is_listed_later_is_told_of() {
        let (mut exchange, funding) = TestExchange::funded();
        let mut replica = Replica::new(exchange.catalog.clone());
        let increment = Increment { mantissa: 1, scale: 1 };
        let listing = Action::ListMarket(Listing {
            market: MarketId(2),
            base: QUOTE,
            quote: BASE,
            tick: increment,
            step: increment,
        });
        for block in [funding, exchange.block(&[listing])] {
            Frame::each_of(&block.frames).for_each(|frame| {
                replica.apply(&frame.unwrap()).unwrap();
            });
        }
        let heads = told(&mut HeadsFeed::new(7), &replica, 5).unwrap();
        assert_eq!(heads.markets, [head(MARKET, 0, 0), head(MarketId(2), 0, 0)]);
    }
}
