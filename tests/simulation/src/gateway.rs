//! Gateways: they send, hear answers, and send again what has none. A new life of a gateway has a
//! new epoch and knows nothing of what the one before sent.

use std::collections::BTreeMap;

use engine_core::cancel_after::Deadline;
use orderflow::rng::Rng;
use protocol::{
    AccountId, Action, Command, Frame, GatewayId, MarketId, OrderId, Origin, Outcome, Refusal,
    Sequence, TriggerPlace, keys,
};

use crate::history::{EPOCH_DISGUISE, History};
use crate::redis::{Broken, SimRedis};
use crate::violation::{Doing, Violation};

#[derive(Debug)]
pub struct Gateway {
    pub id: GatewayId,
    /// `None`: it needs one that no other life ever had.
    epoch: Option<u32>,
    /// The last one that this life had.
    last_epoch: u32,
    /// How often somebody else turned out to have had the same.
    pub doubts: u64,
    sent: u64,
    /// By the number it sent them under.
    waiting: BTreeMap<u64, Waiting>,
    /// Sent by lives that are gone, and perhaps still on the way.
    strays: Vec<Command>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    command: Command,
    sent_at: u64,
}

/// What a client was told, and may hold against us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Acknowledged {
    pub market: MarketId,
    pub origin: Origin,
    pub sequence: Sequence,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    pub acknowledged: Acknowledged,
    pub rested: Option<(AccountId, OrderId)>,
    pub armed: Option<Deadline>,
}

/// Strays that are remembered.
const STRAYS_MAX: usize = 8;

impl Gateway {
    pub fn new(id: u32) -> Gateway {
        let id = GatewayId(id);
        Gateway {
            id,
            epoch: None,
            last_epoch: 0,
            doubts: 0,
            sent: 0,
            waiting: BTreeMap::new(),
            strays: Vec::new(),
        }
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub fn needs_epoch(&self) -> bool {
        self.epoch.is_none()
    }

    /// `known` is what the engine says.
    pub fn take_epoch(&mut self, redis: &mut SimRedis, known: u32) -> Result<(), Broken> {
        let key = keys::epoch(self.id);
        let known = u64::from(known.max(self.last_epoch));
        let taken = redis.call(|it| it.take_epoch(&key, known))?;
        let taken = u32::try_from(taken).expect("few lives");
        (self.epoch, self.last_epoch) = (Some(taken), taken);
        Ok(())
    }

    /// The process ends, and another begins.
    pub fn die(&mut self) {
        self.last_epoch = 0;
        self.begin_again();
    }

    /// The engine knows another command by a name of ours: Redis has lost the last epoch, and the
    /// engine learnt of it too late. What waits is given up: its fate is unknown to its clients.
    fn doubt(&mut self) {
        self.doubts += 1;
        self.begin_again();
    }

    fn begin_again(&mut self) {
        self.strays.extend(self.waiting.values().map(|waiting| waiting.command));
        let surplus = self.strays.len().saturating_sub(STRAYS_MAX);
        self.strays.drain(..surplus);
        self.waiting.clear();
        self.epoch = None;
        self.sent = 0;
    }

    /// A new command; `None` before it knows its epoch.
    pub fn ask(&mut self, action: Action, now: u64) -> Option<Command> {
        let epoch = self.epoch?;
        self.sent += 1;
        let origin = Origin { gateway: self.id, epoch, sequence: self.sent };
        let command = Command { origin, time_us: 0, action };
        self.waiting.insert(self.sent, Waiting { command, sent_at: now });
        Some(command)
    }

    /// The command that has waited longest, if it has waited for so long.
    pub fn again(&mut self, now: u64, after: u64) -> Option<Command> {
        let due = |it: &&mut Waiting| it.sent_at + after <= now;
        let waiting = self.waiting.values_mut().filter(due).min_by_key(|it| it.sent_at)?;
        waiting.sent_at = now;
        Some(waiting.command)
    }

    /// A command that was long on the way.
    pub fn stray(&mut self, rng: &mut Rng) -> Option<Command> {
        let count = self.strays.len() as u64;
        (0 < count).then(|| self.strays.swap_remove(rng.below(count) as usize))
    }

    /// Takes a message of the engine; tells which commands are answered by it.
    pub fn hear(&mut self, message: &[u8]) -> Result<Vec<Answer>, Violation> {
        let mut answered = Vec::new();
        for frame in Frame::each_of(message) {
            let frame = frame.doing("read a reply")?;
            let Origin { gateway, epoch, sequence } = frame.command.origin;
            if gateway != self.id || Some(epoch % EPOCH_DISGUISE) != self.epoch {
                continue;
            }
            let Some(waiting) = self.waiting.remove(&sequence) else { continue };
            let (asked, told) = (waiting.command.action, frame.command.action);
            let is_stale = frame.header.outcome == Outcome::Refused(Refusal::Stale);
            if asked != told || is_stale {
                self.doubt();
                break;
            }
            let sequence = match frame.header.outcome {
                Outcome::Recognised { first } => first,
                _ => frame.header.sequence,
            };
            let market = frame.command.market();
            let acknowledged = Acknowledged { market, origin: waiting.command.origin, sequence };
            let rested = match (frame.header.outcome, told) {
                (Outcome::Rested { order, .. }, Action::Place(place))
                | (
                    Outcome::Waits { order, .. },
                    Action::PlaceTrigger(TriggerPlace { place, .. }),
                ) => Some((place.account, order)),
                _ => None,
            };
            let armed = match (frame.header.outcome, told) {
                (
                    Outcome::CancelAfterSet { deadline_us: deadline_us @ 1.. },
                    Action::SetCancelAfter { account, holder, .. },
                ) => Some(Deadline { account, holder, deadline_us }),
                _ => None,
            };
            answered.push(Answer { acknowledged, rested, armed });
        }
        Ok(answered)
    }
}

/// Everything clients were ever told.
#[derive(Debug, Default)]
pub struct ClientLedger(Vec<Acknowledged>);

impl ClientLedger {
    pub fn note(&mut self, acknowledged: Acknowledged) {
        self.0.push(acknowledged);
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Nothing that was acknowledged is missing, or has become another thing.
    pub fn check(&self, history: &History) -> Result<(), Violation> {
        let found = |it: &Acknowledged| history.decided(it.market, it.origin);
        let missing = self.0.iter().find(|it| found(it) != Some(it.sequence));
        missing.map_or(Ok(()), |it| {
            let found = found(it);
            Err(Violation(format!("{it:?} was acknowledged, the journal has it as {found:?}")))
        })
    }
}
