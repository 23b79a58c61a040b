//! When the open orders of an account are to be cancelled unless its owner says otherwise in time.
//! Shard and replica keep the same.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{AccountId, Refusal};
use serde::{Deserialize, Serialize};

use crate::digest::StateSum;

/// Of one account; 0: not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CancelAfter {
    pub account: AccountId,
    pub deadline_us: u64,
    /// When it last came to that: orders placed until then are to go.
    pub expired_us: u64,
}

#[derive(Clone, Debug, Default)]
pub struct CancelAfters {
    of_accounts: BTreeMap<AccountId, (u64, u64)>,
    deadlines: BTreeSet<(u64, AccountId)>,
}

impl CancelAfters {
    pub(crate) fn restore(&mut self, known: &CancelAfter) {
        let CancelAfter { account, deadline_us, expired_us } = *known;
        self.of_accounts.insert(account, (deadline_us, expired_us));
        if deadline_us != 0 {
            self.deadlines.insert((deadline_us, account));
        }
    }

    /// 0 switches it off.
    pub(crate) fn set(&mut self, account: AccountId, deadline_us: u64, sum: &mut StateSum) {
        let (_, expired_us) = self.of(account);
        self.put(account, deadline_us, expired_us, sum);
    }

    /// The time has come, if it is still the one that was set and is not after `time_us`.
    pub(crate) fn expire(
        &mut self,
        account: AccountId,
        deadline_us: u64,
        time_us: u64,
        sum: &mut StateSum,
    ) -> Result<(), Refusal> {
        let is_due = deadline_us != 0 && deadline_us <= time_us;
        if !is_due || self.of(account).0 != deadline_us {
            return Err(Refusal::NotDue);
        }
        self.put(account, 0, time_us, sum);
        Ok(())
    }

    fn put(&mut self, account: AccountId, deadline_us: u64, expired_us: u64, sum: &mut StateSum) {
        let (before, expired_before) = self.of(account);
        sum.cancel_after_no_more(account, before, expired_before);
        sum.cancel_after(account, deadline_us, expired_us);
        self.deadlines.remove(&(before, account));
        self.restore(&CancelAfter { account, deadline_us, expired_us });
    }

    fn of(&self, account: AccountId) -> (u64, u64) {
        self.of_accounts.get(&account).copied().unwrap_or_default()
    }

    /// When it last came to that; 0: never.
    pub fn expired_us(&self, account: AccountId) -> u64 {
        self.of(account).1
    }

    /// Those whose time has come at `now_us`, the earliest first.
    pub fn due(&self, now_us: u64) -> impl Iterator<Item = CancelAfter> + '_ {
        let due = self.deadlines.iter().take_while(move |(deadline_us, _)| *deadline_us <= now_us);
        due.map(|(deadline_us, account)| CancelAfter {
            account: *account,
            deadline_us: *deadline_us,
            expired_us: self.expired_us(*account),
        })
    }

    /// Of all accounts that ever said so.
    pub fn iter(&self) -> impl Iterator<Item = CancelAfter> + '_ {
        self.of_accounts.iter().map(|(account, (deadline_us, expired_us))| CancelAfter {
            account: *account,
            deadline_us: *deadline_us,
            expired_us: *expired_us,
        })
    }

    /// What it all adds to the sum of the accounts stream.
    pub(crate) fn add_to(&self, sum: &mut StateSum) {
        self.iter().for_each(|it| sum.cancel_after(it.account, it.deadline_us, it.expired_us));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: u32) -> AccountId {
        AccountId::new(id).unwrap()
    }

    #[test]
    fn only_the_time_that_stands_expires_and_only_once() {
        let (mut all, mut sum) = (CancelAfters::default(), StateSum::default());
        all.set(account(1), 100, &mut sum);
        all.set(account(2), 90, &mut sum);
        all.set(account(1), 200, &mut sum);
        let due = |all: &CancelAfters, now_us| {
            all.due(now_us).map(|it| it.account.get()).collect::<Vec<_>>()
        };
        assert_eq!(due(&all, 150), [2]);
        assert_eq!(due(&all, 200), [2, 1]);
        assert_eq!(all.expire(account(1), 100, 300, &mut sum), Err(Refusal::NotDue));
        assert_eq!(all.expire(account(1), 200, 199, &mut sum), Err(Refusal::NotDue));
        assert_eq!(all.expire(account(1), 200, 201, &mut sum), Ok(()));
        assert_eq!(all.expire(account(1), 200, 202, &mut sum), Err(Refusal::NotDue));
        assert_eq!(all.expire(account(3), 0, 202, &mut sum), Err(Refusal::NotDue));
        all.set(account(2), 0, &mut sum);
        assert_eq!(due(&all, u64::MAX), []);
        assert_eq!((all.expired_us(account(1)), all.expired_us(account(2))), (201, 0));
        let mut again = CancelAfters::default();
        all.iter().for_each(|it| again.restore(&it));
        let mut summed = StateSum::default();
        again.add_to(&mut summed);
        assert_eq!(summed, sum);
    }
}
