//! Every account's balances and the fees collected.

use protocol::effects::{BalanceChange, Holder};
use protocol::{AccountId, AssetId, Units};

use super::error::Inconsistency;

/// What an account has of one asset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Balance {
    pub account: AccountId,
    pub asset: AssetId,
    pub available: Units,
    /// Held by resting orders.
    pub locked: Units,
}

#[derive(Clone, Debug)]
pub struct Balances {
    /// Row by row, an account each.
    cells: Vec<Cell>,
    columns: usize,
    /// By [`AssetId::index`].
    fees: Vec<u64>,
    totals: Vec<Total>,
}

/// Of all accounts, in one asset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Total {
    pub available: u128,
    pub locked: u128,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    available: u64,
    locked: u64,
    /// Whether anything was ever booked here.
    is_used: bool,
}

impl Balances {
    pub(super) fn new(columns: usize) -> Self {
        Balances {
            cells: Vec::new(),
            columns,
            fees: vec![0; columns],
            totals: vec![Total::default(); columns],
        }
    }

    pub(super) fn add_account(&mut self) {
        self.cells.resize(self.cells.len() + self.columns, Cell::default());
    }

    pub(super) fn restore(
        &mut self,
        account: AccountId,
        asset: AssetId,
        available: Units,
    ) -> Result<(), Inconsistency> {
        let available = i128::from(available.0);
        self.apply(&BalanceChange { holder: Holder::Account(account), asset, available, locked: 0 })
    }

    pub(super) fn restore_locked(
        &mut self,
        account: AccountId,
        asset: AssetId,
        locked: Units,
    ) -> Result<(), Inconsistency> {
        let locked = i128::from(locked.0);
        self.apply(&BalanceChange { holder: Holder::Account(account), asset, available: 0, locked })
    }

    pub(super) fn restore_fees(
        &mut self,
        asset: AssetId,
        units: Units,
    ) -> Result<(), Inconsistency> {
        let available = i128::from(units.0);
        self.apply(&BalanceChange { holder: Holder::Fees, asset, available, locked: 0 })
    }

    #[inline]
    pub(super) fn apply(&mut self, change: &BalanceChange) -> Result<(), Inconsistency> {
        let asset = change.asset;
        match change.holder {
            Holder::Fees => {
                let fees =
                    self.fees.get_mut(asset.index()).ok_or(Inconsistency::UnknownAsset(asset))?;
                *fees = moved(*fees, change.available).ok_or(Inconsistency::Fees(asset))?;
            }
            Holder::Account(account) => {
                let cell = self.place(account, asset)?;
                let cell = &mut self.cells[cell];
                let out_of_range = || Inconsistency::Balance { account, asset };
                cell.available =
                    moved(cell.available, change.available).ok_or_else(out_of_range)?;
                cell.locked = moved(cell.locked, change.locked).ok_or_else(out_of_range)?;
                cell.is_used = true;
                let total = &mut self.totals[asset.index()];
                total.available = total.available.wrapping_add_signed(change.available);
                total.locked = total.locked.wrapping_add_signed(change.locked);
            }
        }
        Ok(())
    }

    /// Zero for an asset the account never held.
    pub fn available(&self, account: AccountId, asset: AssetId) -> Units {
        self.place(account, asset).map_or(Units::ZERO, |at| Units(self.cells[at].available))
    }

    /// Of every account, every asset it ever held.
    pub fn iter(&self) -> impl Iterator<Item = Balance> + '_ {
        (1..).map_while(AccountId::new).take(self.rows()).flat_map(|account| self.of(account))
    }

    /// Every asset the account ever held.
    pub fn of(&self, account: AccountId) -> impl Iterator<Item = Balance> + '_ {
        let from = account.index().min(self.rows()) * self.columns;
        let row = self.cells[from..].iter().take(self.columns).zip(0..);
        row.filter(|(cell, _)| cell.is_used).map(move |(cell, asset)| Balance {
            account,
            asset: AssetId(asset),
            available: Units(cell.available),
            locked: Units(cell.locked),
        })
    }

    /// As counted step by step.
    pub fn total(&self, asset: AssetId) -> Total {
        self.totals.get(asset.index()).copied().unwrap_or_default()
    }

    /// As counted anew, balance by balance.
    pub fn recount(&self) -> Vec<Total> {
        let mut totals = vec![Total::default(); self.columns];
        for row in self.cells.chunks_exact(self.columns.max(1)) {
            for (cell, total) in row.iter().zip(&mut totals) {
                total.available += u128::from(cell.available);
                total.locked += u128::from(cell.locked);
            }
        }
        totals
    }

    /// Collected so far; zero for an asset that is not listed.
    pub fn fees(&self, asset: AssetId) -> Units {
        Units(self.fees.get(asset.index()).copied().unwrap_or_default())
    }

    fn rows(&self) -> usize {
        self.cells.len().checked_div(self.columns).unwrap_or_default()
    }

    #[inline]
    fn place(&self, account: AccountId, asset: AssetId) -> Result<usize, Inconsistency> {
        if self.columns <= asset.index() {
            return Err(Inconsistency::UnknownAsset(asset));
        }
        let at = account.index() * self.columns + asset.index();
        if at < self.cells.len() { Ok(at) } else { Err(Inconsistency::UnknownAccount(account)) }
    }
}

/// `None` below zero and above what one asset's supply can be.
#[inline]
fn moved(units: u64, by: i128) -> Option<u64> {
    let sum = i128::from(units).checked_add(by)?;
    u64::try_from(sum).ok().filter(|sum| *sum <= Units::SUPPLY_MAX.0)
}
