//! Says what is listed, on which terms and in which state: at once when that changes, and again and
//! again, so that a Redis that lost it has it back within a second.

use std::time::Duration;

use engine_core::replica::{MarketReplica, Replica};
use protocol::catalog_json::{Published, PublishedMarket};
use protocol::{Action, Frame, keys};

use crate::durable::Message;

const AGAIN_AFTER_US: u64 = Duration::from_millis(keys::CATALOG_EVERY_MS).as_micros() as u64;

#[derive(Debug, Default)]
pub struct ListingFeed {
    is_stale: bool,
    /// As last written.
    payload: Vec<u8>,
    next_us: u64,
}

impl ListingFeed {
    /// Nothing is told yet.
    pub fn new() -> ListingFeed {
        ListingFeed { is_stale: true, ..ListingFeed::default() }
    }

    /// Takes note of a frame that may have changed what is told.
    pub fn frame(&mut self, frame: &Frame<'_>) {
        let is_of_listing = matches!(
            frame.command.action,
            Action::ListMarket(_)
                | Action::SetPriceTerms { .. }
                | Action::SetLotTerms { .. }
                | Action::SetBookState { .. }
        );
        self.is_stale |= is_of_listing && frame.is_effective();
    }

    /// Adds what is to be told now.
    pub fn tell(&mut self, replica: &Replica, now_us: u64, out: &mut Vec<Message>) {
        if self.is_stale {
            match serde_json::to_vec(&published(replica)) {
                Ok(payload) => self.payload = payload,
                Err(error) => tracing::error!(%error, "what is listed could not be written"),
            }
        } else if now_us < self.next_us {
            return;
        }
        (self.is_stale, self.next_us) = (false, now_us + AGAIN_AFTER_US);
        out.push(Message::Set { key: keys::CATALOG, payload: self.payload.clone() });
    }
}

fn published(replica: &Replica) -> Published {
    let market = |spec: &protocol::MarketSpec| PublishedMarket {
        spec: spec.clone(),
        book_state: replica.market(spec.id).map(MarketReplica::book_state).unwrap_or_default(),
        listed_us: replica.listed_us(spec.id),
    };
    Published {
        version: replica.position(),
        assets: replica.catalog().assets().to_vec(),
        markets: replica.catalog().markets().iter().map(market).collect(),
    }
}
