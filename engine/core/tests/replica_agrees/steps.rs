//! What is asked of the engine and its twin.

use std::num::NonZeroU32;

use proptest::prelude::*;
use proptest::sample::Index;
use protocol::*;

use super::{ACCOUNTS, ASSETS};

pub fn account() -> impl Strategy<Value = AccountId> {
    // One beyond what there is, now and then.
    prop_oneof![12 => 1..ACCOUNTS, 1 => ACCOUNTS..ACCOUNTS + 2]
        .prop_map(|id| AccountId::new(id).unwrap())
}

pub fn market() -> impl Strategy<Value = MarketId> {
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

fn placed() -> impl Strategy<Value = Action> {
    let price = (92u64..109).prop_map(|ticks| Price::from_ticks(ticks).unwrap());
    let by = prop::sample::select(TriggerBy::ALL.to_vec());
    (place(), price, by, prop::bool::weighted(0.3)).prop_map(|(placed, price, by, waits)| {
        match placed {
            Action::Place(place) if waits => {
                Action::PlaceTrigger(TriggerPlace { place, trigger: Trigger { price, by } })
            }
            other => other,
        }
    })
}

#[derive(Clone, Debug)]
pub enum Step {
    Do(Action),
    /// One of the ids given out so far.
    Cancel(Index),
    Amend(Index, Option<Price>, Option<Lots>),
    /// The deadline that stands.
    Expire(AccountId, GatewayId),
    /// As a fan-out says it; an account cannot.
    CloseSocket(AccountId, GatewayId),
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
    let factor = |around: std::ops::Range<u32>| {
        let some = around.prop_map(NonZeroU32::new);
        prop_oneof![1 => Just(None), 3 => some]
    };
    let multipliers = move || {
        (factor(940_000..1_005_000), factor(995_000..1_060_000)).prop_map(
            |(min_millionths, max_millionths)| Multipliers { min_millionths, max_millionths },
        )
    };
    let price = |range: std::ops::Range<u64>| range.prop_map(fixture::price);
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

pub fn step() -> impl Strategy<Value = Step> {
    let client = (market(), account(), 0u32..3).prop_map(|(market, account, id)| Action::Cancel {
        market,
        account,
        target: Target::Client(ClientId(id)),
    });
    let price = prop::option::of((95u64..106).prop_map(|ticks| Price::from_ticks(ticks).unwrap()));
    let lots = prop::option::of((1u64..16).prop_map(Lots));
    let amend = (any::<Index>(), price, lots);
    let kinds = prop::sample::select(CancelKinds::ALL.to_vec());
    let until = prop_oneof![2 => Just(0u64), 1 => 1u64..200 * 30_000_000];
    let all = (market(), account(), kinds, until).prop_map(
        |(market, account, kinds, created_until_us)| {
            Action::CancelAll(CancelAll { market, account, kinds, created_until_us })
        },
    );
    let timeout = prop_oneof![Just(0u32), Just(1), Just(3_600_000)];
    let holder = || (0u32..4).prop_map(GatewayId);
    let cancel_after = (account(), holder(), timeout).prop_map(|(account, holder, timeout_ms)| {
        Action::SetCancelAfter { account, holder, timeout_ms }
    });
    let expiry = (account(), holder()).prop_map(|(account, holder)| Step::Expire(account, holder));
    let closed =
        (account(), holder()).prop_map(|(account, holder)| Step::CloseSocket(account, holder));
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
        40 => placed().prop_map(Step::Do),
        8 => any::<Index>().prop_map(Step::Cancel),
        8 => amend.prop_map(|(which, price, lots)| Step::Amend(which, price, lots)),
        4 => cancel_after.prop_map(Step::Do),
        3 => expiry,
        1 => closed,
        2 => client.prop_map(Step::Do),
        2 => all.prop_map(Step::Do),
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
