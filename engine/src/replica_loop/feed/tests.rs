//! However blocks are missed, every frame comes once and in order.

use crossbeam::channel::{Sender, bounded};
use proptest::prelude::*;
use protocol::Frame;

use super::*;
use crate::disk::RealDisk;
use crate::durable::Listener;
use crate::journal::definitions::Definitions;
use crate::journal::segment::JournalId;
use crate::journal::tests::{Folder, frame};
use crate::journal::writer::{Durability, Writer, WriterSettings};

struct Journal {
    writer: Writer,
    listener: Listener,
    position: Arc<DurablePosition>,
}

impl Journal {
    fn new(folder: &Folder, blocks: Sender<Arc<DurableBlock>>) -> Journal {
        let settings = WriterSettings {
            disk: Arc::new(RealDisk),
            directory: folder.0.clone(),
            durability: Durability::Write,
            segment_bytes: 4096,
        };
        let definitions = Definitions::parse("asset 1 USDC decimals 6");
        let writer = Writer::open(settings, definitions, None, JournalId([1; 16])).unwrap();
        let listener = Listener::WithGaps(blocks);
        Journal { writer, listener, position: Arc::default() }
    }

    fn write(&mut self, frames: u64) {
        let first = self.writer.next();
        let last = Sequence(first.0 + frames - 1);
        let frames: Vec<u8> =
            (first.0..=last.0).flat_map(|it| frame(it, 1).into_flattened()).collect();
        self.writer.append(last, &frames).unwrap();
        self.position.set(last);
        let link = self.writer.mark().link;
        self.listener.tell(&Arc::new(DurableBlock { first, last, frames, link }));
    }
}

/// Applies what there is; returns the last frame.
fn take(feed: &mut Feed, journal: &Journal, mut applied: Sequence) -> Sequence {
    while let Some(supply) = feed.next(applied).unwrap() {
        for frame in Frame::each_of(supply.frames()) {
            let sequence = frame.unwrap().header.sequence;
            if applied < sequence {
                assert_eq!(sequence.0, applied.0 + 1);
                applied = sequence;
            }
        }
        if applied == journal.writer.mark().sequence {
            assert_eq!(supply.link(), Some(journal.writer.mark().link));
        }
    }
    applied
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_frame_comes_once_and_in_order(
        rounds in prop::collection::vec(prop::collection::vec(1u64..6, 0..12), 1..8),
        room in 1usize..6,
    ) {
        let folder = Folder::new();
        let (sender, blocks) = bounded(room);
        let mut journal = Journal::new(&folder, sender);
        let follower = Follower::new(Arc::new(RealDisk), folder.0.clone());
        let mut feed = Feed::new(blocks, follower, Arc::clone(&journal.position));
        let (mut applied, mut written) = (Sequence(0), 0);
        for round in rounds {
            for frames in round {
                journal.write(frames);
                written += frames;
            }
            while applied.0 < written {
                applied = take(&mut feed, &journal, applied);
            }
            prop_assert!(feed.next(applied).unwrap().is_none());
            prop_assert!(!feed.has_ended());
        }
        journal.write(1);
        drop(journal.listener);
        journal.listener = Listener::WithGaps(bounded(0).0);
        applied = take(&mut feed, &journal, applied);
        prop_assert_eq!(applied.0, written + 1);
        prop_assert!(feed.has_ended());
    }
}
