//! The small exchange that tests of this crate speak of: SOL_USDC, prices and quantities by 0.01.

use protocol::Catalog;
use protocol::listing::{self, RawAsset, RawMarket};

pub fn catalog() -> Catalog {
    let asset = |id, symbol: &str, decimals| RawAsset {
        id,
        symbol: symbol.to_owned(),
        display_name: symbol.to_owned(),
        blockchain: "Solana".to_owned(),
        decimals,
    };
    let market = RawMarket {
        id: 1,
        base: "SOL".to_owned(),
        quote: "USDC".to_owned(),
        tick_size: "0.01".to_owned(),
        step_size: "0.01".to_owned(),
        min_price: Some("0.10".to_owned()),
        max_price: Some("100000".to_owned()),
        min_quantity: Some("0.02".to_owned()),
        max_quantity: Some("1000000".to_owned()),
        maker_fee_bps: "8".to_owned(),
        taker_fee_bps: "10".to_owned(),
    };
    listing::catalog(&[asset(1, "USDC", 6), asset(2, "SOL", 9)], &[market]).unwrap()
}
