//! Everything there is in a run, and the scheduler: the seed picks who goes on next, and what goes
//! wrong.

use std::collections::VecDeque;
use std::fmt::{self, Display};
use std::panic::{AssertUnwindSafe, catch_unwind};

use orderflow::rng::Rng;
use protocol::{Action, Catalog, Command, keys};

use crate::baton::Progress;
use crate::consumer::Consumer;
use crate::disk::{Crash, PowerCut, SimDisk};
use crate::gateway::{ClientLedger, Gateway};
use crate::history::History;
use crate::life::{Ended, Life, Place};
use crate::listing::{catalog, streams};
use crate::plan::Plan;
use crate::redis::SimRedis;
use crate::trace::{Step, Trace};
use crate::variant::Variant;
use crate::violation::Violation;
use crate::workload::{Workload, opening};

/// So many steps a run may take to settle once nothing goes wrong any more.
const CALM_STEPS_MAX: u64 = 60_000;
/// Of 1000 messages to a gateway, these get lost on a bad day.
const MESSAGES_LOST: u64 = 20;

/// What a run did, added up over seeds for the report.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub steps: u64,
    pub frames: u64,
    pub acknowledged: u64,
    pub pauses: u64,
    pub crashes: u64,
    pub recoveries: u64,
    pub flips: u64,
    pub flips_refused: u64,
    pub snapshots_passed_over: u64,
    pub refills: u64,
    pub epochs_doubted: u64,
    pub snapshots: u64,
    pub syncs_failed: u64,
    pub deadlines_passed: u64,
    pub sockets_closed: u64,
}

impl Counts {
    fn all(&self) -> [(&'static str, u64); 15] {
        [
            ("steps", self.steps),
            ("frames", self.frames),
            ("acknowledged", self.acknowledged),
            ("pauses within a command", self.pauses),
            ("crashes", self.crashes),
            ("recoveries", self.recoveries),
            ("bits flipped", self.flips),
            ("flips refused", self.flips_refused),
            ("damaged snapshots passed over", self.snapshots_passed_over),
            ("refills", self.refills),
            ("epochs doubted", self.epochs_doubted),
            ("snapshots", self.snapshots),
            ("syncs failed", self.syncs_failed),
            ("deadlines passed", self.deadlines_passed),
            ("sockets closed", self.sockets_closed),
        ]
    }

    pub fn add(&mut self, other: &Counts) {
        self.steps += other.steps;
        self.frames += other.frames;
        self.acknowledged += other.acknowledged;
        self.pauses += other.pauses;
        self.crashes += other.crashes;
        self.recoveries += other.recoveries;
        self.flips += other.flips;
        self.flips_refused += other.flips_refused;
        self.snapshots_passed_over += other.snapshots_passed_over;
        self.refills += other.refills;
        self.epochs_doubted += other.epochs_doubted;
        self.snapshots += other.snapshots;
        self.syncs_failed += other.syncs_failed;
        self.deadlines_passed += other.deadlines_passed;
        self.sockets_closed += other.sockets_closed;
    }
}

impl Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.all().map(|(what, count)| format!("{count} {what}"));
        f.write_str(&all.join(", "))
    }
}

pub struct World {
    pub plan: Plan,
    pub variant: Variant,
    pub rng: Rng,
    pub catalog: Catalog,
    pub disk: SimDisk,
    pub redis: SimRedis,
    pub history: History,
    pub clients: ClientLedger,
    pub consumer: Consumer,
    pub life: Option<Life>,
    /// The frames of the block being written: a crash decides whether they are there.
    pub in_flight: Vec<u8>,
    pub trace: Trace,
    pub counts: Counts,
    pub gateways: Vec<Gateway>,
    workload: Workload,
    opening: VecDeque<Action>,
    delayed: Vec<Command>,
    sent: u64,
    pub now_us: u64,
    /// How the process ends at the next edge of a call on the disk.
    pub crash: Crash,
    /// Of each shard: whether it is in the middle of a command.
    pub busy: Vec<bool>,
    pub readings: u32,
    pub is_calm: bool,
}

impl World {
    pub fn new(plan: Plan, variant: Variant) -> World {
        let mut rng = Rng::new(plan.seed);
        let catalog = catalog();
        let disk = SimDisk::new(rng.next_u64());
        World {
            redis: SimRedis::new(rng.next_u64()),
            history: History::new(catalog.clone()),
            clients: ClientLedger::default(),
            consumer: Consumer::new(streams(&catalog)),
            life: None,
            in_flight: Vec::new(),
            trace: Trace::default(),
            counts: Counts::default(),
            gateways: (1..=plan.gateways).map(Gateway::new).collect(),
            workload: Workload::new(Rng::new(rng.next_u64())),
            opening: opening().into(),
            delayed: Vec::new(),
            sent: 0,
            now_us: 1_000_000_000,
            crash: Crash::PowerLost,
            busy: vec![false; plan.shards],
            readings: 0,
            is_calm: false,
            catalog,
            disk,
            rng,
            plan,
            variant,
        }
    }

    pub fn place(&self) -> Place {
        Place::on(self.variant.disk(&self.disk))
    }

    /// The whole run.
    pub fn run(&mut self) -> Result<(), Violation> {
        while self.sent < self.plan.commands {
            self.step()?;
        }
        self.calm();
        let until = self.trace.steps() + CALM_STEPS_MAX;
        while !self.is_settled() {
            self.step()?;
            if until < self.trace.steps() {
                return Err(Violation(self.unsettled().unwrap_or_default()));
            }
        }
        self.check_all()?;
        // What is said to be durable survives the worst.
        self.end(Crash::PowerLost);
        self.start()?;
        self.check_all()?;
        self.life = None;
        self.counts.steps = self.trace.steps();
        self.counts.frames = self.history.last().0;
        self.counts.acknowledged = self.clients.count() as u64;
        self.counts.epochs_doubted = self.gateways.iter().map(|it| it.doubts).sum();
        self.counts.refills = self.consumer.refills;
        self.counts.syncs_failed = self.disk.counts().syncs_failed;
        (self.counts.deadlines_passed, self.counts.sockets_closed) = self.history.expiries();
        Ok(())
    }

    fn check_all(&self) -> Result<(), Violation> {
        let life = self.life.as_ref().ok_or_else(|| Violation("the engine is down".into()))?;
        self.history.check(&life.replica)?;
        self.clients.check(&self.history)?;
        self.consumer.check(&self.history)
    }

    fn is_settled(&self) -> bool {
        self.unsettled().is_none()
    }

    /// What is still to come.
    fn unsettled(&self) -> Option<String> {
        let Some(life) = &self.life else { return Some("the engine does not start".into()) };
        let waiting: usize = self.gateways.iter().map(Gateway::waiting).sum();
        if 0 < waiting || !self.delayed.is_empty() {
            return Some(format!("{waiting} commands are never answered"));
        }
        if !life.is_drained() {
            return Some("what was read never becomes durable, or never leaves".into());
        }
        let lacking = self.consumer.lacking(&self.history)?;
        Some(format!("{lacking}; queues: {:?}", life.events))
    }

    /// From now on nothing goes wrong any more.
    fn calm(&mut self) {
        self.trace.note(Step::Calm, self.history.last().0);
        self.is_calm = true;
        self.redis.come_back();
        self.redis.set_breaks(0);
        self.disk.cut_after(None);
        self.disk.fail_syncs(0);
        self.disk.limit(u64::MAX);
    }

    fn step(&mut self) -> Result<(), Violation> {
        self.now_us += self.rng.below(2000);
        self.redis.step();
        if !self.is_calm && (self.opening.is_empty() || self.plan.seed.is_multiple_of(4)) {
            self.maybe_fault()?;
        }
        if self.life.is_none() {
            if self.is_calm || self.rng.below(20) == 0 {
                self.start()?;
            } else {
                self.gateway_step();
            }
            return Ok(());
        }
        match self.rng.below(160) {
            0..26 => self.gateway_step(),
            26..48 => self.ingress(),
            48..51 => self.care(),
            51..91 => self.shard()?,
            91..106 => self.journal()?,
            106..116 => self.engine_step(Step::Reply, |life, _| life.reply())?,
            116..128 => self.publish()?,
            128..138 => self.engine_step(Step::Emit, Life::emit)?,
            138 => self.engine_step(Step::LookAtEvents, |life, _| {
                life.look_again();
                Ok(true)
            })?,
            139..148 => self.engine_step(Step::Replica, |life, _| life.replicate())?,
            148..151 => self.snapshot()?,
            151 => self.engine_step(Step::Tidy, |life, _| life.snapshots.tidy())?,
            152..158 => self.consume()?,
            _ => {
                self.trace.note(Step::Replicate, 0);
                self.redis.replicate();
            }
        }
        Ok(())
    }

    fn gateway_step(&mut self) {
        let at = self.rng.below(self.gateways.len() as u64) as usize;
        let now = self.trace.steps();
        let gateway = &mut self.gateways[at];
        if gateway.needs_epoch() {
            // It asks the engine first, and waits while there is none.
            let Some(life) = &self.life else { return };
            let known = life.replica.epoch(gateway.id);
            let taken = gateway.take_epoch(&mut self.redis, known);
            self.trace.note(Step::TakeEpoch, u64::from(known) << 1 | u64::from(taken.is_ok()));
            return;
        }
        match self.rng.below(10) {
            0..2 => {
                if let Some(command) = gateway.again(now, self.plan.patience) {
                    self.add(Step::SendAgain, &command);
                }
            }
            2 => {
                let late = self.delayed.len() as u64;
                if 0 < late {
                    let command = self.delayed.swap_remove(self.rng.below(late) as usize);
                    self.add(Step::SendLate, &command);
                } else if let Some(command) = gateway.stray(&mut self.rng) {
                    self.add(Step::SendLate, &command);
                }
            }
            _ => self.send_new(at),
        }
    }

    fn send_new(&mut self, at: usize) {
        let opening = !self.opening.is_empty();
        let gateway = &mut self.gateways[at];
        let is_full = self.plan.window <= gateway.waiting();
        if self.is_calm || is_full || (opening && at != 0) {
            return;
        }
        let action = self.opening.pop_front().unwrap_or_else(|| self.workload.action());
        let Some(command) = gateway.ask(action, self.trace.steps()) else { return };
        self.sent += 1;
        if !opening && self.rng.below(16) == 0 {
            self.delayed.push(command);
            return;
        }
        self.add(Step::Send, &command);
        if self.rng.below(50) == 0 {
            self.add(Step::Send, &command);
        }
    }

    /// To its stream; whether Redis has it, the sender does not always know.
    fn add(&mut self, step: Step, command: &Command) {
        let name = self.catalog.stream_name(command.market()).expect("a listed market");
        let (key, now_ms) = (keys::orders(name), self.now_us / 1000);
        let added = self.redis.call(|it| it.add(&key, now_ms, &command.encode()));
        let taken = u64::from(added.is_ok());
        self.trace.note(step, command.origin.sequence << 1 | taken);
    }

    fn ingress(&mut self) {
        let Some(life) = &mut self.life else { return };
        let at = self.rng.below(life.sources() as u64) as usize;
        let taken = life.ingress(&mut self.redis, self.now_us, at);
        self.trace.note(Step::Ingress, (at as u64) << 32 | taken as u64);
    }

    fn care(&mut self) {
        let Some(life) = &mut self.life else { return };
        let cared = life.care(&mut self.redis);
        self.trace.note(Step::Care, u64::from(cared.is_ok()));
    }

    fn shard(&mut self) -> Result<(), Violation> {
        let Some(life) = &mut self.life else { return Ok(()) };
        let at = self.rng.below(life.shards() as u64) as usize;
        if !self.busy[at] && !life.has_commands(at) {
            return Ok(());
        }
        let Some(progress) = life.shard(at) else {
            return Err(Violation(format!("shard {at} panicked")));
        };
        self.busy[at] = matches!(progress, Progress::Paused | Progress::Full);
        self.counts.pauses += u64::from(progress == Progress::Paused);
        self.trace.note(Step::Shard, (at as u64) << 8 | progress as u64);
        Ok(())
    }

    fn journal(&mut self) -> Result<(), Violation> {
        self.guarded(|world| {
            let Some(life) = &mut world.life else { return Ok(()) };
            let Some(block) = life.gather()? else { return Ok(()) };
            world.trace.note(Step::Gather, block.last.0);
            world.in_flight.clone_from(&block.frames);
            if world.variant == Variant::AnsweredBeforeSync {
                life.hand_out(block.clone());
                while life.reply()? {}
                world.publish_all();
            }
            let Some(life) = &mut world.life else { return Ok(()) };
            life.append(&block)?;
            world.trace.note(Step::Append, block.last.0);
            world.history.extend(&block.frames).map_err(|it| Ended::ByItself(it.0))?;
            if world.variant != Variant::AnsweredBeforeSync {
                life.hand_out(block);
            }
            Ok(())
        })
    }

    fn engine_step(
        &mut self,
        step: Step,
        work: impl FnOnce(&mut Life, &mut SimRedis) -> Result<bool, Ended>,
    ) -> Result<(), Violation> {
        self.guarded(|world| {
            let Some(life) = &mut world.life else { return Ok(()) };
            if work(life, &mut world.redis)? {
                world.trace.note(step, life.durable.0);
            }
            Ok(())
        })
    }

    fn snapshot(&mut self) -> Result<(), Violation> {
        let before = self.counts.snapshots;
        self.guarded(|world| {
            let Some(life) = &mut world.life else { return Ok(()) };
            if life.snapshots.write()? {
                world.counts.snapshots += 1;
                world.trace.note(Step::Snapshot, before + 1);
            }
            Ok(())
        })
    }

    fn publish_all(&mut self) {
        while self.life.as_ref().is_some_and(|life| !life.letters.is_empty()) {
            if self.publish().is_err() || self.redis.is_away() {
                return;
            }
        }
    }

    /// Sends one message to its gateway, if that one listens.
    fn publish(&mut self) -> Result<(), Violation> {
        let Some(life) = &mut self.life else { return Ok(()) };
        let Some((channel, payload)) = life.letters.front() else { return Ok(()) };
        let lost = !self.is_calm && self.rng.below(1000) < MESSAGES_LOST;
        let is_sent = self.redis.call(|_| ());
        let hears = |gateway: &&mut Gateway| keys::replies(gateway.id) == *channel;
        if let Some(gateway) = self.gateways.iter_mut().find(hears)
            && is_sent.is_ok()
            && !lost
        {
            for answer in gateway.hear(payload)? {
                self.clients.note(answer.acknowledged);
                if let Some((account, order)) = answer.rested {
                    self.workload.rests(account, order);
                }
                answer.armed.into_iter().for_each(|it| self.workload.armed(it));
            }
        }
        self.trace.note(Step::Publish, payload.len() as u64);
        if is_sent.is_ok() {
            life.letters.pop_front();
        }
        Ok(())
    }

    fn consume(&mut self) -> Result<(), Violation> {
        let at = self.rng.below(self.consumer.streams() as u64) as usize;
        if self.consumer.needs_refill(at)
            && let Some(life) = &self.life
        {
            let durable = life.durable;
            let mut follower = self.place().follower();
            self.trace.note(Step::Refill, at as u64);
            return self.consumer.refill(at, &mut follower, durable, &self.history);
        }
        let taken = self.consumer.read(at, &mut self.redis, &self.history)?;
        if 0 < taken {
            self.trace.note(Step::Consume, (at as u64) << 32 | taken as u64);
        }
        Ok(())
    }

    /// Does something in the engine's process, which may end by it.
    pub fn guarded(
        &mut self,
        work: impl FnOnce(&mut World) -> Result<(), Ended>,
    ) -> Result<(), Violation> {
        let done = catch_unwind(AssertUnwindSafe(|| work(self)));
        match done {
            Ok(Ok(())) => Ok(()),
            Ok(Err(Ended::ByFault(_))) => {
                let crash = [Crash::ProcessKilled, Crash::PowerLost][self.rng.below(2) as usize];
                self.end(crash);
                Ok(())
            }
            Ok(Err(Ended::ByItself(what))) => Err(Violation(what)),
            Err(cause) if cause.is::<PowerCut>() => {
                self.end(self.crash);
                Ok(())
            }
            Err(cause) => {
                let text = cause.downcast_ref::<String>().cloned();
                let text = text.or_else(|| cause.downcast_ref::<&str>().map(|&it| it.to_owned()));
                Err(Violation(format!("panicked: {}", text.unwrap_or_default())))
            }
        }
    }
}
