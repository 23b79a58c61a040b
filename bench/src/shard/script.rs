//! What a shard is given, worked out in a rehearsal before any clock starts: accounts and money
//! first, then the flow, each cancel with the id the exchange gave out, as a client would have been
//! told it.
//!
//! Orders of one account may trade with each other in a flow and never do on the exchange. So each
//! trader of the flow has two accounts: one buys, one sells.

use std::sync::Arc;

use clap::ValueEnum;
use engine_core::{AccountsState, Input, Ledger, MarketState, Sequencer, Shard, ShardLimits};
use orderflow::{Digest, Kind, Trade};
use protocol::{
    AccountId, Action, Catalog, ClientId, Command, Frame, GatewayId, Lots, OrderId, OrderKind,
    Origin, Outcome, Place, Price, Refusal, SelfTradePrevention, Side, StreamCursor, Target,
    TimeInForce, Transfer,
};
use serde::Serialize;

use crate::error::BenchError;
use crate::listing::{self, MARKET};
use crate::subject::{Extent, Workload, digest_of};

/// As in the book alone: prices spread widely take several trie nodes a level.
const ROOM_FACTOR: usize = 8;

/// Who sends the commands, and what they add to a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Senders {
    /// They take turns.
    pub gateways: u32,
    pub naming: Naming,
}

/// Whether orders bear names that their clients gave them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Naming {
    All,
    None,
}

/// Everything a run needs, and what it must come to.
#[derive(Debug)]
pub struct Script {
    pub catalog: Catalog,
    limits: ShardLimits,
    /// The last is a cancel of nothing: its frame tells of the state all others have led to.
    pub inputs: Vec<Input>,
    /// So many of the inputs come before the clock starts.
    pub unmeasured: usize,
    /// What all inputs came to, frame by frame.
    pub frames: Vec<u8>,
}

impl Script {
    /// Runs the flow once.
    pub fn rehearse(workload: &Workload, senders: Senders) -> Result<Script, BenchError> {
        let traders = workload.flow.commands.iter().map(|it| it.account).max().unwrap_or_default();
        let limits = limits(&workload.extent, traders)?;
        let catalog = listing::catalog(1)?;
        let mut rehearsal = Rehearsal::new(&catalog, limits, senders, workload)?;
        rehearsal.fund()?;
        let funding = rehearsal.inputs.len();
        for command in &workload.flow.commands {
            rehearsal.carry_out(command)?;
        }
        let digest = rehearsal.digest();
        let (expected, found) = (workload.expected_row(), digest.csv_row(&workload.flow));
        if expected != found {
            let flow = workload.flow.name.clone();
            return Err(BenchError::Digest { subject: "shard", flow, expected, found });
        }
        rehearsal.step(rehearsal.cancel(0))?;
        let Rehearsal { inputs, frames, .. } = rehearsal;
        let unmeasured = funding + workload.flow.prefill;
        Ok(Script { catalog, limits, inputs, unmeasured, frames })
    }

    /// What comes before the clock starts, under the clock, and after it.
    pub fn stretches(&self) -> (&[Input], &[Input], &[Input]) {
        let (before, rest) = self.inputs.split_at(self.unmeasured);
        let (measured, after) = rest.split_at(rest.len() - 1);
        (before, measured, after)
    }

    /// A shard that has seen nothing yet.
    pub fn shard(&self) -> Result<Shard, BenchError> {
        shard(&self.catalog, self.limits)
    }

    /// A ledger as the funding leaves it.
    pub fn funded_ledger(&self) -> Ledger {
        let ledger = Ledger::new(self.limits.accounts_max, self.catalog.asset_columns());
        for input in &self.inputs {
            if let Action::Deposit(Transfer { account, asset, units, .. }) = input.command.action {
                ledger.credit(account, asset, units);
            }
        }
        ledger
    }
}

fn limits(extent: &Extent, traders: u32) -> Result<ShardLimits, BenchError> {
    let room = extent.resting_max.saturating_mul(ROOM_FACTOR).next_power_of_two();
    let resting = u32::try_from(extent.resting_max).map_err(|_| BenchError::TooLarge)?;
    Ok(ShardLimits {
        orders_max: u32::try_from(room).unwrap_or(u32::MAX).min(OrderId::SLOTS_MAX),
        open_orders_per_account_max: resting,
        trades_per_command_max: resting,
        accounts_max: (traders + 1) * 2,
        markets_max: 64,
    })
}

fn shard(catalog: &Catalog, limits: ShardLimits) -> Result<Shard, BenchError> {
    let ledger = Arc::new(Ledger::new(limits.accounts_max, catalog.asset_columns()));
    let mut shard = Shard::new(ledger, Arc::new(Sequencer::after(None)), limits);
    for market in catalog.markets() {
        let added = shard.add_market(market.clone(), MarketState::default());
        added.map_err(BenchError::Shard)?;
    }
    shard.own_accounts(catalog, AccountsState::default());
    Ok(shard)
}

struct Rehearsal {
    shard: Shard,
    accounts: u32,
    senders: Senders,
    inputs: Vec<Input>,
    frames: Vec<u8>,
    /// By the flow's id: the order when it last came to rest.
    order_of: Vec<Option<OrderId>>,
    /// By slot: the flow's id of the order in it.
    id_in_slot: Vec<u64>,
    /// Names an order that never was.
    nobody: OrderId,
    anybody: AccountId,
    trades: Vec<Trade>,
    rejected: u64,
}

impl Rehearsal {
    fn new(
        catalog: &Catalog,
        limits: ShardLimits,
        senders: Senders,
        workload: &Workload,
    ) -> Result<Rehearsal, BenchError> {
        let ids =
            usize::try_from(workload.extent.order_id_max).map_err(|_| BenchError::TooLarge)?;
        let nobody = OrderId::from_parts(MARKET, limits.orders_max - 1, u32::MAX);
        Ok(Rehearsal {
            shard: shard(catalog, limits)?,
            accounts: limits.accounts_max,
            senders,
            inputs: Vec::new(),
            frames: Vec::new(),
            order_of: vec![None; ids + 1],
            id_in_slot: vec![0; limits.orders_max as usize],
            nobody: nobody.ok_or(BenchError::TooLarge)?,
            anybody: AccountId::new(1).ok_or(BenchError::TooLarge)?,
            trades: Vec::new(),
            rejected: 0,
        })
    }

    fn fund(&mut self) -> Result<(), BenchError> {
        for action in listing::funding(self.accounts) {
            let outcome = self.step(action)?;
            assert!(
                matches!(outcome, Outcome::AccountCreated { .. } | Outcome::Transferred),
                "Invariant: there is room for the accounts, and for their money"
            );
        }
        Ok(())
    }

    fn carry_out(&mut self, command: &orderflow::Command) -> Result<(), BenchError> {
        let action = self.action(command)?;
        let from = self.frames.len();
        let outcome = self.step(action)?;
        let frame = Frame::parse(&self.frames[from..]).map_err(BenchError::Decode)?;
        for trade in frame.trades() {
            self.trades.push(Trade {
                maker: self.id_in_slot[trade.maker_order.slot() as usize],
                taker: command.id,
                price: trade.price.ticks(),
                qty: trade.lots.0,
            });
        }
        match outcome {
            Outcome::Rested { order, .. } => {
                self.order_of[command.id as usize] = Some(order);
                self.id_in_slot[order.slot() as usize] = command.id;
            }
            Outcome::Refused(Refusal::OrderNotFound) => self.rejected += 1,
            Outcome::Refused(refusal) => {
                return Err(BenchError::Refused { command: *command, refusal });
            }
            _ => (),
        }
        Ok(())
    }

    fn action(&self, command: &orderflow::Command) -> Result<Action, BenchError> {
        let refused = || BenchError::Command(*command);
        let (side, second) = match command.side {
            orderflow::Side::Buy => (Side::Bid, 1),
            orderflow::Side::Sell => (Side::Ask, 2),
        };
        let account = AccountId::new(command.account * 2 + second).ok_or_else(refused)?;
        let lots = Lots(command.qty);
        let limit = || {
            let price = Price::from_ticks(command.price).ok_or_else(refused)?;
            Ok::<_, BenchError>(OrderKind::Limit { price, lots, post_only: false })
        };
        let (kind, time_in_force) = match command.kind {
            Kind::New => (limit()?, TimeInForce::GoodTillCancelled),
            Kind::Ioc => (limit()?, TimeInForce::ImmediateOrCancel),
            Kind::Market => (OrderKind::MarketByLots { lots }, TimeInForce::ImmediateOrCancel),
            Kind::Cancel => return Ok(self.cancel(command.id)),
            Kind::Reduce | Kind::Move => return Err(refused()),
        };
        let client_id = u32::try_from(command.id).map_err(|_| refused())?;
        Ok(Action::Place(Place {
            market: MARKET,
            account,
            side,
            kind,
            time_in_force,
            self_trade_prevention: SelfTradePrevention::RejectTaker,
            client_id: Some(ClientId(client_id)).filter(|_| self.senders.naming == Naming::All),
            valid_until_us: 0,
        }))
    }

    /// By the account that owns the order, which a flow does not repeat.
    fn cancel(&self, id: u64) -> Action {
        let order = self.order_of[id as usize].unwrap_or(self.nobody);
        let owner = self.shard.book(MARKET).and_then(|book| {
            let slot = book.find(order)?;
            Some(book.resting(slot).account)
        });
        let account = owner.unwrap_or(self.anybody);
        Action::Cancel { market: MARKET, account, target: Target::Order(order) }
    }

    fn step(&mut self, action: Action) -> Result<Outcome, BenchError> {
        let number = self.inputs.len() as u64;
        let senders = u64::from(self.senders.gateways);
        let origin = Origin {
            gateway: GatewayId(1 + (number % senders) as u32),
            epoch: 1,
            sequence: 1 + number / senders,
        };
        let command = Command { origin, time_us: 1_000_000 + number, action };
        let cursor = StreamCursor { milliseconds: 1 + number / 1000, counter: number % 1000 };
        let input = Input { cursor, command };
        let records = self.shard.apply(&input);
        self.inputs.push(input);
        self.frames.extend_from_slice(records.as_flattened());
        let (header, _) = Frame::head(&records[0]).map_err(BenchError::Decode)?;
        Ok(header.outcome)
    }

    fn digest(&self) -> Digest {
        let Some(book) = self.shard.book(MARKET) else {
            unreachable!("Invariant: the shard was given the market")
        };
        digest_of(book, &self.trades, self.rejected, |slot| self.id_in_slot[slot as usize])
    }
}
