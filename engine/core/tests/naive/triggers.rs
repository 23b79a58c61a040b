//! Orders of the naive exchange that wait for the last price.

use engine_core::cancel_after::LEASES_MAX;
use protocol::*;

use super::{NaiveExchange, NaiveFrame, NaiveMarket};

impl NaiveMarket {
    pub(super) fn last_price(&self) -> Option<Price> {
        self.touched.last().copied()
    }

    pub(super) fn take_waiting(&mut self, id: OrderId) -> WaitingOrder {
        let at = self.waiting.iter().position(|(_, waiting)| waiting.order == id).unwrap();
        self.waiting.remove(at).1
    }

    /// Who fires next: of all that any price touched reaches, those that wait for a rise first, the
    /// lowest first; then those that wait for a fall, the highest first; the oldest of one price.
    pub fn reached(&self) -> Option<WaitingOrder> {
        let reached = |direction| {
            self.waiting.iter().filter(move |(_, it)| {
                it.direction == direction
                    && self.touched.iter().any(|last| match direction {
                        TriggerDirection::Rise => *last >= it.trigger.price,
                        TriggerDirection::Fall => *last <= it.trigger.price,
                    })
            })
        };
        let rise =
            reached(TriggerDirection::Rise).min_by_key(|(since, it)| (it.trigger.price, *since));
        let fall = reached(TriggerDirection::Fall)
            .min_by_key(|(since, it)| (u64::MAX - it.trigger.price.ticks(), *since));
        rise.or(fall).map(|(_, waiting)| *waiting)
    }

    pub(super) fn settle_touched(&mut self) {
        if self.reached().is_none() {
            let last = self.last_price();
            self.touched.retain(|_| false);
            self.touched.extend(last);
        }
    }
}

impl NaiveExchange {
    pub(super) fn check_waiting(
        &self,
        place: &Place,
        time_us: u64,
        market: &NaiveMarket,
    ) -> Result<(), Refusal> {
        // As for a new order, in a market where it meets nobody.
        let alone = NaiveMarket { orders: Vec::new(), last_price: None, ..market.clone() };
        self.check(place, time_us, &alone)?;
        match place.kind {
            OrderKind::Limit { price, lots, .. }
                if super::held_by(&market.spec, place.side, price, lots)
                    > i128::from(Units::SUPPLY_MAX.0) =>
            {
                Err(Refusal::AmountOutOfRange)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn place_trigger(
        &mut self,
        placed: &TriggerPlace,
        time_us: u64,
        id: Option<OrderId>,
    ) -> Result<(Outcome, i128), Refusal> {
        let TriggerPlace { place, trigger } = *placed;
        let market = self.markets.get(&place.market).ok_or(Refusal::UnknownMarket)?;
        self.check_waiting(&place, time_us, market)?;
        if trigger.price < market.spec.price_min || trigger.price > market.spec.price_max {
            return Err(Refusal::PriceOutOfRange);
        }
        if market.open(place.account) >= self.limits.open_orders_per_account_max {
            return Err(Refusal::TooManyOpenOrders);
        }
        let direction = match (market.last_price(), place.side) {
            (Some(last), _) if trigger.price >= last => TriggerDirection::Rise,
            (None, Side::Bid) => TriggerDirection::Rise,
            _ => TriggerDirection::Fall,
        };
        let order = id.expect("an order that is not refused has an id");
        assert!(self.ids.insert(order), "no two orders share an id");
        let place = Place { valid_until_us: 0, ..place };
        let waiting = WaitingOrder { order, place, trigger, direction, created_us: time_us };
        let since = self.sequence;
        self.markets.get_mut(&place.market).unwrap().waiting.push((since, waiting));
        Ok((Outcome::Waits { order, direction }, 0))
    }

    /// The next order that fires in the market.
    pub fn fire_next(&mut self, market: MarketId) -> Option<(WaitingOrder, NaiveFrame)> {
        let waiting = self.markets.get(&market)?.reached()?;
        self.sequence += 1;
        let known = self.markets.get_mut(&market).unwrap();
        known.take_waiting(waiting.order);
        let known = known.clone();
        let mut events = Vec::new();
        let held = self.check(&waiting.place, known.time_us, &known);
        let decided = match held.and_then(|()| self.hold_for(&waiting.place)) {
            Ok(hold) => {
                let WaitingOrder { order, place, created_us, .. } = &waiting;
                (self.enter(place, *order, hold, *created_us, &mut events), hold)
            }
            Err(refusal) => (Outcome::TriggerFailed { order: waiting.order, refusal }, 0),
        };
        self.markets.get_mut(&market).unwrap().settle_touched();
        Some((waiting, self.frame(market, decided, events)))
    }

    pub(super) fn set_cancel_after(
        &mut self,
        (account, holder): (AccountId, GatewayId),
        timeout_ms: u32,
        time_us: u64,
    ) -> Result<(Outcome, i128), Refusal> {
        if account.get() > self.accounts {
            return Err(Refusal::UnknownAccount);
        }
        if timeout_ms == 0 {
            self.deadlines.remove(&(account, holder));
            return Ok((Outcome::CancelAfterSet { deadline_us: 0 }, 0));
        }
        let held: Vec<_> = self.deadlines.keys().filter(|(of, _)| *of == account).collect();
        let leases = held.iter().filter(|(_, holder)| *holder != Action::OWN_SWITCH).count();
        let is_new = holder != Action::OWN_SWITCH && !held.contains(&&(account, holder));
        if is_new && leases == LEASES_MAX {
            return Err(Refusal::TooManyHolders);
        }
        let deadline_us = time_us + u64::from(timeout_ms) * 1000;
        self.deadlines.insert((account, holder), deadline_us);
        Ok((Outcome::CancelAfterSet { deadline_us }, 0))
    }

    pub(super) fn expire_cancel_after(
        &mut self,
        (account, holder): (AccountId, GatewayId),
        deadline_us: u64,
        time_us: u64,
    ) -> Result<(Outcome, i128), Refusal> {
        if account.get() > self.accounts {
            return Err(Refusal::UnknownAccount);
        }
        let says_now = deadline_us == 0 && holder != Action::OWN_SWITCH;
        let stands = self.deadlines.get(&(account, holder)) == Some(&deadline_us);
        if !says_now && (!stands || time_us < deadline_us) {
            return Err(Refusal::NotDue);
        }
        self.deadlines.remove(&(account, holder));
        let expired_us = self.expiries.entry(account).or_default();
        *expired_us = time_us.max(*expired_us);
        Ok((Outcome::CancelAfterExpired, 0))
    }
}
