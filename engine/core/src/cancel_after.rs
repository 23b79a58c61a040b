//! When the open orders of an account are to be cancelled unless somebody says otherwise in time:
//! the account itself, or a fan-out for as long as it serves a socket of the account. Shard and
//! replica keep the same.
//!
//! Whoever says so holds a deadline of its own and never touches that of another. What is kept
//! after a deadline is one time an account, however many held one.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{AccountId, Action, GatewayId, Refusal};
use serde::{Deserialize, Serialize};

use crate::digest::StateSum;

/// Fan-outs that may hold a switch of one account at a time; the account's own always has its
/// place.
pub const LEASES_MAX: usize = 16;

/// When the orders of an account go, if its holder says nothing until then.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Deadline {
    pub account: AccountId,
    pub holder: GatewayId,
    pub deadline_us: u64,
}

/// When it last came to that: orders of the account placed until then are to go.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Expiry {
    pub account: AccountId,
    pub expired_us: u64,
}

#[derive(Clone, Debug, Default)]
pub struct CancelAfters {
    /// None of them 0.
    deadlines: BTreeMap<(AccountId, GatewayId), u64>,
    /// The same, the earliest first.
    by_time: BTreeSet<(u64, AccountId, GatewayId)>,
    /// None of them 0.
    expiries: BTreeMap<AccountId, u64>,
}

impl CancelAfters {
    pub(crate) fn restore_deadline(&mut self, known: &Deadline) {
        let Deadline { account, holder, deadline_us } = *known;
        let before = match deadline_us {
            0 => self.deadlines.remove(&(account, holder)),
            _ => self.deadlines.insert((account, holder), deadline_us),
        };
        if let Some(before) = before {
            self.by_time.remove(&(before, account, holder));
        }
        if deadline_us != 0 {
            self.by_time.insert((deadline_us, account, holder));
        }
    }

    pub(crate) fn restore_expiry(&mut self, known: &Expiry) {
        if known.expired_us != 0 {
            self.expiries.insert(known.account, known.expired_us);
        }
    }

    /// 0 switches it off. Refused when that would be one fan-out too many.
    pub(crate) fn set(&mut self, to: &Deadline, sum: &mut StateSum) -> Result<(), Refusal> {
        let Deadline { account, holder, deadline_us } = *to;
        let is_one_more = deadline_us != 0
            && holder != Action::OWN_SWITCH
            && !self.deadlines.contains_key(&(account, holder));
        if is_one_more && LEASES_MAX <= self.leases(account) {
            return Err(Refusal::TooManyHolders);
        }
        self.put(to, sum);
        Ok(())
    }

    /// Its time has come, if it is still the one that was set and is not after `time_us`; that of a
    /// fan-out also when it says 0.
    pub(crate) fn expire(
        &mut self,
        due: &Deadline,
        time_us: u64,
        sum: &mut StateSum,
    ) -> Result<(), Refusal> {
        let Deadline { account, holder, deadline_us } = *due;
        let is_due = match deadline_us {
            0 => holder != Action::OWN_SWITCH,
            _ => deadline_us <= time_us && self.deadline_us(account, holder) == deadline_us,
        };
        if !is_due {
            return Err(Refusal::NotDue);
        }
        self.put(&Deadline { account, holder, deadline_us: 0 }, sum);
        let before = self.expired_us(account);
        let expired_us = before.max(time_us);
        sum.expired_no_more(account, before);
        sum.expired(account, expired_us);
        self.restore_expiry(&Expiry { account, expired_us });
        Ok(())
    }

    fn put(&mut self, to: &Deadline, sum: &mut StateSum) {
        let Deadline { account, holder, deadline_us } = *to;
        sum.cancel_after_no_more(account, holder, self.deadline_us(account, holder));
        sum.cancel_after(account, holder, deadline_us);
        self.restore_deadline(to);
    }

    fn deadline_us(&self, account: AccountId, holder: GatewayId) -> u64 {
        self.deadlines.get(&(account, holder)).copied().unwrap_or_default()
    }

    fn leases(&self, account: AccountId) -> usize {
        let all = (account, GatewayId(0))..=(account, GatewayId(u32::MAX));
        self.deadlines.range(all).filter(|((_, holder), _)| *holder != Action::OWN_SWITCH).count()
    }

    /// When it last came to that; 0: never.
    pub fn expired_us(&self, account: AccountId) -> u64 {
        self.expiries.get(&account).copied().unwrap_or_default()
    }

    /// Those whose time has come at `now_us`, the earliest first.
    pub fn due(&self, now_us: u64) -> impl Iterator<Item = Deadline> + '_ {
        let due = self.by_time.iter().take_while(move |(deadline_us, ..)| *deadline_us <= now_us);
        due.map(|(deadline_us, account, holder)| Deadline {
            account: *account,
            holder: *holder,
            deadline_us: *deadline_us,
        })
    }

    /// Every deadline that stands.
    pub fn deadlines(&self) -> impl Iterator<Item = Deadline> + '_ {
        self.deadlines.iter().map(|((account, holder), deadline_us)| Deadline {
            account: *account,
            holder: *holder,
            deadline_us: *deadline_us,
        })
    }

    /// Of all accounts that it ever came to.
    pub fn expiries(&self) -> impl Iterator<Item = Expiry> + '_ {
        self.expiries
            .iter()
            .map(|(account, expired_us)| Expiry { account: *account, expired_us: *expired_us })
    }

    /// What it all adds to the sum of the accounts stream.
    pub(crate) fn add_to(&self, sum: &mut StateSum) {
        self.deadlines().for_each(|it| sum.cancel_after(it.account, it.holder, it.deadline_us));
        self.expiries().for_each(|it| sum.expired(it.account, it.expired_us));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: GatewayId = Action::OWN_SWITCH;
    const ONE: GatewayId = GatewayId(7);
    const OTHER: GatewayId = GatewayId(8);

    #[derive(Default)]
    struct Scene {
        all: CancelAfters,
        sum: StateSum,
    }

    fn deadline(id: u32, holder: GatewayId, deadline_us: u64) -> Deadline {
        Deadline { account: AccountId::new(id).unwrap(), holder, deadline_us }
    }

    impl Scene {
        fn set(&mut self, id: u32, holder: GatewayId, at_us: u64) -> Result<(), Refusal> {
            self.all.set(&deadline(id, holder, at_us), &mut self.sum)
        }

        fn expire(&mut self, id: u32, holder: GatewayId, at_us: u64, time_us: u64) -> bool {
            let found = self.all.expire(&deadline(id, holder, at_us), time_us, &mut self.sum);
            assert!(matches!(found, Ok(()) | Err(Refusal::NotDue)), "{found:?}");
            self.is_whole();
            found.is_ok()
        }

        fn due(&self, now_us: u64) -> Vec<(u32, GatewayId)> {
            self.all.due(now_us).map(|it| (it.account.get(), it.holder)).collect()
        }

        fn expired_us(&self, id: u32) -> u64 {
            self.all.expired_us(AccountId::new(id).unwrap())
        }

        /// What is read back is the same, and comes to the sum that was kept step by step.
        fn is_whole(&self) {
            let mut again = CancelAfters::default();
            self.all.deadlines().for_each(|it| again.restore_deadline(&it));
            self.all.expiries().for_each(|it| again.restore_expiry(&it));
            assert!(again.due(u64::MAX).eq(self.all.due(u64::MAX)));
            let mut summed = StateSum::default();
            again.add_to(&mut summed);
            assert_eq!(summed, self.sum);
        }
    }

    #[test]
    fn only_the_time_that_stands_expires_and_only_once() {
        let mut scene = Scene::default();
        for (id, at_us) in [(1, 100), (2, 90), (1, 200)] {
            scene.set(id, OWN, at_us).unwrap();
        }
        assert_eq!(scene.due(150), [(2, OWN)]);
        assert_eq!(scene.due(200), [(2, OWN), (1, OWN)]);
        assert!(!scene.expire(1, OWN, 100, 300));
        assert!(!scene.expire(1, OWN, 200, 199));
        assert!(scene.expire(1, OWN, 200, 201));
        assert!(!scene.expire(1, OWN, 200, 202));
        assert!(!scene.expire(3, OWN, 0, 202));
        scene.set(2, OWN, 0).unwrap();
        assert_eq!(scene.due(u64::MAX), []);
        assert_eq!((scene.expired_us(1), scene.expired_us(2)), (201, 0));
        scene.is_whole();
    }

    #[test]
    fn holders_do_not_touch_each_other() {
        let mut scene = Scene::default();
        for (holder, at_us) in [(OWN, 300), (ONE, 100), (OTHER, 200), (ONE, 150)] {
            scene.set(1, holder, at_us).unwrap();
        }
        assert_eq!(scene.due(u64::MAX), [(1, ONE), (1, OTHER), (1, OWN)]);
        assert!(!scene.expire(1, OWN, 150, 400));
        assert!(!scene.expire(1, OTHER, 150, 400));
        assert!(scene.expire(1, ONE, 150, 160));
        assert_eq!(scene.due(u64::MAX), [(1, OTHER), (1, OWN)]);
        scene.set(1, OTHER, 0).unwrap();
        assert_eq!(scene.due(u64::MAX), [(1, OWN)]);
        assert!(scene.expire(1, OWN, 300, 310));
        assert_eq!(scene.expired_us(1), 310);
        assert_eq!(scene.all.deadlines().count(), 0);
    }

    #[test]
    fn a_fan_out_says_now_whether_it_holds_a_time_or_not_and_an_account_cannot() {
        let mut scene = Scene::default();
        scene.set(1, OWN, 500).unwrap();
        scene.set(1, ONE, 400).unwrap();
        scene.set(1, OTHER, 450).unwrap();
        assert!(!scene.expire(1, OWN, 0, 90));
        assert_eq!(scene.expired_us(1), 0);
        assert!(scene.expire(1, ONE, 0, 100));
        assert_eq!(scene.due(u64::MAX), [(1, OTHER), (1, OWN)]);
        assert!(scene.expire(1, ONE, 0, 110));
        assert_eq!(scene.expired_us(1), 110);
        // An earlier time takes nothing back.
        assert!(scene.expire(1, OTHER, 0, 105));
        assert_eq!((scene.expired_us(1), scene.due(u64::MAX)), (110, vec![(1, OWN)]));
    }

    #[test]
    fn an_account_has_so_many_fan_outs_beside_its_own_and_no_more() {
        let mut scene = Scene::default();
        let leases = || (1..).map(GatewayId).take(LEASES_MAX);
        leases().for_each(|holder| scene.set(1, holder, 100).unwrap());
        let one_more = GatewayId(1000);
        assert_eq!(scene.set(1, one_more, 100), Err(Refusal::TooManyHolders));
        // Neither the account itself, nor those who hold one, nor another account is one more.
        assert_eq!(scene.set(1, OWN, 100), Ok(()));
        assert_eq!(scene.set(1, GatewayId(1), 200), Ok(()));
        assert_eq!(scene.set(2, one_more, 100), Ok(()));
        assert_eq!(scene.set(1, one_more, 0), Ok(()));
        assert!(scene.expire(1, one_more, 0, 50));
        assert_eq!(scene.set(1, one_more, 100), Err(Refusal::TooManyHolders));
        assert_eq!(scene.set(1, GatewayId(2), 0), Ok(()));
        assert_eq!(scene.set(1, one_more, 100), Ok(()));
        scene.is_whole();
        let held: Vec<_> = scene.all.deadlines().collect();
        for Deadline { account, holder, deadline_us } in held {
            assert!(scene.expire(account.get(), holder, deadline_us, 300));
        }
        assert_eq!(scene.all.deadlines().count(), 0);
        assert_eq!(scene.all.expiries().count(), 2);
    }
}
