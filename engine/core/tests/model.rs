//! Model check: loom runs every interleaving of two and three shards on one ledger and one
//! sequence, and in each of them every prefix of the sequence leaves no balance below zero and the
//! end equals the ledger. Variants that break the discipline are found.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test --release -p engine-core --test model
//! ```
//!
//! Loom takes the operations of one thread in the order they are written, so this checks the order
//! of hold, draw and give; that a processor keeps to it is argued where the orderings stand
//! (`src/ledger.rs`). Two shards are checked in full; three up to a bound of preemptions: switches
//! that take the turn from a shard that could go on.

#![cfg(loom)]
#![allow(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

use std::sync::Arc as Plain;
use std::sync::atomic::{AtomicU64, Ordering};

use engine_core::{AccountsState, Input, Ledger, MarketState, Sequencer, Shard, ShardLimits};
use loom::sync::Arc;
use loom::thread;
use protocol::effects::{Holder, balance_changes};
use protocol::*;

const ASSETS: u16 = 3;

/// In which order a shard takes its three steps. Only the first is right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Discipline {
    HoldDrawGive,
    DrawBeforeHold,
    GiveBeforeDraw,
}

/// Takes units of one asset, or is refused, and gives units of others; all of account 1. One that
/// takes nothing is a cancel: it gives back what was held before.
#[derive(Clone, Copy, Debug)]
struct Work {
    takes: (u16, u64),
    gives: [(u16, u64); 2],
}

const fn order(takes: (u16, u64), gives: (u16, u64)) -> Work {
    Work { takes, gives: [gives, (0, 0)] }
}

const fn cancel(gives: (u16, u64)) -> Work {
    Work { takes: (0, 0), gives: [gives, (0, 0)] }
}

/// What one command came to.
#[derive(Clone, Copy, Debug)]
struct Done {
    sequence: Sequence,
    work: Work,
    accepted: bool,
}

fn account() -> AccountId {
    AccountId::new(1).unwrap()
}

fn hold(ledger: &Ledger, (asset, units): (u16, u64)) -> bool {
    units == 0 || ledger.hold(account(), AssetId(asset), Units(units)).is_ok()
}

fn give(ledger: &Ledger, work: &Work) {
    for (asset, units) in work.gives {
        ledger.credit(account(), AssetId(asset), Units(units));
    }
}

fn run(discipline: Discipline, ledger: &Ledger, sequencer: &Sequencer, work: Work) -> Done {
    let (sequence, accepted);
    match discipline {
        Discipline::HoldDrawGive => {
            accepted = hold(ledger, work.takes);
            sequence = sequencer.draw();
            if accepted {
                give(ledger, &work);
            }
        }
        Discipline::DrawBeforeHold => {
            sequence = sequencer.draw();
            accepted = hold(ledger, work.takes);
            if accepted {
                give(ledger, &work);
            }
        }
        Discipline::GiveBeforeDraw => {
            accepted = hold(ledger, work.takes);
            if accepted {
                give(ledger, &work);
            }
            sequence = sequencer.draw();
        }
    }
    Done { sequence, work, accepted }
}

/// Whether the sequence tells a story that could have happened, and ends as the ledger does.
fn is_causal(start: [u64; ASSETS as usize], mut all: Vec<Done>, end: [u64; 3]) -> bool {
    all.sort_by_key(|done| done.sequence);
    let mut cells = start.map(i128::from);
    for (at, done) in all.iter().enumerate() {
        assert_eq!(done.sequence, Sequence(at as u64 + 1), "every command has its own number");
        if !done.accepted {
            continue;
        }
        let (asset, units) = done.work.takes;
        cells[usize::from(asset)] -= i128::from(units);
        if cells.iter().any(|cell| *cell < 0) {
            return false;
        }
        for (asset, units) in done.work.gives {
            cells[usize::from(asset)] += i128::from(units);
        }
    }
    cells == end.map(i128::from)
}

/// Counted over all executions of a model.
#[derive(Debug, Default)]
struct Explored {
    executions: AtomicU64,
    violations: AtomicU64,
    refusals: AtomicU64,
}

impl Explored {
    fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// Tries the interleavings of these shards, each with its commands in order.
fn explore(
    discipline: Discipline,
    start: [u64; ASSETS as usize],
    shards: &[&[Work]],
    preemption_bound: Option<usize>,
) -> Explored {
    let explored = Plain::new(Explored::default());
    let inner = Plain::clone(&explored);
    let shards: Vec<Vec<Work>> = shards.iter().map(|works| works.to_vec()).collect();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemption_bound;
    builder.check(move || {
        let ledger = Arc::new(Ledger::new(1, usize::from(ASSETS)));
        for (asset, units) in (0..).zip(start) {
            ledger.restore(account(), AssetId(asset), Units(units));
        }
        let sequencer = Arc::new(Sequencer::after(None));
        let threads: Vec<_> = shards
            .iter()
            .map(|works| {
                let (ledger, sequencer) = (Arc::clone(&ledger), Arc::clone(&sequencer));
                let works = works.clone();
                let step = move |work: &Work| run(discipline, &ledger, &sequencer, *work);
                thread::spawn(move || works.iter().map(step).collect::<Vec<_>>())
            })
            .collect();
        let all: Vec<_> = threads.into_iter().flat_map(|it| it.join().unwrap()).collect();
        let end = [0, 1, 2].map(|asset| ledger.available(account(), AssetId(asset)).0);
        Explored::count(&inner.executions);
        if all.iter().any(|done| !done.accepted) {
            Explored::count(&inner.refusals);
        }
        if !is_causal(start, all, end) {
            Explored::count(&inner.violations);
        }
    });
    Plain::try_unwrap(explored).unwrap()
}

/// The discipline holds in all executions, among them some with a refusal and some without, and
/// both broken variants are found.
fn check(
    name: &str,
    start: [u64; ASSETS as usize],
    shards: &[&[Work]],
    preemption_bound: Option<usize>,
) {
    use Discipline::{DrawBeforeHold, GiveBeforeDraw, HoldDrawGive};
    let right = explore(HoldDrawGive, start, shards, preemption_bound);
    println!("{name}: {right:?}");
    assert_eq!(Explored::get(&right.violations), 0, "{name}");
    let (executions, refusals) = (Explored::get(&right.executions), Explored::get(&right.refusals));
    assert!(0 < refusals && refusals < executions, "{name}: {refusals} of {executions} refused");
    for broken in [DrawBeforeHold, GiveBeforeDraw] {
        let found = explore(broken, start, shards, preemption_bound);
        println!("{name}, {broken:?}: {found:?}");
        assert!(0 < Explored::get(&found.violations), "{name}: {broken:?} was not found");
    }
}

#[test]
fn two_shards_one_takes_what_the_other_gives() {
    check(
        "one gives, one takes",
        [10, 0, 0],
        &[&[order((0, 10), (1, 10))], &[order((1, 10), (2, 10))]],
        None,
    );
}

#[test]
fn two_shards_that_give_to_each_other() {
    check(
        "to and fro",
        [10, 4, 0],
        &[
            &[order((0, 10), (1, 6)), order((1, 5), (0, 3))],
            &[order((1, 7), (0, 5)), cancel((1, 2))],
        ],
        None,
    );
}

#[test]
fn two_shards_compete_for_one_cell_and_a_cancel_gives_back() {
    check(
        "competing",
        [14, 0, 0],
        &[&[cancel((0, 5)), order((0, 9), (1, 9))], &[order((0, 14), (2, 1)), cancel((0, 4))]],
        None,
    );
}

#[test]
fn three_shards_in_a_ring() {
    check(
        "ring of three",
        [5, 0, 0],
        &[&[order((0, 5), (1, 5))], &[order((1, 5), (2, 5))], &[order((2, 5), (0, 5))]],
        Some(3),
    );
}

#[test]
fn three_shards_with_a_cancel_between_them() {
    check(
        "three with a cancel",
        [5, 0, 0],
        &[
            &[order((0, 5), (1, 5)), cancel((0, 2))],
            &[order((1, 5), (2, 5))],
            &[order((2, 5), (0, 5)), order((0, 6), (1, 1))],
        ],
        Some(3),
    );
}

/// Base and quote change places from one market to the other: what one sells, the other spends.
fn market(id: u16, base: u16, quote: u16) -> MarketSpec {
    MarketSpec {
        id: MarketId(id),
        symbol: format!("M{id}"),
        base: AssetId(base),
        quote: AssetId(quote),
        tick: Increment { mantissa: 1, scale: 0 },
        step: Increment { mantissa: 1, scale: 0 },
        base_units_per_lot: 10,
        quote_units_per_tick_lot: 10,
        price_max: fixture::price(100),
        lots_max: Lots(100),
        maker_fee: FeeRate { millionths: 0 },
        taker_fee: FeeRate { millionths: 0 },
        ..fixture::market()
    }
}

fn place(market: u16, account: u32, side: Side, lots: u64) -> Action {
    let kind = OrderKind::Limit { price: fixture::price(1), lots: Lots(lots), post_only: false };
    Action::Place(Place {
        market: MarketId(market),
        account: AccountId::new(account).unwrap(),
        side,
        kind,
        time_in_force: TimeInForce::GoodTillCancelled,
        self_trade_prevention: SelfTradePrevention::RejectMaker,
        client_id: None,
        valid_until_us: 0,
    })
}

/// Applies the actions and keeps the frames.
fn apply(shard: &mut Shard, actions: &[Action], first: u64) -> Vec<Vec<u8>> {
    let numbered = (first..).zip(actions);
    let frames = numbered.map(|(number, action)| {
        let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence: number };
        let command = Command { origin, time_us: 1, action: *action };
        let cursor = StreamCursor { milliseconds: number, counter: 0 };
        shard.apply(&Input { cursor, command }).concat()
    });
    frames.collect()
}

/// The balances that the frames tell, in the order of their sequence; panics below zero.
fn balances_of(mut frames: Vec<Vec<u8>>, markets: &[MarketSpec]) -> [i128; 6] {
    frames.sort_by_key(|bytes| Frame::parse(bytes).unwrap().header.sequence);
    let mut available = [0i128; 6];
    for bytes in &frames {
        let frame = Frame::parse(bytes).unwrap();
        let market = markets.iter().find(|market| market.id == frame.command.market());
        balance_changes(&frame, market, |change| {
            if let Holder::Account(account) = change.holder {
                let cell = account.index() * 3 + change.asset.index();
                available[cell] += change.available;
            }
        })
        .unwrap();
        assert!(available.iter().all(|units| 0 <= *units), "{available:?} at {frame:?}");
    }
    available
}

/// The real shards on two markets and the same two accounts: each sells to a maker of its own
/// market what the other market's trade brings in.
#[test]
fn real_shards_keep_the_discipline() {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 10_000;
    let (accepted, refused) = (Plain::new(AtomicU64::new(0)), Plain::new(AtomicU64::new(0)));
    let counters = (Plain::clone(&accepted), Plain::clone(&refused));
    builder.check(move || {
        let limits = ShardLimits {
            orders_max: 4,
            open_orders_per_account_max: 4,
            trades_per_command_max: 4,
            accounts_max: 2,
            markets_max: 5,
        };
        let markets = [market(1, 1, 2), market(2, 2, 1)];
        let assets = [(1, "A"), (2, "B")].map(|(id, name)| fixture::asset(AssetId(id), name, 0));
        let catalog = Catalog::new(assets.to_vec(), Vec::new()).unwrap();
        let ledger = std::sync::Arc::new(Ledger::new(2, 3));
        let sequencer = std::sync::Arc::new(Sequencer::after(None));
        let mut shards = markets.each_ref().map(|market| {
            let (ledger, sequencer) = (ledger.clone(), sequencer.clone());
            let mut shard = Shard::new(ledger, sequencer, limits);
            shard.add_market(market.clone(), MarketState::default()).unwrap();
            shard
        });
        shards[0].own_accounts(&catalog, AccountsState::default());
        let deposit = |account, asset, units| {
            let account = AccountId::new(account).unwrap();
            let id = TransferId(u128::from(asset) << 8 | u128::from(account.get()));
            Action::Deposit(Transfer { account, asset: AssetId(asset), units: Units(units), id })
        };
        // Account 1 has 10 of asset 1; account 2 bids for whatever is sold in both markets.
        let [first, second] = &mut shards;
        let create = Action::CreateAccount;
        let opening = [create, create, deposit(1, 1, 10), deposit(2, 2, 10), deposit(2, 1, 10)];
        let mut frames = apply(first, &opening, 1);
        frames.extend(apply(first, &[place(1, 2, Side::Bid, 1)], 6));
        frames.extend(apply(second, &[place(2, 2, Side::Bid, 1)], 1));
        let cancel_all = Action::cancel_all(MarketId(2), AccountId::new(1).unwrap());
        let works = [vec![place(1, 1, Side::Ask, 1)], vec![place(2, 1, Side::Ask, 1), cancel_all]];
        let threads = shards
            .into_iter()
            .zip(works)
            .map(|(mut shard, work)| thread::spawn(move || apply(&mut shard, &work, 10)));
        let threads: Vec<_> = threads.collect();
        let racing: Vec<_> = threads.into_iter().map(|it| it.join().unwrap()).collect();
        let sold = Frame::parse(&racing[1][0]).unwrap().is_effective();
        let counter = if sold { &counters.0 } else { &counters.1 };
        counter.fetch_add(1, Ordering::Relaxed);
        frames.extend(racing.into_iter().flatten());
        let told = balances_of(frames, &markets);
        for account in [1, 2] {
            for asset in [1, 2] {
                let cell = (account as usize - 1) * 3 + usize::from(asset);
                let available = ledger.available(AccountId::new(account).unwrap(), AssetId(asset));
                assert_eq!(told[cell], i128::from(available.0));
            }
        }
    });
    println!("real shards: {accepted:?} sold, {refused:?} refused");
    assert!(0 < accepted.load(Ordering::Relaxed) && 0 < refused.load(Ordering::Relaxed));
}
