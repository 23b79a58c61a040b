//! The event streams of the exchange: one a market, and the one of accounts.

use std::sync::atomic::{AtomicBool, Ordering};

use protocol::{Catalog, MarketId, MarketSpec, keys};

use crate::chain::Gap;
use crate::error::StreamFault;

#[derive(Debug)]
pub struct Stream {
    /// `SOL_USDC` or `accounts`: its name in `sink_position`, logs and metrics.
    pub name: String,
    /// `events:{SOL_USDC}`
    pub key: String,
    /// `None` for the stream of accounts.
    pub market: Option<MarketSpec>,
    /// Set once, by whoever finds the fault.
    is_stopped: AtomicBool,
    /// Written by the feed: frames lack, and the engine is asked for them.
    has_gap: AtomicBool,
}

impl Stream {
    fn new(name: &str, market: Option<MarketSpec>) -> Self {
        Stream {
            name: name.to_owned(),
            key: keys::events(name),
            market,
            is_stopped: AtomicBool::new(false),
            has_gap: AtomicBool::new(false),
        }
    }

    pub fn market_id(&self) -> MarketId {
        self.market.as_ref().map_or(MarketId::ACCOUNTS, |market| market.id)
    }

    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Stops the stream for the rest of this process's life: a person has to act.
    pub fn stop(&self, fault: &StreamFault) {
        if self.is_stopped.swap(true, Ordering::Relaxed) {
            return;
        }
        self.set_gap(false);
        metrics::gauge!("sink_stream_stopped", "stream" => self.name.clone()).set(1.0);
        let cause = std::error::Error::source(fault).map(ToString::to_string).unwrap_or_default();
        tracing::error!(stream = %self.name, %fault, cause, "stream stopped, others go on");
    }

    pub fn has_gap(&self) -> bool {
        self.has_gap.load(Ordering::Relaxed)
    }

    /// `last` is the last frame before it.
    pub fn open_gap(&self, last: u64, gap: Gap) {
        self.set_gap(true);
        metrics::counter!("sink_gaps_total", "stream" => self.name.clone()).increment(1);
        let Gap { next, until } = gap;
        tracing::warn!(
            stream = %self.name, last, next, until, "gap: the engine is asked for what lacks"
        );
    }

    pub fn close_gap(&self, gap: Gap) {
        self.set_gap(false);
        tracing::info!(stream = %self.name, next = gap.next, "the gap is closed");
    }

    fn set_gap(&self, has_gap: bool) {
        self.has_gap.store(has_gap, Ordering::Relaxed);
        metrics::gauge!("sink_gap_open", "stream" => self.name.clone())
            .set(f64::from(u8::from(has_gap)));
    }
}

/// In the order of the catalog, accounts first; entries and batches name a stream by its place
/// here.
#[derive(Debug)]
pub struct Streams(Vec<Stream>);

impl Streams {
    pub fn of(catalog: &Catalog) -> Self {
        let accounts = std::iter::once(Stream::new(keys::ACCOUNTS, None));
        let markets = catalog.markets().iter();
        let markets = markets.map(|market| Stream::new(&market.symbol, Some(market.clone())));
        Streams(accounts.chain(markets).collect())
    }

    pub fn all(&self) -> &[Stream] {
        &self.0
    }

    pub fn at(&self, place: usize) -> &Stream {
        &self.0[place]
    }

    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|stream| stream.name.clone()).collect()
    }

    /// Whether every stream is being written: none is stopped or lacks frames.
    pub fn all_run(&self) -> bool {
        self.0.iter().all(|stream| !stream.is_stopped() && !stream.has_gap())
    }
}
