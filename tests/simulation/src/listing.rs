//! What is traded in the simulation: a triangle, so that what one market's trade brings in, another
//! market's order spends, and shards meet in the same cells of the ledger.

use std::num::NonZeroU32;

use engine_core::ShardLimits;
use protocol::{
    AssetId, Catalog, FeeRate, Increment, Lots, MarketId, MarketSpec, Multipliers, fixture,
};

pub const ACCOUNTS_MAX: u32 = 5;
pub const ASSETS: [AssetId; 3] = [AssetId(1), AssetId(2), AssetId(3)];
pub const PRICE: u64 = 100;

pub const LIMITS: ShardLimits = ShardLimits {
    orders_max: 64,
    open_orders_per_account_max: 12,
    trades_per_command_max: 8,
    accounts_max: ACCOUNTS_MAX,
    markets_max: 5,
};

/// The most records a frame may have: header, command, events.
pub const FRAME_RECORDS_MAX: usize = 2 + 12;

pub fn times(min: u32, max: u32) -> Multipliers {
    Multipliers { min_millionths: NonZeroU32::new(min), max_millionths: NonZeroU32::new(max) }
}

fn market(id: u16, base: AssetId, quote: AssetId) -> MarketSpec {
    MarketSpec {
        id: MarketId(id),
        symbol: ["X_Y", "Y_Z", "Z_X"][usize::from(id) - 1].to_owned(),
        base,
        quote,
        tick: Increment { mantissa: 1, scale: 1 },
        step: Increment { mantissa: 1, scale: 1 },
        base_units_per_lot: 1000,
        quote_units_per_tick_lot: 10,
        price_max: fixture::price(2 * PRICE),
        lots_max: Lots(100),
        maker_fee: FeeRate { millionths: 1000 },
        taker_fee: FeeRate { millionths: 2000 },
        band: times(970_000, 1_030_000),
        impact: times(980_000, 1_020_000),
        ..fixture::market()
    }
}

pub fn catalog() -> Catalog {
    let [x, y, z] = ASSETS;
    let assets = [(x, "X"), (y, "Y"), (z, "Z")];
    let assets = assets.map(|(id, symbol)| fixture::asset(id, symbol, 2)).to_vec();
    let markets = vec![market(1, x, y), market(2, y, z), market(3, z, x)];
    match Catalog::new(assets, markets) {
        Ok(catalog) => catalog,
        Err(error) => unreachable!("Invariant: the simulated listing is in order: {error}"),
    }
}

/// The streams: that of the accounts, then those of the markets.
pub fn streams(catalog: &Catalog) -> Vec<(MarketId, String)> {
    let markets = catalog.markets().iter().map(|market| market.id);
    let all = [MarketId::ACCOUNTS].into_iter().chain(markets);
    all.filter_map(|id| Some((id, catalog.stream_name(id)?.to_owned()))).collect()
}
