//! The replica, fed with the shard's frames alone, is the shard's state after every frame, and a
//! shard started from it decides as the first one goes on to.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "replica_agrees/steps.rs"]
mod steps;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use engine_core::replica::{Replica, SnapshotError};
use engine_core::{Again, Input, Ledger, Sequencer, Shard, ShardLimits};
use proptest::prelude::*;
use proptest::sample::Index;
use protocol::*;
use steps::{Step, step};

const ACCOUNTS: u32 = 4;
const ASSETS: [AssetId; 3] = [AssetId(1), AssetId(2), AssetId(4)];
const LIMITS: ShardLimits = ShardLimits {
    orders_max: 4096,
    open_orders_per_account_max: 6,
    trades_per_command_max: 8,
    accounts_max: ACCOUNTS,
    markets_max: 5,
};

fn catalog() -> Catalog {
    let asset = |id: AssetId| fixture::asset(id, &format!("A{id}"), 6);
    let market = |id, base, quote, base_units_per_lot, quote_units_per_tick_lot| MarketSpec {
        id: MarketId(id),
        symbol: format!("M{id}"),
        base,
        quote,
        base_units_per_lot,
        quote_units_per_tick_lot,
        price_max: fixture::price(1000),
        lots_max: Lots(1 << 20),
        maker_fee: FeeRate { millionths: 80_000 },
        taker_fee: FeeRate { millionths: 1_003 },
        ..fixture::market()
    };
    let [quote, base, other] = ASSETS;
    let times = |min, max| Multipliers {
        min_millionths: NonZeroU32::new(min),
        max_millionths: NonZeroU32::new(max),
    };
    let mut markets = vec![market(1, base, quote, 1000, 3), market(3, base, other, 7, 1)];
    markets[0].band = times(961_111, 1_048_888);
    markets[0].impact = times(975_000, 1_032_222);
    Catalog::new(ASSETS.map(asset).to_vec(), markets).unwrap()
}

/// A shard with its own ledger and numbers.
struct Engine {
    ledger: Arc<Ledger>,
    shard: Shard,
}

impl Engine {
    /// Starts from what the replica knows.
    fn from(replica: &Replica) -> Self {
        let catalog = replica.catalog();
        let ledger = Arc::new(Ledger::new(ACCOUNTS, catalog.asset_columns()));
        for balance in replica.balances() {
            ledger.restore(balance.account, balance.asset, balance.available);
        }
        let sequencer = Arc::new(Sequencer::after(replica.last_sequence()));
        let mut shard = Shard::new(Arc::clone(&ledger), sequencer, LIMITS);
        for market in catalog.markets() {
            shard.add_market(market.clone(), replica.market_state(market.id)).unwrap();
        }
        shard.own_accounts(catalog, replica.accounts_state());
        Engine { ledger, shard }
    }
}

/// The engine, what its frames make of a replica, and an engine started from that replica, whose
/// order ids may differ: it does not know in which order slots became free.
struct World {
    engine: Engine,
    replica: Replica,
    twin: Engine,
    twin_ids: BTreeMap<OrderId, OrderId>,
    /// Does again what the engine's frames say.
    again: Engine,
    given: Vec<(OrderId, AccountId)>,
    sent: Vec<Command>,
    steps: u64,
    fired: u64,
}

impl World {
    fn new() -> Self {
        let replica = Replica::new(catalog());
        World {
            engine: Engine::from(&replica),
            twin: Engine::from(&replica),
            again: Engine::from(&replica),
            replica,
            twin_ids: BTreeMap::new(),
            given: Vec::new(),
            sent: Vec::new(),
            steps: 0,
            fired: 0,
        }
    }

    /// Writes the replica down, reads it back and goes on with what was read.
    fn restart_replica(&mut self) {
        let pieces = pieces(&self.replica);
        let read =
            Replica::from_pieces(catalog(), pieces.iter().cloned().map(Ok::<_, SnapshotError>));
        let read = read.unwrap();
        assert_eq!(self::pieces(&read), pieces);
        assert!(read.balances().eq(self.replica.balances()));
        for market in self.replica.markets() {
            let again = read.market(market.spec().id).unwrap();
            assert_eq!(again.best(), market.best());
            assert_eq!(again.held(), market.held());
            let now_us = self.steps * 30_000_000;
            assert_eq!(again.figures(now_us, 60), market.figures(now_us, 60));
        }
        self.replica = read;
    }

    fn restart_twin(&mut self) {
        self.twin = Engine::from(&self.replica);
        self.twin_ids.clear();
        self.again = Engine::from(&self.replica);
    }

    fn twin_id(&self, order: OrderId) -> OrderId {
        self.twin_ids.get(&order).copied().unwrap_or(order)
    }

    fn run(&mut self, action: Action) {
        self.steps += 1;
        let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence: self.steps };
        // Half a minute a step: candles end and windows move.
        let command = Command { origin, time_us: self.steps * 30_000_000, action };
        self.sent.push(command);
        self.send(command);
    }

    fn run_again(&mut self, which: Index) {
        self.steps += 1;
        self.send(self.sent[which.index(self.sent.len())]);
    }

    fn send(&mut self, command: Command) {
        let cursor = StreamCursor { milliseconds: self.steps, counter: 1 };
        let bytes = self.engine.shard.apply(&Input { cursor, command }).concat();
        let mut asked = command;
        if let Action::Cancel { target: Target::Order(order), .. }
        | Action::Amend(Amend { target: Target::Order(order), .. }) = &mut asked.action
        {
            *order = self.twin_id(*order);
        }
        let twin = self.twin.shard.apply(&Input { cursor, command: asked }).concat();
        self.take(&bytes, &twin, cursor);
        // What the command made fire.
        while let Some(records) = self.engine.shard.fire_next() {
            let bytes = records.concat();
            let twin = self.twin.shard.fire_next().unwrap().concat();
            self.fired += 1;
            self.take(&bytes, &twin, cursor);
            assert_eq!(self.replica.last_origin(command.market()), Some(command.origin));
        }
        assert_eq!(self.twin.shard.fire_next(), None);
        assert!(self.replica.markets().all(|market| market.reached().is_none()));
    }

    /// A frame of the engine, and what the twin made of the same.
    fn take(&mut self, bytes: &[u8], twin: &[u8], cursor: StreamCursor) {
        let frame = Frame::parse(bytes).unwrap();
        let command = frame.command;
        self.compare_twin(&Frame::parse(twin).unwrap(), &frame);
        match self.again.shard.apply_again(&frame) {
            Again::Done(records) => assert_eq!(records.as_flattened(), bytes),
            Again::AsTold => (),
        }
        let trades = frame.trades().count() as u64;
        let traded_before = self.replica.market_state(command.market()).last_trade;
        let applied = self.replica.apply(&frame).unwrap();
        if applied.levels.is_empty() {
            assert_eq!(trades, 0);
        } else {
            assert_eq!(applied.market, command.market());
        }
        if let (Action::ListMarket(Listing { market, .. }), Outcome::MarketListed) =
            (command.action, frame.header.outcome)
        {
            let spec = self.replica.market(market).unwrap().spec();
            let World { engine, twin, again, .. } = self;
            for shard in [&mut engine.shard, &mut twin.shard, &mut again.shard] {
                shard.add_market(spec.clone(), self.replica.market_state(market)).unwrap();
            }
        }
        if let Some(order) = frame.header.outcome.order() {
            self.given.extend(command.account().map(|account| (order, account)));
        }
        let state = self.replica.market_state(command.market());
        assert_eq!(state.last_trade, traded_before + trades);
        let is_known = command.market() == MarketId::ACCOUNTS
            || self.replica.market(command.market()).is_some();
        if is_known {
            assert_eq!(self.replica.cursor(command.market()), cursor);
        }
        self.compare();
    }

    /// The twin must decide alike.
    fn compare_twin(&mut self, frame: &Frame<'_>, expected: &Frame<'_>) {
        let ids = (expected.header.outcome.order(), frame.header.outcome.order());
        if let (Some(order), Some(twin)) = ids {
            self.twin_ids.insert(order, twin);
        }
        let twin_id = |order| self.twin_id(order);
        let waiting = |it: WaitingOrder| WaitingOrder { order: twin_id(it.order), ..it };
        if let (Action::Fire(found), Action::Fire(fired)) =
            (frame.command.action, expected.command.action)
        {
            assert_eq!(found, waiting(fired));
        }
        let outcome = match expected.header.outcome {
            Outcome::Rested { order, lots_left } => {
                Outcome::Rested { order: twin_id(order), lots_left }
            }
            Outcome::Filled { order } => Outcome::Filled { order: twin_id(order) },
            Outcome::Expired { order, lots_left, reason } => {
                Outcome::Expired { order: twin_id(order), lots_left, reason }
            }
            Outcome::Waits { order, direction } => {
                Outcome::Waits { order: twin_id(order), direction }
            }
            Outcome::TriggerFailed { order, refusal } => {
                Outcome::TriggerFailed { order: twin_id(order), refusal }
            }
            other => other,
        };
        let events = expected.events().map(|event| match event {
            Event::Trade(trade) => {
                Event::Trade(Trade { maker_order: twin_id(trade.maker_order), ..trade })
            }
            Event::Closed(closed) => {
                Event::Closed(Closed { order: twin_id(closed.order), ..closed })
            }
            Event::Withdrawn(withdrawn) => {
                Event::Withdrawn(Withdrawn { waiting: waiting(withdrawn.waiting), ..withdrawn })
            }
        });
        assert_eq!(frame.events().collect::<Vec<_>>(), events.collect::<Vec<_>>());
        assert_eq!(frame.header.outcome, outcome);
        assert_eq!(frame.header.sequence, expected.header.sequence);
        assert_eq!(frame.header.previous, expected.header.previous);
        assert_eq!(frame.header.held, expected.header.held);
    }

    fn compare(&self) {
        self.replica.assert_consistent();
        let mut available = BTreeMap::new();
        for balance in self.replica.balances() {
            available.insert((balance.account, balance.asset), balance.available);
        }
        for account in (1..=ACCOUNTS).map(|id| AccountId::new(id).unwrap()) {
            for asset in ASSETS {
                let known = available.get(&(account, asset)).copied().unwrap_or(Units::ZERO);
                assert_eq!(known, self.engine.ledger.available(account, asset));
            }
        }
        for market in self.replica.markets() {
            let book = self.engine.shard.book(market.spec().id).unwrap();
            let state = self.replica.market_state(market.spec().id);
            for side in [Side::Bid, Side::Ask] {
                let resting = state.orders.iter().filter_map(Standing::resting);
                let mut known: Vec<_> = resting.filter(|order| order.side == side).collect();
                // Stable: orders of one price keep their places.
                known.sort_by_key(|order| match side {
                    Side::Bid => u64::MAX - order.price.ticks(),
                    Side::Ask => order.price.ticks(),
                });
                let known: Vec<_> =
                    known.iter().map(|it| (it.order, it.price, it.lots_left)).collect();
                let found: Vec<_> =
                    book.walk(side).map(|it| (it.order, it.price, it.lots_left)).collect();
                assert_eq!(known, found);
                let best = market.levels().best_first(side).next().map(|(price, _)| price);
                assert_eq!(best, book.best(side));
            }
            assert_eq!(book.waiting_orders(), market.orders().waiting());
        }
    }
}

fn pieces(replica: &Replica) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    replica.write_pieces(&mut |piece| pieces.push(piece.to_vec()));
    pieces
}

#[test]
fn pieces_that_are_changed_missing_or_moved_are_no_state() {
    let mut world = World::new();
    for id in 1..3 {
        world.run(Action::CreateAccount);
        let account = AccountId::new(id).unwrap();
        let transfer =
            Transfer { account, asset: ASSETS[0], units: Units(9), id: TransferId(id.into()) };
        world.run(Action::Deposit(transfer));
        for holder in [Action::OWN_SWITCH, GatewayId(7), GatewayId(8)] {
            world.run(Action::SetCancelAfter { account, holder, timeout_ms: 1000 });
        }
        let holder = GatewayId(7);
        world.run(Action::ExpireCancelAfter { account, holder, deadline_us: 0 });
    }
    for market in [MarketId(1), MarketId(3)] {
        let account = AccountId::new(1).unwrap();
        world.run(Action::cancel_all(market, account));
    }
    let whole = pieces(&world.replica);
    let read = |pieces: &[Vec<u8>]| {
        let pieces = pieces.iter().cloned().map(Ok::<_, SnapshotError>);
        Replica::from_pieces(catalog(), pieces)
    };
    assert_eq!(pieces(&read(&whole).unwrap()), whole);
    for at in 0..whole.len() {
        let mut less = whole.clone();
        less.remove(at);
        assert!(!read(&less).is_ok_and(|again| pieces(&again) == whole), "without piece {at}");
        for byte in 0..whole[at].len() {
            let mut changed = whole.clone();
            changed[at][byte] ^= 1;
            // Checksums are the file's; what reads all the same is at least a state that adds up.
            if let Ok(again) = read(&changed) {
                again.assert_consistent();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_replica_is_the_engine_s_state(steps in prop::collection::vec(step(), 1..200)) {
        let mut world = World::new();
        for id in 1..ACCOUNTS {
            world.run(Action::CreateAccount);
            for asset in ASSETS {
                let account = AccountId::new(id).unwrap();
                let transfer_id = TransferId(u128::from(id) << 32 | u128::from(asset.0));
                let units = Units(60_000);
                world.run(Action::Deposit(Transfer { account, asset, units, id: transfer_id }));
            }
        }
        for step in steps {
            match step {
                Step::Do(action) => world.run(action),
                Step::Cancel(which) if !world.given.is_empty() => {
                    let (order, account) = world.given[which.index(world.given.len())];
                    let target = Target::Order(order);
                    world.run(Action::Cancel { market: order.market(), account, target });
                }
                Step::Amend(which, price, lots) if !world.given.is_empty() => {
                    let (order, account) = world.given[which.index(world.given.len())];
                    let (market, target) = (order.market(), Target::Order(order));
                    let amend = Amend { market, account, target, price, lots, valid_until_us: 0 };
                    world.run(Action::Amend(amend));
                }
                Step::Cancel(_) | Step::Amend(..) => (),
                Step::Expire(account, holder) => {
                    let mut known = world.replica.accounts().cancel_afters().deadlines();
                    let due = known.find(|it| (it.account, it.holder) == (account, holder));
                    drop(known);
                    // Where none stands, a fan-out says that a socket has closed.
                    let deadline_us = due.map_or(0, |due| due.deadline_us);
                    world.run(Action::ExpireCancelAfter { account, holder, deadline_us });
                }
                Step::CloseSocket(account, holder) => {
                    let deadline_us = 0;
                    world.run(Action::ExpireCancelAfter { account, holder, deadline_us });
                }
                Step::Again(which) => world.run_again(which),
                Step::RestartTwin => {
                    world.restart_replica();
                    world.restart_twin();
                }
            }
        }
        let last = world.replica.last_sequence().unwrap();
        prop_assert_eq!(last, Sequence(world.steps + world.fired));
    }
}
