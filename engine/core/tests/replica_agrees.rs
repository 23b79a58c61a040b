//! The replica, fed with the shard's frames alone, is the shard's state after every frame, and a
//! shard started from it decides as the first one goes on to.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

use engine_core::replica::{Replica, SnapshotError};
use engine_core::{Input, Ledger, Sequencer, Shard, ShardLimits};
use proptest::prelude::*;
use proptest::sample::Index;
use protocol::{
    AccountId, Action, AssetId, BookState, Catalog, ClientId, Closed, Command, Event, FeeRate,
    Frame, GatewayId, Increment, Listing, LotTerms, Lots, MarketId, MarketSpec, Multipliers,
    OrderId, OrderKind, Origin, Outcome, Place, Price, PriceTerms, SelfTradePrevention, Sequence,
    Side, StreamCursor, Target, TimeInForce, Trade, Transfer, TransferId, Units, fixture,
};

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
    given: Vec<(OrderId, AccountId)>,
    sent: Vec<Command>,
    steps: u64,
}

impl World {
    fn new() -> Self {
        let replica = Replica::new(catalog());
        World {
            engine: Engine::from(&replica),
            twin: Engine::from(&replica),
            replica,
            twin_ids: BTreeMap::new(),
            given: Vec::new(),
            sent: Vec::new(),
            steps: 0,
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
        let frame = Frame::parse(&bytes).unwrap();
        self.run_twin(cursor, command, &frame);
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
            for shard in [&mut self.engine.shard, &mut self.twin.shard] {
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
    fn run_twin(&mut self, cursor: StreamCursor, mut command: Command, expected: &Frame<'_>) {
        if let Action::Cancel { target: Target::Order(order), .. } = &mut command.action {
            *order = self.twin_id(*order);
        }
        let bytes = self.twin.shard.apply(&Input { cursor, command }).concat();
        let frame = Frame::parse(&bytes).unwrap();
        let ids = (expected.header.outcome.order(), frame.header.outcome.order());
        if let (Some(order), Some(twin)) = ids {
            self.twin_ids.insert(order, twin);
        }
        let twin_id = |order| self.twin_id(order);
        let outcome = match expected.header.outcome {
            Outcome::Rested { order, lots_left } => {
                Outcome::Rested { order: twin_id(order), lots_left }
            }
            Outcome::Filled { order } => Outcome::Filled { order: twin_id(order) },
            Outcome::Expired { order, lots_left, reason } => {
                Outcome::Expired { order: twin_id(order), lots_left, reason }
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
            Event::Withdrawn(withdrawn) => Event::Withdrawn(withdrawn),
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
                let mut known: Vec<_> =
                    state.orders.iter().filter(|order| order.side == side).collect();
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

fn account() -> impl Strategy<Value = AccountId> {
    // One beyond what there is, now and then.
    prop_oneof![12 => 1..ACCOUNTS, 1 => ACCOUNTS..ACCOUNTS + 2]
        .prop_map(|id| AccountId::new(id).unwrap())
}

fn market() -> impl Strategy<Value = MarketId> {
    prop_oneof![20 => Just(MarketId(1)), 8 => Just(MarketId(3)), 1 => Just(MarketId(2))]
}

fn place() -> impl Strategy<Value = Action> {
    let price = || (95u64..106).prop_map(|ticks| Price::from_ticks(ticks).unwrap());
    let lots = || prop_oneof![30 => 1u64..12, 1 => 0u64..1 << 21].prop_map(Lots);
    let kind = prop_oneof![
        8 => (price(), lots(), prop::bool::weighted(0.15))
            .prop_map(|(price, lots, post_only)| OrderKind::Limit { price, lots, post_only }),
        1 => lots().prop_map(|lots| OrderKind::MarketByLots { lots }),
        1 => (1u64..20_000).prop_map(|it| OrderKind::MarketByQuote { quote: Units(it) }),
    ];
    let time_in_force = prop_oneof![
        6 => Just(TimeInForce::GoodTillCancelled),
        1 => Just(TimeInForce::ImmediateOrCancel),
        1 => Just(TimeInForce::FillOrKill),
    ];
    let self_trade = prop::sample::select(vec![
        SelfTradePrevention::RejectTaker,
        SelfTradePrevention::RejectMaker,
        SelfTradePrevention::RejectBoth,
    ]);
    let side = prop::sample::select(vec![Side::Bid, Side::Ask]);
    let client_id = prop::option::of((0u32..3).prop_map(ClientId));
    (market(), account(), side, kind, time_in_force, self_trade, client_id).prop_map(
        |(market, account, side, kind, time_in_force, self_trade_prevention, client_id)| {
            Action::Place(Place {
                market,
                account,
                side,
                kind,
                time_in_force,
                self_trade_prevention,
                client_id,
                valid_until_us: 0,
            })
        },
    )
}

#[derive(Clone, Debug)]
enum Step {
    Do(Action),
    /// One of the ids given out so far.
    Cancel(Index),
    /// A command sent before comes again.
    Again(Index),
    RestartTwin,
}

/// Listings, some of them such as cannot be.
fn listing() -> impl Strategy<Value = Action> {
    let increment = || {
        let scale = prop_oneof![8 => 0u32..3, 1 => 3u32..20];
        let mantissa = prop_oneof![8 => Just(1u64), 1 => Just(0), 1 => Just(10)];
        (mantissa, scale).prop_map(|(mantissa, scale)| Increment { mantissa, scale })
    };
    let assets = || (0..6u16).prop_map(AssetId);
    let market = prop::sample::select(vec![MarketId(1), MarketId(2), MarketId(9)]);
    (market, assets(), assets(), increment(), increment()).prop_map(
        |(market, base, quote, tick, step)| {
            Action::ListMarket(Listing { market, base, quote, tick, step })
        },
    )
}

/// Mostly open, so that something goes on.
fn book_state() -> impl Strategy<Value = BookState> {
    prop_oneof![2 => Just(BookState::Open), 1 => prop::sample::select(&BookState::ALL)]
}

/// Terms of a market, some of them such as none can have.
fn set_terms() -> impl Strategy<Value = Action> {
    fn factor(around: Range<u32>) -> impl Strategy<Value = Option<NonZeroU32>> {
        prop_oneof![1 => Just(None), 3 => around.prop_map(NonZeroU32::new)]
    }
    let multipliers = move || {
        (factor(940_000..1_005_000), factor(995_000..1_060_000)).prop_map(
            |(min_millionths, max_millionths)| Multipliers { min_millionths, max_millionths },
        )
    };
    let price = |range: Range<u64>| range.prop_map(fixture::price);
    let prices = (market(), price(1..99), price(98..1000), multipliers(), multipliers()).prop_map(
        |(market, price_min, price_max, band, impact)| {
            let terms = PriceTerms { price_min, price_max, band, impact };
            Action::SetPriceTerms { market, terms }
        },
    );
    let fee = || (0u32..1_010_000).prop_map(|millionths| FeeRate { millionths });
    let lots = (market(), 0u64..3, 1u64..1 << 20, fee(), fee()).prop_map(
        |(market, lots_min, lots_max, maker_fee, taker_fee)| {
            let (lots_min, lots_max) = (Lots(lots_min), Lots(lots_max));
            let terms = LotTerms { lots_min, lots_max, maker_fee, taker_fee };
            Action::SetLotTerms { market, terms }
        },
    );
    prop_oneof![prices, lots]
}

fn step() -> impl Strategy<Value = Step> {
    let client = (market(), account(), 0u32..3).prop_map(|(market, account, id)| Action::Cancel {
        market,
        account,
        target: Target::Client(ClientId(id)),
    });
    let all =
        (market(), account()).prop_map(|(market, account)| Action::cancel_all(market, account));
    let assets = prop::sample::select(vec![ASSETS[0], ASSETS[1], ASSETS[2], AssetId(3)]);
    let transfer =
        (account(), assets, 0u64..60_000, 0u128..40).prop_map(|(account, asset, units, id)| {
            Transfer { account, asset, units: Units(units), id: TransferId(id) }
        });
    let transfer = (transfer, any::<bool>()).prop_map(|(transfer, deposits)| match deposits {
        true => Action::Deposit(transfer),
        false => Action::Withdraw(transfer),
    });
    prop_oneof![
        40 => place().prop_map(Step::Do),
        8 => any::<Index>().prop_map(Step::Cancel),
        2 => client.prop_map(Step::Do),
        1 => all.prop_map(Step::Do),
        1 => Just(Step::Do(Action::CreateAccount)),
        4 => transfer.prop_map(Step::Do),
        2 => any::<Index>().prop_map(Step::Again),
        2 => set_terms().prop_map(Step::Do),
        2 => listing().prop_map(Step::Do),
        3 => (market(), book_state())
            .prop_map(|(market, state)| Step::Do(Action::SetBookState { market, state })),
        2 => Just(Step::RestartTwin),
    ]
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
                Step::Cancel(_) => (),
                Step::Again(which) => world.run_again(which),
                Step::RestartTwin => {
                    world.restart_replica();
                    world.restart_twin();
                }
            }
        }
        let last = world.replica.last_sequence().unwrap();
        prop_assert_eq!(last, Sequence(world.steps));
    }
}
