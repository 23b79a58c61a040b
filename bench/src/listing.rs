//! What the benches trade: markets of one base and one quote asset, on the terms that
//! `exchange.toml` gives SOL_USDC, but in whole units, so that widely spread prices can be counted.

use protocol::{
    AccountId, Action, AssetId, AssetSpec, Catalog, FeeRate, Increment, Lots, MarketId, MarketSpec,
    Multipliers, Price, Transfer, TransferId, Units,
};

use crate::error::BenchError;

pub const QUOTE: AssetId = AssetId(0);
pub const BASE: AssetId = AssetId(1);
/// The first market.
pub const MARKET: MarketId = MarketId(1);

pub fn catalog(markets: u16) -> Result<Catalog, BenchError> {
    let assets = [(QUOTE, "Q"), (BASE, "B")].map(|(id, symbol)| AssetSpec {
        id,
        symbol: symbol.to_owned(),
        display_name: symbol.to_owned(),
        blockchain: "none".to_owned(),
        decimals: 0,
    });
    let markets = (1..=markets).filter_map(|id| market(MarketId(id))).collect();
    Catalog::new(assets.to_vec(), markets).map_err(BenchError::Listing)
}

fn market(id: MarketId) -> Option<MarketSpec> {
    Some(MarketSpec {
        id,
        symbol: format!("B{}_Q", id.0),
        base: BASE,
        quote: QUOTE,
        tick: Increment { mantissa: 1, scale: 0 },
        step: Increment { mantissa: 1, scale: 0 },
        base_units_per_lot: 1,
        quote_units_per_tick_lot: 1,
        price_min: Price::from_ticks(1)?,
        price_max: Price::from_ticks(Price::TICKS_MAX)?,
        lots_min: Lots(1),
        lots_max: Lots(u64::from(u32::MAX)),
        maker_fee: FeeRate { millionths: 800 },
        taker_fee: FeeRate { millionths: 1000 },
        band: Multipliers::default(),
        impact: Multipliers::default(),
    })
}

/// Accounts 1 to `count`, and to each an equal share of all money there can be.
pub fn funding(count: u32) -> impl Iterator<Item = Action> {
    let units = Units(Units::SUPPLY_MAX.0 / u64::from(count.max(1)));
    (1..=count).filter_map(AccountId::new).flat_map(move |account| {
        let deposit = |asset: AssetId| {
            let id = TransferId(u128::from(account.get()) << 16 | u128::from(asset.0));
            Action::Deposit(Transfer { account, asset, units, id })
        };
        [Action::CreateAccount, deposit(QUOTE), deposit(BASE)]
    })
}
