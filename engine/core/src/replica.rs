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
pub mod orders;
pub mod levels;
pub mod statistics;
pub mod candles;
pub mod accounts;
pub mod balances;
#[cfg(test)]
mod tests;

use protocol::effects::{BalanceChange, balance_changes};
use protocol::{
    AccountId, Action, AssetId, Catalog, Frame, MarketId, OpenOrder, OrderId, Outcome, Refusal,
    Sequence, StreamCursor, Units,
};

pub use accounts::Accounts;
pub use applied::{Applied, Best, BothBest, LevelChange};
pub use balances::Balance;
pub use candles::Candle;
pub use error::{Inconsistency, ReplicaError};
pub use market::MarketReplica;
pub use statistics::{DAY_MINUTES, WEEK_MINUTES, WindowFigures};

use crate::state::{AccountsState, Direction, MarketState};
use balances::Balances;

#[derive(Clone, Debug)]
pub struct Replica {
    catalog: Catalog,
    last: Option<Sequence>,
    /// By the number of their ids.
    markets: Vec<Option<MarketReplica>>,
    accounts: Accounts,
    accounts_stream: StreamPosition,
    balances: Balances,
    applied: Applied,
}

/// How far one command stream and its event stream have come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct StreamPosition {
    /// Of the last command, refused ones among them.
    cursor: StreamCursor,
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
        if frame.is_effective() {
            self.previous = Some(frame.header.sequence);
        }
        Ok(())
    }
}

/// Where all units of one asset are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Conservation {
    pub asset: AssetId,
    pub deposited: u128,
    pub withdrawn: u128,
    pub available: u128,
    pub locked: u128,
    pub fees: u128,
}

impl Conservation {
    pub fn holds(&self) -> bool {
        let present = self.available + self.locked + self.fees;
        present.checked_add(self.withdrawn) == Some(self.deposited)
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
            self.apply_accounts(frame)?;
            return self.apply_balances(frame);
        }
        let known = self.markets.get_mut(usize::from(market.0)).and_then(Option::as_mut);
        let known = known.ok_or(Inconsistency::UnknownMarket(market))?;
        known.stream.advance(frame)?;
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
                known.cancel(frame, *account, Some(*target), &mut self.applied)?;
            }
            Action::CancelAll { account, .. } => {
                known.cancel(frame, *account, None, &mut self.applied)?;
            }
            Action::CreateAccount | Action::Deposit(_) | Action::Withdraw(_) => {
                return Err(Inconsistency::Outcome);
            }
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
            _ => Err(Inconsistency::Outcome),
        }
    }

    fn apply_balances(&mut self, frame: &Frame<'_>) -> Result<(), Inconsistency> {
        let market = self.markets.get(usize::from(frame.command.market().0));
        let spec = market.and_then(Option::as_ref).map(MarketReplica::spec);
        if !frame.header.held.is_zero() {
            let (account, asset) = match &frame.command.action {
                Action::Place(place) => {
                    (place.account, spec.map(|spec| spec.paid_asset(place.side)))
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
        balance_changes(frame, spec, |change: BalanceChange| {
            if result.is_ok() {
                result = balances.apply(&change);
            }
        })?;
        result
    }

    /// What the last frame changed.
    pub fn applied(&self) -> &Applied {
        &self.applied
    }

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

    /// The account's resting order of that id.
    pub fn order(&self, account: AccountId, order: OrderId) -> Option<&OpenOrder> {
        let found = self.market(order.market())?.orders().get(order)?;
        Some(found).filter(|found| found.account == account)
    }

    /// The account's resting orders of one market or of all, oldest first.
    pub fn open_orders(&self, account: AccountId, market: Option<MarketId>) -> Vec<OpenOrder> {
        let asked = |known: &&MarketReplica| market.is_none_or(|asked| known.spec().id == asked);
        let markets = self.markets().filter(asked);
        let mut orders: Vec<_> = markets
            .flat_map(|market| market.orders().of_account(account))
            .map(|(since, order)| (order.created_us, since, *order))
            .collect();
        orders.sort_unstable_by_key(|(created_us, since, _)| (*created_us, *since));
        orders.into_iter().map(|(_, _, order)| order).collect()
    }

    /// Adds up where all units are, by asset; a difference is our bug. Walks all balances.
    pub fn conservation(&self) -> Vec<Conservation> {
        let mut sums = vec![(0u128, 0u128); self.catalog.asset_columns()];
        for balance in self.balances() {
            let (available, locked) = &mut sums[balance.asset.index()];
            *available += u128::from(balance.available.0);
            *locked += u128::from(balance.locked.0);
        }
        let assets = self.catalog.assets().iter().map(|asset| asset.id);
        let row = |asset: AssetId| {
            let flow = self.accounts.flow(asset);
            let (available, locked) = sums[asset.index()];
            Conservation {
                asset,
                deposited: flow.deposited,
                withdrawn: flow.withdrawn,
                available,
                locked,
                fees: u128::from(self.balances.fees(asset).0),
            }
        };
        assets.map(row).collect()
    }

    /// Walks the whole state: books, holds against locked balances, conservation.
    pub fn assert_consistent(&self) {
        let rows = self.accounts.count() as usize;
        let columns = self.catalog.asset_columns();
        let mut held = vec![0u64; rows * columns];
        for market in self.markets() {
            market.assert_consistent();
            for order in market.orders().iter() {
                let spec = market.spec();
                let hold = spec.hold(order.side, order.price, order.lots_left);
                let place = order.account.index() * columns + spec.paid_asset(order.side).index();
                held[place] += hold.map_or(0, |units| units.0);
            }
        }
        for balance in self.balances() {
            let place = &mut held[balance.account.index() * columns + balance.asset.index()];
            assert_eq!(*place, balance.locked.0, "Invariant: locked is what orders hold");
            *place = 0;
        }
        assert!(
            held.iter().all(|units| *units == 0),
            "Invariant: no order holds what is not locked"
        );
        for row in self.conservation() {
            assert!(row.holds(), "Invariant: every unit can be traced: {row:?}");
        }
    }
}
