//! The replica's thread: durable frames in; market data, what accounts are told, answers and
//! snapshots out.
//!
//! ```text
//! journal ─▶ feed    ─▶ apply ─▶ market and account data, conservation ─▶┐
//! redis   ─▶ queries ─▶ wait for sequence ───────────────────────────────▶├─▶ messages ─▶ egress
//!                       clock ─▶ ticker, kline, heads ───────────────────▶┤
//!                       clock ─▶ cancel after ───────────────────────────▶┘
//!                       distance ─▶ snapshot ─▶ keeper
//! ```
//!
//! The journal does not wait for this thread: what it cannot take in time it reads from the files.

use std::collections::BTreeMap;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, never, select, tick};
use engine_core::replica::{Replica, ReplicaError};
use protocol::query::Query;
use protocol::{Action, DecodeError, Frame, MarketId, Outcome, Sequence, keys};
use service::Condition;

use crate::account_data::AccountData;
use crate::answers::{self, Sources};
use crate::durable::{Message, Publication};
use crate::error::{EngineError, JournalError};
use crate::journal::block::Link;
use crate::market_data::{MarketData, Pace};
use crate::openings::Openings;
use crate::recent::Recent;

pub mod feed;
mod listing_feed;
mod heads;
pub mod status_feed;
pub mod snapshots;
mod cancel_after;
mod watch;

use cancel_after::Switches;
use feed::{Feed, Supply};
use heads::HeadsFeed;
use listing_feed::ListingFeed;
use snapshots::Snapshots;
use status_feed::{Parts, StatusFeed};
use watch::Watch;

/// How often tickers, klines, deadlines and forgotten questions are looked at.
const TICK: Duration = Duration::from_millis(100);
/// Questions answered between two blocks.
const QUERIES_MAX: usize = 64;

/// What the thread owns the other ends of.
#[derive(Debug)]
pub struct ReplicaChannels {
    /// The journal's frames. When it has ended and all are applied, the loop ends.
    pub feed: Feed,
    /// From [`crate::queries::run`]. May close before the feed.
    pub queries: Receiver<Query>,
    /// Full: the loop waits. Closed: the loop ends.
    pub messages: Sender<Message>,
    pub snapshots: Snapshots,
    pub openings: Openings,
}

#[derive(Clone, Debug)]
pub struct ReplicaSettings {
    /// Microseconds since the epoch; an argument so that tests own the clock.
    pub now_us: fn() -> u64,
    /// Questions that wait for a sequence not yet applied; more are dropped.
    pub waiting_max: usize,
    /// Of the engine, as its heartbeat says.
    pub life: u64,
    /// Those that recovery came by.
    pub recent: Recent,
    /// Of the last command that `replica` knows.
    pub time_us: u64,
    /// Whether the books add up.
    pub conservation: Condition,
    /// What the operator is told of; `None`: nothing.
    pub parts: Option<Parts>,
}

#[derive(Debug, thiserror::Error)]
pub enum ReplicaLoopError {
    #[error("what the journal wrote after frame {after} does not decode")]
    Decode {
        after: Sequence,
        #[source]
        cause: DecodeError,
    },
    #[error("journal and replica disagree")]
    Inconsistent(#[from] ReplicaError),
    #[error("frames that were missed cannot be read from the journal")]
    Missed(#[from] JournalError),
    #[error("a market that was listed cannot be opened")]
    Opening(#[source] Box<EngineError>),
}

/// Runs until the feed has ended and is drained, or nobody takes messages any more. An error means
/// that the journal contradicts itself: the process must end. `replica` stands where the journal's
/// recovery left it, and is given back for a last look.
pub fn run(
    replica: Replica,
    channels: ReplicaChannels,
    settings: ReplicaSettings,
) -> Result<Replica, ReplicaLoopError> {
    let ReplicaChannels { mut feed, mut queries, messages, snapshots, openings } = channels;
    let ticks = tick(TICK);
    let mut state = ReplicaLoop::new(replica, snapshots, openings, settings);
    state.take_tick();
    loop {
        match feed.next(state.applied())? {
            Some(supply) => {
                state.take_supply(&supply, feed.has_more())?;
                for query in queries.try_iter().take(QUERIES_MAX) {
                    state.take_query(query);
                }
                if ticks.try_recv().is_ok() {
                    state.take_tick();
                }
            }
            None if feed.has_ended() => {
                return Ok(state.end());
            }
            None => select! {
                recv(feed.blocks()) -> block => feed.push(block),
                recv(queries) -> query => match query {
                    Ok(query) => state.take_query(query),
                    Err(_) => queries = never(),
                },
                recv(ticks) -> _ => state.take_tick(),
                default(feed.patience()) => (),
            },
        }
        let publications = state.out.drain(..).map(Message::Publish);
        for message in publications.chain(state.messages.drain(..)) {
            if messages.send(message).is_err() {
                return Ok(state.replica);
            }
        }
        state.make_snapshot();
    }
}

struct ReplicaLoop {
    replica: Replica,
    settings: ReplicaSettings,
    market_data: MarketData,
    recent: Recent,
    account_data: AccountData,
    snapshots: Snapshots,
    openings: Openings,
    watch: Watch,
    switches: Switches,
    /// Of the last command applied.
    time_us: u64,
    /// Of the block that was just applied to its end.
    block_end: Option<Link>,
    /// Questions by the sequence they wait for, then by arrival.
    waiting: BTreeMap<(Sequence, u64), Query>,
    arrivals: u64,
    /// What one turn of the loop publishes.
    out: Vec<Publication>,
    /// And sends otherwise: what is listed, halts to markets that must close, and where orders are
    /// to be cancelled.
    messages: Vec<Message>,
    heads: HeadsFeed,
    listing: ListingFeed,
    status: StatusFeed,
}

impl ReplicaLoop {
    fn new(
        replica: Replica,
        snapshots: Snapshots,
        openings: Openings,
        mut settings: ReplicaSettings,
    ) -> ReplicaLoop {
        ReplicaLoop {
            switches: Switches::new(&replica),
            market_data: MarketData::new(&replica, (settings.now_us)()),
            recent: std::mem::take(&mut settings.recent),
            heads: HeadsFeed::new(settings.life),
            account_data: AccountData::new(settings.life),
            status: StatusFeed::new(settings.parts.take()),
            replica,
            snapshots,
            openings,
            watch: Watch::new(settings.conservation.clone()),
            time_us: settings.time_us,
            settings,
            block_end: None,
            waiting: BTreeMap::new(),
            arrivals: 0,
            out: Vec::new(),
            messages: Vec::new(),
            listing: ListingFeed::new(),
        }
    }

    /// `has_more`: market data of many frames is joined while others wait.
    fn take_supply(&mut self, supply: &Supply, has_more: bool) -> Result<(), ReplicaLoopError> {
        let is_behind = has_more || matches!(supply, Supply::Page(_));
        let pace = if is_behind { Pace::Joined } else { Pace::Realtime };
        let mut frames: u64 = 0;
        for frame in Frame::each_of(supply.frames()) {
            let applied = self.applied();
            let decode = |cause| ReplicaLoopError::Decode { after: applied, cause };
            let frame = frame.map_err(decode)?;
            if frame.header.sequence <= applied {
                continue;
            }
            frames += 1;
            self.take_frame(&frame, pace)?;
            self.time_us = self.time_us.max(frame.command.time_us);
        }
        let now_us = (self.settings.now_us)();
        self.market_data.end_of_block(&self.replica, now_us, &mut self.out);
        self.watch.look(&self.replica);
        self.watch.halt(&self.replica, now_us, &mut self.messages);
        self.listing.tell(&self.replica, now_us, &mut self.messages);
        self.switches.look(&self.replica, now_us, &mut self.messages);
        self.answer_waiting();
        self.block_end = supply.link();
        metrics::counter!("engine_replica_frames_total").increment(frames);
        Ok(())
    }

    /// After what was published: nobody waits for a snapshot.
    fn make_snapshot(&mut self) {
        // What does not add up is not made the ground of the next life.
        if let Some(link) = self.block_end.take()
            && self.watch.holds()
        {
            self.snapshots.at_block_end(&self.replica, link, self.time_us);
        }
    }

    fn end(mut self) -> Replica {
        if self.watch.holds() {
            self.snapshots.at_the_end(&self.replica, self.time_us);
        }
        self.replica
    }

    fn take_frame(&mut self, frame: &Frame<'_>, pace: Pace) -> Result<(), ReplicaLoopError> {
        let now_us = self.settings.now_us;
        self.account_data.before(&self.replica, frame, now_us);
        self.replica.apply(frame)?;
        self.recent.frame(frame, self.replica.applied());
        self.switches.take_frame(frame);
        self.listing.frame(frame);
        if let (Action::ListMarket(listing), Outcome::MarketListed) =
            (&frame.command.action, frame.header.outcome)
        {
            self.open(listing.market)?;
        }
        let applied = self.replica.applied();
        // A trade takes lots off a level, so without a change there is nothing to show.
        if let Some(market) = self.replica.market(applied.market)
            && !applied.levels.is_empty()
        {
            self.market_data.frame(market, frame, applied, pace, now_us(), &mut self.out);
        }
        self.account_data.after(&self.replica, frame, now_us, &mut self.out);
        Ok(())
    }

    fn open(&mut self, market: MarketId) -> Result<(), ReplicaLoopError> {
        if let Some(known) = self.replica.market(market) {
            self.market_data.add(known, (self.settings.now_us)());
        }
        let opened = self.openings.open(&self.replica, market);
        opened.map_err(|cause| ReplicaLoopError::Opening(Box::new(cause)))
    }

    fn take_query(&mut self, query: Query) {
        if query.min_sequence <= self.applied() {
            self.answer(&query);
        } else if self.waiting.len() < self.settings.waiting_max {
            self.arrivals += 1;
            self.waiting.insert((query.min_sequence, self.arrivals), query);
        } else {
            metrics::counter!("engine_queries_dropped_total", "reason" => "waiting").increment(1);
        }
    }

    fn take_tick(&mut self) {
        self.watch.tick(&self.replica, self.settings.now_us);
        let now_us = (self.settings.now_us)();
        self.watch.halt(&self.replica, now_us, &mut self.messages);
        self.listing.tell(&self.replica, now_us, &mut self.messages);
        self.switches.look(&self.replica, now_us, &mut self.messages);
        self.market_data.tick(&self.replica, now_us, &mut self.out);
        self.heads.tell(&self.replica, now_us, &mut self.out);
        self.snapshots.tick(&self.replica);
        let snapshot = self.snapshots.written();
        self.status.tell(&self.replica, snapshot, now_us, &mut self.messages);
        self.account_data.leases().tick(now_us);
        let before = self.waiting.len();
        self.waiting.retain(|_, query| now_us <= query.deadline_us);
        count_expired(before - self.waiting.len());
    }

    fn answer_waiting(&mut self) {
        let applied = self.applied();
        while let Some(entry) = self.waiting.first_entry()
            && entry.key().0 <= applied
        {
            let query = entry.remove();
            self.answer(&query);
        }
    }

    fn answer(&mut self, query: &Query) {
        let now_us = (self.settings.now_us)();
        if query.deadline_us < now_us {
            count_expired(1);
            return;
        }
        let (replica, recent, leases) = (&self.replica, &self.recent, self.account_data.leases());
        let sources = Sources { replica, recent, leases };
        let Some(answer) = answers::answer(sources, query, now_us) else {
            metrics::counter!("engine_queries_dropped_total", "reason" => "leases").increment(1);
            return;
        };
        match serde_json::to_vec(&answer) {
            Ok(payload) => {
                self.out.push(Publication { channel: keys::replies(query.gateway), payload });
            }
            Err(error) => {
                tracing::error!(query = query.id, %error, "an answer could not be written");
            }
        }
    }

    fn applied(&self) -> Sequence {
        self.replica.position()
    }
}

fn count_expired(queries: usize) {
    if queries != 0 {
        let expired = metrics::counter!("engine_queries_dropped_total", "reason" => "expired");
        expired.increment(queries as u64);
    }
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
