//! What the engine says is listed, for everybody who follows it: JSON under
//! [`crate::keys::CATALOG`].

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, CatalogError};
use crate::ids::{MarketId, Sequence};
use crate::market::{AssetSpec, MarketSpec};
use crate::units::BookState;

/// As of one frame.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The last frame that is in it: it only rises, so what comes late is told by it.
    pub version: Sequence,
    pub assets: Vec<AssetSpec>,
    /// By the order of their listing.
    pub markets: Vec<PublishedMarket>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedMarket {
    #[serde(flatten)]
    pub spec: MarketSpec,
    pub book_state: BookState,
    /// When it was listed while the exchange ran; `None`: by the config.
    pub listed_us: Option<u64>,
}

/// A catalog to work with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// 0: the config's, before the engine has said anything.
    pub version: Sequence,
    pub catalog: Catalog,
    pub book_states: HashMap<MarketId, BookState>,
    pub listed_us: HashMap<MarketId, u64>,
}

impl Known {
    /// Before the engine has said anything.
    pub fn of_config(catalog: Catalog) -> Known {
        Known { catalog, ..Known::default() }
    }
}

impl TryFrom<Published> for Known {
    type Error = CatalogError;

    fn try_from(published: Published) -> Result<Known, CatalogError> {
        let Published { version, assets, markets } = published;
        let states = markets.iter().map(|market| (market.spec.id, market.book_state));
        let times = markets.iter().filter_map(|market| Some((market.spec.id, market.listed_us?)));
        let (book_states, listed_us) = (states.collect(), times.collect());
        let specs = markets.iter().map(|market| market.spec.clone()).collect();
        Ok(Known { version, catalog: Catalog::new(assets, specs)?, book_states, listed_us })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn what_is_published_reads_back_as_it_was() {
        let catalog = fixture::catalog();
        let market = |spec: &MarketSpec| PublishedMarket {
            spec: spec.clone(),
            book_state: BookState::LimitOnly,
            listed_us: Some(7),
        };
        let published = Published {
            version: Sequence(9),
            assets: catalog.assets().to_vec(),
            markets: catalog.markets().iter().map(market).collect(),
        };
        let json = serde_json::to_string(&published).unwrap();
        let read: Published = serde_json::from_str(&json).unwrap();
        assert_eq!(read, published);
        let known = Known::try_from(read).unwrap();
        assert_eq!(known.catalog, catalog);
        let market = catalog.markets()[0].id;
        assert_eq!(known.book_states[&market], BookState::LimitOnly);
        assert_eq!(known.listed_us[&market], 7);
    }
}
