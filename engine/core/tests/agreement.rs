//! The real engine answers to the naive one, frame by frame and cell by cell.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at what it did not expect"
)]

mod naive;
#[path = "agreement/steps.rs"]
mod steps;

use std::num::NonZeroU32;
use std::sync::Arc;

use engine_core::cancel_after::{Deadline, Expiry, LEASES_MAX};
use engine_core::recognition::{Memory, SenderState};
use engine_core::touched::Touched;
use engine_core::{AccountsState, Input, Ledger, MarketState, Sequencer, Shard, ShardLimits};
use naive::{NaiveExchange, NaiveFrame, NaiveLimits};
use proptest::prelude::*;
use protocol::*;
use steps::{Due, Step, step};

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
    fired: u64,
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
            fired: 0,
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

    fn expire(
        &mut self,
        account: AccountId,
        holder: GatewayId,
        due: Due,
    ) -> Result<(), TestCaseError> {
        let stands = self.naive.deadlines.get(&(account, holder)).copied().unwrap_or_default();
        let deadline_us = match due {
            Due::AsItStands | Due::Late => stands,
            Due::Moved => stands + 1,
            Due::Now => 0,
        };
        let mut command = self.command(Action::ExpireCancelAfter { account, holder, deadline_us });
        if due == Due::Late {
            command.time_us = command.time_us.max(stands);
        }
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
        self.agree(&frame, &expected)?;
        self.remember(&frame, id);
        if let (Action::ListMarket(listing), Outcome::MarketListed) =
            (command.action, frame.header.outcome)
        {
            let spec = self.catalog.list(&listing).unwrap().clone();
            let state = MarketState { book_state: BookState::Closed, ..MarketState::default() };
            self.shard.add_market(spec, state).unwrap();
        }
        self.compare();
        self.fire(command.market(), cursor, command.time_us)
    }

    /// What the command made fire.
    fn fire(
        &mut self,
        market: MarketId,
        cursor: StreamCursor,
        time_us: u64,
    ) -> Result<(), TestCaseError> {
        while let Some(records) = self.shard.fire_next() {
            let bytes = records.concat();
            let frame = Frame::parse(&bytes).unwrap();
            let (waiting, expected) = self.naive.fire_next(market).expect("nobody fires");
            self.fired += 1;
            let action = Action::Fire(waiting);
            prop_assert_eq!(frame.command, Command { origin: Origin::INTERNAL, time_us, action });
            prop_assert_eq!(frame.header.cursor, cursor);
            self.agree(&frame, &expected)?;
            self.compare();
        }
        for market in self.naive.markets.values() {
            prop_assert_eq!(market.reached(), None);
        }
        Ok(())
    }

    fn agree(&self, frame: &Frame<'_>, expected: &NaiveFrame) -> Result<(), TestCaseError> {
        let header = frame.header;
        prop_assert_eq!(header.outcome, expected.outcome, "{:?}", frame.command);
        prop_assert_eq!(&frame.events().collect::<Vec<_>>(), &expected.events);
        prop_assert_eq!(header.sequence, expected.sequence);
        prop_assert_eq!(header.previous, expected.previous);
        prop_assert_eq!(header.held, expected.held);
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
            let book = self.shard.book(market.spec.id).unwrap();
            assert_eq!(book.waiting_orders(), market.waiting.len());
        }
    }

    fn restart(&mut self) {
        let sequence = Sequence(self.steps + self.fired);
        let ledger = Arc::new(Ledger::new(ACCOUNTS, self.catalog.asset_columns()));
        for ((account, asset), units) in &self.naive.available {
            if ledger.covers(*account, *asset) {
                ledger.restore(*account, *asset, Units(*units as u64));
            }
        }
        let sequencer = Arc::new(Sequencer::after(Some(sequence)));
        let mut shard = Shard::new(Arc::clone(&ledger), sequencer, LIMITS);
        for market in self.naive.markets.values() {
            let resting = market.orders.iter().map(|order| {
                let open = order.open(market.spec.id);
                (order.since, Standing::Rests(open, None))
            });
            let waiting = market.waiting.iter();
            let waiting = waiting.map(|(since, waiting)| (*since, Standing::Waits(*waiting)));
            let mut orders: Vec<_> = resting.chain(waiting).collect();
            orders.sort_by_key(|(since, _)| *since);
            let orders = orders.into_iter().map(|(_, standing)| standing);
            let last = market.touched.last().copied();
            let state = MarketState {
                orders: orders.collect(),
                generations: self.generations.get(&market.spec.id).cloned().unwrap_or_default(),
                last_trade: market.last_trade,
                touched: last.map(Touched::at),
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
        let deadlines = self.naive.deadlines.iter().map(|((account, holder), deadline_us)| {
            Deadline { account: *account, holder: *holder, deadline_us: *deadline_us }
        });
        let expiries = self.naive.expiries.iter();
        let expiries = expiries
            .map(|(account, expired_us)| Expiry { account: *account, expired_us: *expired_us });
        let state = AccountsState {
            accounts: self.naive.accounts,
            transfers: self.transfers.clone(),
            supply: supply.collect(),
            deadlines: deadlines.collect(),
            expiries: expiries.collect(),
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
                Step::AmendGiven { account, which, price, lots } if !both.given.is_empty() => {
                    let (order, owner) = both.given[which.index(both.given.len())];
                    let account = if which.index(7) == 0 { account } else { owner };
                    let target = Target::Order(order);
                    let (market, valid_until_us) = (order.market(), 0);
                    let amend = Amend { market, account, target, price, lots, valid_until_us };
                    both.run(Action::Amend(amend))?;
                }
                Step::CancelGiven { .. } | Step::AmendGiven { .. } => (),
                Step::Expire(account, holder, due) => both.expire(account, holder, due)?,
                Step::Crowd(account) => {
                    for holder in (0..=LEASES_MAX as u32 + 1).map(GatewayId) {
                        both.run(Action::SetCancelAfter { account, holder, timeout_ms: 1 })?;
                    }
                }
                Step::Again(which) => both.run_again(which)?,
                Step::Restart => both.restart(),
            }
        }
    }
}
