//! Accounts and transfers: what the accounts stream carries.

use std::collections::BTreeMap;

use protocol::{AccountId, AssetId, Sequence, Transfer, TransferId, Units};

use super::error::Inconsistency;
use crate::cancel_after::{CancelAfters, Deadline, Expiry};
use crate::digest::StateSum;
use crate::recognition::Recognition;
use crate::state::{AccountsState, Direction, TransferRecord};

#[derive(Clone, Debug, Default)]
pub struct Accounts {
    /// Accounts 1 to this exist.
    count: u32,
    /// As they were carried out; kept for ever, so that one asked for again is known.
    transfers: Vec<TransferRecord>,
    /// Where in `transfers`.
    by_id: BTreeMap<u128, usize>,
    flows: BTreeMap<AssetId, Flow>,
    cancel_afters: CancelAfters,
    pub(super) recognition: Recognition,
    pub(super) sum: StateSum,
}

/// All deposits and all withdrawals of one asset, in units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flow {
    pub deposited: u128,
    pub withdrawn: u128,
}

impl Flow {
    /// `None` when more was withdrawn than deposited, or balances cannot count what is there.
    pub fn supply(&self) -> Option<Units> {
        let supply = self.deposited.checked_sub(self.withdrawn)?;
        let units = Units(u64::try_from(supply).ok()?);
        Some(units).filter(|units| *units <= Units::SUPPLY_MAX)
    }
}

impl Accounts {
    pub fn count(&self) -> u32 {
        self.count
    }

    pub fn exists(&self, account: AccountId) -> bool {
        account.get() <= self.count
    }

    /// As they were carried out.
    pub fn transfers(&self) -> &[TransferRecord] {
        &self.transfers
    }

    pub fn flow(&self, asset: AssetId) -> Flow {
        self.flows.get(&asset).copied().unwrap_or_default()
    }

    /// When whose orders are to be cancelled.
    pub fn cancel_afters(&self) -> &CancelAfters {
        &self.cancel_afters
    }

    pub(super) fn restore_deadline(&mut self, known: &Deadline) {
        self.cancel_afters.restore_deadline(known);
    }

    pub(super) fn restore_expiry(&mut self, known: &Expiry) {
        self.cancel_afters.restore_expiry(known);
    }

    pub(super) fn set_cancel_after(
        &mut self,
        to: &Deadline,
        timeout_ms: u32,
        time_us: u64,
    ) -> Result<(), Inconsistency> {
        let Deadline { account, deadline_us, .. } = *to;
        if !self.exists(account) {
            return Err(Inconsistency::UnknownAccount(account));
        }
        let after_us = u64::from(timeout_ms) * 1000;
        let expected = if after_us == 0 { 0 } else { time_us.saturating_add(after_us) };
        if deadline_us != expected {
            return Err(Inconsistency::CancelAfter(account));
        }
        let set = self.cancel_afters.set(to, &mut self.sum);
        set.map_err(|_| Inconsistency::CancelAfter(account))
    }

    pub(super) fn expire(&mut self, due: &Deadline, time_us: u64) -> Result<(), Inconsistency> {
        if !self.exists(due.account) {
            return Err(Inconsistency::UnknownAccount(due.account));
        }
        let expired = self.cancel_afters.expire(due, time_us, &mut self.sum);
        expired.map_err(|_| Inconsistency::CancelAfter(due.account))
    }

    /// Goes on with this many accounts and what the stream had come to.
    pub(super) fn restore(&mut self, count: u32, sum: StateSum) {
        (self.count, self.sum) = (count, sum);
    }

    pub(super) fn restore_transfer(&mut self, done: &TransferRecord) -> Result<(), Inconsistency> {
        let TransferRecord { id, sequence, direction, account, asset, units } = *done;
        let sum = self.sum;
        self.transfer(sequence, direction, &Transfer { account, asset, units, id })?;
        self.sum = sum;
        Ok(())
    }

    pub(super) fn create(&mut self, account: AccountId) -> Result<(), Inconsistency> {
        let expected = self.count + 1;
        if account.get() != expected {
            return Err(Inconsistency::AccountNumber { expected, found: account });
        }
        self.count = expected;
        self.sum.accounts(1);
        Ok(())
    }

    pub(super) fn transfer(
        &mut self,
        sequence: Sequence,
        direction: Direction,
        transfer: &Transfer,
    ) -> Result<(), Inconsistency> {
        let Transfer { account, asset, units, id } = *transfer;
        if !self.exists(account) {
            return Err(Inconsistency::UnknownAccount(account));
        }
        let flow = self.flows.entry(asset).or_default();
        let sum = match direction {
            Direction::Deposit => &mut flow.deposited,
            Direction::Withdrawal => &mut flow.withdrawn,
        };
        *sum += u128::from(units.0);
        flow.supply().ok_or(Inconsistency::Supply(asset))?;
        if self.by_id.insert(id.0, self.transfers.len()).is_some() {
            return Err(Inconsistency::TransferTwice(id));
        }
        let record = TransferRecord { id, sequence, direction, account, asset, units };
        self.sum.transfer(&record);
        self.transfers.push(record);
        Ok(())
    }

    /// A transfer asked for again names the frame that carried it out.
    pub(super) fn repeat(&self, id: TransferId, first: Sequence) -> Result<(), Inconsistency> {
        let known = self.by_id.get(&id.0).map(|at| self.transfers[*at].sequence);
        if known == Some(first) { Ok(()) } else { Err(Inconsistency::TransferFirst(id)) }
    }

    pub(super) fn state(&self, previous: Option<Sequence>) -> AccountsState {
        let supply = |(asset, flow): (&AssetId, &Flow)| Some((*asset, flow.supply()?));
        AccountsState {
            accounts: self.count,
            transfers: self.transfers.clone(),
            supply: self.flows.iter().filter_map(supply).collect(),
            deadlines: self.cancel_afters.deadlines().collect(),
            expiries: self.cancel_afters.expiries().collect(),
            previous,
            senders: self.recognition.state(),
            sum: self.sum,
        }
    }
}
