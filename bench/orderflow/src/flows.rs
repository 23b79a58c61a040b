//! The flows by name. Every rule here is restated in `README.md`; where the two differ, this file,
//! `mix.rs` and `generator.rs` are the definition.

use crate::format::{Flow, Kind, Side};
use crate::generator::{Generator, away};
use crate::mix::Mix;

/// Names of all flows, in the order of `expected.csv`.
pub const FLOWS: [&str; 9] =
    ["mixed-1k", "mixed-10k", "mixed-100k", "taker", "deep", "quotes", "far", "sweep", "queue"];

/// Build a flow by name; `None` if there is no such flow.
pub fn generate(name: &str, seed: u64) -> Option<Flow> {
    let mut generator = Generator::new(seed);
    let prefill = match name {
        "mixed-1k" => Mix::mixed(1_000, 4, 128).run(&mut generator),
        "mixed-10k" => Mix::mixed(10_000, 16, 256).run(&mut generator),
        "mixed-100k" => Mix::mixed(100_000, 64, 1024).run(&mut generator),
        "taker" => Mix::taker().run(&mut generator),
        "deep" => Mix::deep().run(&mut generator),
        "quotes" => quotes(&mut generator),
        "far" => far(&mut generator),
        "sweep" => sweep(&mut generator),
        "queue" => queue(&mut generator),
        _ => return None,
    };
    Some(Flow { name: name.to_owned(), seed, prefill, commands: generator.commands })
}

/// 32 market makers, 16 quotes a side each, forever re-quoting around a slowly
/// wandering middle; one step in fifty a taker.
fn quotes(s: &mut Generator) -> usize {
    const MAKERS: u64 = 32;
    const LEVELS: u64 = 16;
    const COMMANDS: usize = 1_000_000;
    let mut fair: u64 = 1_000_000;
    let mut slots = vec![0u64; (MAKERS * LEVELS * 2) as usize];
    for maker in 0..MAKERS {
        for level in 0..LEVELS {
            for side in [Side::Buy, Side::Sell] {
                let price = away(side, fair, 1 + level);
                let qty = s.quantity();
                let slot = ((maker * LEVELS + level) * 2 + side as u64) as usize;
                slots[slot] = s.enter(Kind::New, side, maker as u32, price, qty);
            }
        }
    }
    let prefill = s.commands.len();
    while s.commands.len() < prefill + COMMANDS {
        match s.rng.below(512) {
            0 => fair += 1,
            1 => fair -= 1,
            _ => {}
        }
        if s.rng.below(50) == 0 {
            let account = s.account();
            let side = s.side(50);
            let other = side.other();
            let price = s.book.best(other).unwrap_or(away(other, fair, 1));
            let qty = s.quantity();
            s.enter(Kind::Ioc, side, account, price, qty);
            continue;
        }
        let maker = s.rng.below(MAKERS);
        let level = u64::from(s.rng.geometric(LEVELS as u32 - 1));
        let side = s.side(50);
        let slot = ((maker * LEVELS + level) * 2 + side as u64) as usize;
        let price = away(side, fair, 1 + level + s.rng.below(2));
        let id = slots[slot];
        if s.book.get(id).is_some() {
            if s.rng.below(4) == 0 {
                s.shift(id, price);
                continue;
            }
            s.cancel(id);
        }
        let qty = s.quantity();
        slots[slot] = s.enter(Kind::New, side, maker as u32, price, qty);
    }
    prefill
}

/// A thin book spread over the whole price range, 2^16 to 2^30 ticks from the
/// middle; the best order keeps being cancelled or taken.
fn far(s: &mut Generator) -> usize {
    const TARGET: usize = 500;
    const COMMANDS: usize = 500_000;
    let place = |s: &mut Generator| {
        let account = s.account();
        let side = s.side(50);
        let e = 16 + s.rng.below(14);
        let distance = (1 << e) + s.rng.below(1 << e);
        let qty = s.quantity();
        let price = away(side, 1 << 30, distance);
        s.enter(Kind::New, side, account, price, qty);
    };
    for _ in 0..TARGET {
        place(s);
    }
    let prefill = s.commands.len();
    while s.commands.len() < prefill + COMMANDS {
        let r = s.rng.below(100);
        if r < 5 {
            let account = s.account();
            let side = s.side(50);
            let qty = s.quantity();
            s.enter(Kind::Market, side, account, 0, qty);
        } else if r < 50 && s.book.resting() > TARGET / 2 {
            let id = if s.rng.below(2) == 0 {
                let side = s.side(50);
                s.book.best_order(side)
            } else {
                s.pick()
            };
            if let Some(id) = id {
                s.cancel(id);
            }
        } else {
            place(s);
        }
    }
    prefill
}

/// Ten times: 100,000 orders over 10,000 adjacent levels of one side, entered
/// in random order, then one market order that takes them all.
fn sweep(s: &mut Generator) -> usize {
    const LEVELS: u64 = 10_000;
    const PER_LEVEL: u64 = 10;
    for round in 0..10 {
        let (maker_side, taker_side) =
            if round % 2 == 0 { (Side::Sell, Side::Buy) } else { (Side::Buy, Side::Sell) };
        let mut levels: Vec<u64> = (0..LEVELS * PER_LEVEL).map(|i| i / PER_LEVEL).collect();
        s.rng.shuffle(&mut levels);
        let mut total = 0;
        for level in levels {
            let account = s.account();
            let qty = s.quantity();
            total += qty;
            let price = away(maker_side, 1_000_000, 1 + level);
            s.enter(Kind::New, maker_side, account, price, qty);
        }
        let account = s.account();
        s.enter(Kind::Market, taker_side, account, 0, total);
    }
    0
}

/// Five times: 100,000 orders at one price; 50,000 cancelled from the middle
/// outwards, 40,000 of the rest in random order; a market order takes the rest.
fn queue(s: &mut Generator) -> usize {
    const ORDERS: usize = 100_000;
    for _ in 0..5 {
        let mut ids = Vec::with_capacity(ORDERS);
        for _ in 0..ORDERS {
            let account = s.account();
            let qty = s.quantity();
            ids.push(s.enter(Kind::New, Side::Buy, account, 1_000_000, qty));
        }
        let middle = ORDERS / 2;
        for i in 0..ORDERS / 4 {
            s.cancel(ids[middle - 1 - i]);
            s.cancel(ids[middle + i]);
        }
        let mut rest = ids[..ORDERS / 4].to_vec();
        rest.extend_from_slice(&ids[ORDERS * 3 / 4..]);
        s.rng.shuffle(&mut rest);
        for &id in &rest[..40_000] {
            s.cancel(id);
        }
        let left = rest[40_000..].iter();
        let total = left.map(|&id| s.resting(id).qty).sum();
        let account = s.account();
        s.enter(Kind::Market, Side::Sell, account, 0, total);
    }
    0
}
