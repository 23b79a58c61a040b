//! Open orders of the naive exchange that are changed: taken out and placed again, unless they may
//! stay where they are.

use protocol::*;

use super::NaiveExchange;
use super::rules::held_by;

impl NaiveExchange {
    pub(super) fn amend(
        &mut self,
        amend: &Amend,
        time_us: u64,
        events: &mut Vec<Event>,
    ) -> Result<(Outcome, i128), Refusal> {
        let market = self.markets.get(&amend.market).ok_or(Refusal::UnknownMarket)?.clone();
        let id = market.find(amend.account, amend.target).ok_or(Refusal::OrderNotFound)?;
        if market.waits(id) {
            return self.amend_waiting(amend, id, time_us, events);
        }
        let before = market.orders.iter().find(|order| order.id == id).unwrap().clone();
        let OrderKind::Limit { post_only, .. } = before.place.kind else { panic!("a limit order") };
        let (price, lots) =
            (amend.price.unwrap_or(before.price), amend.lots.unwrap_or(before.lots));
        let place = Place {
            kind: OrderKind::Limit { price, lots, post_only },
            valid_until_us: amend.valid_until_us,
            ..before.place
        };
        self.check(&place, time_us, &market)?;
        let executed = before.lots.0 - before.lots_left.0;
        if lots.0 <= executed {
            return Err(Refusal::AlreadyExecuted);
        }
        let left = Lots(lots.0 - executed);
        let side = place.side;
        let old = held_by(&market.spec, side, before.price, before.lots_left);
        let new = held_by(&market.spec, side, price, left);
        if new > i128::from(Units::SUPPLY_MAX.0) {
            return Err(Refusal::AmountOutOfRange);
        }
        let extra = (new - old).max(0);
        let paid = market.spec.paid_asset(side);
        self.hold(amend.account, paid, extra)?;
        events.push(Event::Closed(before.closed(ClosedReason::Amended)));
        let orders = &mut self.markets.get_mut(&amend.market).unwrap().orders;
        let at = orders.iter().position(|order| order.id == id).unwrap();
        if price == before.price && left <= before.lots_left {
            orders[at].lots = lots;
            orders[at].lots_left = left;
            orders[at].place.kind = place.kind;
            *self.balance(amend.account, paid) += old - new;
            return Ok((Outcome::Rested { order: id, lots_left: left }, extra));
        }
        orders.remove(at);
        // What is left goes to market as an order of its own, and what then rests is put right.
        let kind = OrderKind::Limit { price, lots: left, post_only };
        let rest = Place { kind, ..place };
        let outcome = self.enter(&rest, id, old + extra, before.created_us, events);
        let orders = &mut self.markets.get_mut(&amend.market).unwrap().orders;
        if let Some(rested) = orders.iter_mut().find(|order| order.id == id) {
            rested.lots = lots;
            rested.place.kind = place.kind;
            rested.executed_quote += before.executed_quote;
        }
        Ok((outcome, extra))
    }

    fn amend_waiting(
        &mut self,
        amend: &Amend,
        id: OrderId,
        time_us: u64,
        events: &mut Vec<Event>,
    ) -> Result<(Outcome, i128), Refusal> {
        let market = self.markets[&amend.market].clone();
        let (_, waiting) = *market.waiting.iter().find(|(_, it)| it.order == id).unwrap();
        let kind = match (waiting.place.kind, amend.price, amend.lots) {
            (OrderKind::Limit { price, lots, post_only }, new_price, new_lots) => {
                let (price, lots) = (new_price.unwrap_or(price), new_lots.unwrap_or(lots));
                OrderKind::Limit { price, lots, post_only }
            }
            (_, Some(_), _) => return Err(Refusal::PriceOutOfRange),
            (OrderKind::MarketByLots { .. }, None, Some(lots)) => OrderKind::MarketByLots { lots },
            (OrderKind::MarketByQuote { .. }, None, Some(_)) => {
                return Err(Refusal::LotsOutOfRange);
            }
            (kind, None, None) => kind,
        };
        let place = Place { kind, valid_until_us: amend.valid_until_us, ..waiting.place };
        self.check_waiting(&place, time_us, &market)?;
        events.push(Event::Withdrawn(Withdrawn { waiting, reason: ClosedReason::Amended }));
        let waiting = &mut self.markets.get_mut(&amend.market).unwrap().waiting;
        let (_, known) = waiting.iter_mut().find(|(_, it)| it.order == id).unwrap();
        known.place.kind = kind;
        Ok((Outcome::Waits { order: id, direction: known.direction }, 0))
    }
}
