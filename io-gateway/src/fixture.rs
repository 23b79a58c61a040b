//! The small exchange that tests of this crate speak of: SOL_USDC, its price and quantity bounded.

use protocol::fixture::{catalog_with, market, price};
use protocol::{Catalog, Lots, MarketSpec};

/// From 0.10 to 100,000 USDC, from 0.02 to 1,000,000 SOL.
pub fn catalog() -> Catalog {
    catalog_with(MarketSpec {
        price_min: price(10),
        price_max: price(10_000_000),
        lots_min: Lots(2),
        lots_max: Lots(100_000_000),
        ..market()
    })
}
