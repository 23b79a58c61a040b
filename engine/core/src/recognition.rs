//! Hot path. Which commands came before, so that one that comes again is not carried out again.
//!
//! Every command bears the name of its sender, of the sender's life and a number that rises in that
//! life. For each sender the latest numbers are remembered in a ring, a number always at the same
//! place, with the frame that decided it. What the ring has forgotten is still told apart from what
//! never came: whatever is not above the highest name ever forgotten is *stale*, and refused. So a
//! command is carried out once or not at all, however late and however often it comes; and a sender
//! whose commands overtake each other by less than the ring is long never meets a refusal.

use protocol::{GatewayId, Origin, Sequence};
use serde::{Deserialize, Serialize};

use crate::digest::StateSum;

/// Places in the ring of one sender in one stream. Part of the journal's meaning: what is stale
/// follows from it.
const PLACES: usize = 8192;
/// Senders that one stream tells apart.
const GATEWAYS_MAX: usize = 256;

/// A command's name among those of its sender: later lives are above earlier ones.
type Name = (u32, u64);

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Memory {
    pub epoch: u32,
    pub sequence: u64,
    /// The frame that decided it; 0 where nothing is remembered.
    pub frame: u64,
}

impl Memory {
    #[inline]
    const fn name(&self) -> Name {
        (self.epoch, self.sequence)
    }
}

#[derive(Clone, Debug)]
struct Sender {
    gateway: GatewayId,
    /// The highest name that was remembered and is no more.
    forgotten: Name,
    ring: Vec<Memory>,
}

#[derive(Clone, Debug, Default)]
pub struct Recognition {
    senders: Vec<Sender>,
}

/// What is known of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    New,
    /// It came before and was decided by this frame.
    Decided(Sequence),
    /// It may have come before, and nobody knows.
    Stale,
    TooManyGateways,
}

/// What is remembered of one sender, for going on with it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SenderState {
    pub gateway: GatewayId,
    pub forgotten: (u32, u64),
    pub memories: Vec<Memory>,
}

impl Recognition {
    #[inline]
    pub fn look(&self, origin: &Origin) -> Verdict {
        let Some(sender) = self.senders.iter().find(|it| it.gateway == origin.gateway) else {
            let has_room = self.senders.len() < GATEWAYS_MAX;
            return if has_room { Verdict::New } else { Verdict::TooManyGateways };
        };
        let name = (origin.epoch, origin.sequence);
        let memory = &sender.ring[place(origin.sequence)];
        if memory.frame != 0 && memory.name() == name {
            return Verdict::Decided(Sequence(memory.frame));
        }
        // Where a later one of the same place is remembered, this one could not be.
        let is_stale = name <= sender.forgotten || memory.frame != 0 && name < memory.name();
        if is_stale { Verdict::Stale } else { Verdict::New }
    }

    /// Remembers that a new command was decided by `frame`.
    #[inline]
    pub fn note(&mut self, origin: &Origin, frame: Sequence, sum: &mut StateSum) {
        let at = self.senders.iter().position(|it| it.gateway == origin.gateway);
        let at = at.unwrap_or_else(|| self.admit(origin.gateway));
        let sender = &mut self.senders[at];
        let memory = &mut sender.ring[place(origin.sequence)];
        if memory.frame != 0 {
            sender.forgotten = sender.forgotten.max(memory.name());
            sum.forget(memory.epoch, memory.sequence, memory.frame);
        }
        *memory = Memory { epoch: origin.epoch, sequence: origin.sequence, frame: frame.0 };
        sum.remember(memory.epoch, memory.sequence, memory.frame);
    }

    /// The highest epoch that commands of `gateway` came with.
    pub fn epoch(&self, gateway: GatewayId) -> Option<u32> {
        let sender = self.senders.iter().find(|it| it.gateway == gateway)?;
        let remembered = sender.ring.iter().filter(|it| it.frame != 0).map(|it| it.epoch).max();
        remembered.max(Some(sender.forgotten.0))
    }

    pub fn state(&self) -> Vec<SenderState> {
        let of = |sender: &Sender| SenderState {
            gateway: sender.gateway,
            forgotten: sender.forgotten,
            memories: sender.ring.iter().filter(|it| it.frame != 0).copied().collect(),
        };
        self.senders.iter().map(of).collect()
    }

    pub fn restore(states: &[SenderState]) -> Recognition {
        let mut recognition = Recognition::default();
        states.iter().for_each(|state| recognition.restore_sender(state));
        recognition
    }

    /// One sender's memories, or more of them.
    pub(crate) fn restore_sender(&mut self, state: &SenderState) {
        let at = self.senders.iter().position(|it| it.gateway == state.gateway);
        let at = at.unwrap_or_else(|| self.admit(state.gateway));
        let sender = &mut self.senders[at];
        sender.forgotten = state.forgotten;
        for memory in &state.memories {
            sender.ring[place(memory.sequence)] = *memory;
        }
    }

    /// What all memories add to the sum of their stream.
    pub fn add_to(&self, sum: &mut StateSum) {
        for memory in self.senders.iter().flat_map(|it| &it.ring).filter(|it| it.frame != 0) {
            sum.remember(memory.epoch, memory.sequence, memory.frame);
        }
    }

    /// Takes memory: once for each sender that a stream ever meets.
    #[cold]
    fn admit(&mut self, gateway: GatewayId) -> usize {
        let ring = vec![Memory::default(); PLACES];
        self.senders.push(Sender { gateway, forgotten: (0, 0), ring });
        self.senders.len() - 1
    }
}

#[inline]
const fn place(sequence: u64) -> usize {
    sequence as usize & (PLACES - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    use super::*;

    fn origin(epoch: u32, sequence: u64) -> Origin {
        Origin { gateway: GatewayId(1), epoch, sequence }
    }

    #[test]
    fn what_came_is_known_what_was_forgotten_is_stale_and_the_rest_is_new() {
        let (mut known, mut sum) = (Recognition::default(), StateSum::default());
        let places = PLACES as u64;
        for sequence in 1..=places + 10 {
            assert_eq!(known.look(&origin(5, sequence)), Verdict::New);
            known.note(&origin(5, sequence), Sequence(1000 + sequence), &mut sum);
        }
        assert_eq!(known.look(&origin(5, 11)), Verdict::Decided(Sequence(1011)));
        assert_eq!(known.look(&origin(5, 10)), Verdict::Stale);
        assert_eq!(known.look(&origin(4, places + 99)), Verdict::Stale);
        assert_eq!(known.look(&origin(5, places + 11)), Verdict::New);
        assert_eq!(known.look(&origin(6, 1)), Verdict::New);
        let other = Origin { gateway: GatewayId(2), ..origin(5, 11) };
        assert_eq!(known.look(&other), Verdict::New);
        assert_eq!((known.epoch(GatewayId(1)), known.epoch(GatewayId(2))), (Some(5), None));
    }

    #[test]
    fn a_straggler_whose_place_is_taken_by_a_later_one_is_stale() {
        let (mut known, mut sum) = (Recognition::default(), StateSum::default());
        known.note(&origin(1, 7 + PLACES as u64), Sequence(3), &mut sum);
        assert_eq!(known.look(&origin(1, 7)), Verdict::Stale);
        assert_eq!(known.look(&origin(1, 8)), Verdict::New);
    }

    #[test]
    fn more_senders_than_can_be_told_apart_are_turned_away() {
        let (mut known, mut sum) = (Recognition::default(), StateSum::default());
        for gateway in 0..GATEWAYS_MAX as u32 {
            let origin = Origin { gateway: GatewayId(gateway), epoch: 1, sequence: 1 };
            known.note(&origin, Sequence(1), &mut sum);
        }
        let one_more = Origin { gateway: GatewayId(9999), epoch: 1, sequence: 1 };
        assert_eq!(known.look(&one_more), Verdict::TooManyGateways);
        assert_eq!(known.look(&origin(1, 2)), Verdict::New);
    }

    proptest! {
        /// Whatever comes in whatever order, nothing is new twice, and state and sum are whole.
        #[test]
        fn nothing_is_new_twice(
            steps in prop::collection::vec((1u32..4, 0u64..3, 0u64..6), 1..200),
        ) {
            let (mut known, mut sum) = (Recognition::default(), StateSum::default());
            let mut decided = BTreeMap::new();
            for (at, (epoch, lap, number)) in (1..).zip(steps) {
                let origin = origin(epoch, 1 + number + lap * PLACES as u64);
                let name = (origin.epoch, origin.sequence);
                match known.look(&origin) {
                    Verdict::New => {
                        prop_assert_eq!(decided.insert(name, at), None);
                        known.note(&origin, Sequence(at), &mut sum);
                    }
                    Verdict::Decided(frame) => {
                        prop_assert_eq!(decided.get(&name), Some(&frame.0));
                    }
                    Verdict::Stale => (),
                    Verdict::TooManyGateways => prop_assert!(false),
                }
            }
            let again = Recognition::restore(&known.state());
            prop_assert_eq!(again.state(), known.state());
            let mut summed = StateSum::default();
            again.add_to(&mut summed);
            prop_assert_eq!(summed, sum);
        }
    }
}
