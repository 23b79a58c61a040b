//! A small exchange for tests: a real shard whose frames are handed on in blocks.

use std::sync::Arc;

use engine_core::replica::Replica;
use engine_core::{Input, Ledger, Sequencer, Shard, ShardLimits};
pub use protocol::fixture::{BASE, MARKET, QUOTE, price};
use protocol::{
    AccountId, Action, Catalog, Command, Frame, GatewayId, OrderId, Origin, Sequence, Side,
    StreamCursor, Transfer, TransferId, Units, fixture,
};

use crate::durable::DurableBlock;
use crate::journal::block::Link;

pub struct TestExchange {
    pub catalog: Catalog,
    shard: Shard,
    steps: u64,
    fired: u64,
    pub time_us: u64,
}

impl TestExchange {
    /// Accounts 1 and 2 with 1,000,000 units of both assets each, funded by the block.
    pub fn funded() -> (Self, DurableBlock) {
        let catalog = fixture::round_catalog();
        let ledger = Arc::new(Ledger::new(8, catalog.asset_columns()));
        let limits = ShardLimits {
            orders_max: 64,
            open_orders_per_account_max: 32,
            trades_per_command_max: 16,
            accounts_max: 8,
            markets_max: 5,
        };
        let replica = Replica::new(catalog.clone());
        let mut shard = Shard::new(ledger, Arc::new(Sequencer::after(None)), limits);
        for market in catalog.markets() {
            shard.add_market(market.clone(), replica.market_state(market.id)).unwrap();
        }
        shard.own_accounts(&catalog, replica.accounts_state());
        let mut exchange = TestExchange { catalog, shard, steps: 0, fired: 0, time_us: 60_000_000 };
        let mut actions = Vec::new();
        for account in [account(1), account(2)] {
            actions.push(Action::CreateAccount);
            for asset in [QUOTE, BASE] {
                let id = TransferId(u128::from(account.get()) << 16 | u128::from(asset.0));
                let units = Units(1_000_000);
                actions.push(Action::Deposit(Transfer { account, asset, units, id }));
            }
        }
        let block = exchange.block(&actions);
        (exchange, block)
    }

    /// Carries out commands at [`TestExchange::time_us`].
    pub fn block(&mut self, actions: &[Action]) -> DurableBlock {
        let first = Sequence(self.last().0 + 1);
        let mut frames = Vec::new();
        for action in actions {
            self.steps += 1;
            let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence: self.steps };
            let command = Command { origin, time_us: self.time_us, action: *action };
            let cursor = StreamCursor { milliseconds: self.steps, counter: 0 };
            let records = self.shard.apply(&Input { cursor, command });
            frames.extend_from_slice(records.as_flattened());
            while let Some(records) = self.shard.fire_next() {
                self.fired += 1;
                frames.extend_from_slice(records.as_flattened());
            }
        }
        DurableBlock { first, last: self.last(), frames, link: Link::default() }
    }

    /// The last frame.
    pub fn last(&self) -> Sequence {
        Sequence(self.steps + self.fired)
    }

    /// The order given out by the last frame of a block.
    pub fn order(block: &DurableBlock) -> OrderId {
        let placed = Frame::each_of(&block.frames).map(|frame| {
            let outcome = frame.unwrap().header.outcome;
            outcome.order().unwrap_or_else(|| panic!("no order was placed: {outcome:?}"))
        });
        placed.last().unwrap()
    }
}

pub fn account(id: u32) -> AccountId {
    AccountId::new(id).unwrap()
}

pub fn limit(id: u32, side: Side, ticks: u64, lots: u64) -> Action {
    Action::Place(fixture::limit(MARKET, id, side, ticks, lots))
}
