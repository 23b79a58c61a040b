//! Which markets there are, for whoever decides whether one more can be listed.

use protocol::{AssetId, Catalog, Listing, MarketId, Refusal, Units};

#[derive(Debug)]
pub(crate) struct Listings {
    /// With their decimals.
    assets: Vec<(AssetId, u32)>,
    /// With base and quote; room for all there can be is made at the start.
    markets: Vec<(MarketId, AssetId, AssetId)>,
    markets_max: usize,
}

impl Listings {
    pub fn new(catalog: &Catalog, markets_max: u32) -> Self {
        let listed = catalog.markets();
        let mut markets = Vec::with_capacity(listed.len().max(markets_max as usize));
        markets.extend(listed.iter().map(|market| (market.id, market.base, market.quote)));
        let assets = catalog.assets().iter().map(|asset| (asset.id, asset.decimals));
        Listings { assets: assets.collect(), markets, markets_max: markets_max as usize }
    }

    /// One more, if it can be.
    pub fn add(&mut self, listing: &Listing) -> Result<(), Refusal> {
        let Listing { market, base, quote, .. } = *listing;
        if market == MarketId::ACCOUNTS || MarketId::MAX < market || base == quote {
            return Err(Refusal::TermsInvalid);
        }
        let (Some(base_decimals), Some(quote_decimals)) =
            (self.decimals(base), self.decimals(quote))
        else {
            return Err(Refusal::UnknownAsset);
        };
        let units = listing.units(base_decimals, quote_decimals);
        let (base_units, quote_units) = units.ok_or(Refusal::TermsInvalid)?;
        if Units::SUPPLY_MAX.0 < base_units.max(quote_units) {
            return Err(Refusal::TermsInvalid);
        }
        let is_taken = |&(id, of, against)| id == market || (of, against) == (base, quote);
        if self.markets.iter().any(is_taken) {
            return Err(Refusal::MarketExists);
        }
        if self.markets_max <= self.markets.len() {
            return Err(Refusal::TooManyMarkets);
        }
        self.markets.push((market, base, quote));
        Ok(())
    }

    fn decimals(&self, asset: AssetId) -> Option<u32> {
        self.assets.iter().find(|(id, _)| *id == asset).map(|(_, decimals)| *decimals)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{Increment, fixture};

    #[test]
    fn a_market_is_listed_once_of_what_there_is_and_can_be_counted() {
        let catalog = fixture::catalog();
        let old = &catalog.markets()[0];
        let mut listings = Listings::new(&catalog, 2);
        let good = Listing {
            market: MarketId(MarketId::MAX.0),
            base: old.quote,
            quote: old.base,
            tick: Increment { mantissa: 1, scale: 2 },
            step: Increment { mantissa: 1, scale: 2 },
        };
        let fine = Increment { mantissa: 1, scale: 18 };
        let doubled = Increment { mantissa: 10, scale: 3 };
        for (bad, refusal) in [
            (Listing { market: MarketId(0), ..good }, Refusal::TermsInvalid),
            (Listing { market: MarketId(MarketId::MAX.0 + 1), ..good }, Refusal::TermsInvalid),
            (Listing { quote: good.base, ..good }, Refusal::TermsInvalid),
            (Listing { base: AssetId(200), ..good }, Refusal::UnknownAsset),
            (Listing { tick: fine, ..good }, Refusal::TermsInvalid),
            (Listing { step: fine, ..good }, Refusal::TermsInvalid),
            (Listing { step: doubled, ..good }, Refusal::TermsInvalid),
            (Listing { market: old.id, ..good }, Refusal::MarketExists),
            (Listing { base: old.base, quote: old.quote, ..good }, Refusal::MarketExists),
        ] {
            assert_eq!(listings.add(&bad), Err(refusal), "{bad:?}");
        }
        assert_eq!(listings.add(&good), Ok(()));
        assert_eq!(listings.add(&good), Err(Refusal::MarketExists));
    }

    #[test]
    fn there_are_no_more_markets_than_memory_was_promised_for() {
        let catalog = fixture::catalog();
        let old = &catalog.markets()[0];
        let (base, quote, tick, step) = (old.quote, old.base, old.tick, old.step);
        let listing = Listing { market: MarketId(9), base, quote, tick, step };
        assert_eq!(Listings::new(&catalog, 1).add(&listing), Err(Refusal::TooManyMarkets));
    }
}
