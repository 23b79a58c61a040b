//! The exchange's state rebuilt by applying frames, and nothing else: recovery, queries and market
//! data read it. Every frame is checked against the state before it.
//!
//! ```text
//! frame ─▶ sequence, stream ─▶ market (orders, levels, trades) ─▶ balances ─▶ Applied
//!                           └▶ accounts (accounts, transfers) ─┘
//! ```
//!
//! Invariant: the same frames give the same replica. What it remembers of the past is bounded: a
//! week of minutes and one candle an interval; transfers alone are kept for ever.

pub mod error;
pub mod applied;
pub mod market;
mod limits;
mod terms;
mod listed;
pub mod orders;
pub mod levels;
pub mod statistics;
pub mod candles;
pub mod finished;
pub mod accounts;
pub mod balances;
pub mod conservation;
mod digest;
pub mod snapshot;
#[cfg(test)]
mod tests;

use protocol::effects::{BalanceChange, Holder, balance_changes};
use protocol::{
    AccountId, Action, AssetId, Catalog, Event, FinishedOrder, Frame, GatewayId, MarketId, OrderId,
    Origin, Outcome, Refusal, Sequence, Standing, StreamCursor, Units, WaitingOrder,
};
use serde::{Deserialize, Serialize};

pub use accounts::Accounts;
pub use applied::{Applied, Best, BothBest, LevelChange};
pub use balances::Balance;
pub use candles::Candle;
pub use error::{Inconsistency, ReplicaError};
pub use listed::Listed;
pub use market::MarketReplica;
pub use snapshot::SnapshotError;
pub use statistics::{DAY_MINUTES, WEEK_MINUTES, WindowFigures};

use crate::cancel_after::Deadline;
use crate::digest::StateSum;
use crate::state::{AccountsState, Direction, MarketState};
use balances::Balances;
use digest::{check_digest, check_recognition};

#[derive(Clone, Debug)]
pub struct Replica {
    catalog: Catalog,
    last: Option<Sequence>,
    /// By the number of their ids.
    markets: Vec<Option<MarketReplica>>,
    accounts: Accounts,
    listed: Vec<Listed>,
    accounts_stream: StreamPosition,
    balances: Balances,
    applied: Applied,
}

/// How far one command stream and its event stream have come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct StreamPosition {
    /// Of the last command, refused ones among them.
    cursor: StreamCursor,
    /// Its time.
    time_us: u64,
    /// Who sent it.
    origin: Option<Origin>,
    /// The last frame that had an effect.
    previous: Option<Sequence>,
}

impl StreamPosition {
    #[inline]
    fn advance(&mut self, frame: &Frame<'_>) -> Result<(), Inconsistency> {
        let (expected, found) = (self.previous, frame.header.previous);
        if expected != found {
            return Err(Inconsistency::Previous { expected, found });
        }
        self.cursor = frame.header.cursor;
        self.time_us = frame.command.time_us;
        // What fires bears the cursor of the command before it, and nobody sent it.
        if !matches!(frame.command.action, Action::Fire(_)) {
            self.origin = Some(frame.command.origin);
        }
        if frame.is_effective() {
            self.previous = Some(frame.header.sequence);
        }
        Ok(())
    }
}

impl Replica {
    pub fn new(catalog: Catalog) -> Self {
        let width = catalog.markets().iter().map(|market| usize::from(market.id.0) + 1).max();
        let mut markets = vec![None; width.unwrap_or_default()];
        for spec in catalog.markets() {
            markets[usize::from(spec.id.0)] = Some(MarketReplica::new(spec.clone()));
        }
        Replica {
            balances: Balances::new(catalog.asset_columns()),
            catalog,
            last: None,
            markets,
            accounts: Accounts::default(),
            listed: Vec::new(),
            accounts_stream: StreamPosition::default(),
            applied: Applied::default(),
        }
    }

    /// Takes the next frame. What it returns is overwritten by the frame after it. After an error
    /// the replica is of no use any more.
    #[inline]
    pub fn apply(&mut self, frame: &Frame<'_>) -> Result<&Applied, ReplicaError> {
        match self.apply_checked(frame) {
            Ok(()) => Ok(&self.applied),
            Err(cause) => Err(ReplicaError { sequence: frame.header.sequence, cause }),
        }
    }

    fn apply_checked(&mut self, frame: &Frame<'_>) -> Result<(), Inconsistency> {
        let expected = Sequence(self.last.map_or(0, |last| last.0) + 1);
        if frame.header.sequence != expected {
            return Err(Inconsistency::Sequence { expected });
        }
        self.last = Some(expected);
        let market = frame.command.market();
        self.applied.begin(expected, frame.command.time_us, market);
        if frame.header.outcome == Outcome::Refused(Refusal::UnknownMarket) {
            // It came over another market's stream than the one it names.
            return Ok(());
        }
        if market == MarketId::ACCOUNTS {
            self.accounts_stream.advance(frame)?;
            let is_new = check_recognition(&self.accounts.recognition, frame)?;
            if is_new {
                self.apply_accounts(frame)?;
                self.apply_balances(frame)?;
                let Accounts { recognition, sum, .. } = &mut self.accounts;
                recognition.note(&frame.command.origin, expected, sum);
            }
            return check_digest(self.accounts.sum, frame);
        }
        let known = self.markets.get_mut(usize::from(market.0)).and_then(Option::as_mut);
        let known = known.ok_or(Inconsistency::UnknownMarket(market))?;
        known.stream.advance(frame)?;
        known.check_fires(frame)?;
        if matches!(frame.command.action, Action::Fire(_)) {
            self.apply_to_market(frame)?;
        } else if check_recognition(&known.recognition, frame)? {
            let (origin, sum) = (&frame.command.origin, &mut known.sum);
            known.recognition.note(origin, expected, sum);
            self.apply_to_market(frame)?;
        }
        match self.markets.get_mut(usize::from(market.0)).and_then(Option::as_mut) {
            Some(known) => {
                known.settle_touched();
                check_digest(known.sum, frame)
            }
            None => Err(Inconsistency::UnknownMarket(market)),
        }
    }

    fn apply_to_market(&mut self, frame: &Frame<'_>) -> Result<(), Inconsistency> {
        let market = frame.command.market();
        let known = self.markets.get_mut(usize::from(market.0)).and_then(Option::as_mut);
        let known = known.ok_or(Inconsistency::UnknownMarket(market))?;
        if let Outcome::Refused(_) = frame.header.outcome {
            return Ok(());
        }
        match &frame.command.action {
            Action::Place(place) => {
                let rests = matches!(frame.header.outcome, Outcome::Rested { .. });
                if rests && !self.accounts.exists(place.account) {
                    return Err(Inconsistency::UnknownAccount(place.account));
                }
                known.place(frame, place, &mut self.applied)?;
            }
            Action::Cancel { account, target, .. } => {
                known.cancel(frame, *account, *target, &mut self.applied)?;
            }
            Action::CancelAll(all) => known.cancel_all(frame, all, &mut self.applied)?,
            Action::PlaceTrigger(placed) => known.place_trigger(frame, placed)?,
            Action::Fire(waiting) => known.fire(frame, waiting, &mut self.applied)?,
            Action::Amend(amend) => known.amend(frame, amend, &mut self.applied)?,
            Action::SetBookState { state, .. } => known.set_book_state(frame, *state)?,
            Action::SetPriceTerms { terms, .. } => {
                known.set_price_terms(frame, *terms)?;
                self.catalog.update(known.spec().clone());
            }
            Action::SetLotTerms { terms, .. } => {
                known.set_lot_terms(frame, *terms)?;
                self.catalog.update(known.spec().clone());
            }
            Action::CreateAccount
            | Action::Deposit(_)
            | Action::Withdraw(_)
            | Action::SetCancelAfter { .. }
            | Action::ExpireCancelAfter { .. }
            | Action::ListMarket(_) => return Err(Inconsistency::Outcome),
        }
        self.apply_balances(frame)
    }

    fn apply_accounts(&mut self, frame: &Frame<'_>) -> Result<(), Inconsistency> {
        let sequence = frame.header.sequence;
        match (&frame.command.action, frame.header.outcome) {
            (_, Outcome::Refused(_)) => Ok(()),
            (Action::CreateAccount, Outcome::AccountCreated { account }) => {
                self.balances.add_account();
                self.accounts.create(account)
            }
            (Action::Deposit(transfer), Outcome::Transferred) => {
                self.accounts.transfer(sequence, Direction::Deposit, transfer)
            }
            (Action::Withdraw(transfer), Outcome::Transferred) => {
                self.accounts.transfer(sequence, Direction::Withdrawal, transfer)
            }
            (
                Action::Deposit(transfer) | Action::Withdraw(transfer),
                Outcome::Repeated { first },
            ) => self.accounts.repeat(transfer.id, first),
            (
                Action::SetCancelAfter { account, holder, timeout_ms },
                Outcome::CancelAfterSet { deadline_us },
            ) => {
                let deadline = Deadline { account: *account, holder: *holder, deadline_us };
                self.accounts.set_cancel_after(&deadline, *timeout_ms, frame.command.time_us)
            }
            (
                Action::ExpireCancelAfter { account, holder, deadline_us },
                Outcome::CancelAfterExpired,
            ) => {
                let (account, holder, deadline_us) = (*account, *holder, *deadline_us);
                let due = Deadline { account, holder, deadline_us };
                self.accounts.expire(&due, frame.command.time_us)
            }
            (Action::ListMarket(listing), Outcome::MarketListed) => self.list(frame, listing),
            _ => Err(Inconsistency::Outcome),
        }
    }

    fn apply_balances(&mut self, frame: &Frame<'_>) -> Result<(), Inconsistency> {
        let market = self.markets.get(usize::from(frame.command.market().0));
        let spec = market.and_then(Option::as_ref).map(MarketReplica::spec);
        if !frame.header.held.is_zero() {
            let (account, asset) = match &frame.command.action {
                Action::Place(place) | Action::Fire(WaitingOrder { place, .. }) => {
                    (place.account, spec.map(|spec| spec.paid_asset(place.side)))
                }
                Action::Amend(amend) => {
                    let side = frame.events().find_map(|event| match event {
                        Event::Closed(closed) => Some(closed.side),
                        Event::Trade(_) | Event::Withdrawn(_) => None,
                    });
                    let side = side.ok_or(Inconsistency::Outcome)?;
                    (amend.account, spec.map(|spec| spec.paid_asset(side)))
                }
                Action::Withdraw(transfer) => (transfer.account, Some(transfer.asset)),
                _ => return Err(Inconsistency::Outcome),
            };
            let asset = asset.ok_or(Inconsistency::UnknownMarket(frame.command.market()))?;
            let available = self.balances.available(account, asset);
            if frame.is_effective() && available < frame.header.held {
                let (held, available) = (frame.header.held.0, available.0);
                return Err(Inconsistency::Held { account, asset, held, available });
            }
        }
        let (balances, mut result) = (&mut self.balances, Ok(()));
        let mut moved = StateSum::default();
        balance_changes(frame, spec, |change: BalanceChange| {
            if result.is_ok() {
                result = balances.apply(&change);
            }
            match change.holder {
                Holder::Account(account) => moved.moved(account, change.asset, change.available),
                Holder::Fees => moved.fee(change.asset, Units(change.available as u64)),
            }
        })?;
        let market = self.markets.get_mut(usize::from(frame.command.market().0));
        let sum = match market.and_then(Option::as_mut) {
            Some(market) => &mut market.sum,
            None => &mut self.accounts.sum,
        };
        *sum = sum.with(moved);
        result
    }

    /// What the last frame changed.
    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    /// Every market under the terms that apply.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub fn last_sequence(&self) -> Option<Sequence> {
        self.last
    }

    /// The last command taken from the market's stream, or from the accounts stream.
    pub fn cursor(&self, market: MarketId) -> StreamCursor {
        if market == MarketId::ACCOUNTS {
            return self.accounts_stream.cursor;
        }
        self.market(market).map_or(StreamCursor::START, |market| market.stream.cursor)
    }

    /// Who sent the last command taken from the market's stream, or from the accounts stream.
    pub fn last_origin(&self, market: MarketId) -> Option<Origin> {
        if market == MarketId::ACCOUNTS {
            return self.accounts_stream.origin;
        }
        self.market(market).and_then(|market| market.stream.origin)
    }

    /// The last frame on the event stream of the market, or on that of the accounts.
    pub fn previous(&self, market: MarketId) -> Option<Sequence> {
        if market == MarketId::ACCOUNTS {
            return self.accounts_stream.previous;
        }
        self.market(market).and_then(|market| market.stream.previous)
    }

    /// What a shard needs to go on with the market; a market that is not listed is an empty one.
    pub fn market_state(&self, market: MarketId) -> MarketState {
        self.market(market).map(MarketReplica::state).unwrap_or_default()
    }

    pub fn accounts_state(&self) -> AccountsState {
        self.accounts.state(self.accounts_stream.previous)
    }

    pub fn market(&self, market: MarketId) -> Option<&MarketReplica> {
        self.markets.get(usize::from(market.0)).and_then(Option::as_ref)
    }

    fn market_mut(&mut self, market: MarketId) -> Option<&mut MarketReplica> {
        self.markets.get_mut(usize::from(market.0)).and_then(Option::as_mut)
    }

    /// By rising id.
    pub fn markets(&self) -> impl Iterator<Item = &MarketReplica> + '_ {
        self.markets.iter().flatten()
    }

    pub fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// Of every account, every asset it ever held.
    pub fn balances(&self) -> impl Iterator<Item = Balance> + '_ {
        self.balances.iter()
    }

    /// Every asset the account ever held.
    pub fn balances_of(&self, account: AccountId) -> impl Iterator<Item = Balance> + '_ {
        self.balances.of(account)
    }

    /// Collected so far, of every asset.
    pub fn fees(&self) -> impl Iterator<Item = (AssetId, Units)> + '_ {
        self.catalog.assets().iter().map(|asset| (asset.id, self.balances.fees(asset.id)))
    }

    /// The account's open order of that id.
    pub fn order(&self, account: AccountId, order: OrderId) -> Option<&Standing> {
        let found = self.market(order.market())?.orders().standing(order)?;
        Some(found).filter(|found| found.account() == account)
    }

    /// The account's orders that ended lately, of one market or of all, the latest first; of each
    /// market named in `after` only those that ended behind that frame.
    pub fn finished_orders(
        &self,
        account: AccountId,
        market: Option<MarketId>,
        after: &[(MarketId, Sequence)],
    ) -> Vec<FinishedOrder> {
        let asked = |known: &&MarketReplica| market.is_none_or(|asked| known.spec().id == asked);
        let ended_after = |known: &MarketReplica| {
            let named = after.iter().find(|(market, _)| *market == known.spec().id);
            named.map_or(Sequence(0), |(_, after)| *after)
        };
        let latest = |market: &MarketReplica| {
            let after = ended_after(market);
            let of_account = market.finished().of_account(account);
            of_account.take_while(|order| after < order.ended).copied().collect::<Vec<_>>()
        };
        let mut orders: Vec<_> = self.markets().filter(asked).flat_map(latest).collect();
        // Stable: those that one frame ended keep their order.
        orders.sort_by_key(|order| std::cmp::Reverse(order.ended));
        orders
    }

    /// The highest epoch that commands of `gateway` came with; 0: none ever came.
    pub fn epoch(&self, gateway: GatewayId) -> u32 {
        let markets = self.markets().map(|market| &market.recognition);
        let all = markets.chain([&self.accounts.recognition]);
        all.filter_map(|known| known.epoch(gateway)).max().unwrap_or_default()
    }

    /// The account's open orders of one market or of all, oldest first.
    pub fn open_orders(&self, account: AccountId, market: Option<MarketId>) -> Vec<Standing> {
        let asked = |known: &&MarketReplica| market.is_none_or(|asked| known.spec().id == asked);
        let markets = self.markets().filter(asked);
        let mut orders: Vec<_> = markets
            .flat_map(|market| market.orders().of_account(account))
            .map(|(since, order)| (order.created_us(), since, *order))
            .collect();
        orders.sort_unstable_by_key(|(created_us, since, _)| (*created_us, *since));
        orders.into_iter().map(|(_, _, order)| order).collect()
    }
}
