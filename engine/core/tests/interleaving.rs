//! Shards that run side by side on shared balances leave a sequence whose every prefix is a
//! consistent state: no balance below zero, and the end equals the ledger.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at what it did not expect"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

use engine_core::{Input, Ledger, MarketState, Sequencer, Shard, ShardLimits};
use orderflow::rng::Rng;
use protocol::effects::{Holder, balance_changes};
use protocol::*;

const ACCOUNTS: u32 = 3;
const FUNDS: u64 = 400_000;
const COMMANDS: u64 = 30_000;

/// A triangle, so that what one shard's trade brings in, another's order spends.
fn market(id: u16, base: u16, quote: u16) -> MarketSpec {
    MarketSpec {
        id: MarketId(id),
        symbol: format!("M{id}"),
        base: AssetId(base),
        quote: AssetId(quote),
        tick: Increment { mantissa: 1, scale: 0 },
        step: Increment { mantissa: 1, scale: 0 },
        base_units_per_lot: 1000,
        quote_units_per_tick_lot: 10,
        price_max: fixture::price(1000),
        lots_max: Lots(1000),
        ..fixture::market()
    }
}

fn action(rng: &mut Rng, market: MarketId) -> Action {
    let account = AccountId::new(1 + rng.below(u64::from(ACCOUNTS)) as u32).unwrap();
    if rng.below(12) == 0 {
        return Action::cancel_all(market, account);
    }
    if rng.below(10) == 0 {
        let client_id = ClientId(rng.below(20) as u32);
        return Action::Amend(Amend {
            market,
            account,
            target: Target::Client(client_id),
            price: Price::from_ticks(95 + rng.below(10)),
            lots: Some(Lots(1 + rng.below(60))),
            valid_until_us: 0,
        });
    }
    let place = Place {
        market,
        account,
        side: if rng.below(2) == 0 { Side::Bid } else { Side::Ask },
        kind: OrderKind::Limit {
            price: Price::from_ticks(95 + rng.below(10)).unwrap(),
            lots: Lots(1 + rng.below(60)),
            post_only: false,
        },
        time_in_force: TimeInForce::GoodTillCancelled,
        self_trade_prevention: SelfTradePrevention::RejectMaker,
        client_id: Some(ClientId(rng.below(20) as u32)),
        valid_until_us: 0,
    };
    if rng.below(8) != 0 {
        return Action::Place(place);
    }
    let trigger =
        Trigger { price: Price::from_ticks(93 + rng.below(14)).unwrap(), by: TriggerBy::LastPrice };
    Action::PlaceTrigger(TriggerPlace { place, trigger })
}

/// Runs one shard to its end; its frames by their sequence.
fn run(mut shard: Shard, market: MarketId, seed: u64) -> Vec<(Sequence, Vec<u8>)> {
    let mut rng = Rng::new(seed);
    let mut frames = Vec::new();
    let mut keep = |bytes: Vec<u8>| {
        frames.push((Frame::parse(&bytes).unwrap().header.sequence, bytes));
    };
    for at in 1..=COMMANDS {
        let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence: at };
        let command = Command { origin, time_us: at, action: action(&mut rng, market) };
        let cursor = StreamCursor { milliseconds: at, counter: 0 };
        keep(shard.apply(&Input { cursor, command }).concat());
        while let Some(records) = shard.fire_next() {
            keep(records.concat());
        }
    }
    frames
}

#[test]
fn every_prefix_of_the_sequence_is_a_consistent_state() {
    let limits = ShardLimits {
        orders_max: 10_000,
        open_orders_per_account_max: 500,
        trades_per_command_max: 1000,
        accounts_max: ACCOUNTS,
        markets_max: 5,
    };
    let markets = [market(1, 0, 1), market(2, 1, 2), market(3, 2, 0)];
    let ledger = Arc::new(Ledger::new(ACCOUNTS, 3));
    let mut balances: BTreeMap<(Holder, AssetId), (i128, i128)> = BTreeMap::new();
    for account in (1..=ACCOUNTS).map(|id| AccountId::new(id).unwrap()) {
        for asset in (0..3).map(AssetId) {
            ledger.credit(account, asset, Units(FUNDS));
            balances.insert((Holder::Account(account), asset), (i128::from(FUNDS), 0));
        }
    }
    let sequencer = Arc::new(Sequencer::after(None));
    let mut frames: Vec<_> = std::thread::scope(|scope| {
        let shards: Vec<_> = markets
            .iter()
            .map(|market| {
                let mut shard = Shard::new(Arc::clone(&ledger), Arc::clone(&sequencer), limits);
                shard.add_market(market.clone(), MarketState::default()).unwrap();
                scope.spawn(move || run(shard, market.id, u64::from(market.id.0)))
            })
            .collect();
        shards.into_iter().flat_map(|shard| shard.join().unwrap()).collect()
    });
    frames.sort();
    let (mut refused, mut trades, mut fired, mut amended) = (0, 0, 0, 0);
    for (at, (sequence, bytes)) in frames.iter().enumerate() {
        assert_eq!(sequence.0, at as u64 + 1, "every command has its own number");
        let frame = Frame::parse(bytes).unwrap();
        refused += u32::from(!frame.is_effective());
        trades += frame.trades().count();
        fired += u32::from(matches!(frame.command.action, Action::Fire(_)));
        let amends = matches!(frame.command.action, Action::Amend(_));
        amended += u32::from(amends && frame.is_effective());
        let market = markets.iter().find(|market| market.id == frame.command.market());
        balance_changes(&frame, market, |change| {
            let cell = balances.entry((change.holder, change.asset)).or_default();
            cell.0 += change.available;
            cell.1 += change.locked;
        })
        .unwrap();
        for (cell, (available, locked)) in &balances {
            assert!(0 <= *available && 0 <= *locked, "{cell:?} at {sequence}");
        }
    }
    assert!(refused > 100 && trades > 10_000, "{refused} refused, {trades} trades");
    // How many there are depends on how the threads meet: enough of each is all that is asked.
    println!("{refused} refused, {trades} trades, {fired} fired, {amended} amended");
    assert!(fired > 300 && amended > 300, "{fired} fired, {amended} amended");
    for ((holder, asset), (available, _)) in &balances {
        if let Holder::Account(account) = holder {
            assert_eq!(i128::from(ledger.available(*account, *asset).0), *available);
        }
    }
    for asset in (0..3).map(AssetId) {
        let of_asset = balances.iter().filter(|((_, held), _)| *held == asset);
        let sum: i128 = of_asset.map(|(_, (available, locked))| available + locked).sum();
        assert_eq!(sum, i128::from(FUNDS) * i128::from(ACCOUNTS), "asset {asset} is conserved");
    }
}
