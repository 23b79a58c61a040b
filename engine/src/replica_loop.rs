//! The replica's thread: durable blocks in; market data and answers out.
//!
//! ```text
//! journal ─▶ blocks  ─▶ apply ─▶ market data ─▶┐
//! redis   ─▶ queries ─▶ wait for sequence ─────▶├─▶ publications ─▶ egress
//!                       clock ─▶ ticker, kline ─▶┘
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, never, select, tick};
use engine_core::replica::{Replica, ReplicaError};
use protocol::query::Query;
use protocol::{DecodeError, Frame, Sequence, keys};

use crate::answers;
use crate::durable::{DurableBlock, Publication};
use crate::market_data::{MarketData, Pace};

/// How often tickers, klines and forgotten questions are looked at.
const TICK: Duration = Duration::from_millis(100);

/// What the thread owns the other ends of.
#[derive(Debug)]
pub struct ReplicaChannels {
    /// From the journal, in order. Closing it ends the loop once it is drained.
    pub blocks: Receiver<Arc<DurableBlock>>,
    /// From [`crate::queries::run`]. May close before `blocks`.
    pub queries: Receiver<Query>,
    /// Full: the loop waits, and through `blocks` the journal. Closed: the loop ends.
    pub publications: Sender<Publication>,
}

#[derive(Clone, Copy, Debug)]
pub struct ReplicaSettings {
    /// Microseconds since the epoch; an argument so that tests own the clock.
    pub now_us: fn() -> u64,
    /// Questions that wait for a sequence not yet applied; more are dropped.
    pub waiting_max: usize,
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
}

/// Runs until `blocks` is closed and drained, or nobody takes publications any more. An error means
/// that the journal contradicts itself: the process must end. `replica` stands where the journal's
/// recovery left it, and is given back for a last look.
pub fn run(
    replica: Replica,
    channels: ReplicaChannels,
    settings: ReplicaSettings,
) -> Result<Replica, ReplicaLoopError> {
    let ReplicaChannels { blocks, mut queries, publications } = channels;
    let ticks = tick(TICK);
    let mut state = ReplicaLoop {
        market_data: MarketData::new(&replica, (settings.now_us)()),
        replica,
        settings,
        waiting: BTreeMap::new(),
        arrivals: 0,
        out: Vec::new(),
    };
    loop {
        select! {
            recv(blocks) -> block => match block {
                Ok(block) => {
                    let pace = if blocks.is_empty() { Pace::Realtime } else { Pace::Joined };
                    state.take_block(&block, pace)?;
                }
                Err(_) => return Ok(state.replica),
            },
            recv(queries) -> query => match query {
                Ok(query) => state.take_query(query),
                Err(_) => queries = never(),
            },
            recv(ticks) -> _ => state.take_tick(),
        }
        for publication in state.out.drain(..) {
            if publications.send(publication).is_err() {
                return Ok(state.replica);
            }
        }
    }
}

struct ReplicaLoop {
    replica: Replica,
    settings: ReplicaSettings,
    market_data: MarketData,
    /// Questions by the sequence they wait for, then by arrival.
    waiting: BTreeMap<(Sequence, u64), Query>,
    arrivals: u64,
    /// What one turn of the loop publishes.
    out: Vec<Publication>,
}

impl ReplicaLoop {
    fn take_block(&mut self, block: &DurableBlock, pace: Pace) -> Result<(), ReplicaLoopError> {
        let mut frames: u64 = 0;
        for frame in Frame::each_of(&block.frames) {
            let frame =
                frame.map_err(|cause| ReplicaLoopError::Decode { after: self.applied(), cause })?;
            frames += 1;
            self.take_frame(&frame, pace)?;
        }
        self.market_data.end_of_block(&self.replica, (self.settings.now_us)(), &mut self.out);
        self.answer_waiting();
        metrics::counter!("engine_replica_frames_total").increment(frames);
        Ok(())
    }

    fn take_frame(&mut self, frame: &Frame<'_>, pace: Pace) -> Result<(), ReplicaError> {
        self.replica.apply(frame)?;
        let applied = self.replica.applied();
        // A trade takes lots off a level, so without a change there is nothing to show.
        if let Some(market) = self.replica.market(applied.market)
            && !applied.levels.is_empty()
        {
            let now_us = (self.settings.now_us)();
            self.market_data.frame(market.spec(), frame, applied, pace, now_us, &mut self.out);
        }
        Ok(())
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
        let now_us = (self.settings.now_us)();
        self.market_data.tick(&self.replica, now_us, &mut self.out);
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
        let answer = answers::answer(&self.replica, query, now_us);
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
        self.replica.last_sequence().unwrap_or(Sequence(0))
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
