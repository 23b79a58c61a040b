//! Hot path. A shard's thread: commands in, finished frames out, one command at a time to its end.
//!
//! The outbound ring may be shorter than a frame: a frame that finds no room stalls this loop in
//! its middle, and through the inbound rings the ingress. [`crate::journal::merge`] says why no
//! shard stalls for ever.
//!
//! What a command makes fire follows it at once, a frame for each order, before the next command is
//! looked at; and before the first one what the life before had not fired yet.

use std::sync::Arc;

use crossbeam::channel::{Receiver, TrySendError};
use engine_core::{Input, Shard};
use protocol::Record;

use crate::counters::ShardCounters;
use crate::idle::Idle;
use crate::openings::Opening;
use crate::ring::{Inlet, Outlet};

/// Commands between two looks at the other inbound rings, and between two rings of the journal.
const BATCH_MAX: usize = 64;

#[derive(Debug)]
pub struct ShardLoop {
    pub shard: Shard,
    /// One of each ingress thread that reads a stream of this shard.
    pub inbound: Vec<Inlet<Input>>,
    pub outbound: Outlet<Record>,
    /// Markets listed while the engine runs.
    pub openings: Receiver<Box<Opening>>,
    pub counters: Arc<ShardCounters>,
}

impl ShardLoop {
    /// Runs until every ingress thread has ended and their commands are done, or the journal has
    /// gone. Gives the shard back, for a last look.
    pub fn run(mut self, idle: &Idle) -> Shard {
        let fired = fire(&mut self.shard, &mut self.outbound, idle, &self.counters);
        if 0 < fired {
            self.outbound.ring_reader();
            self.counters.records.add(fired as u64);
        }
        while !self.outbound.is_abandoned() {
            if 0 < self.duty_cycle(idle) {
                continue;
            }
            if self.inbound.iter().all(Inlet::is_finished) {
                break;
            }
            let has_news = |inlet: &Inlet<Input>| !inlet.is_empty() || inlet.is_abandoned();
            idle.wait(|| {
                self.inbound.iter().any(has_news)
                    || self.outbound.is_abandoned()
                    || !self.openings.is_empty()
            });
        }
        self.shard
    }

    /// The market first, its commands after it: the ingress learns of the stream from here.
    #[cold]
    fn take_openings(&mut self) {
        while let Ok(opening) = self.openings.try_recv() {
            let Opening { market, source, ingress } = *opening;
            self.shard.take_market(market);
            match ingress.try_send(source) {
                // One that has ended reads nothing more.
                Ok(()) | Err(TrySendError::Disconnected(_)) => (),
                Err(TrySendError::Full(_)) => unreachable!("Invariant: room for every market"),
            }
        }
    }

    /// Moves at most `BATCH_MAX` commands of each inbound ring through the shard; returns how many,
    /// for the idle strategy.
    fn duty_cycle(&mut self, idle: &Idle) -> usize {
        if !self.openings.is_empty() {
            self.take_openings();
        }
        let (mut moved, mut records, mut waiting) = (0, 0, 0);
        for inlet in &mut self.inbound {
            let mut taken = 0;
            while taken < BATCH_MAX
                && let Some(input) = inlet.pop()
            {
                let frame = self.shard.apply(&input);
                deliver(frame, &mut self.outbound, idle, &self.counters);
                records += frame.len();
                records += fire(&mut self.shard, &mut self.outbound, idle, &self.counters);
                taken += 1;
            }
            if 0 < taken {
                inlet.ring_writer();
                waiting += inlet.depth();
            }
            moved += taken;
        }
        if 0 < moved {
            self.outbound.ring_reader();
            self.counters.commands.add(moved as u64);
            self.counters.records.add(records as u64);
            self.counters.inbound_depth.set(waiting as u64);
            self.counters.outbound_depth.set(self.outbound.depth() as u64);
        }
        moved
    }
}

/// Fires every order that the last price has reached; how many records that came to. Bounded: each
/// of them waits no more.
#[inline]
fn fire(
    shard: &mut Shard,
    outbound: &mut Outlet<Record>,
    idle: &Idle,
    counters: &ShardCounters,
) -> usize {
    let mut records = 0;
    while let Some(frame) = shard.fire_next() {
        deliver(frame, outbound, idle, counters);
        records += frame.len();
    }
    records
}

/// Hands a frame to the journal, piece by piece where the ring is full.
#[inline]
fn deliver(frame: &[Record], outbound: &mut Outlet<Record>, idle: &Idle, counters: &ShardCounters) {
    let mut rest = outbound.push(frame);
    while !rest.is_empty() {
        counters.stalls.add(1);
        outbound.ring_reader();
        if outbound.is_abandoned() {
            return;
        }
        idle.wait(|| !outbound.is_full() || outbound.is_abandoned());
        rest = outbound.push(rest);
    }
}
