//! What every flow is made with: the draws, the reference book alongside, and who can be picked.
//!
//! Part of the definition of the flows: the order of the draws is the order of this code.

use crate::book::{Order, RefBook, Trade};
use crate::format::{Command, Kind, Side};
use crate::rng::Rng;

const ACCOUNTS: u64 = 1000;
const MAX_PRICE: u64 = (1 << 31) - 1;

/// Generator state: the book as it stands, and who can be picked from it.
pub struct Generator {
    pub rng: Rng,
    pub book: RefBook,
    pub commands: Vec<Command>,
    next_id: u64,
    /// Resting ids in no particular order, and each id's place in that list.
    live: Vec<u64>,
    place: Vec<usize>,
    /// The last ids to have rested and the last ones to have left, as rings.
    young: Ring<256>,
    dead: Ring<64>,
}

/// The place of an id that does not rest.
const NOWHERE: usize = usize::MAX;

impl Generator {
    pub fn new(seed: u64) -> Self {
        Generator {
            rng: Rng::new(seed),
            book: RefBook::new(),
            commands: Vec::new(),
            next_id: 1,
            live: Vec::new(),
            place: vec![NOWHERE],
            young: Ring::new(),
            dead: Ring::new(),
        }
    }

    /// Append a command, apply it to the book and refresh what can be picked.
    pub fn push(&mut self, command: Command) {
        let mut filled: Vec<Trade> = Vec::new();
        self.book.apply(&command, &mut |t| filled.push(t));
        self.commands.push(command);
        for trade in filled {
            self.refresh(trade.maker);
        }
        self.refresh(command.id);
    }

    /// Brings the lists of who can be picked in line with the book.
    fn refresh(&mut self, id: u64) {
        let resting = self.book.get(id).is_some();
        let place = self.place[id as usize];
        if resting && place == NOWHERE {
            self.place[id as usize] = self.live.len();
            self.live.push(id);
            self.young.push(id);
        } else if !resting && place != NOWHERE {
            self.live.swap_remove(place);
            if let Some(&moved) = self.live.get(place) {
                self.place[moved as usize] = place;
            }
            self.place[id as usize] = NOWHERE;
            self.dead.push(id);
        }
    }

    /// Enter a new order (`New`, `Ioc` or `Market`); returns its id.
    pub fn enter(&mut self, kind: Kind, side: Side, account: u32, price: u64, qty: u64) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.place.push(NOWHERE);
        self.push(Command { kind, side, account, id, price, qty });
        id
    }

    /// `Cancel`, `Reduce` or `Move` a resting order.
    pub fn change(&mut self, kind: Kind, id: u64, price: u64, qty: u64) {
        let Order { side, account, .. } = self.resting(id);
        self.push(Command { kind, side, account, id, price, qty });
    }

    pub fn cancel(&mut self, id: u64) {
        self.change(Kind::Cancel, id, 0, 0);
    }

    pub fn shift(&mut self, id: u64, price: u64) {
        let qty = self.resting(id).qty;
        self.change(Kind::Move, id, price, qty);
    }

    /// An order known to rest: flows change only what they have picked from the book.
    pub fn resting(&self, id: u64) -> Order {
        let Some(order) = self.book.get(id) else {
            unreachable!("Invariant: only resting orders are picked and changed")
        };
        *order
    }

    pub fn account(&mut self) -> u32 {
        self.rng.below(ACCOUNTS) as u32
    }

    /// 70% 1..=10 lots, 25% 10..=100 by tens, 5% 100..=1000 by hundreds.
    pub fn quantity(&mut self) -> u64 {
        let class = self.rng.below(100);
        let lots = 1 + self.rng.below(10);
        match class {
            0..=69 => lots,
            70..=94 => 10 * lots,
            _ => 100 * lots,
        }
    }

    /// A resting order: half the time a recent one (up to four tries in the
    /// ring of the last 256), else any with equal chance.
    pub fn pick(&mut self) -> Option<u64> {
        if self.live.is_empty() {
            return None;
        }
        if self.rng.below(2) == 0 {
            for _ in 0..4 {
                if let Some(id) = self.young.pick(&mut self.rng)
                    && self.place[id as usize] != NOWHERE
                {
                    return Some(id);
                }
            }
        }
        let at = self.rng.below(self.live.len() as u64);
        Some(self.live[at as usize])
    }

    /// One of the last 64 orders that left the book, unless it has come back by a move.
    pub fn pick_left(&mut self) -> Option<u64> {
        let id = self.dead.pick(&mut self.rng)?;
        (self.place[id as usize] == NOWHERE).then_some(id)
    }

    pub fn side(&mut self, buy_per_cent: u64) -> Side {
        if self.rng.below(100) < buy_per_cent { Side::Buy } else { Side::Sell }
    }
}

/// `distance` ticks from `price`, away from the other side, within limits.
pub fn away(side: Side, price: u64, distance: u64) -> u64 {
    match side {
        Side::Buy => price.saturating_sub(distance).max(1),
        Side::Sell => (price + distance).min(MAX_PRICE),
    }
}

/// `distance` ticks from `price`, towards the other side, within limits.
pub fn towards(side: Side, price: u64, distance: u64) -> u64 {
    away(side.other(), price, distance)
}

/// The last `N` ids handed to it.
struct Ring<const N: usize> {
    ids: [u64; N],
    count: usize,
}

impl<const N: usize> Ring<N> {
    fn new() -> Self {
        Ring { ids: [0; N], count: 0 }
    }

    fn push(&mut self, id: u64) {
        self.ids[self.count % N] = id;
        self.count += 1;
    }

    fn pick(&self, rng: &mut Rng) -> Option<u64> {
        let filled = self.count.min(N) as u64;
        (filled > 0).then(|| self.ids[rng.below(filled) as usize])
    }
}
