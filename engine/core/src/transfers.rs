//! Accounts, deposits and withdrawals: what the shard that owns the accounts stream decides. A few
//! a second, so an ordered map serves; what it does to the ledger follows the same three steps.

use std::collections::BTreeMap;

use protocol::{
    AccountId, Action, Catalog, GatewayId, Listing, Outcome, Refusal, Sequence, Transfer, Units,
};

use crate::cancel_after::{CancelAfters, Deadline};
use crate::digest::StateSum;
use crate::listings::Listings;
use crate::recognition::Recognition;
use crate::shard::{Decision, Desk, ShardLimits};
use crate::state::{AccountsState, Direction, TransferRecord};

const US_PER_MS: u64 = 1000;

#[derive(Debug)]
pub(crate) struct Transfers {
    /// Accounts 1 to this exist.
    accounts: u32,
    accounts_max: u32,
    listings: Listings,
    done: BTreeMap<u128, TransferRecord>,
    /// Deposits less withdrawals, by asset; `None` where no asset is listed.
    supply: Vec<Option<Units>>,
    cancel_afters: CancelAfters,
    pub previous: Option<Sequence>,
    pub recognition: Recognition,
    pub sum: StateSum,
}

impl Transfers {
    pub fn new(catalog: &Catalog, state: AccountsState, limits: &ShardLimits) -> Self {
        let assets = catalog.assets();
        let columns = assets.iter().map(|asset| asset.id.index() + 1).max().unwrap_or(0);
        let mut supply = vec![None; columns];
        for asset in assets {
            let before = state.supply.iter().find(|(id, _)| *id == asset.id);
            supply[asset.id.index()] = Some(before.map_or(Units::ZERO, |(_, units)| *units));
        }
        let mut cancel_afters = CancelAfters::default();
        state.deadlines.iter().for_each(|known| cancel_afters.restore_deadline(known));
        state.expiries.iter().for_each(|known| cancel_afters.restore_expiry(known));
        let done = state.transfers.into_iter().map(|transfer| (transfer.id.0, transfer));
        Transfers {
            accounts: state.accounts,
            accounts_max: limits.accounts_max,
            listings: Listings::new(catalog, limits.markets_max),
            done: done.collect(),
            supply,
            cancel_afters,
            previous: state.previous,
            recognition: Recognition::restore(&state.senders),
            sum: state.sum,
        }
    }

    pub fn apply(&mut self, desk: &Desk<'_>, action: &Action, time_us: u64) -> Decision {
        match action {
            Action::CreateAccount => self.create_account(desk),
            Action::Deposit(transfer) => self.transfer(desk, transfer, Direction::Deposit),
            Action::Withdraw(transfer) => self.transfer(desk, transfer, Direction::Withdrawal),
            Action::SetCancelAfter { account, holder, timeout_ms } => {
                self.set_cancel_after(desk, (*account, *holder), *timeout_ms, time_us)
            }
            Action::ExpireCancelAfter { account, holder, deadline_us } => {
                let (account, holder, deadline_us) = (*account, *holder, *deadline_us);
                let due = Deadline { account, holder, deadline_us };
                self.expire_cancel_after(desk, &due, time_us)
            }
            Action::ListMarket(listing) => self.list(desk, listing),
            Action::Place(_)
            | Action::PlaceTrigger(_)
            | Action::Amend(_)
            | Action::Fire(_)
            | Action::Cancel { .. }
            | Action::CancelAll(_)
            | Action::SetPriceTerms { .. }
            | Action::SetLotTerms { .. }
            | Action::SetBookState { .. } => {
                unreachable!("Invariant: the accounts stream carries accounts and transfers")
            }
        }
    }

    /// Whoever is to own the market gets it when this is durable.
    fn list(&mut self, desk: &Desk<'_>, listing: &Listing) -> Decision {
        if let Err(refusal) = self.listings.add(listing) {
            return desk.refuse(refusal);
        }
        self.sum.listing(listing);
        let sequence = desk.sequencer.draw();
        Decision { sequence, outcome: Outcome::MarketListed, held: Units::ZERO }
    }

    fn create_account(&mut self, desk: &Desk<'_>) -> Decision {
        let next = self.accounts + 1;
        let Some(account) = AccountId::new(next).filter(|_| next <= self.accounts_max) else {
            return desk.refuse(Refusal::TooManyAccounts);
        };
        self.accounts = next;
        self.sum.accounts(1);
        let sequence = desk.sequencer.draw();
        Decision { sequence, outcome: Outcome::AccountCreated { account }, held: Units::ZERO }
    }

    fn set_cancel_after(
        &mut self,
        desk: &Desk<'_>,
        (account, holder): (AccountId, GatewayId),
        timeout_ms: u32,
        time_us: u64,
    ) -> Decision {
        if self.accounts < account.get() {
            return desk.refuse(Refusal::UnknownAccount);
        }
        let after_us = u64::from(timeout_ms) * US_PER_MS;
        let deadline_us = if after_us == 0 { 0 } else { time_us.saturating_add(after_us) };
        let deadline = Deadline { account, holder, deadline_us };
        if let Err(refusal) = self.cancel_afters.set(&deadline, &mut self.sum) {
            return desk.refuse(refusal);
        }
        let outcome = Outcome::CancelAfterSet { deadline_us };
        Decision { sequence: desk.sequencer.draw(), outcome, held: Units::ZERO }
    }

    fn expire_cancel_after(&mut self, desk: &Desk<'_>, due: &Deadline, time_us: u64) -> Decision {
        if self.accounts < due.account.get() {
            return desk.refuse(Refusal::UnknownAccount);
        }
        match self.cancel_afters.expire(due, time_us, &mut self.sum) {
            Ok(()) => {
                let sequence = desk.sequencer.draw();
                Decision { sequence, outcome: Outcome::CancelAfterExpired, held: Units::ZERO }
            }
            Err(refusal) => desk.refuse(refusal),
        }
    }

    fn transfer(&mut self, desk: &Desk<'_>, transfer: &Transfer, direction: Direction) -> Decision {
        let Transfer { account, asset, units, id } = *transfer;
        if let Some(done) = self.done.get(&id.0) {
            let same =
                TransferRecord { id, sequence: done.sequence, direction, account, asset, units };
            if *done != same {
                return desk.refuse(Refusal::TransferConflict);
            }
            let outcome = Outcome::Repeated { first: done.sequence };
            return Decision { sequence: desk.sequencer.draw(), outcome, held: Units::ZERO };
        }
        let (supply, held) = match self.move_units(desk, transfer, direction) {
            Ok(moved) => moved,
            Err(refusal) => return desk.refuse(refusal),
        };
        let sequence = desk.sequencer.draw();
        match direction {
            Direction::Deposit => {
                desk.ledger.credit(account, asset, units);
                self.sum.give(account, asset, units);
            }
            Direction::Withdrawal => self.sum.hold(account, asset, units),
        }
        self.supply[asset.index()] = Some(supply);
        let record = TransferRecord { id, sequence, direction, account, asset, units };
        self.sum.transfer(&record);
        self.done.insert(id.0, record);
        Decision { sequence, outcome: Outcome::Transferred, held }
    }

    /// Checks a transfer and holds what a withdrawal takes; returns the supply after it and the
    /// hold.
    fn move_units(
        &self,
        desk: &Desk<'_>,
        transfer: &Transfer,
        direction: Direction,
    ) -> Result<(Units, Units), Refusal> {
        let Transfer { account, asset, units, .. } = *transfer;
        if self.accounts < account.get() {
            return Err(Refusal::UnknownAccount);
        }
        let Some(supply) = self.supply.get(asset.index()).copied().flatten() else {
            return Err(Refusal::UnknownAsset);
        };
        if units.is_zero() || Units::SUPPLY_MAX < units {
            return Err(Refusal::AmountOutOfRange);
        }
        match direction {
            Direction::Deposit => {
                let supply = Units(supply.0 + units.0);
                let counts = supply <= Units::SUPPLY_MAX;
                counts.then_some((supply, Units::ZERO)).ok_or(Refusal::SupplyExceeded)
            }
            Direction::Withdrawal => {
                let left = supply.checked_sub(units).ok_or(Refusal::InsufficientFunds)?;
                let held = desk.ledger.hold(account, asset, units);
                held.map_err(|_| Refusal::InsufficientFunds)?;
                Ok((left, units))
            }
        }
    }
}
