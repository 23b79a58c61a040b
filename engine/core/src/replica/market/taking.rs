//! The frame's own order goes to market: what it trades, removes, leaves and becomes.

use protocol::{
    ClosedReason, Event, Frame, Lots, OpenOrder, OrderId, OrderKind, Outcome, Place, Side,
    Standing, TimeInForce, Trade, Triggered, Units,
};

use super::super::applied::Applied;
use super::super::error::Inconsistency;
use super::super::limits::reaches;
use super::MarketReplica;
use crate::touched::Touched;

/// The frame's own order: new, fired or amended.
pub(in super::super) struct Entrant<'a> {
    /// Its quantity is that of the order as a whole.
    pub place: &'a Place,
    pub order: OrderId,
    pub created_us: u64,
    /// Before this frame.
    pub executed: Lots,
    pub executed_quote: Units,
    pub triggered: Option<Triggered>,
}

/// What the trades of one frame come to, for its taker.
#[derive(Clone, Copy, Default)]
pub(super) struct Taken {
    lots: Lots,
    quote: Units,
}

impl MarketReplica {
    /// Trades, and own orders that self-trade prevention removed.
    pub(super) fn take(
        &mut self,
        frame: &Frame<'_>,
        place: &Place,
        events: impl Iterator<Item = Event>,
        applied: &mut Applied,
    ) -> Result<Taken, Inconsistency> {
        let mut taken = Taken::default();
        for event in events {
            match event {
                Event::Trade(trade) => {
                    let quote = self.trade(frame, place, &trade, applied)?;
                    let amount = Inconsistency::Amount(trade.maker_order);
                    taken.lots = taken.lots.checked_add(trade.lots).ok_or(amount)?;
                    taken.quote = taken.quote.checked_add(quote).ok_or(amount)?;
                }
                Event::Closed(closed) => {
                    let is_own = closed.account == place.account;
                    if closed.reason != ClosedReason::SelfTradePrevention || !is_own {
                        return Err(Inconsistency::ClosedUnasked(closed.order));
                    }
                    self.close(frame, &closed, applied)?;
                }
                Event::Withdrawn(withdrawn) => {
                    return Err(Inconsistency::ClosedUnasked(withdrawn.waiting.order));
                }
            }
        }
        Ok(taken)
    }

    /// The order rests with what it did not trade, or has ended.
    pub(super) fn conclude(
        &mut self,
        frame: &Frame<'_>,
        entrant: &Entrant<'_>,
        lots_left: Lots,
        taken: Taken,
        applied: &mut Applied,
    ) -> Result<(), Inconsistency> {
        let amount = Inconsistency::Amount(entrant.order);
        let executed = entrant.executed.checked_add(taken.lots).ok_or(amount)?;
        let quote = entrant.executed_quote.checked_add(taken.quote).ok_or(amount)?;
        check_amounts(entrant.place, (executed, taken.quote), lots_left, frame.header.outcome)
            .then_some(())
            .ok_or(amount)?;
        match frame.header.outcome {
            Outcome::Rested { .. } => self.rest(frame, entrant, lots_left, quote, applied),
            Outcome::Expired { reason, .. } => {
                if reason == ClosedReason::PriceImpact {
                    self.check_impact(entrant.place, entrant.order, applied.best_before)?;
                }
                let left = (lots_left, Some(reason));
                self.finished.done(frame, entrant, (executed, quote), left);
                Ok(())
            }
            _ => {
                self.finished.done(frame, entrant, (executed, quote), (Lots::ZERO, None));
                Ok(())
            }
        }
    }

    /// The quote units that changed hands.
    fn trade(
        &mut self,
        frame: &Frame<'_>,
        place: &Place,
        trade: &Trade,
        applied: &mut Applied,
    ) -> Result<Units, Inconsistency> {
        if Some(trade.id.0) != self.last_trade.checked_add(1) {
            return Err(Inconsistency::TradeId { last: self.last_trade, found: trade.id });
        }
        let maker_side = place.side.opposite();
        let limit = self.limit_of(place, applied.best_before);
        let unknown = Inconsistency::UnknownOrder(trade.maker_order);
        let maker = self.orders.get_mut(trade.maker_order).ok_or(unknown)?;
        let fits = trade.taker_side == place.side
            && (maker.side, maker.price) == (maker_side, trade.price)
            && maker.account == trade.maker_account
            && maker.account != place.account
            && !trade.lots.is_zero()
            && maker.lots_left.checked_sub(trade.lots) == Some(trade.maker_lots_left);
        if !fits {
            return Err(Inconsistency::Maker { trade: trade.id, maker: trade.maker_order });
        }
        if let Some(limit) = limit
            && !reaches(place.side, limit, trade.price)
        {
            return Err(Inconsistency::BeyondLimit(trade.id));
        }
        let amount = Inconsistency::Amount(trade.maker_order);
        let quote = self.spec.notional(trade.price, trade.lots).ok_or(amount)?;
        let base = self.spec.base_units(trade.lots).ok_or(amount)?;
        let (maker_gets, taker_gets) = match maker_side {
            Side::Bid => (base, quote),
            Side::Ask => (quote, base),
        };
        if maker_gets < trade.maker_fee || taker_gets < trade.taker_fee {
            return Err(Inconsistency::Fee(trade.id));
        }
        let before = *maker;
        maker.lots_left = trade.maker_lots_left;
        maker.executed_quote = maker.executed_quote.checked_add(quote).ok_or(amount)?;
        if maker.lots_left.is_zero() {
            let (filled, triggered) = self.orders.remove(trade.maker_order).ok_or(unknown)?;
            self.finished.left(frame, &filled, None, triggered);
            self.sum.leave(&before);
        } else {
            self.sum.execute(trade.maker_order, trade.lots, quote);
        }
        self.held.take(&self.spec, maker_side, trade.price, trade.lots)?;
        self.sum.trades(1);
        let time_us = frame.command.time_us;
        applied.touch(self.levels.take(maker_side, trade.price, trade.lots)?);
        self.last_trade = trade.id.0;
        match &mut self.touched {
            Some(touched) => touched.touch(trade.price),
            None => self.touched = Some(Touched::at(trade.price)),
        }
        self.statistics.trade(time_us, trade.price, trade.lots, quote);
        let time_s = (time_us / 1_000_000).cast_signed();
        self.candles.trade(time_s, trade.price, trade.lots, &mut applied.ended);
        Ok(quote)
    }

    fn rest(
        &mut self,
        frame: &Frame<'_>,
        entrant: &Entrant<'_>,
        lots_left: Lots,
        executed_quote: Units,
        applied: &mut Applied,
    ) -> Result<(), Inconsistency> {
        let Entrant { place, order, created_us, triggered, .. } = *entrant;
        if place.time_in_force != TimeInForce::GoodTillCancelled {
            return Err(Inconsistency::Outcome);
        }
        let rested = OpenOrder::of(place, order, lots_left, executed_quote, created_us);
        let rested = rested.ok_or(Inconsistency::Outcome)?;
        self.held.add(&self.spec, &rested)?;
        self.sum.rest(&rested);
        self.orders.stand(Standing::Rests(rested, triggered), frame.header.sequence);
        applied.touch(self.levels.add(place.side, rested.price, lots_left)?);
        let best = self.levels.best();
        if let (Some((bid, _)), Some((ask, _))) = (best.bid, best.ask)
            && ask <= bid
        {
            return Err(Inconsistency::Crossed(order));
        }
        Ok(())
    }
}

/// Whether what was asked is what was executed, ever and by this frame, and what is left.
fn check_amounts(
    place: &Place,
    (executed, quote_taken): (Lots, Units),
    lots_left: Lots,
    outcome: Outcome,
) -> bool {
    let is_left = match outcome {
        Outcome::Rested { .. } => !lots_left.is_zero(),
        _ => true,
    };
    is_left
        && match place.kind {
            OrderKind::Limit { lots, .. } | OrderKind::MarketByLots { lots } => {
                executed.checked_add(lots_left) == Some(lots)
            }
            OrderKind::MarketByQuote { quote } => lots_left.is_zero() && quote_taken <= quote,
        }
}
