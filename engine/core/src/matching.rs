//! Hot path. Crosses an incoming order with a book: price first, then time, at the maker's price.

use std::borrow::BorrowMut;

use protocol::{AccountId, Lots, MarketSpec, Price, SelfTradePrevention, Side, Units};

use crate::book::{Book, Front, key_of};

/// What an incoming order may do to the book.
#[derive(Clone, Copy, Debug)]
pub struct Taker {
    pub side: Side,
    pub account: AccountId,
    /// The worst price it takes; `None`: any.
    pub limit: Option<Price>,
    pub wants: Wants,
    /// `None` lets an account trade with itself.
    pub self_trade: Option<SelfTradePrevention>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wants {
    Lots(Lots),
    /// As many whole lots as this much quote pays for, or brings in.
    Quote {
        left: Units,
        per_tick_lot: u64,
    },
}

impl Wants {
    /// Whether nothing is wanted, or what quote is left pays for no lot at any price.
    #[inline]
    fn is_satisfied(self) -> bool {
        match self {
            Wants::Lots(left) => left.is_zero(),
            Wants::Quote { left, per_tick_lot } => left.0 < per_tick_lot,
        }
    }

    /// Lots taken from `front`; zero when the quote left does not pay for one.
    #[inline]
    fn from(self, front: &Front) -> Lots {
        match self {
            Wants::Lots(left) => left.min(front.lots_left),
            Wants::Quote { left, per_tick_lot } => {
                // A price a book can hold and a listed market's factor: one lot always fits.
                let per_lot = front.price.ticks().saturating_mul(per_tick_lot);
                Lots(left.0 / per_lot).min(front.lots_left)
            }
        }
    }

    #[inline]
    fn take(&mut self, lots: Lots, price: Price) {
        match self {
            Wants::Lots(left) => left.0 -= lots.0,
            Wants::Quote { left, per_tick_lot } => {
                left.0 -= price.ticks() * *per_tick_lot * lots.0;
            }
        }
    }
}

impl Taker {
    /// Keys of the other side up to this one are crossed.
    #[inline]
    fn limit_key(&self) -> u64 {
        self.limit.map_or(u64::MAX, |limit| key_of(self.side.opposite(), limit))
    }
}

/// One step of a crossing, told as it happens.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// The maker traded; with nothing left it is out of the book already.
    Trade { maker: Front, lots: Lots, lots_left: Lots },
    /// Self-trade prevention wants the maker out; it still stands in the book.
    RemoveMaker { maker: Front },
}

/// Why a crossing ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stopped {
    /// Nothing more is wanted.
    Satisfied,
    /// The next order is too dear, or there is none.
    NothingCrosses,
    SelfTrade,
    /// `steps_max` steps were made.
    StepsMax,
}

/// Crosses `taker` with the other side; returns what is still wanted, and why it ended there.
///
/// `market` is a book or what owns one; `on_step` is given it, and must take a maker out when told.
#[inline]
pub fn cross<M: BorrowMut<Book>>(
    market: &mut M,
    taker: &Taker,
    steps_max: usize,
    mut on_step: impl FnMut(&mut M, Step),
) -> (Wants, Stopped) {
    let makers = taker.side.opposite();
    let limit = taker.limit_key();
    let mut wants = taker.wants;
    let mut steps = 0;
    loop {
        if wants.is_satisfied() {
            return (wants, Stopped::Satisfied);
        }
        let Some(maker) = market.borrow_mut().front(makers, limit) else {
            return (wants, Stopped::NothingCrosses);
        };
        let lots = wants.from(&maker);
        if lots.is_zero() {
            return (wants, Stopped::Satisfied);
        }
        if steps == steps_max {
            return (wants, Stopped::StepsMax);
        }
        steps += 1;
        if maker.account == taker.account
            && let Some(policy) = taker.self_trade
        {
            if policy != SelfTradePrevention::RejectTaker {
                on_step(market, Step::RemoveMaker { maker });
            }
            if policy != SelfTradePrevention::RejectMaker {
                return (wants, Stopped::SelfTrade);
            }
            continue;
        }
        wants.take(lots, maker.price);
        let lots_left = market.borrow_mut().fill(maker.slot, lots);
        on_step(market, Step::Trade { maker, lots, lots_left });
    }
}

/// What a crossing would trade, without touching the book.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Preview {
    pub lots: Lots,
    /// Quote units; `None` beyond what can be counted.
    pub quote: Option<Units>,
}

/// Walks the book as [`cross`] would.
pub fn preview(book: &Book, taker: &Taker, steps_max: usize, market: &MarketSpec) -> Preview {
    let makers = taker.side.opposite();
    let limit = taker.limit_key();
    let mut wants = taker.wants;
    let mut traded = Preview { lots: Lots::ZERO, quote: Some(Units::ZERO) };
    for maker in book.walk(makers).take(steps_max) {
        let lots = wants.from(&maker);
        if lots.is_zero() || limit < key_of(makers, maker.price) {
            break;
        }
        if maker.account == taker.account
            && let Some(policy) = taker.self_trade
        {
            match policy {
                SelfTradePrevention::RejectMaker => continue,
                SelfTradePrevention::RejectTaker | SelfTradePrevention::RejectBoth => break,
            }
        }
        wants.take(lots, maker.price);
        traded.lots = Lots(traded.lots.0 + lots.0);
        let quote = market.notional(maker.price, lots);
        traded.quote = traded.quote.zip(quote).and_then(|(sum, quote)| sum.checked_add(quote));
        if lots < maker.lots_left {
            // What is left pays for no lot of this maker, though it might for one of a worse price.
            break;
        }
    }
    traded
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::MarketId;

    fn price(ticks: u64) -> Price {
        Price::from_ticks(ticks).unwrap()
    }

    fn book(bids: &[(u64, u64)]) -> Book {
        let mut book = Book::new(MarketId(1), 16);
        for &(ticks, lots) in bids {
            let order = book.allocate();
            book.rest(order, Side::Bid, price(ticks), Lots(lots), AccountId::new(1).unwrap());
        }
        book
    }

    fn seller(quote: u64) -> Taker {
        Taker {
            side: Side::Ask,
            account: AccountId::new(2).unwrap(),
            limit: None,
            wants: Wants::Quote { left: Units(quote), per_tick_lot: 1 },
            self_trade: Some(SelfTradePrevention::RejectTaker),
        }
    }

    #[test]
    fn a_quote_amount_that_pays_for_no_lot_of_the_best_is_done() {
        // 350 buys three lots at 104; the 38 left would buy one at 20, which is not the best.
        let mut book = book(&[(104, 8), (20, 1)]);
        let mut traded = Vec::new();
        let (wants, stopped) = cross(&mut book, &seller(350), 9, |_, step| match step {
            Step::Trade { maker, lots, .. } => traded.push((maker.price, lots)),
            Step::RemoveMaker { .. } => unreachable!("Invariant: the accounts differ"),
        });
        assert_eq!(traded, [(price(104), Lots(3))]);
        assert_eq!(stopped, Stopped::Satisfied);
        assert_eq!(wants, Wants::Quote { left: Units(38), per_tick_lot: 1 });
    }

    #[test]
    fn a_quote_amount_that_ends_together_with_the_book_is_done() {
        let mut book = book(&[(104, 2)]);
        let (wants, stopped) = cross(&mut book, &seller(208), 9, |_, _| ());
        assert_eq!(stopped, Stopped::Satisfied);
        assert_eq!(wants, Wants::Quote { left: Units(0), per_tick_lot: 1 });
        assert_eq!(book.orders(), 0);
    }

    #[test]
    fn the_book_is_left_alone_by_a_preview() {
        let book = book(&[(104, 2), (103, 2)]);
        let market = crate::shard::tests::market();
        let found = preview(&book, &seller(400), 9, &market);
        assert_eq!(found.lots, Lots(3));
        assert_eq!(found.quote, Some(Units((2 * 104 + 103) * market.quote_units_per_tick_lot)));
        assert_eq!(book.orders(), 2);
    }
}
