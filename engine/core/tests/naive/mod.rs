//! The naive exchange: the clear, slow judge of the real one.
//!
//! Orders are a list in order of arrival, balances a map, and what an order would do is found by
//! doing it on a copy. Nothing here is shared with the real engine but the vocabulary.

mod accounts;
mod amending;
mod cancelling;
mod checks;
mod terms;
mod rules;
mod triggers;

use std::collections::{BTreeMap, BTreeSet};

use protocol::*;
use rules::{best_crossed, held_by, is_in_reach};

#[derive(Clone, Debug)]
pub struct NaiveOrder {
    pub id: OrderId,
    pub place: Place,
    pub price: Price,
    pub lots: Lots,
    pub lots_left: Lots,
    pub executed_quote: u64,
    pub created_us: u64,
    /// The frame since which it rests.
    pub since: u64,
}

#[derive(Clone, Debug)]
pub struct NaiveMarket {
    pub spec: MarketSpec,
    /// In order of coming to rest.
    pub orders: Vec<NaiveOrder>,
    /// In order of beginning to wait, with the frame since which they do.
    pub waiting: Vec<(u64, WaitingOrder)>,
    /// Prices of trades since all that they reached had fired; the last price is the last.
    pub touched: Vec<Price>,
    /// Of the last command.
    pub time_us: u64,
    pub last_trade: u64,
    pub last_price: Option<Price>,
    pub previous: Option<Sequence>,
    pub state: BookState,
}

#[derive(Clone, Debug)]
pub struct NaiveExchange {
    pub markets: BTreeMap<MarketId, NaiveMarket>,
    pub available: BTreeMap<(AccountId, AssetId), i128>,
    pub fees: BTreeMap<AssetId, i128>,
    pub supply: BTreeMap<AssetId, i128>,
    pub accounts: u32,
    decimals: BTreeMap<AssetId, u32>,
    transfers: BTreeMap<u128, (Sequence, Action)>,
    /// Of whoever holds one.
    pub deadlines: BTreeMap<(AccountId, GatewayId), u64>,
    pub expiries: BTreeMap<AccountId, u64>,
    /// Which frame decided what each sender sent on each stream.
    pub seen: BTreeMap<(MarketId, u32, u32, u64), Sequence>,
    previous: Option<Sequence>,
    sequence: u64,
    ids: BTreeSet<OrderId>,
    pub limits: NaiveLimits,
}

#[derive(Clone, Copy, Debug)]
pub struct NaiveLimits {
    pub open_orders_per_account_max: usize,
    pub steps_max: usize,
    pub accounts_max: u32,
    pub markets_max: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub struct NaiveFrame {
    pub sequence: Sequence,
    pub previous: Option<Sequence>,
    pub outcome: Outcome,
    pub held: Units,
    pub events: Vec<Event>,
}

enum End {
    Done,
    DriedUp,
    OutOfReach,
    SelfTrade,
    StepsMax,
}

impl NaiveExchange {
    pub fn new(catalog: &Catalog, limits: NaiveLimits) -> Self {
        let market = |spec: &MarketSpec| {
            let fresh = NaiveMarket {
                spec: spec.clone(),
                orders: vec![],
                waiting: vec![],
                touched: vec![],
                time_us: 0,
                last_trade: 0,
                last_price: None,
                previous: None,
                state: BookState::Open,
            };
            (spec.id, fresh)
        };
        NaiveExchange {
            markets: catalog.markets().iter().map(market).collect(),
            available: BTreeMap::new(),
            fees: BTreeMap::new(),
            supply: catalog.assets().iter().map(|asset| (asset.id, 0)).collect(),
            accounts: 0,
            decimals: catalog.assets().iter().map(|asset| (asset.id, asset.decimals)).collect(),
            transfers: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            expiries: BTreeMap::new(),
            seen: BTreeMap::new(),
            previous: None,
            sequence: 0,
            ids: BTreeSet::new(),
            limits,
        }
    }

    /// `id` is the order id that the real engine gave out, if it gave one: names are its to choose,
    /// as long as no two orders share one.
    pub fn apply(&mut self, command: &Command, id: Option<OrderId>) -> NaiveFrame {
        self.sequence += 1;
        let sequence = Sequence(self.sequence);
        let mut events = Vec::new();
        let Origin { gateway, epoch, sequence: number } = command.origin;
        let name = (command.market(), gateway.0, epoch, number);
        let is_listed =
            command.market() == MarketId::ACCOUNTS || self.markets.contains_key(&command.market());
        let before = self.seen.get(&name).copied().filter(|_| is_listed);
        let decided = match command.action {
            _ if before.is_some() => Ok((Outcome::Recognised { first: before.unwrap() }, 0)),
            Action::SetBookState { market, state } => match self.markets.get_mut(&market) {
                Some(market) => {
                    market.state = state;
                    Ok((Outcome::BookStateSet, 0))
                }
                None => Err(Refusal::UnknownMarket),
            },
            Action::Place(place) => self.place(&place, command.time_us, id, &mut events),
            Action::Cancel { market, account, target } => {
                self.cancel(market, account, target, &mut events)
            }
            Action::CancelAll(all) => self.cancel_all(&all, &mut events),
            Action::PlaceTrigger(placed) => self.place_trigger(&placed, command.time_us, id),
            Action::Amend(amend) => self.amend(&amend, command.time_us, &mut events),
            Action::CreateAccount => self.create_account(),
            Action::Deposit(transfer) => self.transfer(command, transfer, 1, sequence),
            Action::Withdraw(transfer) => self.transfer(command, transfer, -1, sequence),
            Action::SetCancelAfter { account, holder, timeout_ms } => {
                self.set_cancel_after((account, holder), timeout_ms, command.time_us)
            }
            Action::ExpireCancelAfter { account, holder, deadline_us } => {
                self.expire_cancel_after((account, holder), deadline_us, command.time_us)
            }
            Action::ListMarket(listing) => self.list(&listing),
            Action::SetPriceTerms { market, terms } => self.set_price_terms(market, terms),
            Action::SetLotTerms { market, terms } => self.set_lot_terms(market, terms),
            _ => Err(Refusal::TermsInvalid),
        };
        if let Some(market) = self.markets.get_mut(&command.market()) {
            market.time_us = command.time_us;
            market.settle_touched();
        }
        if is_listed {
            self.seen.entry(name).or_insert(sequence);
        }
        let decided = decided.unwrap_or_else(|refusal| (Outcome::Refused(refusal), 0));
        self.frame(command.market(), decided, events)
    }

    fn frame(
        &mut self,
        market: MarketId,
        (outcome, held): (Outcome, i128),
        events: Vec<Event>,
    ) -> NaiveFrame {
        let sequence = Sequence(self.sequence);
        let last = match self.markets.get_mut(&market) {
            Some(market) => Some(&mut market.previous),
            None if market == MarketId::ACCOUNTS => Some(&mut self.previous),
            None => None,
        };
        let previous = last.as_ref().and_then(|last| **last);
        let is_effective = !matches!(
            outcome,
            Outcome::Refused(_) | Outcome::Repeated { .. } | Outcome::Recognised { .. }
        );
        if let (Some(last), true) = (last, is_effective) {
            *last = Some(sequence);
        }
        NaiveFrame { sequence, previous, outcome, held: Units(held as u64), events }
    }

    fn balance(&mut self, account: AccountId, asset: AssetId) -> &mut i128 {
        self.available.entry((account, asset)).or_insert(0)
    }

    fn hold(&mut self, account: AccountId, asset: AssetId, units: i128) -> Result<(), Refusal> {
        let available = self.balance(account, asset);
        if *available < units {
            return Err(Refusal::InsufficientFunds);
        }
        *available -= units;
        Ok(())
    }

    fn place(
        &mut self,
        place: &Place,
        time_us: u64,
        id: Option<OrderId>,
        events: &mut Vec<Event>,
    ) -> Result<(Outcome, i128), Refusal> {
        let market = self.markets.get(&place.market).ok_or(Refusal::UnknownMarket)?;
        self.check(place, time_us, market)?;
        let may_rest = matches!(place.kind, OrderKind::Limit { .. })
            && place.time_in_force == TimeInForce::GoodTillCancelled;
        if may_rest && market.open(place.account) >= self.limits.open_orders_per_account_max {
            return Err(Refusal::TooManyOpenOrders);
        }
        let hold = self.hold_for(place)?;
        let id = id.expect("an order that is not refused has an id");
        assert!(self.ids.insert(id), "no two orders share an id");
        let outcome = self.enter(place, id, hold, time_us, events);
        Ok((outcome, hold))
    }

    /// What it would trade is found by trading it on a copy that holds without end.
    fn hold_for(&mut self, place: &Place) -> Result<i128, Refusal> {
        let spec = self.markets[&place.market].spec.clone();
        let (lots, quote) = self.foresee(place);
        let hold = match place.kind {
            OrderKind::Limit { price, lots, .. } => held_by(&spec, place.side, price, lots),
            OrderKind::MarketByLots { lots } => match place.side {
                Side::Bid => quote,
                Side::Ask => i128::from(lots.0) * i128::from(spec.base_units_per_lot),
            },
            OrderKind::MarketByQuote { quote } => match place.side {
                Side::Bid => i128::from(quote.0),
                Side::Ask => lots * i128::from(spec.base_units_per_lot),
            },
        };
        if hold > i128::from(Units::SUPPLY_MAX.0) {
            return Err(Refusal::AmountOutOfRange);
        }
        self.hold(place.account, spec.paid_asset(place.side), hold)?;
        Ok(hold)
    }

    fn foresee(&self, place: &Place) -> (i128, i128) {
        let mut copy = self.clone();
        let (mut lots, mut quote) = (0i128, 0i128);
        let dummy = OrderId::from_parts(place.market, 0, u32::MAX).unwrap();
        copy.trade(place, dummy, &mut Vec::new(), &mut lots, &mut quote);
        (lots, quote)
    }

    /// An order that holds goes to market.
    fn enter(
        &mut self,
        place: &Place,
        id: OrderId,
        hold: i128,
        created_us: u64,
        events: &mut Vec<Event>,
    ) -> Outcome {
        let spec = self.markets[&place.market].spec.clone();
        let paid = spec.paid_asset(place.side);
        if let (TimeInForce::FillOrKill, OrderKind::Limit { lots: all, .. }) =
            (place.time_in_force, place.kind)
            && self.foresee(place).0 < i128::from(all.0)
        {
            *self.balance(place.account, paid) += hold;
            let reason = ClosedReason::FillOrKill;
            return Outcome::Expired { order: id, lots_left: all, reason };
        }
        let (mut lots, mut quote) = (0, 0);
        let end = self.trade(place, id, events, &mut lots, &mut quote);
        let spent = match place.side {
            Side::Bid => quote,
            Side::Ask => lots * i128::from(spec.base_units_per_lot),
        };
        let (outcome, kept) = self.conclude(place, id, end, lots, quote, created_us);
        *self.balance(place.account, paid) += hold - spent - kept;
        outcome
    }

    /// Trades and credits both sides; what the taker pays is the caller's.
    fn trade(
        &mut self,
        place: &Place,
        _id: OrderId,
        events: &mut Vec<Event>,
        traded: &mut i128,
        quote: &mut i128,
    ) -> End {
        let mut best_at_arrival = None;
        for step in 0.. {
            let market = self.markets.get_mut(&place.market).unwrap();
            let spec = market.spec.clone();
            let per_tick_lot = i128::from(spec.quote_units_per_tick_lot);
            let wanted = |price: Price| match place.kind {
                OrderKind::Limit { lots, .. } | OrderKind::MarketByLots { lots } => {
                    i128::from(lots.0) - *traded
                }
                OrderKind::MarketByQuote { quote: most } => {
                    (i128::from(most.0) - *quote) / (i128::from(price.ticks()) * per_tick_lot)
                }
            };
            if wanted(Price::from_ticks(1).unwrap()) == 0 {
                return End::Done;
            }
            let Some(maker) = best_crossed(market, place) else { return End::DriedUp };
            let best = *best_at_arrival.get_or_insert(maker.price);
            if !is_in_reach(&spec, place, best, maker.price) {
                return End::OutOfReach;
            }
            let lots = wanted(maker.price).min(i128::from(maker.lots_left.0));
            if lots == 0 {
                return End::Done;
            }
            if step == self.limits.steps_max {
                return End::StepsMax;
            }
            let (id, account) = (maker.id, maker.place.account);
            if account == place.account {
                let policy = place.self_trade_prevention;
                if policy != SelfTradePrevention::RejectTaker {
                    let reason = ClosedReason::SelfTradePrevention;
                    events.push(self.close(place.market, id, reason));
                }
                if policy != SelfTradePrevention::RejectMaker {
                    return End::SelfTrade;
                }
                continue;
            }
            let costs = i128::from(maker.price.ticks()) * per_tick_lot * lots;
            *traded += lots;
            *quote += costs;
            events.push(self.settle(place, id, lots, costs));
        }
        unreachable!()
    }

    fn settle(&mut self, place: &Place, maker: OrderId, lots: i128, quote: i128) -> Event {
        let market = self.markets.get_mut(&place.market).unwrap();
        let spec = market.spec.clone();
        let base = lots * i128::from(spec.base_units_per_lot);
        market.last_trade += 1;
        let id = TradeId(market.last_trade);
        let at = market.orders.iter().position(|order| order.id == maker).unwrap();
        let order = &mut market.orders[at];
        order.lots_left.0 -= lots as u64;
        order.executed_quote += quote as u64;
        let (maker_account, price, left) = (order.place.account, order.price, order.lots_left);
        market.touched.push(price);
        market.last_price = Some(price);
        if left.0 == 0 {
            market.orders.remove(at);
        }
        let (maker_gets, taker_gets) = match place.side {
            Side::Bid => (quote, base),
            Side::Ask => (base, quote),
        };
        let fee = |rate: FeeRate, gets: i128| {
            let exact = gets * i128::from(rate.millionths);
            exact / 1_000_000 + i128::from(exact % 1_000_000 != 0)
        };
        let maker_fee = fee(spec.maker_fee, maker_gets);
        let taker_fee = fee(spec.taker_fee, taker_gets);
        let maker_asset = spec.paid_asset(place.side);
        let taker_asset = spec.received_asset(place.side);
        *self.balance(maker_account, maker_asset) += maker_gets - maker_fee;
        *self.balance(place.account, taker_asset) += taker_gets - taker_fee;
        *self.fees.entry(maker_asset).or_insert(0) += maker_fee;
        *self.fees.entry(taker_asset).or_insert(0) += taker_fee;
        Event::Trade(Trade {
            id,
            maker_account,
            maker_order: maker,
            taker_side: place.side,
            price,
            lots: Lots(lots as u64),
            maker_fee: Units(maker_fee as u64),
            taker_fee: Units(taker_fee as u64),
            maker_lots_left: left,
        })
    }

    fn conclude(
        &mut self,
        place: &Place,
        order: OrderId,
        end: End,
        traded: i128,
        quote: i128,
        created_us: u64,
    ) -> (Outcome, i128) {
        let market = self.markets.get_mut(&place.market).unwrap();
        let left = match place.kind {
            OrderKind::Limit { lots, .. } | OrderKind::MarketByLots { lots } => {
                Lots(lots.0 - traded as u64)
            }
            OrderKind::MarketByQuote { .. } => Lots(0),
        };
        if let (End::DriedUp, OrderKind::Limit { price, lots, .. }) = (&end, place.kind)
            && place.time_in_force == TimeInForce::GoodTillCancelled
        {
            let executed_quote = quote as u64;
            let lots_left = left;
            let id = order;
            let rested = NaiveOrder {
                id,
                place: *place,
                price,
                lots,
                lots_left,
                executed_quote,
                created_us,
                since: self.sequence,
            };
            market.orders.push(rested);
            let kept = held_by(&market.spec, place.side, price, left);
            return (Outcome::Rested { order, lots_left }, kept);
        }
        let is_limit = matches!(place.kind, OrderKind::Limit { .. });
        let reason = match end {
            End::Done if traded > 0 => return (Outcome::Filled { order }, 0),
            End::SelfTrade => ClosedReason::SelfTradePrevention,
            End::StepsMax => ClosedReason::TradesLimit,
            End::OutOfReach => ClosedReason::PriceImpact,
            _ if is_limit => ClosedReason::ImmediateOrCancel,
            _ => ClosedReason::InsufficientLiquidity,
        };
        (Outcome::Expired { order, lots_left: left, reason }, 0)
    }

    /// Per asset: available + locked + fees = deposits − withdrawals, and nothing below zero.
    pub fn assert_conserved(&self) {
        for (asset, supply) in &self.supply {
            let mut sum = self.fees.get(asset).copied().unwrap_or(0);
            for ((_, held), units) in &self.available {
                assert!(*units >= 0, "no cell below zero");
                sum += if held == asset { *units } else { 0 };
            }
            for market in self.markets.values() {
                for order in &market.orders {
                    if market.spec.paid_asset(order.place.side) == *asset {
                        let side = order.place.side;
                        sum += held_by(&market.spec, side, order.price, order.lots_left);
                    }
                }
            }
            assert_eq!(sum, *supply, "asset {asset} is conserved");
        }
    }
}
