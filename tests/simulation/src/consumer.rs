//! Who reads the event streams: it has its position in a database of its own, sees a gap by the
//! chain of frames, and has it filled from the journal.

use engine::journal::follow::Follower;
use protocol::{Frame, MarketId, Sequence, StreamCursor, keys};

use crate::history::History;
use crate::redis::{Broken, SimRedis};
use crate::violation::{Doing, Violation};

/// Entries read at once.
const READ_MAX: usize = 16;
const PAGE_BYTES: usize = 4096;

#[derive(Debug)]
struct Reading {
    market: MarketId,
    name: String,
    /// The last frame it has taken for good.
    position: Sequence,
    taken: usize,
    needs_refill: bool,
}

#[derive(Debug)]
pub struct Consumer {
    readings: Vec<Reading>,
    pub refills: u64,
}

/// What a look at a stream came to.
enum Look {
    Taken(usize),
    /// The next entry does not follow what was taken last.
    Gap,
}

impl Reading {
    fn take(&mut self, frame: &Frame<'_>, history: &History) -> Result<bool, Violation> {
        let sequence = frame.header.sequence;
        if sequence <= self.position {
            return Ok(true);
        }
        if frame.header.previous.unwrap_or(Sequence(0)) != self.position {
            return Ok(false);
        }
        if history.frame(sequence) != Some(frame.bytes()) {
            let what = format!("a reader got frame {sequence}, which was never durable");
            return Err(Violation(what));
        }
        self.position = sequence;
        self.taken += 1;
        Ok(true)
    }

    fn read(&mut self, redis: &mut SimRedis, history: &History) -> Result<Look, Violation> {
        let key = keys::events(&self.name);
        let after = StreamCursor { milliseconds: self.position.0, counter: 0 };
        let Ok(entries) = redis.call(|it| it.read(&key, after, READ_MAX)) else {
            return Ok(Look::Taken(0));
        };
        let before = self.taken;
        for (_, bytes) in &entries {
            let frame = Frame::parse(bytes).doing("read an event")?;
            if !self.take(&frame, history)? {
                return Ok(Look::Gap);
            }
        }
        Ok(Look::Taken(self.taken - before))
    }

    fn commit(&self, redis: &mut SimRedis) -> Result<(), Broken> {
        redis.call(|it| it.set_committed(&self.name, self.position))?;
        let below = StreamCursor { milliseconds: self.position.0, counter: 0 };
        redis.call(|it| it.trim(&keys::events(&self.name), below))
    }

    /// Takes from the journal what is missing.
    fn refill(
        &mut self,
        follower: &mut Follower,
        durable: Sequence,
        history: &History,
    ) -> Result<(), Violation> {
        let mut from = Sequence(self.position.0 + 1);
        while let Some(page) = follower.page(from, durable, PAGE_BYTES).doing("read a refill")? {
            for frame in Frame::each_of(&page.frames) {
                let frame = frame.doing("decode a refill")?;
                let is_mine = frame.command.market() == self.market && frame.is_effective();
                if is_mine && !self.take(&frame, history)? {
                    let sequence = frame.header.sequence;
                    return Err(Violation(format!("the journal itself has a gap at {sequence}")));
                }
            }
            from = Sequence(page.last.0 + 1);
        }
        Ok(())
    }
}

impl Consumer {
    pub fn new(streams: Vec<(MarketId, String)>) -> Consumer {
        let reading = |(market, name)| Reading {
            market,
            name,
            position: Sequence(0),
            taken: 0,
            needs_refill: false,
        };
        Consumer { readings: streams.into_iter().map(reading).collect(), refills: 0 }
    }

    /// Reads one stream; returns how many frames it took.
    pub fn read(
        &mut self,
        at: usize,
        redis: &mut SimRedis,
        history: &History,
    ) -> Result<usize, Violation> {
        let reading = &mut self.readings[at];
        match reading.read(redis, history)? {
            Look::Taken(count) => {
                // Said again also without news: Redis may have lost it. Without it Redis keeps
                // frames longer, and that is all.
                Ok(reading.commit(redis).map_or(count, |()| count))
            }
            Look::Gap => {
                reading.needs_refill = true;
                Ok(0)
            }
        }
    }

    /// The database is set back to an older copy of itself; `false` when the journal has not all
    /// that it then lacks, and nothing is done.
    pub fn set_back(
        &mut self,
        at: usize,
        back: usize,
        oldest: Sequence,
        history: &History,
    ) -> bool {
        let reading = &mut self.readings[at];
        let events = history.events(reading.market);
        let taken = reading.taken.saturating_sub(back);
        let position = taken.checked_sub(1).map_or(Sequence(0), |last| events[last]);
        let has_all = oldest.0 <= position.0 + 1;
        if has_all {
            (reading.taken, reading.position) = (taken, position);
        }
        has_all
    }

    pub fn streams(&self) -> usize {
        self.readings.len()
    }

    pub fn needs_refill(&self, at: usize) -> bool {
        self.readings[at].needs_refill
    }

    pub fn refill(
        &mut self,
        at: usize,
        follower: &mut Follower,
        durable: Sequence,
        history: &History,
    ) -> Result<(), Violation> {
        self.refills += 1;
        self.readings[at].needs_refill = false;
        self.readings[at].refill(follower, durable, history)
    }

    /// What it has taken is what happened, in order and once.
    pub fn check(&self, history: &History) -> Result<(), Violation> {
        for reading in &self.readings {
            let events = history.events(reading.market);
            let taken = events.get(..reading.taken).and_then(<[_]>::last).copied();
            if taken.unwrap_or(Sequence(0)) != reading.position || events.len() < reading.taken {
                let (name, count, at) = (&reading.name, reading.taken, reading.position);
                let what = format!("the reader of {name} took {count} frames up to {at}");
                return Err(Violation(format!("{what}; the journal has {}", events.len())));
            }
        }
        Ok(())
    }

    /// What it has not seen.
    pub fn lacking(&self, history: &History) -> Option<String> {
        let has_less = |it: &&Reading| it.taken < history.events(it.market).len();
        let reading = self.readings.iter().find(has_less)?;
        let (name, position) = (&reading.name, reading.position);
        let last = history.events(reading.market).last()?;
        Some(format!("the reader of {name} has frame {position}, and never gets frame {last}"))
    }
}
