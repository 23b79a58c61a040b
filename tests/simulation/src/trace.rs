//! What a run did, step by step: the latest steps to read, all of them as one number to compare.

use std::collections::VecDeque;
use std::fmt::{self, Display};

/// Steps that a report shows.
const SHOWN_MAX: usize = 60;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Step {
    Send,
    SendAgain,
    SendLate,
    TakeEpoch,
    Ingress,
    Care,
    Shard,
    Gather,
    Append,
    Reply,
    Publish,
    Emit,
    LookAtEvents,
    Replica,
    Snapshot,
    Tidy,
    Drain,
    Consume,
    Refill,
    DatabaseSetBack,
    Replicate,
    ArmPowerCut,
    ArmKill,
    FailSync,
    FillDisk,
    FreeDisk,
    GatewayDies,
    FailOver,
    Flush,
    RedisAway,
    ClockJumps,
    EngineEnds,
    Start,
    Recovered,
    Flip,
    Calm,
}

#[derive(Debug, Default)]
pub struct Trace {
    shown: VecDeque<(u64, Step, u64)>,
    steps: u64,
    fingerprint: u64,
}

impl Trace {
    pub fn note(&mut self, step: Step, detail: u64) {
        self.steps += 1;
        self.mix(step as u64 + 1);
        self.mix(detail);
        if self.shown.len() == SHOWN_MAX {
            self.shown.pop_front();
        }
        self.shown.push_back((self.steps, step, detail));
    }

    pub fn mix(&mut self, word: u64) {
        let mixed = (self.fingerprint ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.fingerprint = mixed ^ mixed >> 29;
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Differs when anything in the run did.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

impl Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown
            .iter()
            .try_for_each(|(number, step, detail)| writeln!(f, "  {number:>6} {step:?} {detail}"))
    }
}
