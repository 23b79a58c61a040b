//! The stochastic family: `mixed`, `taker` and `deep`. Part of the definition of the flows.

use crate::format::{Command, Kind, Side};
use crate::generator::{Generator, away, towards};
use crate::rng::Rng;

/// The stochastic family. `reduce`, `shift`, `ioc` and `market` are weights per
/// mille of all commands; what they leave is split between new orders and
/// cancels so as to hold the book at `target` resting orders.
pub struct Mix {
    target: usize,
    commands: usize,
    fair: u64,
    /// Ticks by which the fair price moves, and one command in how many it does.
    drift: u64,
    drift_every: u64,
    depth: Depth,
    reduce: u64,
    shift: u64,
    ioc: u64,
    market: u64,
}

impl Mix {
    pub fn mixed(target: usize, scale: u64, drift_every: u64) -> Self {
        Mix {
            target,
            commands: 1_000_000,
            fair: 1_000_000,
            drift: 1,
            drift_every,
            depth: Depth::PowerLaw { scale, max: 8 },
            reduce: 15,
            shift: 20,
            ioc: 10,
            market: 3,
        }
    }

    pub fn taker() -> Self {
        Mix { ioc: 250, market: 80, ..Mix::mixed(10_000, 16, 128) }
    }

    pub fn deep() -> Self {
        Mix {
            fair: 1 << 27,
            drift: 200,
            depth: Depth::Octaves { lo: 4, hi: 26 },
            ..Mix::mixed(50_000, 0, 128)
        }
    }

    pub fn run(&self, s: &mut Generator) -> usize {
        let mut fair = self.fair;
        for _ in 0..self.target {
            let account = s.account();
            let side = s.side(50);
            let price = away(side, fair, 1 + self.depth.draw(&mut s.rng));
            let qty = s.quantity();
            s.enter(Kind::New, side, account, price, qty);
        }
        let prefill = s.commands.len();
        let mut up_per_cent = 50;
        while s.commands.len() < prefill + self.commands {
            if s.rng.below(16_384) == 0 {
                up_per_cent = [10, 50, 90][s.rng.below(3) as usize];
            }
            if s.rng.below(self.drift_every) == 0 {
                if s.rng.below(100) < up_per_cent {
                    fair += self.drift;
                } else {
                    fair -= self.drift;
                }
            }
            self.step(s, fair);
        }
        prefill
    }

    fn step(&self, s: &mut Generator, fair: u64) {
        let r = s.rng.below(1000);
        let reduce = self.reduce;
        let shift = reduce + self.shift;
        let ioc = shift + self.ioc;
        let market = ioc + self.market;
        if r < reduce {
            if let Some(id) = s.pick() {
                let qty = s.resting(id).qty;
                let by = 1 + s.rng.below(qty);
                s.change(Kind::Reduce, id, 0, by);
            }
        } else if r < shift {
            if let Some(id) = s.pick() {
                let side = s.resting(id).side;
                let price = self.limit_price(s, side, fair);
                s.shift(id, price);
            }
        } else if r < ioc {
            let account = s.account();
            let side = s.side(50);
            let other = side.other();
            let best = s.book.best(other).unwrap_or(away(other, fair, 1));
            let price = towards(side, best, s.rng.below(5));
            let qty = s.quantity();
            s.enter(Kind::Ioc, side, account, price, qty);
        } else if r < market {
            let account = s.account();
            let side = s.side(50);
            let qty = s.quantity();
            s.enter(Kind::Market, side, account, 0, qty);
        } else if s.rng.below(1000) < self.cancel_per_mille(s.book.resting()) {
            self.cancel_some(s, fair);
        } else {
            let account = s.account();
            let side = s.side(50);
            let price = self.limit_price(s, side, fair);
            let qty = s.quantity();
            s.enter(Kind::New, side, account, price, qty);
        }
    }

    /// 500 at the target, 2 more (less) per mille of surplus (shortage).
    fn cancel_per_mille(&self, resting: usize) -> u64 {
        let target = self.target as i64;
        let surplus = (resting as i64 - target) * 2000 / target;
        (500 + surplus).clamp(50, 950) as u64
    }

    /// One cancel in a hundred comes too late: its order has already left.
    /// While the best price of a side has been overtaken by the fair price,
    /// half the cancels pull its first order. Else any order is picked.
    fn cancel_some(&self, s: &mut Generator, fair: u64) {
        if s.rng.below(100) == 0
            && let Some(id) = s.pick_left()
        {
            let (kind, side) = (Kind::Cancel, Side::Buy);
            s.push(Command { kind, side, account: 0, id, price: 0, qty: 0 });
            return;
        }
        let stale = if s.book.best(Side::Buy).is_some_and(|p| p >= fair) {
            Some(Side::Buy)
        } else if s.book.best(Side::Sell).is_some_and(|p| p <= fair) {
            Some(Side::Sell)
        } else {
            None
        };
        let id = match stale {
            Some(side) if s.rng.below(2) == 0 => s.book.best_order(side),
            _ => s.pick(),
        };
        if let Some(id) = id {
            s.cancel(id);
        }
    }

    /// 2% marketable, up to two ticks through the other side's best price; the
    /// rest behind the fair price by the depth law.
    fn limit_price(&self, s: &mut Generator, side: Side, fair: u64) -> u64 {
        if s.rng.below(100) < 2 {
            let through = s.rng.below(3);
            if let Some(best) = s.book.best(side.other()) {
                return towards(side, best, through);
            }
        }
        away(side, fair, 1 + self.depth.draw(&mut s.rng))
    }
}

/// How far behind the fair price a passive order is placed.
#[derive(Clone, Copy)]
enum Depth {
    /// `below(scale << geometric(max))`: dense at the top, a long thin tail.
    PowerLaw { scale: u64, max: u32 },
    /// `below(2^(lo + below(hi - lo + 1)))`: equal mass in every octave.
    Octaves { lo: u64, hi: u64 },
}

impl Depth {
    fn draw(self, rng: &mut Rng) -> u64 {
        match self {
            Depth::PowerLaw { scale, max } => {
                let e = rng.geometric(max);
                rng.below(scale << e)
            }
            Depth::Octaves { lo, hi } => {
                let e = lo + rng.below(hi - lo + 1);
                rng.below(1 << e)
            }
        }
    }
}
