//! The latest public trades of each market, for who has missed some: filled from applied frames,
//! and after a start from those that recovery replays.
//!
//! Memory of this process alone: neither digest nor snapshot knows of it. How far back it reaches
//! is seen by the first id of an answer.

use std::collections::VecDeque;

use protocol::query::PublicTrade;
use protocol::{Frame, MarketId, OrderId, Trade, TradeId};

/// Kept of each market: several seconds of the busiest one, in half a megabyte. Who has missed more
/// has missed too much for it to be made up for trade by trade.
const TRADES_MAX: usize = 10_000;

#[derive(Clone, Debug, Default)]
pub struct RecentTrades {
    /// By the number of their ids; in each the ids are consecutive.
    markets: Vec<VecDeque<PublicTrade>>,
}

impl RecentTrades {
    /// Takes note of an applied frame.
    pub fn frame(&mut self, frame: &Frame<'_>) {
        let Some(taker) = frame.header.outcome.order() else { return };
        let place = usize::from(frame.command.market().0);
        for trade in frame.trades() {
            if self.markets.len() <= place {
                self.markets.resize_with(place + 1, VecDeque::new);
            }
            let trades = &mut self.markets[place];
            if trades.len() == TRADES_MAX {
                trades.pop_front();
            }
            trades.push_back(public_trade(&trade, taker, frame.command.time_us));
        }
    }

    /// The first trades behind `after` that are remembered, at most `max` of them.
    pub fn after(&self, market: MarketId, after: TradeId, max: usize) -> Vec<PublicTrade> {
        let Some(trades) = self.markets.get(usize::from(market.0)) else { return Vec::new() };
        let from = trades.partition_point(|trade| trade.id <= after);
        trades.range(from..).take(max).copied().collect()
    }
}

/// `taker` is the order of the frame the trade stands in, `time_us` its time.
pub fn public_trade(trade: &Trade, taker: OrderId, time_us: u64) -> PublicTrade {
    let Trade { id, maker_order, taker_side, price, lots, .. } = *trade;
    PublicTrade { id, time_us, price, lots, taker_side, taker_order: taker, maker_order }
}

#[cfg(test)]
mod tests {
    use protocol::Side;

    use super::*;
    use crate::replica_loop::fixture::{MARKET, TestExchange, limit};

    #[test]
    fn the_latest_trades_are_told_from_the_one_that_is_asked_for() {
        let (mut exchange, _) = TestExchange::funded();
        let mut recent = RecentTrades::default();
        let mut take = |actions: &[protocol::Action]| {
            let block = exchange.block(actions);
            Frame::each_of(&block.frames).for_each(|frame| recent.frame(&frame.unwrap()));
        };
        for at in 0..TRADES_MAX + 5 {
            // To and fro, so that nobody runs out of anything.
            let (seller, buyer) = if at % 2 == 0 { (1, 2) } else { (2, 1) };
            take(&[limit(seller, Side::Ask, 60, 1), limit(buyer, Side::Bid, 60, 1)]);
        }
        let ids = |after, max| {
            let found = recent.after(MARKET, TradeId(after), max);
            found.iter().map(|trade| trade.id.0).collect::<Vec<_>>()
        };
        let last = TRADES_MAX as u64 + 5;
        assert_eq!(ids(0, 3), [6, 7, 8], "what is older is forgotten");
        assert_eq!(ids(last - 2, 9), [last - 1, last]);
        assert_eq!(ids(last, 9), [0; 0]);
        assert_eq!(recent.after(MarketId(7), TradeId(0), 9), []);
    }
}
