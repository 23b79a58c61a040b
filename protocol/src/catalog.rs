//! All assets and markets of one exchange, looked up by id or by symbol.

use crate::ids::{AssetId, MarketId};
use crate::market::{AssetSpec, FeeRate, MarketSpec};
use crate::terms::{Listing, Multipliers};
use crate::units::{Lots, Price};

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Catalog {
    assets: Vec<AssetSpec>,
    markets: Vec<MarketSpec>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    #[error("asset id {0} is listed twice")]
    AssetIdTwice(AssetId),
    #[error("asset symbol {0} is listed twice")]
    AssetSymbolTwice(String),
    #[error("market id {0} is listed twice")]
    MarketIdTwice(MarketId),
    #[error("market symbol {0} is listed twice")]
    MarketSymbolTwice(String),
    #[error("market id {0} is not in 1..=1023")]
    MarketIdRange(MarketId),
    #[error("market {market} names asset {asset}, which is not listed")]
    UnknownAsset { market: String, asset: AssetId },
    #[error("market {0} counts in no whole units")]
    Fractional(String),
}

impl Catalog {
    pub fn new(assets: Vec<AssetSpec>, markets: Vec<MarketSpec>) -> Result<Self, CatalogError> {
        for (at, asset) in assets.iter().enumerate() {
            let before = &assets[..at];
            if before.iter().any(|other| other.id == asset.id) {
                return Err(CatalogError::AssetIdTwice(asset.id));
            }
            if before.iter().any(|other| other.symbol == asset.symbol) {
                return Err(CatalogError::AssetSymbolTwice(asset.symbol.clone()));
            }
        }
        for (at, market) in markets.iter().enumerate() {
            let before = &markets[..at];
            if market.id == MarketId::ACCOUNTS || MarketId::MAX < market.id {
                return Err(CatalogError::MarketIdRange(market.id));
            }
            if before.iter().any(|other| other.id == market.id) {
                return Err(CatalogError::MarketIdTwice(market.id));
            }
            if before.iter().any(|other| other.symbol == market.symbol) {
                return Err(CatalogError::MarketSymbolTwice(market.symbol.clone()));
            }
            for asset in [market.base, market.quote] {
                if !assets.iter().any(|listed| listed.id == asset) {
                    return Err(CatalogError::UnknownAsset {
                        market: market.symbol.clone(),
                        asset,
                    });
                }
            }
        }
        Ok(Catalog { assets, markets })
    }

    /// One more market, closed to orders until it has terms: every price, quantities of what the
    /// config would give by default, no fees.
    pub fn list(&mut self, listing: &Listing) -> Result<&MarketSpec, CatalogError> {
        let Listing { market, base, quote, tick, step } = *listing;
        let asset = |id: AssetId| {
            let unknown = CatalogError::UnknownAsset { market: market.to_string(), asset: id };
            self.asset(id).ok_or(unknown)
        };
        let (base, quote) = (asset(base)?, asset(quote)?);
        let symbol = format!("{}_{}", base.symbol, quote.symbol);
        let units = listing.units(base.decimals, quote.decimals);
        let (Some((base_units_per_lot, quote_units_per_tick_lot)), Some(lowest), Some(highest)) =
            (units, Price::from_ticks(1), Price::from_ticks(Price::TICKS_MAX))
        else {
            return Err(CatalogError::Fractional(symbol));
        };
        let spec = MarketSpec {
            id: market,
            symbol,
            base: base.id,
            quote: quote.id,
            tick,
            step,
            base_units_per_lot,
            quote_units_per_tick_lot,
            price_min: lowest,
            price_max: highest,
            lots_min: Lots(1),
            lots_max: MarketSpec::LOTS_MAX_DEFAULT,
            maker_fee: FeeRate { millionths: 0 },
            taker_fee: FeeRate { millionths: 0 },
            band: Multipliers::default(),
            impact: Multipliers::default(),
        };
        let mut markets = self.markets.clone();
        markets.push(spec);
        *self = Catalog::new(self.assets.clone(), markets)?;
        match self.markets.last() {
            Some(listed) => Ok(listed),
            None => unreachable!("Invariant: a market was just listed"),
        }
    }

    /// A market listed is from now on as `market` says, which bears its id.
    pub fn update(&mut self, market: MarketSpec) {
        if let Some(listed) = self.markets.iter_mut().find(|listed| listed.id == market.id) {
            *listed = market;
        }
    }

    pub fn assets(&self) -> &[AssetSpec] {
        &self.assets
    }

    pub fn markets(&self) -> &[MarketSpec] {
        &self.markets
    }

    pub fn asset(&self, id: AssetId) -> Option<&AssetSpec> {
        self.assets.iter().find(|asset| asset.id == id)
    }

    pub fn asset_by_symbol(&self, symbol: &str) -> Option<&AssetSpec> {
        self.assets.iter().find(|asset| asset.symbol == symbol)
    }

    pub fn market(&self, id: MarketId) -> Option<&MarketSpec> {
        self.markets.iter().find(|market| market.id == id)
    }

    pub fn market_by_symbol(&self, symbol: &str) -> Option<&MarketSpec> {
        self.markets.iter().find(|market| market.symbol == symbol)
    }

    /// One more than the largest asset id: the width of a balance table.
    pub fn asset_columns(&self) -> usize {
        self.assets.iter().map(|asset| asset.id.index() + 1).max().unwrap_or(0)
    }

    /// Name of a command or event stream: the market's symbol, or `accounts`.
    pub fn stream_name(&self, id: MarketId) -> Option<&str> {
        if id == MarketId::ACCOUNTS {
            return Some(crate::keys::ACCOUNTS);
        }
        self.market(id).map(|market| market.symbol.as_str())
    }
}
