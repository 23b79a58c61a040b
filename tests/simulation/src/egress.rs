//! What leaves a life of the engine: replies to gateways, frames to event queues.

use engine::egress::event_queues::{Append, Seen};
use engine::egress::replies::{Letters, is_answer_to};
use engine::error::JournalError;
use protocol::{Action, Frame, Outcome, Sequence, StreamCursor};

use crate::life::{Ended, Life};
use crate::redis::{Added, Broken, SimRedis};
use crate::variant::Variant;

/// Frames offered to the event queues at once, at most about so many bytes.
const PAGE_BYTES: usize = 2048;

/// Why a step of the events thread did not end well.
enum Trouble {
    Redis,
    Engine(Ended),
}

impl From<Broken> for Trouble {
    fn from(_: Broken) -> Self {
        Trouble::Redis
    }
}

impl Life {
    /// Turns a block into letters to gateways.
    pub fn reply(&mut self) -> Result<bool, Ended> {
        let Some(block) = self.to_replies.pop_front() else { return Ok(false) };
        let Life { recent, recalls, letters: out, durable_cursors, durable, .. } = self;
        recent.push(&block);
        let mut letters = Letters::default();
        for frame in Frame::each_of(&block.frames) {
            let frame = frame.map_err(|error| Ended::ByItself(error.to_string()))?;
            if matches!(frame.command.action, Action::Fire(_)) {
                continue;
            }
            durable_cursors.advance(frame.command.market(), frame.header.cursor);
            let mut send = |channel: &str, payload: &[u8]| {
                out.push_back((channel.to_owned(), payload.to_vec()));
            };
            let Outcome::Recognised { first } = frame.header.outcome else {
                letters.add(&frame, &mut send);
                continue;
            };
            if let Some(found) = recent.get(first).filter(|found| is_answer_to(&frame, found)) {
                letters.add(&found, &mut send);
                continue;
            }
            let page = match recalls.page(first, *durable, 1) {
                Ok(page) => page,
                Err(JournalError::Gone { .. }) => None,
                Err(error) => return Err(error.into()),
            };
            let found = page.as_ref().map(|page| Frame::parse(&page.frames));
            let found = found.transpose().map_err(|error| Ended::ByItself(error.to_string()))?;
            if let Some(found) = &found
                && !is_answer_to(&frame, found)
            {
                return Err(Ended::ByItself(format!("frame {first} is another's")));
            }
            letters.add(&found.unwrap_or(frame), &mut send);
        }
        letters.send_rest(|channel, payload| {
            out.push_back((channel.to_owned(), payload.to_vec()));
        });
        Ok(true)
    }

    /// Moves frames to the event queues; whether there was something to do.
    pub fn emit(&mut self, redis: &mut SimRedis) -> Result<bool, Ended> {
        let looked = if self.events_connection == redis.connection {
            Ok(())
        } else {
            self.look_at_events(redis)
        };
        match looked.and_then(|()| self.emit_page(redis)) {
            Ok(moved) => Ok(moved),
            Err(Trouble::Engine(ended)) => Err(ended),
            Err(Trouble::Redis) => {
                self.events.abandon();
                self.events_connection = 0;
                Ok(false)
            }
        }
    }

    /// Looks at all queues with the next step.
    pub fn look_again(&mut self) {
        self.events_connection = 0;
    }

    fn look_at_events(&mut self, redis: &mut SimRedis) -> Result<(), Trouble> {
        let connection = redis.connection;
        for at in 0..self.events.all().len() {
            let name = self.events.all()[at].name.clone();
            if let Some(committed) = redis.call(|it| it.committed(&name))? {
                let is_believed = self.events.set_committed(at, committed, self.durable);
                assert!(is_believed, "the database has what the journal never had");
            }
        }
        for at in 0..self.events.all().len() {
            let queue = &self.events.all()[at];
            let (key, below) = (queue.key.clone(), queue.committed().0 + 1);
            if queue.is_full() {
                let below = StreamCursor { milliseconds: below, counter: 0 };
                redis.call(|it| it.trim(&key, below))?;
            }
            let info = redis.call(|it| it.info(&key))?;
            let info = if self.variant == Variant::EventsNotFilled {
                // As if Redis had all that it was ever sent.
                info.map(|mut info| {
                    info.last.milliseconds = self.durable.0;
                    info
                })
            } else {
                info
            };
            if let Seen::Ahead { has, known } = self.events.look(at, info)
                && self.variant != Variant::EventsNotFilled
            {
                let what = format!("{key} has frame {has}, the journal ends it at {known}");
                return Err(Trouble::Engine(Ended::ByItself(what)));
            }
        }
        self.snapshots.committed(self.events.committed_by_all());
        self.events_connection = connection;
        Ok(())
    }

    fn emit_page(&mut self, redis: &mut SimRedis) -> Result<bool, Trouble> {
        let Some(after) = self.events.after() else {
            // All queues are full: the real thread looks again after a while.
            self.events_connection = 0;
            return Ok(false);
        };
        let page = match self.events_follower.page(Sequence(after.0 + 1), self.durable, PAGE_BYTES)
        {
            Ok(Some(page)) => page,
            Ok(None) => return Ok(false),
            Err(JournalError::Gone { oldest, .. }) => {
                self.events.skip(Sequence(oldest.0 - 1));
                return Ok(true);
            }
            Err(error) => return Err(Trouble::Engine(error.into())),
        };
        let mut batch: Vec<(Append, Vec<u8>)> = Vec::new();
        for frame in Frame::each_of(&page.frames) {
            let frame = frame.map_err(|error| Ended::ByItself(error.to_string()));
            let frame = frame.map_err(Trouble::Engine)?;
            if let Some(append) = self.events.take(&frame) {
                batch.push((append, frame.bytes().to_vec()));
            }
        }
        for (append, frame) in &batch {
            let key = self.events.all()[append.queue].key.clone();
            let id = StreamCursor { milliseconds: append.sequence.0, counter: 0 };
            match redis.call(|it| it.add_at(&key, id, append.must_exist, frame))? {
                Added::Taken => (),
                Added::IdTooLow if append.is_again => (),
                Added::IdTooLow => {
                    let what = format!("{key} refused frame {}", append.sequence);
                    return Err(Trouble::Engine(Ended::ByItself(what)));
                }
                Added::NoStream => return Err(Trouble::Redis),
            }
            self.events.arrived(append);
        }
        self.events.finish(page.last);
        Ok(true)
    }
}
