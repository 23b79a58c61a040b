//! Hot path. Available balances, shared by all shards without a lock: one atomic cell for each
//! account and asset.
//!
//! Only four moves exist: *hold* takes and refuses to go below zero, *credit* and *release* give,
//! and *spend* of what an order already holds touches no cell at all. A cell never overflows,
//! because an asset's whole supply is at most [`Units::SUPPLY_MAX`].
//!
//! Causality rests on the orderings here: give is a Release and take an Acquire on the same cell,
//! so whoever takes what command X gave draws its sequence number after X drew its own
//! ([`crate::sequencer`]).

use protocol::{AccountId, AssetId, Units};

use crate::atomics::{AtomicU64, Ordering};

/// Cells a row is rounded up to: a row fills whole cache lines, so that shards serving different
/// accounts do not share one.
const CELLS_PER_LINE: usize = 8;

#[derive(Debug)]
pub struct Ledger {
    cells: Vec<AtomicU64>,
    /// Cells from one account's row to the next.
    row: usize,
    accounts_max: u32,
    asset_columns: usize,
}

/// The cell held less than was asked for; nothing was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InsufficientFunds;

impl Ledger {
    /// All zero. Accounts 1 to `accounts_max`, assets 0 to `asset_columns` - 1.
    pub fn new(accounts_max: u32, asset_columns: usize) -> Self {
        let row = asset_columns.max(1).next_multiple_of(CELLS_PER_LINE);
        let mut cells = Vec::new();
        cells.resize_with(row * accounts_max as usize, AtomicU64::default);
        Ledger { cells, row, accounts_max, asset_columns }
    }

    /// Whether there is a cell for it; every other call demands one.
    #[inline]
    pub fn covers(&self, account: AccountId, asset: AssetId) -> bool {
        account.get() <= self.accounts_max && asset.index() < self.asset_columns
    }

    #[inline]
    pub fn available(&self, account: AccountId, asset: AssetId) -> Units {
        Units(self.cell(account, asset).load(Ordering::Acquire))
    }

    /// Takes `units` for an order or a withdrawal, or takes nothing.
    #[inline]
    pub fn hold(
        &self,
        account: AccountId,
        asset: AssetId,
        units: Units,
    ) -> Result<(), InsufficientFunds> {
        // Acquire: pairs with the Release in `give`. Release keeps the chain for the next taker.
        let taken = self.cell(account, asset).fetch_update(
            Ordering::AcqRel,
            Ordering::Acquire,
            |available| available.checked_sub(units.0),
        );
        taken.map(drop).map_err(|_| InsufficientFunds)
    }

    /// Gives what a trade or a deposit brought in.
    #[inline]
    pub fn credit(&self, account: AccountId, asset: AssetId, units: Units) {
        self.give(account, asset, units);
    }

    /// Gives back what was held and not spent.
    #[inline]
    pub fn release(&self, account: AccountId, asset: AssetId, units: Units) {
        self.give(account, asset, units);
    }

    /// Sets a cell before any shard runs.
    pub fn restore(&self, account: AccountId, asset: AssetId, available: Units) {
        self.cell(account, asset).store(available.0, Ordering::Release);
    }

    #[inline]
    fn give(&self, account: AccountId, asset: AssetId, units: Units) {
        if units.is_zero() {
            return;
        }
        // Release: pairs with the Acquire in `hold`, after this command's number was drawn.
        let before = self.cell(account, asset).fetch_add(units.0, Ordering::AcqRel);
        assert!(
            before.checked_add(units.0).is_some_and(|sum| sum <= Units::SUPPLY_MAX.0),
            "Invariant: no balance exceeds the asset's supply"
        );
    }

    #[inline]
    fn cell(&self, account: AccountId, asset: AssetId) -> &AtomicU64 {
        debug_assert!(self.covers(account, asset));
        &self.cells[account.index() * self.row + asset.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USDC: AssetId = AssetId(1);

    fn account(id: u32) -> AccountId {
        AccountId::new(id).unwrap()
    }

    #[test]
    fn a_hold_takes_all_or_nothing() {
        let ledger = Ledger::new(2, 2);
        ledger.credit(account(1), USDC, Units(10));
        assert_eq!(ledger.hold(account(1), USDC, Units(11)), Err(InsufficientFunds));
        assert_eq!(ledger.hold(account(1), USDC, Units(10)), Ok(()));
        assert_eq!(ledger.hold(account(1), USDC, Units(1)), Err(InsufficientFunds));
        ledger.release(account(1), USDC, Units(4));
        assert_eq!(ledger.available(account(1), USDC), Units(4));
        assert_eq!(ledger.available(account(2), USDC), Units(0));
    }

    #[test]
    fn rows_do_not_overlap() {
        let ledger = Ledger::new(3, 9);
        for (id, column) in [(1, 0), (1, 8), (2, 0), (3, 8)] {
            let units = Units(u64::from(id * 100 + u32::from(column)));
            ledger.restore(account(id), AssetId(column), units);
        }
        assert_eq!(ledger.available(account(1), AssetId(8)), Units(108));
        assert_eq!(ledger.available(account(2), AssetId(0)), Units(200));
        assert!(!ledger.covers(account(4), AssetId(0)));
        assert!(!ledger.covers(account(1), AssetId(9)));
    }

    #[test]
    fn concurrent_holds_never_take_more_than_there_is() {
        let ledger = Ledger::new(1, 2);
        ledger.credit(account(1), USDC, Units(1000));
        let taken: u64 = std::thread::scope(|scope| {
            let holders: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let holds =
                            (0..400).filter(|_| ledger.hold(account(1), USDC, Units(1)).is_ok());
                        holds.count() as u64
                    })
                })
                .collect();
            holders.into_iter().map(|holder| holder.join().unwrap()).sum()
        });
        assert_eq!(taken, 1000);
        assert_eq!(ledger.available(account(1), USDC), Units(0));
    }
}
