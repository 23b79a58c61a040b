//! For tests alone, of every package: the markets they speak of. A test that needs another number
//! says so by struct update: `MarketSpec { lots_max: Lots(1000), ..fixture::market() }`.

#![allow(clippy::unwrap_used, reason = "a fixture that is wrong ends the test")]

use crate::catalog::Catalog;
use crate::command::{OrderKind, Place};
use crate::ids::{AccountId, AssetId, MarketId};
use crate::market::{AssetSpec, FeeRate, Increment, MarketSpec};
use crate::terms::Multipliers;
use crate::units::{Lots, Price, SelfTradePrevention, Side, TimeInForce};

/// USDC, or Q.
pub const QUOTE: AssetId = AssetId(1);
/// SOL, or B.
pub const BASE: AssetId = AssetId(2);
pub const MARKET: MarketId = MarketId(1);

/// SOL_USDC, market 1, and BTC_USDC, market 2, as a config file lists them.
pub const LISTING_TOML: &str = r#"
[[assets]]
id = 1
symbol = "USDC"
display_name = "USD Coin"
blockchain = "Solana"
decimals = 6
[[assets]]
id = 2
symbol = "SOL"
display_name = "Solana"
blockchain = "Solana"
decimals = 9
[[assets]]
id = 3
symbol = "BTC"
display_name = "Bitcoin"
blockchain = "Bitcoin"
decimals = 8
[[markets]]
id = 1
base = "SOL"
quote = "USDC"
tick_size = "0.01"
step_size = "0.01"
maker_fee_bps = "8"
taker_fee_bps = "10"
[[markets]]
id = 2
base = "BTC"
quote = "USDC"
tick_size = "0.1"
step_size = "0.00001"
maker_fee_bps = "8"
taker_fee_bps = "10"
"#;

pub fn price(ticks: u64) -> Price {
    Price::from_ticks(ticks).unwrap()
}

pub fn asset(id: AssetId, symbol: &str, decimals: u32) -> AssetSpec {
    AssetSpec {
        id,
        symbol: symbol.to_owned(),
        display_name: symbol.to_owned(),
        blockchain: "Solana".to_owned(),
        decimals,
    }
}

/// SOL_USDC as it is listed: ticks and lots of 0.01, no bounds of its own, fees of 8 and 10 bps.
pub fn market() -> MarketSpec {
    MarketSpec {
        id: MARKET,
        symbol: "SOL_USDC".to_owned(),
        base: BASE,
        quote: QUOTE,
        tick: Increment { mantissa: 1, scale: 2 },
        step: Increment { mantissa: 1, scale: 2 },
        base_units_per_lot: 10_000_000,
        quote_units_per_tick_lot: 100,
        price_min: price(1),
        price_max: price(Price::TICKS_MAX),
        lots_min: Lots(1),
        lots_max: Lots(u64::from(u32::MAX)),
        maker_fee: FeeRate { millionths: 800 },
        taker_fee: FeeRate { millionths: 1000 },
        band: Multipliers::default(),
        impact: Multipliers::default(),
    }
}

/// USDC, SOL and [`market`].
pub fn catalog() -> Catalog {
    catalog_with(market())
}

/// USDC, SOL and a market of them.
pub fn catalog_with(market: MarketSpec) -> Catalog {
    Catalog::new(vec![asset(QUOTE, "USDC", 6), asset(BASE, "SOL", 9)], vec![market]).unwrap()
}

/// B_Q, for sums done in the head: one lot is 100 base units and costs 10 quote units a tick; the
/// fees are 1 % and 2 %.
pub fn round_catalog() -> Catalog {
    let market = MarketSpec {
        symbol: "B_Q".to_owned(),
        tick: Increment { mantissa: 1, scale: 1 },
        step: Increment { mantissa: 1, scale: 1 },
        base_units_per_lot: 100,
        quote_units_per_tick_lot: 10,
        price_max: price(1_000_000),
        lots_max: Lots(1_000_000),
        maker_fee: FeeRate { millionths: 10_000 },
        taker_fee: FeeRate { millionths: 20_000 },
        ..market()
    };
    Catalog::new(vec![asset(QUOTE, "Q", 3), asset(BASE, "B", 3)], vec![market]).unwrap()
}

/// An order that rests, or takes what it meets, without a name and without an end.
pub fn limit(market: MarketId, account: u32, side: Side, ticks: u64, lots: u64) -> Place {
    Place {
        market,
        account: AccountId::new(account).unwrap(),
        side,
        kind: OrderKind::Limit { price: price(ticks), lots: Lots(lots), post_only: false },
        time_in_force: TimeInForce::GoodTillCancelled,
        self_trade_prevention: SelfTradePrevention::RejectTaker,
        client_id: None,
        valid_until_us: 0,
    }
}
