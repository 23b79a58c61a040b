//! What is on each event queue of Redis, and what has still to go there. No I/O: who drives it asks
//! Redis, and reads frames.
//!
//! Every queue has a position of its own in the journal: frames up to `scanned` need no further
//! look. The lowest of them says where reading goes on; a queue whose position is higher lets
//! frames pass that it has. So a queue that lost something, or had no room for a while, is served
//! from there on and the others wait for it.
//!
//! **Invariant:** `scanned` moves over a frame of the queue only when Redis has it or a later one,
//! or when the database has it.

use std::collections::BTreeMap;

use protocol::{Action, Catalog, Frame, MarketId, Outcome, Sequence, keys};

use super::queue_weight::QueueWeight;
use crate::redis_link::stream_info::StreamInfo;

/// How much may wait on Redis; what is beyond waits in the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Entries of one queue.
    pub entries_max: u64,
    /// Memory of all queues together. A queue may be as large as what the others and itself leave
    /// free of it: one that nobody reads takes a half, and the rest has the other half.
    pub bytes_max: u64,
}

#[derive(Debug)]
pub struct EventQueue {
    pub name: String,
    pub key: String,
    /// The last frame that is there, as far as is known.
    emitted: Sequence,
    /// The last frame that was ever sent there, whether or not it arrived.
    sent: Sequence,
    scanned: Sequence,
    /// Frames up to this one are in the database.
    committed: Sequence,
    exists: bool,
    /// At most so many: as of the last look, and what was added since.
    entries: u64,
    /// Of these entries.
    weight: QueueWeight,
    room: Room,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Room {
    Some,
    /// It got full while a batch was made; from the frame after this one on it gets nothing.
    NoneAfter(Sequence),
    None,
}

/// A frame that goes to a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Append {
    /// Number of the queue.
    pub queue: usize,
    pub sequence: Sequence,
    /// The queue must be there already; if it is not, it was removed behind our back.
    pub must_exist: bool,
    /// It was sent before and may have arrived.
    pub is_again: bool,
}

/// What a look at a queue showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seen {
    Nothing,
    /// It lacks frames that it had: it is filled from behind `resume` on.
    Lacks {
        has: Sequence,
        had: Sequence,
        resume: Sequence,
    },
    /// It has a frame that was never sent.
    Ahead {
        has: Sequence,
        known: Sequence,
    },
}

#[derive(Debug)]
pub struct EventQueues {
    catalog: Catalog,
    queues: Vec<EventQueue>,
    places: BTreeMap<MarketId, usize>,
    bounds: Bounds,
}

impl EventQueues {
    /// `last` gives the last frame of each market that belongs on its queue, 0 = none; all of them
    /// are taken to be there until a look says otherwise. `durable` is the journal's last frame.
    pub fn new(
        catalog: &Catalog,
        last: impl Fn(MarketId) -> Sequence,
        durable: Sequence,
        bounds: Bounds,
    ) -> EventQueues {
        let markets = catalog.markets().iter().map(|market| market.id);
        let mut queues = EventQueues {
            catalog: catalog.clone(),
            queues: Vec::new(),
            places: BTreeMap::new(),
            bounds,
        };
        for market in [MarketId::ACCOUNTS].into_iter().chain(markets) {
            let Some(name) = catalog.stream_name(market) else { continue };
            queues.add(market, name, last(market), durable);
        }
        queues
    }

    pub fn all(&self) -> &[EventQueue] {
        &self.queues
    }

    /// Takes note of how far the database has a queue's frames. `false`: beyond the journal, so it
    /// is another exchange's database, and is not believed.
    #[must_use]
    pub fn set_committed(&mut self, queue: usize, committed: Sequence, durable: Sequence) -> bool {
        let queue = &mut self.queues[queue];
        if durable < committed {
            return false;
        }
        queue.committed = committed;
        queue.scanned = queue.scanned.max(committed);
        true
    }

    /// Takes note of what a queue is on Redis; `None`: it is not there.
    pub fn look(&mut self, at: usize, info: Option<StreamInfo>) -> Seen {
        let queue = &mut self.queues[at];
        let has = Sequence(info.map_or(0, |info| info.last.milliseconds));
        if queue.sent < has {
            return Seen::Ahead { has, known: queue.sent };
        }
        queue.exists = info.is_some();
        queue.entries = info.map_or(0, |info| info.entries);
        queue.weight.hold(queue.entries);
        let is_full = match queue.room {
            Room::None => !self.has_room_again(at),
            _ => !self.has_room(at),
        };
        let queue = &mut self.queues[at];
        queue.room = if is_full { Room::None } else { Room::Some };
        let had = queue.emitted;
        queue.emitted = has;
        if had <= has {
            queue.scanned = queue.scanned.max(has);
            return Seen::Nothing;
        }
        let resume = has.max(queue.committed);
        if queue.scanned <= resume {
            return Seen::Nothing;
        }
        queue.scanned = resume;
        Seen::Lacks { has, had, resume }
    }

    /// What Redis says a queue takes of its memory, asked because it is only a guess.
    pub fn weighed(&mut self, queue: usize, bytes: u64) {
        self.queues[queue].weight.weighed(bytes);
    }

    /// What all queues weigh together.
    pub fn bytes(&self) -> u64 {
        self.queues.iter().map(|queue| queue.weight.bytes()).sum()
    }

    /// Whether a frame more may go there. One may always go to an empty queue, so that each moves
    /// on however little room there is.
    fn has_room(&self, at: usize) -> bool {
        let queue = &self.queues[at];
        let free = self.bounds.bytes_max.saturating_sub(self.bytes());
        let fits = queue.entries < self.bounds.entries_max && queue.weight.bytes() < free;
        queue.entries == 0 || fits
    }

    /// The same after it was full: only when a quarter is free, so that reading does not go back
    /// and forth in the journal for every frame.
    fn has_room_again(&self, at: usize) -> bool {
        let queue = &self.queues[at];
        let free = self.bounds.bytes_max.saturating_sub(self.bytes());
        let entries_low = self.bounds.entries_max - self.bounds.entries_max / 4;
        let is_low = queue.entries < entries_low && queue.weight.bytes() < free - free / 4;
        queue.entries == 0 || is_low
    }

    /// The frame behind which reading goes on; `None` while all queues are full.
    pub fn after(&self) -> Option<Sequence> {
        let with_room = self.queues.iter().filter(|queue| queue.room != Room::None);
        with_room.map(|queue| queue.scanned).min()
    }

    /// Where the queue that is furthest behind stands.
    pub fn scanned_by_all(&self) -> Sequence {
        self.queues.iter().map(|queue| queue.scanned).min().unwrap_or(Sequence(0))
    }

    /// The frame up to which the database has everything.
    pub fn committed_by_all(&self) -> Sequence {
        let one = |queue: &EventQueue| {
            if queue.sent <= queue.committed { queue.scanned } else { queue.committed }
        };
        self.queues.iter().map(one).min().unwrap_or(Sequence(0))
    }

    /// Where a frame goes; frames come in their order. `None` when it goes nowhere, or not now.
    pub fn take(&mut self, frame: &Frame<'_>) -> Option<Append> {
        self.note_listing(frame);
        // A command for a market that is not listed was refused.
        let at = *self.places.get(&frame.command.market())?;
        let queue = &self.queues[at];
        let sequence = frame.header.sequence;
        if queue.room != Room::Some || sequence <= queue.scanned || !frame.is_effective() {
            return None;
        }
        if !self.has_room(at) {
            self.queues[at].room = Room::NoneAfter(Sequence(sequence.0 - 1));
            return None;
        }
        let queue = &mut self.queues[at];
        queue.entries += 1;
        queue.weight.append(frame.bytes().len());
        let is_again = sequence <= queue.sent;
        queue.sent = queue.sent.max(sequence);
        Some(Append { queue: at, sequence, must_exist: queue.exists, is_again })
    }

    /// A market listed from here on has a queue, whatever becomes of the queue of the accounts.
    fn note_listing(&mut self, frame: &Frame<'_>) {
        let (Action::ListMarket(listing), Outcome::MarketListed) =
            (&frame.command.action, frame.header.outcome)
        else {
            return;
        };
        // One that comes again after something was lost is known.
        if !self.places.contains_key(&listing.market)
            && let Ok(market) = self.catalog.list(listing)
        {
            let (id, name) = (market.id, market.symbol.clone());
            self.add(id, &name, Sequence(0), frame.header.sequence);
        }
    }

    fn add(&mut self, market: MarketId, name: &str, last: Sequence, scanned: Sequence) {
        self.places.insert(market, self.queues.len());
        self.queues.push(EventQueue {
            name: name.to_owned(),
            key: keys::events(name),
            emitted: last,
            sent: last,
            scanned,
            committed: Sequence(0),
            exists: false,
            entries: 0,
            weight: QueueWeight::default(),
            room: Room::Some,
        });
    }

    /// Redis has the frame.
    pub fn arrived(&mut self, append: &Append) {
        let queue = &mut self.queues[append.queue];
        queue.emitted = queue.emitted.max(append.sequence);
        queue.exists = true;
    }

    /// All that was taken has arrived, and everything up to `last` has been offered.
    pub fn finish(&mut self, last: Sequence) {
        for queue in &mut self.queues {
            match queue.room {
                Room::Some => queue.scanned = queue.scanned.max(last),
                Room::NoneAfter(scanned) => {
                    queue.scanned = queue.scanned.max(scanned);
                    queue.room = Room::None;
                }
                Room::None => (),
            }
        }
    }

    /// It is not known whether what was taken arrived: it will be offered again after a look.
    pub fn abandon(&mut self) {
        for queue in &mut self.queues {
            if let Room::NoneAfter(_) = queue.room {
                queue.room = Room::Some;
            }
        }
    }

    /// The journal begins behind `last`: what came before can go nowhere. Returns the names of the
    /// queues that wanted it.
    pub fn skip(&mut self, last: Sequence) -> Vec<&str> {
        let behind = self.queues.iter_mut().filter(|queue| queue.scanned < last);
        let skip = behind.map(|queue| {
            queue.scanned = last;
            queue.name.as_str()
        });
        skip.collect()
    }
}

impl EventQueue {
    pub fn is_full(&self) -> bool {
        self.room != Room::Some
    }

    pub fn entries(&self) -> u64 {
        self.entries
    }

    pub fn weight(&self) -> &QueueWeight {
        &self.weight
    }

    pub fn committed(&self) -> Sequence {
        self.committed
    }
}

#[cfg(test)]
mod tests;
