//! The market maker's decisions: what it hears goes in, commands and questions come out.
//!
//! It clears what an earlier life left, then quotes, and clears again when told to stop. While the
//! engine is away it places nothing, and nothing at all before it has an epoch to name commands
//! under. It never sends a command twice: what gets no answer is given up, and the replica tells
//! what became of it. No I/O and no clock: time is an argument.

use std::collections::HashMap;
use std::time::Duration;

use protocol::query::{Answer, AnswerBody, Ask, Heartbeat, Query};
use protocol::{
    AccountId, Action, CancelAll, Catalog, DecodeError, Frame, MarketId, OrderKind, Outcome, Place,
    Refusal, SelfTradePrevention, Sequence, Side, Standing, Target, TimeInForce,
};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::config::{Config, MarketConfig};
use crate::fair_price::FairPrice;
use crate::funds::Funds;
use crate::limits::{Desk, Limits};
use crate::market_view::{self, MarketView};
use crate::own_orders::OwnOrders;
use crate::strategies::random::{self, Quote};
use crate::submit::{Outgoing, Submitter};

/// A question is not answered later than this.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// A cancel-all without a reply is sent again after this.
const CLEAR_AGAIN: Duration = Duration::from_secs(2);
/// Beyond an order's own validity, until its reply is given up.
const REPLY_GRACE: Duration = Duration::from_secs(5);
/// How far placing may lag behind its rate before the rest is left out.
const LAG_MAX_US: u64 = 100_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Clearing,
    Quoting,
    Draining,
    Done,
}

/// Whether commands can be named so that they are never taken for those of another life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Naming {
    /// The engine has to be asked which epoch it knows.
    Unknown,
    /// An epoch above this one has to be taken from Redis.
    Above(u32),
    Taken,
}

/// One market: what is known of it and when its next order is due.
#[derive(Debug)]
struct Market {
    config: MarketConfig,
    view: MarketView,
    fair: FairPrice,
    due_us: u64,
}

#[derive(Debug)]
pub struct Maker {
    config: Config,
    /// A random number of this process, by which it knows the answers to its own questions.
    life: u64,
    naming: Naming,
    /// The last epoch taken; 0 before the first.
    epoch: u32,
    markets: Vec<Market>,
    submitter: Submitter,
    own: OwnOrders,
    funds: Funds,
    limits: Limits,
    rng: StdRng,
    phase: Phase,
    /// Cancel-alls not yet carried out, and when each was last asked for.
    to_clear: HashMap<(MarketId, AccountId), Option<u64>>,
    engine: Option<Heartbeat>,
    /// Of the latest heartbeat there was.
    engine_life: Option<u64>,
    /// The latest frame heard of.
    seen: Sequence,
    queries: u64,
    /// About which account, if any, and until when an answer may come.
    asked: HashMap<u64, (Option<AccountId>, u64)>,
}

impl Maker {
    pub fn new(config: Config, life: u64, seed: u64) -> Self {
        let market = |config: &MarketConfig| Market {
            view: MarketView::default(),
            fair: FairPrice::new(config),
            config: config.clone(),
            due_us: 0,
        };
        let mut maker = Maker {
            life,
            naming: Naming::Unknown,
            epoch: 0,
            markets: config.markets.iter().map(market).collect(),
            submitter: Submitter::new(config.gateway),
            own: OwnOrders::default(),
            funds: Funds::default(),
            limits: Limits::default(),
            rng: StdRng::seed_from_u64(seed),
            phase: Phase::Clearing,
            to_clear: HashMap::new(),
            engine: None,
            engine_life: None,
            seen: Sequence(0),
            queries: 0,
            asked: HashMap::new(),
            config,
        };
        maker.clear_all();
        maker
    }

    /// The markets go on under the terms that are in force.
    pub fn take_terms(&mut self, catalog: &Catalog) {
        for market in &mut self.markets {
            let spec = &mut market.config.spec;
            if let Some(now) = catalog.market(spec.id).filter(|now| *now != spec) {
                spec.clone_from(now);
            }
        }
    }

    /// Channels of public market data to listen to.
    pub fn channels(&self) -> Vec<String> {
        let symbols = self.markets.iter().map(|market| market.config.spec.symbol.as_str());
        symbols.flat_map(market_view::channels).collect()
    }

    pub fn hear_market(&mut self, channel: &str, payload: &[u8]) {
        let heard = self.markets.iter_mut().find(|market| {
            market_view::channels(&market.config.spec.symbol).iter().any(|it| it == channel)
        });
        let Some(market) = heard else { return };
        if let Err(error) = market.view.hear(payload, &market.config.spec) {
            tracing::error!(channel, %error, "market data is not readable");
        }
    }

    /// Frames, one after another.
    pub fn hear_replies(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        Frame::each_of(bytes).try_for_each(|frame| {
            self.hear_reply(&frame?);
            Ok(())
        })
    }

    fn hear_reply(&mut self, frame: &Frame<'_>) {
        self.seen = self.seen.max(frame.header.sequence);
        let trades = frame.trades().count() as u64;
        metrics::counter!("mm_trades_total").increment(trades);
        let own_accounts = [Some(self.config.maker), self.config.taker.map(|(taker, _)| taker)];
        self.own.hear(frame, |account| own_accounts.contains(&Some(account)));
        let Some(settled) = self.submitter.settle(frame.command.origin) else { return };
        let refusal = match frame.header.outcome {
            Outcome::Refused(refusal) => Some(refusal),
            _ => None,
        };
        if let Some(refusal) = refusal {
            let reason = format!("{refusal:?}");
            metrics::counter!("mm_refusals_total", "reason" => reason).increment(1);
        }
        if refusal == Some(Refusal::Stale) {
            // Nothing has happened: our numbers are old to the engine, as when another has our id.
            self.naming = Naming::Unknown;
        }
        match (settled.command.action, refusal) {
            (Action::Place(place), Some(Refusal::InsufficientFunds)) => {
                if let Some(market) = self.market(place.market) {
                    let asset = market.config.spec.paid_asset(place.side);
                    self.funds.exhaust(place.account, asset);
                }
            }
            (Action::Cancel { target: Target::Order(id), .. }, Some(refusal)) => {
                self.own.cancel_failed(id, refusal == Refusal::OrderNotFound);
            }
            (Action::CancelAll(CancelAll { market, account, .. }), None) => {
                self.cleared(market, account)
            }
            (Action::CancelAll(CancelAll { market, account, .. }), Some(refusal)) => {
                tracing::warn!(%market, %account, ?refusal, "cancel all was refused");
                if self.phase == Phase::Draining && refusal != Refusal::Stale {
                    self.cleared(market, account);
                }
            }
            _ => (),
        }
    }

    /// An answer of the replica to this life.
    pub fn hear_answer(&mut self, answer: &Answer) {
        if answer.life != self.life {
            return;
        }
        let Some((account, _)) = self.asked.remove(&answer.id) else { return };
        if let (AnswerBody::Epoch(known), Naming::Unknown) = (&answer.body, self.naming) {
            self.naming = Naming::Above(*known.max(&self.epoch));
        }
        let Some(account) = account else { return };
        match &answer.body {
            AnswerBody::Balances(balances) => {
                self.funds.refill(account, balances);
                let waiting: Vec<Place> = self.submitter.places_of(account).copied().collect();
                waiting.iter().for_each(|place| self.reserve(place));
            }
            AnswerBody::OpenOrders(listed) => {
                // Nothing of this maker waits for a trigger.
                let resting = listed.iter().filter_map(Standing::resting);
                let ours = resting.filter(|order| self.market(order.market).is_some());
                let listed: Vec<_> = ours.copied().collect();
                self.own.reconcile(account, answer.sequence, &listed);
                for market in &self.markets {
                    let symbol = market.config.spec.symbol.clone();
                    let open = self.own.count(market.config.spec.id) as f64;
                    metrics::gauge!("mm_open_orders", "market" => symbol).set(open);
                }
            }
            _ => (),
        }
    }

    /// `None`: the engine is away.
    pub fn hear_heartbeat(&mut self, heartbeat: Option<Heartbeat>) {
        match (self.engine, heartbeat) {
            (None, Some(now)) => tracing::info!(life = now.life, "engine is there"),
            (Some(_), None) => tracing::warn!("engine is away: placing nothing"),
            _ => (),
        }
        if let Some(now) = heartbeat
            && self.engine_life.replace(now.life) != Some(now.life)
        {
            // A new life of the engine; it need not even have the old one's journal.
            self.seen = now.sequence;
            self.own.forget_sequences();
            self.naming = Naming::Unknown;
        }
        self.engine = heartbeat;
    }

    /// The epoch to take must be above this one; `None` while none is to be taken.
    pub fn epoch_wanted(&self) -> Option<u32> {
        match self.naming {
            Naming::Above(known) => Some(known),
            Naming::Unknown | Naming::Taken => None,
        }
    }

    /// Names commands under `epoch`, which no life of this market maker ever had.
    pub fn take_epoch(&mut self, epoch: u32) {
        if let Naming::Above(known) = self.naming
            && self.epoch != 0
            && self.epoch < known
        {
            let (gateway, ours) = (self.config.gateway, self.epoch);
            tracing::error!(%gateway, ours, known, "another gateway runs with this id");
        }
        tracing::info!(epoch, "epoch taken");
        (self.epoch, self.naming) = (epoch, Naming::Taken);
        self.submitter.begin_epoch(epoch);
    }

    /// Messages may have been missed, and the next Redis may have forgotten our epoch.
    pub fn connection_lost(&mut self) {
        self.naming = Naming::Unknown;
        self.markets.iter_mut().for_each(|market| market.view.forget_book());
    }

    /// Stops placing and cancels everything.
    pub fn drain(&mut self) {
        self.phase = Phase::Draining;
        self.clear_all();
    }

    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    pub fn is_engine_there(&self) -> bool {
        self.engine.is_some()
    }

    /// Whether every account's balances are known and every side can be paid for.
    pub fn is_funded(&self) -> bool {
        let known = self.config.accounts().all(|account| self.funds.is_known(account));
        known && self.limits.all_quoting()
    }

    /// What has to be sent now.
    pub fn act(&mut self, now_us: u64) -> Vec<Outgoing> {
        let patience = micros(self.config.valid + REPLY_GRACE);
        let expired = self.submitter.expire(now_us.saturating_sub(patience));
        if !expired.is_empty() {
            tracing::warn!(commands = expired.len(), "no reply came");
            metrics::counter!("mm_unanswered_total").increment(expired.len() as u64);
        }
        for command in expired {
            if let Action::Cancel { target: Target::Order(id), .. } = command.action {
                self.own.cancel_failed(id, false);
            }
        }
        if self.naming != Naming::Taken {
            return Vec::new();
        }
        match self.phase {
            Phase::Clearing if self.engine.is_some() => self.clear(now_us),
            Phase::Draining => self.clear(now_us),
            Phase::Quoting if self.engine.is_some() => self.place_due(now_us),
            _ => (),
        }
        self.submitter.take_outgoing()
    }

    /// What to ask the replica now; nothing while the engine is away.
    pub fn ask(&mut self, now_us: u64) -> Vec<Query> {
        self.asked.retain(|_, (_, deadline_us)| now_us <= *deadline_us);
        if self.engine.is_none() {
            return Vec::new();
        }
        let deadline_us = now_us.saturating_add(micros(ANSWER_MAX));
        let gateway = self.config.gateway;
        let mut asks = Vec::new();
        if self.naming == Naming::Unknown {
            asks.push((None, Ask::Epoch { gateway }));
        }
        for account in self.config.accounts() {
            asks.push((Some(account), Ask::Balances { account }));
            asks.push((Some(account), Ask::OpenOrders { account, market: None }));
        }
        let mut queries = Vec::with_capacity(asks.len());
        for (account, ask) in asks {
            self.queries += 1;
            self.asked.insert(self.queries, (account, deadline_us));
            let (id, life, min_sequence) = (self.queries, self.life, self.seen);
            queries.push(Query { id, gateway, life, min_sequence, deadline_us, ask });
        }
        queries
    }

    fn market(&self, id: MarketId) -> Option<&Market> {
        self.markets.iter().find(|market| market.config.spec.id == id)
    }

    fn clear_all(&mut self) {
        for market in &self.markets {
            for account in self.config.accounts() {
                self.to_clear.insert((market.config.spec.id, account), None);
            }
        }
    }

    fn clear(&mut self, now_us: u64) {
        for ((market, account), asked_us) in &mut self.to_clear {
            let again_us = asked_us.map(|asked_us| asked_us.saturating_add(micros(CLEAR_AGAIN)));
            if again_us.is_none_or(|again_us| again_us <= now_us) {
                *asked_us = Some(now_us);
                let action = Action::cancel_all(*market, *account);
                self.submitter.submit(action, now_us);
            }
        }
    }

    fn cleared(&mut self, market: MarketId, account: AccountId) {
        self.to_clear.remove(&(market, account));
        if !self.to_clear.is_empty() {
            return;
        }
        self.phase = match self.phase {
            Phase::Clearing => {
                tracing::info!("no order of an earlier life is left: quoting");
                Phase::Quoting
            }
            Phase::Draining => Phase::Done,
            other => other,
        };
    }

    fn place_due(&mut self, now_us: u64) {
        if !self.config.accounts().all(|account| self.funds.is_known(account)) {
            return;
        }
        for at in 0..self.markets.len() {
            let every_us = 1_000_000 / u64::from(self.markets[at].config.rate_per_s);
            let due_us = self.markets[at].due_us.max(now_us.saturating_sub(LAG_MAX_US));
            self.markets[at].due_us = due_us;
            while self.markets[at].due_us <= now_us {
                if self.config.in_flight_max <= self.submitter.in_flight() {
                    metrics::counter!("mm_held_back_total").increment(1);
                    return;
                }
                self.markets[at].due_us += every_us.max(1);
                self.place_one(at, now_us);
            }
        }
    }

    fn place_one(&mut self, at: usize, now_us: u64) {
        let market = &mut self.markets[at];
        let fair = market.fair.step(market.view.mid(), &mut self.rng);
        let side = random::side(&mut self.rng);
        if let Some((taker, percent)) = self.config.taker
            && self.rng.random_ratio(percent, 100)
            && let Some(quote) = random::take(&market.config, &market.view, side, &mut self.rng)
        {
            if self.is_payable(at, taker, quote) {
                self.place(at, taker, quote, TimeInForce::ImmediateOrCancel, now_us);
            }
            return;
        }
        let quote = random::make(&market.config, fair, side, &mut self.rng);
        let (id, open_max) = (market.config.spec.id, market.config.open_orders_max);
        if !self.is_payable(at, self.config.maker, quote) {
            // What old orders hold is the first money to come by.
            self.cancel_oldest(id, Some(side), now_us);
            return;
        }
        let open = self.own.count(id) + self.submitter.resting_in_flight(id);
        if open_max <= open && !self.cancel_oldest(id, None, now_us) {
            return;
        }
        self.place(at, self.config.maker, quote, TimeInForce::GoodTillCancelled, now_us);
    }

    /// Judged by the largest order of the side, so that running out is noticed before it happens.
    fn is_payable(&mut self, at: usize, account: AccountId, quote: Quote) -> bool {
        let config = &self.markets[at].config;
        let desk = Desk { account, market: config.spec.id, side: quote.side };
        let available = self.funds.available(account, config.spec.paid_asset(quote.side));
        let needed = config.spec.hold(quote.side, quote.price, config.lots_max);
        self.limits.may_quote(desk, available, needed.map_or(u64::MAX, |units| units.0))
    }

    fn place(
        &mut self,
        at: usize,
        account: AccountId,
        quote: Quote,
        time_in_force: TimeInForce,
        now_us: u64,
    ) {
        let place = Place {
            market: self.markets[at].config.spec.id,
            account,
            side: quote.side,
            kind: OrderKind::Limit { price: quote.price, lots: quote.lots, post_only: false },
            time_in_force,
            // A stale quote of our own gives way to the new one.
            self_trade_prevention: SelfTradePrevention::RejectMaker,
            client_id: None,
            valid_until_us: now_us.saturating_add(micros(self.config.valid)),
        };
        self.reserve(&place);
        self.submitter.submit(Action::Place(place), now_us);
    }

    fn reserve(&mut self, place: &Place) {
        let Some(market) = self.market(place.market) else { return };
        let OrderKind::Limit { price, lots, .. } = place.kind else { return };
        let spec = &market.config.spec;
        let asset = spec.paid_asset(place.side);
        let held = spec.hold(place.side, price, lots).map_or(u64::MAX, |units| units.0);
        self.funds.reserve(place.account, asset, held);
    }

    /// `false`: there is none that is not being cancelled.
    fn cancel_oldest(&mut self, market: MarketId, side: Option<Side>, now_us: u64) -> bool {
        let Some((id, account)) = self.own.cancel_oldest(market, side) else { return false };
        let target = Target::Order(id);
        self.submitter.submit(Action::Cancel { market, account, target }, now_us);
        true
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
