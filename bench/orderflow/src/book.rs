//! The reference book: deliberately simple, the judge of every other book.
//!
//! Each side is a `BTreeMap` from price to a `VecDeque` of order ids in time
//! order. A removed order leaves a stale queue entry behind, recognised by its
//! stamp and skipped when it reaches the front.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::digest::{Digest, Fnv};
use crate::format::{Command, Kind, Side};

/// A maker and a taker exchanged `qty` lots at the maker's price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trade {
    pub maker: u64,
    pub taker: u64,
    pub price: u64,
    pub qty: u64,
}

/// What rests of an order.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub side: Side,
    pub account: u32,
    pub price: u64,
    pub qty: u64,
    stamp: u64,
}

/// The orders at one price: how many are live, and all that were, as (id, stamp) in time order.
#[derive(Default)]
struct Level {
    live: usize,
    queue: VecDeque<(u64, u64)>,
}

/// One market's book by the simplest means; see the head of this file.
#[derive(Default)]
pub struct RefBook {
    /// Bids, then asks. The front of every level's queue is a live order.
    sides: [BTreeMap<u64, Level>; 2],
    orders: HashMap<u64, Order>,
    stamp: u64,
    rejected: u64,
    trades: u64,
    traded_qty: u64,
    notional: u64,
    trade_hash: Fnv,
}

impl RefBook {
    pub fn new() -> Self {
        Self::default()
    }

    /// The resting order of that id.
    pub fn get(&self, id: u64) -> Option<&Order> {
        self.orders.get(&id)
    }

    /// How many orders rest, both sides together.
    pub fn resting(&self) -> usize {
        self.orders.len()
    }

    /// The best price of `side`.
    pub fn best(&self, side: Side) -> Option<u64> {
        self.best_level(side).map(|(price, _)| price)
    }

    /// The first order in time at the best price of `side`.
    pub fn best_order(&self, side: Side) -> Option<u64> {
        let (_, level) = self.best_level(side)?;
        level.queue.front().map(|&(id, _)| id)
    }

    /// Apply one command; its trades are handed to `on_trade` in order.
    /// Returns false if it was rejected (the order it names is not resting).
    pub fn apply(&mut self, c: &Command, on_trade: &mut impl FnMut(Trade)) -> bool {
        match c.kind {
            Kind::New => {
                let left = self.matching(c.id, c.side, c.price, c.qty, on_trade);
                self.rest(c.id, c.side, c.account, c.price, left);
            }
            Kind::Ioc => {
                self.matching(c.id, c.side, c.price, c.qty, on_trade);
            }
            Kind::Market => {
                let limit = match c.side {
                    Side::Buy => u64::MAX,
                    Side::Sell => 0,
                };
                self.matching(c.id, c.side, limit, c.qty, on_trade);
            }
            Kind::Cancel => {
                if self.remove(c.id).is_none() {
                    return self.reject();
                }
            }
            Kind::Reduce => match self.orders.get_mut(&c.id) {
                Some(order) if order.qty > c.qty => order.qty -= c.qty,
                Some(_) => {
                    self.remove(c.id);
                }
                None => return self.reject(),
            },
            Kind::Move => match self.remove(c.id) {
                Some(o) => {
                    let left = self.matching(c.id, o.side, c.price, o.qty, on_trade);
                    self.rest(c.id, o.side, o.account, c.price, left);
                }
                None => return self.reject(),
            },
        }
        true
    }

    /// The outcome so far, the whole book walked.
    pub fn digest(&self) -> Digest {
        let mut hash = Fnv::default();
        let mut resting_qty = 0;
        let [bids, asks] = &self.sides;
        for (&price, level) in bids.iter().rev().chain(asks) {
            for &(id, stamp) in &level.queue {
                if is_live(&self.orders, id, stamp) {
                    let qty = self.orders[&id].qty;
                    hash.word(id);
                    hash.word(price);
                    hash.word(qty);
                    resting_qty += qty;
                }
            }
        }
        Digest {
            trades: self.trades,
            traded_qty: self.traded_qty,
            notional: self.notional,
            rejected: self.rejected,
            resting_orders: self.orders.len() as u64,
            resting_qty,
            levels: (bids.len() + asks.len()) as u64,
            trade_hash: self.trade_hash.0,
            book_hash: hash.0,
        }
    }

    fn best_level(&self, side: Side) -> Option<(u64, &Level)> {
        let levels = &self.sides[side as usize];
        let best = match side {
            Side::Buy => levels.last_key_value(),
            Side::Sell => levels.first_key_value(),
        };
        best.map(|(&price, level)| (price, level))
    }

    fn reject(&mut self) -> bool {
        self.rejected += 1;
        false
    }

    fn rest(&mut self, id: u64, side: Side, account: u32, price: u64, qty: u64) {
        if qty == 0 {
            return;
        }
        self.stamp += 1;
        let stamp = self.stamp;
        let level = self.sides[side as usize].entry(price).or_default();
        level.live += 1;
        level.queue.push_back((id, stamp));
        let order = Order { side, account, price, qty, stamp };
        self.orders.insert(id, order);
    }

    fn remove(&mut self, id: u64) -> Option<Order> {
        let order = self.orders.remove(&id)?;
        let levels = &mut self.sides[order.side as usize];
        let Some(level) = levels.get_mut(&order.price) else {
            unreachable!("Invariant: a live order has a level")
        };
        level.live -= 1;
        if level.live == 0 {
            levels.remove(&order.price);
            return Some(order);
        }
        let queue = &mut level.queue;
        while queue.front().is_some_and(|&(id, stamp)| !is_live(&self.orders, id, stamp)) {
            queue.pop_front();
        }
        if queue.len() > 2 * level.live + 64 {
            queue.retain(|&(id, stamp)| is_live(&self.orders, id, stamp));
        }
        Some(order)
    }

    /// Trade `qty` against the other side up to `limit`; returns what is left.
    fn matching(
        &mut self,
        taker: u64,
        side: Side,
        limit: u64,
        mut qty: u64,
        on_trade: &mut impl FnMut(Trade),
    ) -> u64 {
        while qty > 0 {
            let Some((price, level)) = self.best_level(side.other()) else {
                break;
            };
            let crosses = match side {
                Side::Buy => price <= limit,
                Side::Sell => price >= limit,
            };
            if !crosses {
                break;
            }
            let (maker, _) = level.queue[0];
            let Some(order) = self.orders.get_mut(&maker) else {
                unreachable!("Invariant: the front of a level is live")
            };
            let traded = qty.min(order.qty);
            order.qty -= traded;
            qty -= traded;
            if order.qty == 0 {
                self.remove(maker);
            }
            let trade = Trade { maker, taker, price, qty: traded };
            self.trades += 1;
            self.traded_qty += traded;
            self.notional += traded * price;
            self.trade_hash.trade(&trade);
            on_trade(trade);
        }
        qty
    }
}

fn is_live(orders: &HashMap<u64, Order>, id: u64, stamp: u64) -> bool {
    orders.get(&id).is_some_and(|o| o.stamp == stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(kind: Kind, side: Side, id: u64, price: u64, qty: u64) -> Command {
        Command { kind, side, account: 0, id, price, qty }
    }

    fn run(commands: &[Command]) -> (RefBook, Vec<Trade>, Vec<bool>) {
        let mut book = RefBook::new();
        let mut trades = Vec::new();
        let accepted = commands.iter().map(|c| book.apply(c, &mut |t| trades.push(t))).collect();
        (book, trades, accepted)
    }

    fn trade(maker: u64, taker: u64, price: u64, qty: u64) -> Trade {
        Trade { maker, taker, price, qty }
    }

    use Kind::{Cancel, Ioc, Market, Move, New, Reduce};
    use Side::{Buy, Sell};

    #[test]
    fn price_then_time_at_the_makers_price() {
        let (book, trades, _) = run(&[
            command(New, Sell, 1, 102, 5),
            command(New, Sell, 2, 101, 5),
            command(New, Sell, 3, 101, 5),
            command(New, Buy, 4, 102, 12),
        ]);
        let expected = [trade(2, 4, 101, 5), trade(3, 4, 101, 5), trade(1, 4, 102, 2)];
        assert_eq!(trades, expected);
        assert_eq!(book.best(Sell), Some(102));
        assert_eq!(book.best(Buy), None);
    }

    #[test]
    fn remainders_rest_or_are_dropped_by_kind() {
        let (book, trades, _) = run(&[
            command(New, Buy, 1, 100, 1),
            command(New, Sell, 2, 100, 3),
            command(Ioc, Buy, 3, 99, 5),
            command(Ioc, Buy, 4, 100, 5),
            command(Market, Buy, 5, 0, 5),
        ]);
        assert_eq!(trades, [trade(1, 2, 100, 1), trade(2, 4, 100, 2)]);
        assert_eq!(book.resting(), 0);
    }

    #[test]
    fn reduce_keeps_the_place_and_move_loses_it() {
        let (book, trades, accepted) = run(&[
            command(New, Buy, 1, 100, 5),
            command(New, Buy, 2, 100, 5),
            command(New, Buy, 3, 100, 5),
            command(Reduce, Buy, 1, 0, 2),
            command(Move, Buy, 2, 100, 5),
            command(Reduce, Buy, 3, 0, 9),
            command(Cancel, Buy, 3, 0, 0),
            command(Market, Sell, 4, 0, 4),
        ]);
        assert_eq!(trades, [trade(1, 4, 100, 3), trade(2, 4, 100, 1)]);
        assert_eq!(accepted, [true, true, true, true, true, true, false, true]);
        assert_eq!(book.get(2).unwrap().qty, 4);
    }

    #[test]
    fn a_move_across_the_spread_trades_as_taker() {
        let (book, trades, _) = run(&[
            command(New, Sell, 1, 105, 2),
            command(New, Buy, 2, 100, 5),
            command(Move, Buy, 2, 106, 5),
        ]);
        assert_eq!(trades, [trade(1, 2, 105, 2)]);
        assert_eq!(book.best(Buy), Some(106));
        assert_eq!(book.get(2).unwrap().qty, 3);
    }
}
