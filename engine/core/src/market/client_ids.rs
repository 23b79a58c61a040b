//! Hot path. From an account's own name of an order to its slot, the newest first where several
//! open orders share a name. An open-addressed table in memory reserved at the start.

use protocol::{AccountId, ClientId};

const NIL: u32 = u32::MAX;
/// 2^64 divided by the golden ratio: spreads neighbouring keys over the table.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

#[derive(Clone, Copy, Debug)]
struct Link {
    older: u32,
    newer: u32,
}

#[derive(Debug)]
pub(crate) struct ClientIds {
    /// Account and client id; zero where free, which no account makes.
    keys: Vec<u64>,
    /// Slot of the newest order under the key beside it.
    newest: Vec<u32>,
    shift: u32,
    /// By slot: the other open orders of the same key.
    links: Vec<Link>,
}

fn key_of(account: AccountId, client_id: ClientId) -> u64 {
    u64::from(account.get()) << 32 | u64::from(client_id.0)
}

impl ClientIds {
    pub fn new(orders_max: u32) -> Self {
        // At most half full, so that probes stay short.
        let places = (orders_max as usize * 2).next_power_of_two().max(16);
        ClientIds {
            keys: vec![0; places],
            newest: vec![0; places],
            shift: 64 - places.trailing_zeros(),
            links: Vec::with_capacity(orders_max as usize),
        }
    }

    pub fn newest(&self, account: AccountId, client_id: ClientId) -> Option<u32> {
        let place = self.place(key_of(account, client_id));
        (self.keys[place] != 0).then(|| self.newest[place])
    }

    #[inline]
    pub fn push(&mut self, slot: u32, account: AccountId, client_id: ClientId) {
        let key = key_of(account, client_id);
        let place = self.place(key);
        let older = if self.keys[place] == key { self.newest[place] } else { NIL };
        self.keys[place] = key;
        self.newest[place] = slot;
        if self.links.len() <= slot as usize {
            self.links.resize(slot as usize + 1, Link { older: NIL, newer: NIL });
        }
        self.links[slot as usize] = Link { older, newer: NIL };
        if older != NIL {
            self.links[older as usize].newer = slot;
        }
    }

    #[inline]
    pub fn remove(&mut self, slot: u32, account: AccountId, client_id: ClientId) {
        let Link { older, newer } = self.links[slot as usize];
        if older != NIL {
            self.links[older as usize].newer = newer;
        }
        if newer != NIL {
            self.links[newer as usize].older = older;
            return;
        }
        let place = self.place(key_of(account, client_id));
        if older == NIL {
            self.vacate(place);
        } else {
            self.newest[place] = older;
        }
    }

    #[inline]
    fn home(&self, key: u64) -> usize {
        (key.wrapping_mul(SPREAD) >> self.shift) as usize
    }

    /// Where `key` is, or the free place where it belongs.
    #[inline]
    fn place(&self, key: u64) -> usize {
        let mask = self.keys.len() - 1;
        let mut place = self.home(key);
        while self.keys[place] != 0 && self.keys[place] != key {
            place = (place + 1) & mask;
        }
        place
    }

    /// Frees a place and moves later keys of the same run up, so that no probe ends too early.
    fn vacate(&mut self, mut free: usize) {
        let mask = self.keys.len() - 1;
        let mut place = free;
        loop {
            place = (place + 1) & mask;
            let key = self.keys[place];
            if key == 0 {
                break;
            }
            let from_home = place.wrapping_sub(self.home(key)) & mask;
            let from_free = place.wrapping_sub(free) & mask;
            if from_free <= from_home {
                self.keys[free] = key;
                self.newest[free] = self.newest[place];
                free = place;
            }
        }
        self.keys[free] = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn finds_the_newest_as_a_map_does(
            steps in prop::collection::vec(
                (1u32..4, 0u32..6, any::<prop::sample::Index>(), any::<bool>()),
                1..200,
            )
        ) {
            let mut ids = ClientIds::new(8);
            let mut map: BTreeMap<(u32, u32), Vec<u32>> = BTreeMap::new();
            let mut free: Vec<u32> = (0..8).collect();
            let mut open: Vec<(u32, u32, u32)> = Vec::new();
            for (account, client, pick, adds) in steps {
                if adds && let Some(slot) = free.pop() {
                    ids.push(slot, AccountId::new(account).unwrap(), ClientId(client));
                    map.entry((account, client)).or_default().push(slot);
                    open.push((slot, account, client));
                } else if !open.is_empty() {
                    let (slot, account, client) = open.swap_remove(pick.index(open.len()));
                    ids.remove(slot, AccountId::new(account).unwrap(), ClientId(client));
                    map.get_mut(&(account, client)).unwrap().retain(|other| *other != slot);
                    free.push(slot);
                }
                for account in 1..4 {
                    for client in 0..6 {
                        let expected = map.get(&(account, client)).and_then(|slots| slots.last());
                        let found = ids.newest(AccountId::new(account).unwrap(), ClientId(client));
                        prop_assert_eq!(found, expected.copied());
                    }
                }
            }
        }
    }
}
