//! Markets that were listed while the exchange ran; those of the config are not among them.

use protocol::{BookState, Frame, Listing, MarketId};
use serde::{Deserialize, Serialize};

use super::Replica;
use super::error::Inconsistency;
use super::market::MarketReplica;

/// A listing, and when it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Listed {
    pub listing: Listing,
    pub time_us: u64,
}

impl Replica {
    pub(super) fn list(
        &mut self,
        frame: &Frame<'_>,
        listing: &Listing,
    ) -> Result<(), Inconsistency> {
        self.accounts.sum.listing(listing);
        self.restore_listed(Listed { listing: *listing, time_us: frame.command.time_us })
    }

    /// It begins closed.
    pub(super) fn restore_listed(&mut self, listed: Listed) -> Result<(), Inconsistency> {
        let id = listed.listing.market;
        let spec = self.catalog.list(&listed.listing);
        let spec = spec.map_err(|_| Inconsistency::Listing(id))?.clone();
        let mut market = MarketReplica::new(spec);
        market.book_state = BookState::Closed;
        market.sum.book_state(BookState::Open, BookState::Closed);
        let place = usize::from(id.0);
        if self.markets.len() <= place {
            self.markets.resize(place + 1, None);
        }
        self.markets[place] = Some(market);
        self.listed.push(listed);
        Ok(())
    }

    /// In the order of their listing.
    pub fn listed(&self) -> &[Listed] {
        &self.listed
    }

    /// When the market was listed; `None`: by the config.
    pub fn listed_us(&self, market: MarketId) -> Option<u64> {
        self.listed.iter().find(|it| it.listing.market == market).map(|it| it.time_us)
    }
}
