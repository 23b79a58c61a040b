//! What happens when a market is listed while the engine runs.
//!
//! ```text
//! replica ─▶ Openings: makes the market ─▶ shard takes it ─▶ ingress reads its stream
//! ```
//!
//! The replica sees the listing when it is durable. It makes what the shard needs, memory and all,
//! so that the shard's thread allocates nothing; the shard takes the market and only then passes on
//! the command stream to its ingress thread. So no command finds a shard that does not know its
//! market. What a crash leaves out is made up for by recovery, which finds the market in snapshot
//! or journal and starts with it: the stream is then read from where its last durable frame stood,
//! as every other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::channel::{Receiver, Sender, bounded, never};
use engine_core::replica::Replica;
use engine_core::{NewMarket, ShardLimits};
use protocol::{Catalog, MarketId, keys};

use crate::error::EngineError;
use crate::idle::Bell;
use crate::ingress::Source;
use crate::ingress::stream::CommandStream;
use crate::recovery;

/// More markets than can ever be listed, so that nobody waits for room.
const OPENINGS_MAX: usize = MarketId::MAX.0 as usize;

/// A market on its way to its shard, and its stream on the way to its ingress thread.
#[derive(Debug)]
pub struct Opening {
    pub market: NewMarket,
    pub source: Source,
    pub ingress: Sender<Source>,
}

/// A way to one shard.
pub fn to_shard(bell: &Arc<Bell>) -> (ShardDoor, Receiver<Box<Opening>>) {
    let (sender, openings) = bounded(OPENINGS_MAX);
    (ShardDoor { sender, bell: Arc::clone(bell) }, openings)
}

/// Of a shard that never gets another market.
pub fn none() -> Receiver<Box<Opening>> {
    never()
}

/// A way to one ingress thread.
pub fn to_ingress() -> (Sender<Source>, Receiver<Source>) {
    bounded(OPENINGS_MAX)
}

#[derive(Clone, Debug)]
pub struct ShardDoor {
    sender: Sender<Box<Opening>>,
    bell: Arc<Bell>,
}

/// Which markets are listed, for who only needs to know that.
#[derive(Debug)]
pub struct ListedMarkets(Vec<AtomicBool>);

impl ListedMarkets {
    pub fn of(catalog: &Catalog) -> ListedMarkets {
        let is_listed = |id| AtomicBool::new(catalog.market(MarketId(id)).is_some());
        ListedMarkets((0..=MarketId::MAX.0).map(is_listed).collect())
    }

    pub fn contains(&self, market: MarketId) -> bool {
        // Relaxed: nothing else of the market is read because of it.
        self.0.get(usize::from(market.0)).is_some_and(|it| it.load(Ordering::Relaxed))
    }

    fn add(&self, market: MarketId) {
        if let Some(listed) = self.0.get(usize::from(market.0)) {
            listed.store(true, Ordering::Relaxed);
        }
    }
}

/// What the replica's thread does for a new market.
#[derive(Debug)]
pub struct Openings {
    pub limits: ShardLimits,
    pub shards: Vec<ShardDoor>,
    pub ingress: Vec<Sender<Source>>,
    pub listed: Arc<ListedMarkets>,
}

impl Openings {
    /// No shard and no ingress: for a replica without an engine around it.
    pub fn nowhere() -> Openings {
        let limits = ShardLimits {
            orders_max: 0,
            open_orders_per_account_max: 0,
            trades_per_command_max: 0,
            accounts_max: 0,
            markets_max: 0,
        };
        let listed = Arc::new(ListedMarkets::of(&Catalog::default()));
        Openings { limits, shards: Vec::new(), ingress: Vec::new(), listed }
    }

    /// Hands on a market that `replica` has just come to know.
    pub fn open(&self, replica: &Replica, market: MarketId) -> Result<(), EngineError> {
        let catalog = replica.catalog();
        let (Some(known), Some(at)) = (replica.market(market), place_of(catalog, market)) else {
            return Ok(());
        };
        self.listed.add(market);
        if self.shards.is_empty() {
            return Ok(());
        }
        let (Some(door), Some(ingress)) = (
            self.shards.get(recovery::shard_of(catalog, market, self.shards.len())),
            self.ingress.get(ingress_of(at, self.ingress.len())),
        ) else {
            return Ok(());
        };
        let state = replica.market_state(market);
        let made = NewMarket::new(known.spec().clone(), &state, &self.limits);
        let made = made.map_err(|cause| EngineError::Restore { market, cause })?;
        let source = Source {
            market,
            key: keys::orders(&known.spec().symbol),
            stream: CommandStream::read_up_to(replica.cursor(market), replica.last_origin(market)),
            outlet: recovery::shard_of(catalog, market, self.shards.len()),
        };
        let opening = Box::new(Opening { market: made, source, ingress: ingress.clone() });
        // A shard that has ended needs no more markets: the engine drains.
        if door.sender.send(opening).is_ok() {
            door.bell.ring();
            tracing::info!(market = known.spec().symbol, "a market is listed");
        }
        Ok(())
    }
}

/// The market's place among all streams, of which the first is the accounts'.
fn place_of(catalog: &Catalog, market: MarketId) -> Option<usize> {
    catalog.markets().iter().position(|listed| listed.id == market).map(|at| at + 1)
}

/// Which ingress thread reads the stream of this place.
pub fn ingress_of(at: usize, threads: usize) -> usize {
    at % threads.max(1)
}
