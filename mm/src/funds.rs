//! What each account can still spend: the replica's last answer less what was sent since.

use std::collections::{HashMap, HashSet};

use protocol::query::Balance;
use protocol::{AccountId, AssetId};

#[derive(Debug, Default)]
pub struct Funds {
    /// Accounts whose balances have been told; of them, an absent asset is a zero.
    known: HashSet<AccountId>,
    available: HashMap<(AccountId, AssetId), u64>,
}

impl Funds {
    pub fn is_known(&self, account: AccountId) -> bool {
        self.known.contains(&account)
    }

    pub fn available(&self, account: AccountId, asset: AssetId) -> u64 {
        self.available.get(&(account, asset)).copied().unwrap_or(0)
    }

    /// Takes over the replica's answer.
    pub fn refill(&mut self, account: AccountId, balances: &[Balance]) {
        self.known.insert(account);
        self.available.retain(|(owner, _), _| *owner != account);
        for balance in balances {
            self.available.insert((account, balance.asset), balance.available.0);
        }
    }

    /// An order was sent that will hold this.
    pub fn reserve(&mut self, account: AccountId, asset: AssetId, units: u64) {
        if let Some(available) = self.available.get_mut(&(account, asset)) {
            *available = available.saturating_sub(units);
        }
    }

    /// The engine refused an order for lack of it: what was believed is wrong.
    pub fn exhaust(&mut self, account: AccountId, asset: AssetId) {
        self.available.remove(&(account, asset));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Units;

    #[test]
    fn funds_are_reserved_until_the_next_answer() {
        let (account, asset) = (AccountId::new(1).unwrap(), AssetId(2));
        let mut funds = Funds::default();
        assert!(!funds.is_known(account));
        let balance = Balance { asset, available: Units(100), locked: Units(7) };
        funds.refill(account, &[balance]);
        funds.reserve(account, asset, 60);
        assert_eq!(funds.available(account, asset), 40);
        funds.reserve(account, asset, 60);
        assert_eq!(funds.available(account, asset), 0);
        funds.refill(account, &[balance]);
        assert_eq!(funds.available(account, asset), 100);
        funds.exhaust(account, asset);
        assert_eq!(funds.available(account, asset), 0);
        funds.refill(account, &[]);
        assert!(funds.is_known(account));
    }
}
