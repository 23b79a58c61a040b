//! What accounts are told of applied frames, as far as somebody listens to them.
//!
//! ```text
//! frame ─▶ before: updates of orders ─▶ (applied) ─▶ after: balances ─▶ one message an account
//! ```
//!
//! What becomes of orders is told from the state before the frame, in which makers still stand;
//! balances are those after it. While nobody listens, a frame costs no more than to see that.

pub mod leases;
mod order_updates;

use std::collections::BTreeMap;

use engine_core::replica::{MarketReplica, Replica};
use protocol::account_json::{Listed, OrderUpdate, Times, Updates};
use protocol::effects::{BalanceChange, Holder, balance_changes};
use protocol::{AccountId, AssetId, Frame, keys};

use crate::durable::Publication;
use leases::Leases;
use order_updates::Audience;

#[derive(Debug)]
pub struct AccountData {
    leases: Leases,
    /// What the frame that is being applied tells, of accounts that somebody listens to.
    told: BTreeMap<AccountId, Updates>,
    /// Whether it concerns any of them.
    is_heard: bool,
}

/// Writes down what listeners are told of one frame.
struct Notes<'a> {
    leases: &'a Leases,
    told: &'a mut BTreeMap<AccountId, Updates>,
    listed: Listed<'a>,
    times: Times,
}

impl Audience for Notes<'_> {
    fn hears(&self, account: AccountId) -> bool {
        self.leases.covers(account)
    }

    fn tell(&mut self, account: AccountId, update: &OrderUpdate) {
        let updates = self.told.entry(account).or_default();
        updates.push_order(&self.listed, self.times, update);
    }
}

impl AccountData {
    /// `life` is the engine's.
    pub fn new(life: u64) -> AccountData {
        AccountData { leases: Leases::new(life), told: BTreeMap::new(), is_heard: false }
    }

    pub fn leases(&mut self) -> &mut Leases {
        &mut self.leases
    }

    /// Takes note of a frame that will be applied to `replica` next.
    #[inline]
    pub fn before(&mut self, replica: &Replica, frame: &Frame<'_>, now_us: fn() -> u64) {
        if !self.leases.is_empty() {
            self.note(replica, frame, now_us);
        }
    }

    fn note(&mut self, replica: &Replica, frame: &Frame<'_>, now_us: fn() -> u64) {
        let AccountData { leases, told, .. } = self;
        // Orders that are taken out are of the account that sent the command.
        let is_sender = frame.command.account().is_some_and(|account| leases.covers(account));
        self.is_heard = is_sender || frame.trades().any(|trade| leases.covers(trade.maker_account));
        let market = replica.market(frame.command.market()).filter(|_| self.is_heard);
        let listed = market.and_then(|market| Listed::of(market.spec(), replica.catalog()));
        if let (Some(market), Some(listed)) = (market, listed) {
            let times = Times { now_us: now_us(), time_us: frame.command.time_us };
            let mut notes = Notes { leases, told, listed, times };
            order_updates::tell(market, frame, &mut notes);
        }
    }

    /// Adds the messages about the frame, which `replica` has applied.
    #[inline]
    pub fn after(
        &mut self,
        replica: &Replica,
        frame: &Frame<'_>,
        now_us: fn() -> u64,
        out: &mut Vec<Publication>,
    ) {
        if self.is_heard {
            self.is_heard = false;
            let times = Times { now_us: now_us(), time_us: frame.command.time_us };
            self.note_balances(replica, frame, times);
            self.publish(out);
        }
    }

    fn note_balances(&mut self, replica: &Replica, frame: &Frame<'_>, times: Times) {
        let spec = replica.market(frame.command.market()).map(MarketReplica::spec);
        let mut moved: BTreeMap<(AccountId, AssetId), (i128, i128)> = BTreeMap::new();
        let noted = balance_changes(frame, spec, |change| {
            let BalanceChange { holder, asset, available, locked } = change;
            if let Holder::Account(account) = holder
                && self.leases.covers(account)
            {
                let sum = moved.entry((account, asset)).or_default();
                *sum = (sum.0 + available, sum.1 + locked);
            }
        });
        if let Err(error) = noted {
            // The replica has applied the same changes.
            tracing::error!(%error, sequence = frame.header.sequence.0, "balances are not told");
        }
        for ((account, asset), _) in moved.into_iter().filter(|(_, by)| *by != (0, 0)) {
            let mut balances = replica.balances_of(account);
            let balance = balances.find(|balance| balance.asset == asset);
            if let (Some(balance), Some(spec)) = (balance, replica.catalog().asset(asset)) {
                let amounts = (balance.available, balance.locked);
                self.told.entry(account).or_default().push_balance(spec, times, amounts);
            }
        }
    }

    fn publish(&mut self, out: &mut Vec<Publication>) {
        let life = self.leases.life();
        while let Some((account, updates)) = self.told.pop_first() {
            if let Some(number) = self.leases.next_number(account) {
                let payload = updates.message(life, number).into_bytes();
                out.push(Publication { channel: keys::account(account), payload });
            }
        }
    }
}

#[cfg(test)]
mod tests;
