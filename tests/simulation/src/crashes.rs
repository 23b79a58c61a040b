//! What goes wrong, how a life of the engine ends, and what must be true when the next one begins.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::disk::Disk;
use engine::error::JournalError;
use engine::journal::reader::{self, Begin, Source};
use engine::journal::segment;
use protocol::{Frame, Sequence};

use crate::disk::{Crash, SimDisk};
use crate::life::{Ended, Life, Place};
use crate::trace::Step;
use crate::violation::{Doing, Violation};
use crate::world::World;

/// Edges of disk calls until the armed crash comes, at most.
const EDGES_MAX: u64 = 24;
const PAGE_BYTES: usize = 1 << 16;

impl World {
    /// Perhaps something goes wrong now.
    pub fn maybe_fault(&mut self) -> Result<(), Violation> {
        let rates = &self.plan.faults;
        let all = [
            (Step::ArmPowerCut, rates.power),
            (Step::ArmKill, rates.kill),
            (Step::Drain, rates.drain),
            (Step::FailSync, rates.sync),
            (Step::FillDisk, rates.disk_full),
            (Step::GatewayDies, rates.gateway),
            (Step::FailOver, rates.fail_over),
            (Step::Flush, rates.flush),
            (Step::RedisAway, rates.away),
            (Step::ClockJumps, rates.clock),
            (Step::DatabaseSetBack, rates.set_back),
        ];
        let mut drawn = self.rng.below(10_000);
        for (fault, rate) in all {
            if drawn < rate {
                match fault {
                    Step::Drain => return self.drain(),
                    Step::DatabaseSetBack => return self.set_back(),
                    _ => (),
                }
                let detail = self.fault(fault);
                self.trace.note(fault, detail);
                return Ok(());
            }
            drawn -= rate;
        }
        Ok(())
    }

    /// The engine is told to stop, and does.
    fn drain(&mut self) -> Result<(), Violation> {
        self.guarded(|world| {
            world.trace.note(Step::Drain, 0);
            let Some(life) = &mut world.life else { return Ok(()) };
            life.drain()?;
            world.end(Crash::ProcessKilled);
            Ok(())
        })
    }

    /// The consumers' database becomes an older one, and has itself filled at once: journal that
    /// it says it has may go.
    fn set_back(&mut self) -> Result<(), Violation> {
        let Some(life) = &self.life else { return Ok(()) };
        let at = self.rng.below(self.consumer.streams() as u64) as usize;
        let (back, oldest) = (self.rng.below(40) as usize, self.oldest_frame()?);
        if !self.consumer.set_back(at, back, oldest, &self.history) {
            return Ok(());
        }
        let (durable, mut follower) = (life.durable, self.place().follower());
        self.trace.note(Step::DatabaseSetBack, back as u64);
        self.consumer.refill(at, &mut follower, durable, &self.history)
    }

    fn fault(&mut self, fault: Step) -> u64 {
        let drawn = self.rng.below(1 << 20);
        match fault {
            Step::ArmPowerCut | Step::ArmKill => {
                let is_power = fault == Step::ArmPowerCut;
                self.crash = if is_power { Crash::PowerLost } else { Crash::ProcessKilled };
                self.disk.cut_after(Some((drawn % EDGES_MAX) as u32));
            }
            Step::FailSync => self.disk.fail_syncs(1),
            Step::FillDisk => self.disk.limit(self.disk.used_bytes() + drawn % 8192),
            Step::GatewayDies => {
                let count = self.gateways.len() as u64;
                self.gateways[(drawn % count) as usize].die();
            }
            Step::FailOver => self.redis.fail_over(),
            Step::Flush => self.redis.flush(),
            Step::RedisAway => {
                self.redis.go_away((drawn % 100) as u32);
                self.redis.set_breaks([0, 5, 50][(drawn % 3) as usize]);
            }
            Step::ClockJumps => {
                self.redis.jump_clock();
                // Of the engine's machine, forwards or back.
                self.now_us = self.now_us.saturating_add(drawn).saturating_sub(500_000);
            }
            _ => unreachable!("Invariant: only faults are drawn"),
        }
        drawn
    }

    /// The engine's process ends, wherever it stands.
    pub fn end(&mut self, crash: Crash) {
        self.trace.note(Step::EngineEnds, u64::from(crash == Crash::PowerLost));
        if let Some(life) = self.life.take() {
            self.readings = life.readings;
        }
        self.disk.crash(crash);
        self.busy.fill(false);
        self.counts.crashes += 1;
    }

    /// The engine starts, and is compared with all that ever was.
    pub fn start(&mut self) -> Result<(), Violation> {
        if !self.is_calm && self.rng.below(8) == 0 {
            self.disk.limit(u64::MAX);
        }
        self.try_flip()?;
        self.guarded(|world| {
            world.trace.note(Step::Start, 0);
            let place = world.place();
            let (plan, variant) = (world.plan.clone(), world.variant);
            let mut life = Life::start(&place, &world.catalog, &plan, variant, &mut world.rng)?;
            life.readings = world.readings;
            world.life = Some(life);
            Ok(())
        })?;
        let Some(life) = &self.life else { return Ok(()) };
        self.counts.recoveries += 1;
        self.trace.note(Step::Recovered, life.durable.0);
        self.check_recovered()
    }

    /// All that was durable is there, bit by bit; perhaps also the block that was being written;
    /// and nothing else.
    fn check_recovered(&mut self) -> Result<(), Violation> {
        let Some(life) = &self.life else { return Ok(()) };
        let (known, last) = (self.history.last(), life.durable);
        if last < known {
            return Err(Violation(format!(
                "frame {known} was durable, the journal ends at {last}"
            )));
        }
        let mut follower = self.place().follower();
        let mut next = self.oldest_frame()?;
        let mut more = Vec::new();
        while let Some(page) = follower.page(next, last, PAGE_BYTES).doing("read the journal")? {
            for frame in Frame::each_of(&page.frames) {
                let frame = frame.doing("decode the journal")?;
                let sequence = frame.header.sequence;
                match self.history.frame(sequence) {
                    Some(durable) if durable == frame.bytes() => (),
                    Some(_) => {
                        return Err(Violation(format!("frame {sequence} is another one now")));
                    }
                    None => more.extend_from_slice(frame.bytes()),
                }
            }
            next = Sequence(page.last.0 + 1);
        }
        if !more.is_empty() && more != self.in_flight {
            return Err(Violation("the journal has frames that were never written".to_owned()));
        }
        self.history.extend(&more)?;
        self.in_flight.clear();
        self.history.check(&life.replica)?;
        self.clients.check(&self.history)?;
        self.consumer.check(&self.history)
    }

    fn oldest_frame(&self) -> Result<Sequence, Violation> {
        let segments = segment::list(&self.disk, &self.place().folders.journal);
        let oldest = segments.doing("list segments")?.first().map(|(first, _)| *first);
        Ok(oldest.unwrap_or(Sequence(1)))
    }

    /// On a copy of the disk one bit is another: whoever starts on it must see that, or be right
    /// all the same.
    fn try_flip(&mut self) -> Result<(), Violation> {
        if self.is_calm || self.rng.below(3) != 0 {
            return Ok(());
        }
        let copy = self.disk.copy();
        let place = Place::on(Arc::new(copy.clone()));
        // Whether it may be refused is seen when the engine starts.
        let (Ok(whole), Some(before_last)) = (place.recover(&self.catalog), before_last(&place))
        else {
            return Ok(());
        };
        let mut files = list(&copy, &place.folders.journal)?;
        files.extend(list(&copy, &place.folders.snapshots)?);
        let Some(path) = files.get(self.rng.below(files.len() as u64) as usize) else {
            return Ok(());
        };
        let bytes = copy.read(path).doing("read a file")?;
        // What was never written has no meaning; most of a young segment is that.
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
        let bit = self.rng.below(8 * used as u64);
        if bytes.is_empty() {
            return Ok(());
        }
        copy.flip(path, bit).doing("flip a bit")?;
        self.trace.note(Step::Flip, bit);
        self.counts.flips += 1;
        self.check_follower(&place, whole.replica.position())?;
        match place.recover(&self.catalog) {
            Err(_) => self.counts.flips_refused += 1,
            Ok(found) => {
                self.counts.snapshots_passed_over += found.unusable.len() as u64;
                let (last, expected) = (found.replica.position(), whole.replica.position());
                // The last block looks as if its write had been cut short, and nothing tells.
                let lost_last = found.tail.is_some_and(|tail| tail.torn.is_some());
                let is_whole = last == expected && found.replica.sum() == whole.replica.sum();
                if !(is_whole || lost_last && last == before_last) {
                    let place = format!("bit {bit} of {} flipped", path.display());
                    let what = format!("{place}: frame {last} of {expected} accepted in silence");
                    return Err(Violation(what));
                }
            }
        }
        Ok(())
    }
}

impl World {
    /// Who reads beside the writer gets what was written, or an error.
    fn check_follower(&self, place: &Place, last: Sequence) -> Result<(), Violation> {
        let mut follower = place.follower();
        let mut next = self.oldest_frame()?;
        while let Ok(Some(page)) = follower.page(next, last, PAGE_BYTES) {
            for frame in Frame::each_of(&page.frames) {
                let frame = frame.doing("decode what follows the journal")?;
                let known = self.history.frame(frame.header.sequence);
                if known.is_some_and(|known| known != frame.bytes()) {
                    let sequence = frame.header.sequence;
                    return Err(Violation(format!("a flipped bit of frame {sequence} got out")));
                }
            }
            next = Sequence(page.last.0 + 1);
        }
        Ok(())
    }
}

fn list(disk: &SimDisk, folder: &Path) -> Result<Vec<PathBuf>, Violation> {
    disk.list(folder).doing("list files")
}

/// The last frame of the last block but one.
fn before_last(place: &Place) -> Option<Sequence> {
    let (disk, directory) = (&*place.disk, &*place.folders.journal);
    let begin = Begin::Near(Sequence(u64::MAX));
    let source = Source { disk, directory, definitions: None, begin };
    let (mut before_last, mut last) = (None, None);
    let read = reader::replay(&source, |visit| {
        before_last = Some(last.unwrap_or(visit.header.first.0 - 1));
        last = Some(visit.header.last.0);
        Ok::<_, JournalError>(())
    });
    read.ok()?;
    before_last.map(Sequence)
}
impl From<Ended> for Violation {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::ByFault(what) | Ended::ByItself(what) => Violation(what),
        }
    }
}
