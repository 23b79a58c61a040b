//! After its start a shard allocates nothing: orders, trades, triggers, amendments, cancels and
//! refusals run in memory that was reserved.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test ends at what it did not expect"
)]

use std::sync::Arc;

use engine_core::{AccountsState, Input, Ledger, MarketState, Sequencer, Shard, ShardLimits};
use orderflow::rng::Rng;
use protocol::*;

const ACCOUNTS: u32 = 16;

fn market() -> MarketSpec {
    MarketSpec { base: AssetId(1), quote: AssetId(0), lots_max: Lots(1 << 32), ..fixture::market() }
}

fn limit(rng: &mut Rng, account: AccountId, client_id: ClientId) -> Place {
    Place {
        market: MarketId(1),
        account,
        side: if rng.below(2) == 0 { Side::Bid } else { Side::Ask },
        kind: OrderKind::Limit {
            // Sparse enough that levels and index nodes come and go.
            price: Price::from_ticks(100_000 + 37 * rng.below(1000)).unwrap(),
            lots: Lots(1 + rng.below(20)),
            post_only: false,
        },
        time_in_force: TimeInForce::GoodTillCancelled,
        self_trade_prevention: SelfTradePrevention::RejectTaker,
        client_id: Some(client_id),
        valid_until_us: 0,
    }
}

fn command(rng: &mut Rng, at: u64) -> Command {
    let account = AccountId::new(1 + rng.below(u64::from(ACCOUNTS)) as u32).unwrap();
    let market = MarketId(1);
    let client_id = ClientId(rng.below(50) as u32);
    let action = match rng.below(100) {
        0 => Action::cancel_all(market, account),
        1..40 => Action::Cancel { market, account, target: Target::Client(client_id) },
        // Near what trades, and far from it.
        40..45 => Action::PlaceTrigger(TriggerPlace {
            place: limit(rng, account, client_id),
            trigger: Trigger {
                price: Price::from_ticks(100_000 + 37 * rng.below(1000)).unwrap(),
                by: TriggerBy::Unsaid,
            },
        }),
        45..52 => Action::Amend(Amend {
            market,
            account,
            target: Target::Client(client_id),
            price: (rng.below(2) == 0)
                .then(|| Price::from_ticks(100_000 + 37 * rng.below(1000)).unwrap()),
            lots: Some(Lots(1 + rng.below(20))),
            valid_until_us: 0,
        }),
        52..57 => Action::Place(Place {
            market,
            account,
            side: if rng.below(2) == 0 { Side::Bid } else { Side::Ask },
            kind: OrderKind::MarketByQuote { quote: Units(1 + rng.below(3_000_000)) },
            time_in_force: TimeInForce::GoodTillCancelled,
            self_trade_prevention: SelfTradePrevention::RejectMaker,
            client_id: None,
            valid_until_us: 0,
        }),
        _ => Action::Place(limit(rng, account, client_id)),
    };
    let origin = Origin { gateway: GatewayId(1), epoch: 1, sequence: at };
    Command { origin, time_us: at, action }
}

#[test]
fn a_running_shard_does_not_allocate() {
    let limits = ShardLimits {
        orders_max: 10_000,
        open_orders_per_account_max: 200,
        trades_per_command_max: 1000,
        accounts_max: ACCOUNTS,
        markets_max: 5,
    };
    let ledger = Arc::new(Ledger::new(ACCOUNTS, 2));
    for account in (1..=ACCOUNTS).map(|id| AccountId::new(id).unwrap()) {
        ledger.credit(account, AssetId(0), Units(1 << 50));
        ledger.credit(account, AssetId(1), Units(1 << 50));
    }
    let sequencer = Arc::new(Sequencer::after(None));
    let mut shard = Shard::new(ledger, sequencer, limits);
    shard.add_market(market(), MarketState::default()).unwrap();
    shard.own_accounts(&Catalog::default(), AccountsState::default());
    let mut rng = Rng::new(7);
    let (mut trades, mut fired) = (0, 0);
    // A sender that is new to a stream takes memory to be remembered in, once.
    let first = command(&mut rng, 1);
    shard.apply(&Input { cursor: StreamCursor::START, command: first });
    let allocated = allocation_counter::measure(|| {
        for at in 2..=200_000 {
            let cursor = StreamCursor { milliseconds: at, counter: 0 };
            let command = command(&mut rng, at);
            trades += shard.apply(&Input { cursor, command }).len() - 2;
            while let Some(records) = shard.fire_next() {
                trades += records.len() - 2;
                fired += 1;
            }
        }
    });
    assert!(trades > 50_000, "the run trades: {trades}");
    assert!(fired > 1000, "orders fire: {fired}");
    assert_eq!(allocated.count_total, 0);
    shard.assert_consistent();
}
