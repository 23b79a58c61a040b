//! What is asked of both exchanges.

use std::num::NonZeroU32;

use proptest::prelude::*;
use protocol::*;

use super::{ACCOUNTS, ASSETS};

pub fn account() -> impl Strategy<Value = AccountId> {
    // One beyond what the ledger has, now and then.
    (1..=ACCOUNTS + 1).prop_map(|id| AccountId::new(id).unwrap())
}

pub fn market() -> impl Strategy<Value = MarketId> {
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

fn placed() -> impl Strategy<Value = Action> {
    let by = prop::sample::select(TriggerBy::ALL.to_vec());
    let trigger = (price(), by, prop::bool::weighted(0.25));
    (place(), trigger).prop_map(|(placed, (price, by, waits))| match placed {
        Action::Place(place) if waits => {
            // A bound in a record of a trigger is in whole milliseconds.
            let valid_until_us = place.valid_until_us.min(1) * 1000;
            let place = Place { valid_until_us, ..place };
            Action::PlaceTrigger(TriggerPlace { place, trigger: Trigger { price, by } })
        }
        other => other,
    })
}

/// Which deadline is said to have come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Mostly too early.
    AsItStands,
    /// The one that stands, when it has come.
    Late,
    Moved,
    /// As a fan-out says it.
    Now,
}

/// The account itself, or a fan-out.
fn holder() -> impl Strategy<Value = GatewayId> {
    (0u32..4).prop_map(GatewayId)
}

/// A step of a run; cancels by id name one of the ids given out so far.
#[derive(Clone, Debug)]
pub enum Step {
    Do(Action),
    CancelGiven {
        account: AccountId,
        market: MarketId,
        which: prop::sample::Index,
    },
    AmendGiven {
        account: AccountId,
        which: prop::sample::Index,
        price: Option<Price>,
        lots: Option<Lots>,
    },
    Expire(AccountId, GatewayId, Due),
    /// More hold a switch of the account than may.
    Crowd(AccountId),
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
    let amend = (account(), any::<prop::sample::Index>(), prop::option::of(price()));
    let amended = (amend, prop::option::of(lots()));
    let kinds = prop::sample::select(CancelKinds::ALL.to_vec());
    let until = prop_oneof![2 => Just(0u64), 1 => 1u64..200];
    let all = (market(), account(), kinds, until).prop_map(
        |(market, account, kinds, created_until_us)| {
            Action::CancelAll(CancelAll { market, account, kinds, created_until_us })
        },
    );
    let cancel_after = (account(), holder(), prop_oneof![Just(0u32), Just(1), Just(3600)]);
    let cancel_after = cancel_after.prop_map(|(account, holder, timeout_ms)| {
        Action::SetCancelAfter { account, holder, timeout_ms }
    });
    let due = prop::sample::select(vec![Due::AsItStands, Due::Late, Due::Moved, Due::Now]);
    let expiry = (account(), holder(), due)
        .prop_map(|(account, holder, due)| Step::Expire(account, holder, due));
    prop_oneof![
        40 => placed().prop_map(Step::Do),
        10 => amended.prop_map(|((account, which, price), lots)| {
            Step::AmendGiven { account, which, price, lots: lots.filter(|lots| !lots.is_zero()) }
        }),
        2 => cancel_after.prop_map(Step::Do),
        2 => expiry,
        8 => (account(), market(), any::<prop::sample::Index>())
            .prop_map(|(account, market, which)| Step::CancelGiven { account, market, which }),
        2 => client.prop_map(Step::Do),
        2 => all.prop_map(Step::Do),
        1 => Just(Step::Do(Action::CreateAccount)),
        3 => transfer().prop_map(|it| Step::Do(Action::Deposit(it))),
        1 => transfer().prop_map(|it| Step::Do(Action::Withdraw(it))),
        2 => any::<prop::sample::Index>().prop_map(Step::Again),
        2 => set_terms().prop_map(Step::Do),
        2 => listing().prop_map(Step::Do),
        3 => (market(), book_state())
            .prop_map(|(market, state)| Step::Do(Action::SetBookState { market, state })),
        1 => Just(Step::Restart),
        1 => account().prop_map(Step::Crowd),
    ]
}
