//! The real engine answers to the naive one, frame by frame and cell by cell.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at what it did not expect"
)]

mod naive;

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;

use engine_core::recognition::{Memory, SenderState};
use engine_core::{AccountsState, Input, Ledger, MarketState, Sequencer, Shard, ShardLimits};
use naive::{NaiveExchange, NaiveLimits};
use proptest::prelude::*;
use protocol::*;

const ACCOUNTS: u32 = 4;
const ASSETS: u16 = 3;
const LIMITS: ShardLimits = ShardLimits {
    orders_max: 4096,
    // More than trades: what bounds the one must not bound the other.
    open_orders_per_account_max: 6,
    trades_per_command_max: 5,
    accounts_max: ACCOUNTS,
    markets_max: 3,
};

fn catalog() -> Catalog {
    let market =
        |id, symbol: &str, base, quote, base_units_per_lot, quote_units_per_tick_lot| MarketSpec {
            id: MarketId(id),
            symbol: symbol.to_owned(),
            base: AssetId(base),
            quote: AssetId(quote),
            base_units_per_lot,
            quote_units_per_tick_lot,
            price_min: fixture::price(2),
            price_max: fixture::price(1 << 35),
            lots_max: Lots(1 << 32),
            maker_fee: FeeRate { millionths: 80_000 },
            taker_fee: FeeRate { millionths: 1_003 },
            ..fixture::market()
        };
    let assets = [("USDC", 6), ("SOL", 9), ("BTC", 8)].into_iter().zip(0..);
    let assets =
        assets.map(|((symbol, decimals), id)| fixture::asset(AssetId(id), symbol, decimals));
    let times = |min: u32, max: u32| Multipliers {
        min_millionths: NonZeroU32::new(min),
        max_millionths: NonZeroU32::new(max),
    };
    let mut markets = vec![market(1, "SOL_USDC", 1, 0, 1000, 3), market(2, "SOL_BTC", 1, 2, 1, 1)];
    markets[0].band = times(961_111, 1_048_888);
    markets[0].impact = times(975_000, 1_032_222);
    Catalog::new(assets.collect(), markets).unwrap()
}

fn account() -> impl Strategy<Value = AccountId> {
    // One beyond what the ledger has, now and then.
    (1..=ACCOUNTS + 1).prop_map(|id| AccountId::new(id).unwrap())
}

fn market() -> impl Strategy<Value = MarketId> {
    prop_oneof![20 => Just(MarketId(1)), 8 => Just(MarketId(2)), 1 => Just(MarketId(9))]
}

fn price() -> impl Strategy<Value = Price> {
    let ticks = prop_oneof![
        30 => 95u64..106,
        1 => 1u64..4,
        1 => Just(1 << 35),
        1 => Just((1 << 35) + 1),
    ];
    ticks.prop_map(|ticks| Price::from_ticks(ticks).unwrap())
}

fn lots() -> impl Strategy<Value = Lots> {
    prop_oneof![30 => 1u64..12, 1 => Just(0), 1 => Just(u64::MAX), 1 => Just(1 << 32)]
        .prop_map(Lots)
}

fn kind() -> impl Strategy<Value = OrderKind> {
    let post_only = prop::bool::weighted(0.15);
    let quote = prop_oneof![20 => 1u64..20_000, 1 => Just(0), 1 => Just(u64::MAX)];
    prop_oneof![
        8 => (price(), lots(), post_only)
            .prop_map(|(price, lots, post_only)| OrderKind::Limit { price, lots, post_only }),
        1 => lots().prop_map(|lots| OrderKind::MarketByLots { lots }),
        1 => quote.prop_map(|quote| OrderKind::MarketByQuote { quote: Units(quote) }),
    ]
}

fn place() -> impl Strategy<Value = Action> {
    let time_in_force = prop_oneof![
        6 => Just(TimeInForce::GoodTillCancelled),
        1 => Just(TimeInForce::ImmediateOrCancel),
        1 => Just(TimeInForce::FillOrKill),
    ];
    let self_trade = prop_oneof![
        Just(SelfTradePrevention::RejectTaker),
        Just(SelfTradePrevention::RejectMaker),
        Just(SelfTradePrevention::RejectBoth),
    ];
    let client_id = prop::option::of((0u32..3).prop_map(ClientId));
    let valid_until_us = prop_oneof![9 => Just(0u64), 1 => 0u64..200];
    let side = prop_oneof![Just(Side::Bid), Just(Side::Ask)];
    (market(), account(), side, kind(), time_in_force, self_trade, client_id, valid_until_us)
        .prop_map(|(market, account, side, kind, time_in_force, stp, client_id, until)| {
            Action::Place(Place {
                market,
                account,
                side,
                kind,
                time_in_force,
                self_trade_prevention: stp,
                client_id,
                valid_until_us: until,
            })
        })
}

/// A step of a run; cancels by id name one of the ids given out so far.
#[derive(Clone, Debug)]
enum Step {
    Do(Action),
    CancelGiven {
        account: AccountId,
        market: MarketId,
        which: prop::sample::Index,
    },
    /// A command sent before comes again.
    Again(prop::sample::Index),
    /// The shard ends, and another starts from what the naive exchange knows.
    Restart,
}

fn transfer() -> impl Strategy<Value = Transfer> {
    (account(), 0..ASSETS + 1, 0u64..60_000, 0u128..40).prop_map(|(account, asset, units, id)| {
        Transfer { account, asset: AssetId(asset), units: Units(units), id: TransferId(id) }
    })
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
    prop_oneof![
        40 => place().prop_map(Step::Do),
        8 => (account(), market(), any::<prop::sample::Index>())
            .prop_map(|(account, market, which)| Step::CancelGiven { account, market, which }),
        2 => client.prop_map(Step::Do),
        1 => all.prop_map(Step::Do),
        1 => Just(Step::Do(Action::CreateAccount)),
        3 => transfer().prop_map(|it| Step::Do(Action::Deposit(it))),
        1 => transfer().prop_map(|it| Step::Do(Action::Withdraw(it))),
        2 => any::<prop::sample::Index>().prop_map(Step::Again),
        2 => set_terms().prop_map(Step::Do),
        2 => listing().prop_map(Step::Do),
        3 => (market(), book_state())
            .prop_map(|(market, state)| Step::Do(Action::SetBookState { market, state })),
        1 => Just(Step::Restart),
    ]
}

/// Both exchanges, and the inputs to what a restarted shard is given.
struct Both {
    catalog: Catalog,
    ledger: Arc<Ledger>,
    shard: Shard,
    naive: NaiveExchange,
    given: Vec<(OrderId, AccountId)>,
    transfers: Vec<engine_core::TransferRecord>,
    generations: std::collections::BTreeMap<MarketId, Vec<u32>>,
    accounts_previous: Option<Sequence>,
    sent: Vec<Command>,
    steps: u64,
}

impl Both {
    fn new() -> Self {
        let catalog = catalog();
        let ledger = Arc::new(Ledger::new(ACCOUNTS, catalog.asset_columns()));
        let mut shard = Shard::new(Arc::clone(&ledger), Arc::new(Sequencer::after(None)), LIMITS);
        for market in catalog.markets() {
            shard.add_market(market.clone(), MarketState::default()).unwrap();
        }
        shard.own_accounts(&catalog, AccountsState::default());
        let limits = NaiveLimits {
            open_orders_per_account_max: LIMITS.open_orders_per_account_max as usize,
            steps_max: LIMITS.trades_per_command_max as usize,
            accounts_max: ACCOUNTS,
            markets_max: LIMITS.markets_max as usize,
        };
        Both {
            naive: NaiveExchange::new(&catalog, limits),
            catalog,
            ledger,
            shard,
            given: Vec::new(),
            transfers: Vec::new(),
            generations: Default::default(),
            accounts_previous: None,
            sent: Vec::new(),
            steps: 0,
        }
    }

    fn command(&mut self, action: Action) -> Command {
        self.steps += 1;
        let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence: self.steps };
        Command { origin, time_us: self.steps, action }
    }

    fn run(&mut self, action: Action) -> Result<(), TestCaseError> {
        let command = self.command(action);
        self.sent.push(command);
        self.send(command)
    }

    fn run_again(&mut self, which: prop::sample::Index) -> Result<(), TestCaseError> {
        self.steps += 1;
        self.send(self.sent[which.index(self.sent.len())])
    }

    /// What the shard has seen on each stream, for the one that goes on.
    fn senders(&self, market: MarketId) -> Vec<SenderState> {
        let memories = self.naive.seen.iter().filter(|((of, ..), _)| *of == market);
        let memories = memories.map(|((_, _, epoch, sequence), frame)| Memory {
            epoch: *epoch,
            sequence: *sequence,
            frame: frame.0,
        });
        let memories: Vec<_> = memories.collect();
        vec![SenderState { gateway: GatewayId(1), forgotten: (0, 0), memories }]
    }

    fn send(&mut self, command: Command) -> Result<(), TestCaseError> {
        let cursor = StreamCursor { milliseconds: self.steps, counter: 0 };
        let bytes = self.shard.apply(&Input { cursor, command }).concat();
        let frame = Frame::parse(&bytes).unwrap();
        prop_assert_eq!(frame.command, command);
        prop_assert_eq!(frame.header.cursor, cursor);
        let id = frame.header.outcome.order();
        let expected = self.naive.apply(&command, id);
        let header = frame.header;
        prop_assert_eq!(header.outcome, expected.outcome, "{:?}", command);
        prop_assert_eq!(frame.events().collect::<Vec<_>>(), expected.events);
        prop_assert_eq!(header.sequence, expected.sequence);
        prop_assert_eq!(header.previous, expected.previous);
        prop_assert_eq!(header.held, expected.held);
        self.remember(&frame, id);
        if let (Action::ListMarket(listing), Outcome::MarketListed) =
            (command.action, header.outcome)
        {
            let spec = self.catalog.list(&listing).unwrap().clone();
            let state = MarketState { book_state: BookState::Closed, ..MarketState::default() };
            self.shard.add_market(spec, state).unwrap();
        }
        self.compare();
        Ok(())
    }

    fn remember(&mut self, frame: &Frame<'_>, id: Option<OrderId>) {
        if let (Some(id), Some(account)) = (id, frame.command.account()) {
            self.given.push((id, account));
            let generations = self.generations.entry(id.market()).or_default();
            let slot = id.slot() as usize;
            generations.resize(generations.len().max(slot + 1), 0);
            generations[slot] = id.generation();
        }
        if frame.command.market() == MarketId::ACCOUNTS && frame.is_effective() {
            self.accounts_previous = Some(frame.header.sequence);
        }
        if let (Outcome::Transferred, Action::Deposit(it) | Action::Withdraw(it)) =
            (frame.header.outcome, frame.command.action)
        {
            let direction = match frame.command.action {
                Action::Deposit(_) => engine_core::Direction::Deposit,
                _ => engine_core::Direction::Withdrawal,
            };
            self.transfers.push(engine_core::TransferRecord {
                id: it.id,
                sequence: frame.header.sequence,
                direction,
                account: it.account,
                asset: it.asset,
                units: it.units,
            });
        }
    }

    /// Every cell of the ledger, every order of the books, and conservation.
    fn compare(&self) {
        self.shard.assert_consistent();
        self.naive.assert_conserved();
        for account in (1..=ACCOUNTS).map(|id| AccountId::new(id).unwrap()) {
            for asset in self.catalog.assets() {
                let expected = self.naive.available.get(&(account, asset.id)).copied();
                let found = self.ledger.available(account, asset.id).0;
                assert_eq!(i128::from(found), expected.unwrap_or(0));
            }
        }
        for market in self.naive.markets.values() {
            for side in [Side::Bid, Side::Ask] {
                let mut orders: Vec<_> =
                    market.orders.iter().filter(|order| order.place.side == side).collect();
                // A stable sort keeps the order of arrival within a price.
                orders.sort_by_key(|order| match side {
                    Side::Bid => u64::MAX - order.price.ticks(),
                    Side::Ask => order.price.ticks(),
                });
                let expected: Vec<_> =
                    orders.iter().map(|it| (it.id, it.price, it.lots_left)).collect();
                let book = self.shard.book(market.spec.id).unwrap();
                let found: Vec<_> =
                    book.walk(side).map(|it| (it.order, it.price, it.lots_left)).collect();
                assert_eq!(found, expected);
            }
        }
    }

    fn restart(&mut self) {
        let sequence = Sequence(self.steps);
        let ledger = Arc::new(Ledger::new(ACCOUNTS, self.catalog.asset_columns()));
        for ((account, asset), units) in &self.naive.available {
            if ledger.covers(*account, *asset) {
                ledger.restore(*account, *asset, Units(*units as u64));
            }
        }
        let sequencer = Arc::new(Sequencer::after(Some(sequence)));
        let mut shard = Shard::new(Arc::clone(&ledger), sequencer, LIMITS);
        for market in self.naive.markets.values() {
            let orders = market.orders.iter().map(|order| OpenOrder {
                order: order.id,
                account: order.place.account,
                client_id: order.place.client_id,
                market: market.spec.id,
                side: order.place.side,
                time_in_force: order.place.time_in_force,
                self_trade_prevention: order.place.self_trade_prevention,
                post_only: matches!(order.place.kind, OrderKind::Limit { post_only: true, .. }),
                price: order.price,
                lots: order.lots,
                lots_left: order.lots_left,
                executed_quote: Units(order.executed_quote),
                created_us: order.created_us,
            });
            let state = MarketState {
                orders: orders.collect(),
                generations: self.generations.get(&market.spec.id).cloned().unwrap_or_default(),
                last_trade: market.last_trade,
                last_price: market.last_price,
                previous: market.previous,
                book_state: market.state,
                price_terms: Some(market.spec.price_terms()),
                lot_terms: Some(market.spec.lot_terms()),
                senders: self.senders(market.spec.id),
                ..MarketState::default()
            };
            shard.add_market(market.spec.clone(), state).unwrap();
        }
        let supply = self.naive.supply.iter().map(|(asset, units)| (*asset, Units(*units as u64)));
        let state = AccountsState {
            accounts: self.naive.accounts,
            transfers: self.transfers.clone(),
            supply: supply.collect(),
            previous: self.accounts_previous,
            senders: self.senders(MarketId::ACCOUNTS),
            ..AccountsState::default()
        };
        shard.own_accounts(&self.catalog, state);
        (self.shard, self.ledger) = (shard, ledger);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn the_engine_agrees_with_the_naive_exchange(steps in prop::collection::vec(step(), 1..220)) {
        let mut both = Both::new();
        for id in 1..=ACCOUNTS - 1 {
            both.run(Action::CreateAccount)?;
            for asset in 0..ASSETS {
                let transfer = Transfer {
                    account: AccountId::new(id).unwrap(),
                    asset: AssetId(asset),
                    units: Units(60_000),
                    id: TransferId(u128::from(id * 100 + u32::from(asset))),
                };
                both.run(Action::Deposit(transfer))?;
            }
        }
        for step in steps {
            match step {
                Step::Do(action) => both.run(action)?,
                Step::CancelGiven { account, market, which } if !both.given.is_empty() => {
                    let (order, owner) = both.given[which.index(both.given.len())];
                    // Mostly the owner and the right market; sometimes somebody else.
                    let (account, market) = match which.index(5) {
                        0 => (account, order.market()),
                        1 => (owner, market),
                        _ => (owner, order.market()),
                    };
                    both.run(Action::Cancel { market, account, target: Target::Order(order) })?;
                }
                Step::CancelGiven { .. } => (),
                Step::Again(which) => both.run_again(which)?,
                Step::Restart => both.restart(),
            }
        }
    }
}
