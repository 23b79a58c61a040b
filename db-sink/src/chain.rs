//! Whether the frames of a stream follow one another, wherever they come from: its queue, or pages
//! of the engine's journal. Pure.
//!
//! Invariant: what is handed on is one chain. Each frame names the one before it; where that is not
//! the last one handed on, frames lack, and nothing behind them is handed on before them.

use protocol::FrameHeader;
use protocol::refill::Content;

use crate::error::StreamFault;

/// The hole before an entry of the queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// The entry's frame.
    pub next: u64,
    /// The last frame that lacks.
    pub until: u64,
}

/// How an entry of the queue goes with what was handed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Link {
    /// It is the next one.
    Next,
    /// It was handed on before, or belongs on no queue because it changed nothing.
    Known,
    Gap(Gap),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chain {
    /// The last frame handed on; 0 before the first.
    handed: u64,
    /// Behind `handed` and up to here the journal has no frame of the stream.
    searched: u64,
    /// What the journal had up to here was removed.
    removed: u64,
    gap: Option<Gap>,
}

impl Chain {
    /// Goes on from what is committed.
    pub fn new(committed: u64) -> Self {
        Chain { handed: committed, searched: 0, removed: 0, gap: None }
    }

    pub fn handed(&self) -> u64 {
        self.handed
    }

    pub fn gap(&self) -> Option<Gap> {
        self.gap
    }

    /// All frames of the stream up to here were handed on, as far as the journal knows them; the
    /// engine is asked for what comes behind.
    pub fn known_until(&self) -> u64 {
        self.handed.max(self.searched)
    }

    /// An entry of the queue. A gap stays open until [`Chain::page_ends`] has found all of it.
    pub fn queued(&mut self, header: &FrameHeader) -> Result<Link, StreamFault> {
        if !header.is_effective() || header.sequence.0 <= self.handed {
            return Ok(Link::Known);
        }
        let previous = previous(header);
        if previous == self.handed {
            self.handed = header.sequence.0;
            return Ok(Link::Next);
        }
        if previous < self.handed {
            return Err(self.contradiction(header.sequence.0, previous));
        }
        let gap = Gap { next: header.sequence.0, until: previous };
        self.check(gap)?;
        self.gap = Some(gap);
        Ok(Link::Gap(gap))
    }

    /// A frame of a page; whether it is handed on.
    pub fn refilled(&mut self, header: &FrameHeader) -> Result<bool, StreamFault> {
        if !header.is_effective() || header.sequence.0 <= self.handed {
            return Ok(false);
        }
        let previous = previous(header);
        if previous == self.handed {
            self.handed = header.sequence.0;
            return Ok(true);
        }
        if self.handed < previous && previous <= self.removed {
            return Err(self.removed());
        }
        Err(self.contradiction(header.sequence.0, previous))
    }

    /// What a page said of itself, after its frames. The gap if it is closed by it.
    pub fn page_ends(&mut self, content: Content) -> Result<Option<Gap>, StreamFault> {
        match content {
            Content::UpTo(sequence) => self.searched = self.searched.max(sequence.0),
            // Whether that is a hole shows only behind it: the stream may have had nothing there.
            Content::BeginsAfter(sequence) => {
                self.removed = self.removed.max(sequence.0);
                self.searched = self.searched.max(sequence.0);
            }
            Content::UnknownMarket => (),
        }
        let Some(gap) = self.gap else { return Ok(None) };
        if self.handed < gap.until {
            self.check(gap)?;
            return Ok(None);
        }
        self.gap = None;
        Ok(Some(gap))
    }

    /// Whether the journal can still have the gap's last frame.
    fn check(&self, gap: Gap) -> Result<(), StreamFault> {
        if gap.until <= self.removed {
            return Err(self.removed());
        }
        if gap.until <= self.searched {
            return Err(self.contradiction(gap.next, gap.until));
        }
        Ok(())
    }

    fn removed(&self) -> StreamFault {
        StreamFault::Removed { last: self.handed, begins_after: self.removed }
    }

    fn contradiction(&self, sequence: u64, previous: u64) -> StreamFault {
        StreamFault::Contradiction { sequence, previous, last: self.handed }
    }
}

fn previous(header: &FrameHeader) -> u64 {
    header.previous.map_or(0, |previous| previous.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use protocol::{Outcome, Refusal, Sequence, StateDigest, StreamCursor, Units};

    fn frame(sequence: u64, previous: u64) -> FrameHeader {
        FrameHeader {
            sequence: Sequence(sequence),
            previous: Some(Sequence(previous)).filter(|previous| previous.0 != 0),
            cursor: StreamCursor::START,
            outcome: Outcome::BookStateSet,
            held: Units(0),
            digest: StateDigest::default(),
        }
    }

    fn up_to(sequence: u64) -> Content {
        Content::UpTo(Sequence(sequence))
    }

    fn begins_after(sequence: u64) -> Content {
        Content::BeginsAfter(Sequence(sequence))
    }

    #[test]
    fn a_gap_is_closed_by_the_page_that_brings_its_last_frame() {
        let mut chain = Chain::new(10);
        assert_eq!(chain.queued(&frame(12, 10)).unwrap(), Link::Next);
        let gap = Gap { next: 30, until: 25 };
        assert_eq!(chain.queued(&frame(30, 25)).unwrap(), Link::Gap(gap));
        // One that begins before what is here, one without any frame, one that ends at the border.
        assert!(!chain.refilled(&frame(12, 10)).unwrap());
        assert!(chain.refilled(&frame(14, 12)).unwrap());
        assert_eq!(chain.page_ends(up_to(14)).unwrap(), None);
        assert_eq!(chain.page_ends(up_to(20)).unwrap(), None);
        assert_eq!((chain.handed(), chain.known_until()), (14, 20));
        assert!(chain.refilled(&frame(25, 14)).unwrap());
        assert_eq!(chain.page_ends(up_to(25)).unwrap(), Some(gap));
        assert_eq!(chain.queued(&frame(25, 14)).unwrap(), Link::Known);
        assert_eq!(chain.queued(&frame(30, 25)).unwrap(), Link::Next);
    }

    #[test]
    fn a_page_may_go_beyond_the_gap() {
        let mut chain = Chain::new(0);
        assert!(matches!(chain.queued(&frame(3, 2)).unwrap(), Link::Gap(_)));
        for (sequence, previous) in [(1, 0), (2, 1), (3, 2), (4, 3)] {
            assert!(chain.refilled(&frame(sequence, previous)).unwrap());
        }
        assert!(chain.page_ends(up_to(9)).unwrap().is_some());
        assert_eq!(chain.queued(&frame(4, 3)).unwrap(), Link::Known);
        assert_eq!(chain.queued(&frame(10, 4)).unwrap(), Link::Next);
    }

    #[test]
    fn what_changed_nothing_is_no_link() {
        let mut chain = Chain::new(10);
        let outcomes = [
            Outcome::Refused(Refusal::Stale),
            Outcome::Recognised { first: Sequence(3) },
            Outcome::Repeated { first: Sequence(3) },
        ];
        for outcome in outcomes {
            let header = FrameHeader { outcome, ..frame(11, 10) };
            assert_eq!(chain.queued(&header).unwrap(), Link::Known);
            assert!(!chain.refilled(&header).unwrap());
        }
        assert_eq!(chain.queued(&frame(12, 10)).unwrap(), Link::Next);
    }

    #[test]
    fn a_frame_that_was_removed_is_never_skipped() {
        let mut chain = Chain::new(10);
        chain.queued(&frame(30, 25)).unwrap();
        let fault = chain.page_ends(begins_after(25)).unwrap_err();
        let expected = |fault| match fault {
            StreamFault::Removed { last, begins_after } => last == 10 && 20 <= begins_after,
            _ => false,
        };
        assert!(expected(fault));
        // The gap's last frame is there, but not its first: seen with the first that is.
        let mut chain = Chain::new(10);
        chain.queued(&frame(30, 25)).unwrap();
        assert_eq!(chain.page_ends(begins_after(20)).unwrap(), None);
        assert!(expected(chain.refilled(&frame(25, 18)).unwrap_err()));
        // Without a gap on the queue it is the next entry that shows it.
        let mut chain = Chain::new(10);
        assert_eq!(chain.page_ends(begins_after(20)).unwrap(), None);
        assert!(expected(chain.queued(&frame(30, 18)).unwrap_err()));
    }

    #[test]
    fn a_journal_that_begins_late_is_enough_where_the_stream_was_quiet() {
        let mut chain = Chain::new(10);
        chain.queued(&frame(30, 25)).unwrap();
        assert_eq!(chain.page_ends(begins_after(20)).unwrap(), None);
        assert_eq!(chain.known_until(), 20);
        assert!(chain.refilled(&frame(25, 10)).unwrap());
        assert!(chain.page_ends(up_to(25)).unwrap().is_some());
    }

    #[test]
    fn queue_and_journal_that_contradict_each_other_stop_the_stream() {
        let contradicts = |fault| matches!(fault, StreamFault::Contradiction { .. });
        // A frame of another history.
        assert!(contradicts(Chain::new(10).queued(&frame(12, 9)).unwrap_err()));
        // A page that leaves out a frame, and a journal without the one that the queue names.
        assert!(contradicts(Chain::new(10).refilled(&frame(14, 12)).unwrap_err()));
        let mut chain = Chain::new(10);
        chain.queued(&frame(30, 25)).unwrap();
        assert_eq!(chain.page_ends(up_to(24)).unwrap(), None);
        assert!(contradicts(chain.page_ends(up_to(25)).unwrap_err()));
    }

    /// Deliveries of a journal of `sequences`: entries of the queue as (place, how many), pages as
    /// (frames at most, span).
    #[derive(Clone, Copy, Debug)]
    enum Delivery {
        Queue(usize, usize),
        Page(usize, u64),
    }

    fn delivery() -> impl Strategy<Value = Delivery> {
        prop_oneof![
            (0..60usize, 1..20usize).prop_map(|(from, many)| Delivery::Queue(from, many)),
            (1..10usize, 1..40u64).prop_map(|(many, span)| Delivery::Page(many, span)),
        ]
    }

    proptest! {
        #[test]
        fn whatever_comes_in_whatever_order_is_handed_on_once_and_in_order(
            steps in prop::collection::vec(1..6u64, 60),
            deliveries in prop::collection::vec(delivery(), 0..60),
            committed in 0..60usize,
        ) {
            let sequences: Vec<u64> =
                steps.iter().scan(0, |sum, step| { *sum += step; Some(*sum) }).collect();
            let journal: Vec<FrameHeader> = std::iter::once(0).chain(sequences.clone())
                .zip(&sequences).map(|(previous, sequence)| frame(*sequence, previous)).collect();
            let mut handed: Vec<u64> = sequences[..committed].to_vec();
            let mut chain = Chain::new(handed.last().copied().unwrap_or(0));
            // At last a page with everything.
            for delivery in deliveries.into_iter().chain([Delivery::Page(60, 1000)]) {
                match delivery {
                    Delivery::Queue(from, many) if chain.gap().is_none() => {
                        for header in journal.iter().skip(from).take(many) {
                            match chain.queued(header).unwrap() {
                                Link::Next => handed.push(header.sequence.0),
                                Link::Known => (),
                                Link::Gap(_) => break,
                            }
                        }
                    }
                    Delivery::Queue(..) => (),
                    Delivery::Page(many, span) => {
                        let (after, mut end) = (chain.known_until(), chain.known_until() + span);
                        let range = |header: &&FrameHeader| {
                            after < header.sequence.0 && header.sequence.0 <= end
                        };
                        let page: Vec<_> = journal.iter().filter(range).collect();
                        for header in page.iter().take(many) {
                            prop_assert!(chain.refilled(header).unwrap());
                            handed.push(header.sequence.0);
                        }
                        if many < page.len() {
                            end = page[many - 1].sequence.0;
                        }
                        chain.page_ends(up_to(end)).unwrap();
                    }
                }
                prop_assert_eq!(&handed, &sequences[..handed.len()]);
            }
            prop_assert_eq!(handed, sequences);
            prop_assert_eq!(chain.gap(), None);
        }
    }
}
