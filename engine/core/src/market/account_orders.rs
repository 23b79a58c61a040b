//! Hot path. Which open orders an account has in one market, oldest first: what *cancel all* and
//! the limit on open orders look at. Links by slot, apart from the orders, eight bytes each.

use protocol::AccountId;

const NIL: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    newer: u32,
    older: u32,
}

#[derive(Clone, Copy, Debug)]
struct Chain {
    oldest: u32,
    newest: u32,
    count: u32,
}

#[derive(Debug)]
pub(crate) struct AccountOrders {
    links: Vec<Link>,
    /// By account.
    chains: Vec<Chain>,
}

const NO_ORDERS: Chain = Chain { oldest: NIL, newest: NIL, count: 0 };

impl AccountOrders {
    pub fn new(orders_max: u32, accounts_max: u32) -> Self {
        AccountOrders {
            links: Vec::with_capacity(orders_max as usize),
            chains: vec![NO_ORDERS; accounts_max as usize],
        }
    }

    #[inline]
    pub fn count(&self, account: AccountId) -> u32 {
        self.chains[account.index()].count
    }

    pub fn oldest(&self, account: AccountId) -> Option<u32> {
        Some(self.chains[account.index()].oldest).filter(|slot| *slot != NIL)
    }

    /// The order of the same account that came next.
    pub fn newer(&self, slot: u32) -> Option<u32> {
        Some(self.links[slot as usize].newer).filter(|slot| *slot != NIL)
    }

    #[inline]
    pub fn push(&mut self, slot: u32, account: AccountId) {
        let chain = &mut self.chains[account.index()];
        let older = std::mem::replace(&mut chain.newest, slot);
        if older == NIL {
            chain.oldest = slot;
        } else {
            self.links[older as usize].newer = slot;
        }
        chain.count += 1;
        if self.links.len() <= slot as usize {
            self.links.resize(slot as usize + 1, Link { newer: NIL, older: NIL });
        }
        self.links[slot as usize] = Link { newer: NIL, older };
    }

    #[inline]
    pub fn remove(&mut self, slot: u32, account: AccountId) {
        let Link { newer, older } = self.links[slot as usize];
        let chain = &mut self.chains[account.index()];
        chain.count -= 1;
        if older == NIL {
            chain.oldest = newer;
        } else {
            self.links[older as usize].newer = newer;
        }
        if newer == NIL {
            chain.newest = older;
        } else {
            self.links[newer as usize].older = older;
        }
    }

    pub fn total(&self) -> usize {
        self.chains.iter().map(|chain| chain.count as usize).sum()
    }
}
