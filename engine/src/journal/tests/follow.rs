//! Reading frames beside the writer, a page at a time.

use super::*;
use crate::disk::failing::FailingDisk;
use crate::journal::follow::{Follower, Page};
use crate::journal::retention;

const FRAME_BYTES: usize = 128;

fn follower(folder: &Folder) -> Follower {
    Follower::new(Arc::new(RealDisk), folder.0.clone())
}

fn sequences(page: &Page) -> Vec<u64> {
    let found: Vec<_> =
        Frame::each_of(&page.frames).map(|frame| frame.unwrap().header.sequence.0).collect();
    assert_eq!((found.first(), found.last()), (Some(&page.first.0), Some(&page.last.0)));
    found
}

/// All from `from` to `durable`, in pages.
fn follow(follower: &mut Follower, from: u64, durable: u64, bytes_max: usize) -> Vec<u64> {
    let (mut all, mut next) = (Vec::new(), Sequence(from));
    while let Some(page) = follower.page(next, Sequence(durable), bytes_max).unwrap() {
        assert!(page.frames.len() <= bytes_max.max(FRAME_BYTES));
        all.extend(sequences(&page));
        next = Sequence(page.last.0 + 1);
    }
    all
}

/// Blocks of 1, 2, 3, 1, 2, 3 … frames up to frame `last`.
fn write_uneven(folder: &Folder, last: u64) {
    let mut writer = open(&folder.0, listed(), None);
    for count in [1, 2, 3].into_iter().cycle() {
        let next = writer.next().0;
        if last < next {
            break;
        }
        let end = last.min(next + count - 1);
        let frames = (next..=end).map(|sequence| frame(sequence, 1)).collect::<Vec<_>>().concat();
        writer.append(Sequence(end), frames.as_flattened()).unwrap();
    }
}

#[test]
fn every_frame_comes_once_and_in_order_in_pages_of_every_size() {
    let folder = Folder::new();
    write_uneven(&folder, 50);
    assert!(3 < folder.segments().len());
    for bytes_max in [1, FRAME_BYTES, 2 * FRAME_BYTES, 5 * FRAME_BYTES, 1 << 20] {
        for from in 1..=50 {
            let found = follow(&mut follower(&folder), from, 50, bytes_max);
            assert_eq!(found, (from..=50).collect::<Vec<_>>());
        }
    }
}

#[test]
fn nothing_behind_the_durable_frame_is_handed_out() {
    let folder = Folder::new();
    write_uneven(&folder, 50);
    let mut following = follower(&folder);
    let mut all = Vec::new();
    for durable in 0..=50 {
        all.extend(follow(&mut following, all.len() as u64 + 1, durable, 1 << 20));
        assert_eq!(all, up_to(durable));
    }
    assert_eq!(following.page(Sequence(51), Sequence(50), 1000).unwrap(), None);
}

#[test]
fn it_goes_on_with_what_is_written_later() {
    let folder = Folder::new();
    let mut following = follower(&folder);
    let mut writer = open(&folder.0, listed(), None);
    for last in 1..=45 {
        append(&mut writer, 1);
        assert_eq!(follow(&mut following, last, last, 1 << 20), [last]);
    }
    // Back, and forth again.
    assert_eq!(follow(&mut following, 12, 14, 1 << 20), [12, 13, 14]);
    assert_eq!(follow(&mut following, 44, 45, 1 << 20), [44, 45]);
}

#[test]
fn it_never_looks_at_what_is_not_durable() {
    let folder = Folder::new();
    write(&folder.0, 8);
    let whole = read(&folder.0).unwrap().1.unwrap();
    let mut bytes = fs::read(&whole.segment).unwrap();
    // Behind frame 8 stands the half of a block, as when its write is under way.
    bytes[whole.offset as usize..][..100].fill(7);
    fs::write(&whole.segment, &bytes).unwrap();
    let mut following = follower(&folder);
    assert_eq!(follow(&mut following, 1, 8, 1 << 20), up_to(8));
    // The bytes read with it are not taken for the block that stands there by now.
    bytes[whole.offset as usize..][..100].fill(0);
    fs::write(&whole.segment, &bytes).unwrap();
    write(&folder.0, 4);
    assert_eq!(follow(&mut following, 9, 12, 1 << 20), [9, 10, 11, 12]);
}

#[test]
fn what_is_no_longer_there_is_named_with_what_is() {
    let folder = Folder::new();
    write(&folder.0, 35);
    let mut following = follower(&folder);
    assert_eq!(follow(&mut following, 3, 5, 1 << 20), [3, 4, 5]);
    retention::remove_before(&RealDisk, &folder.0, Sequence(25)).unwrap();
    // Whether it stands in the segment that is gone, or looks for it.
    for from in [9, 12, 12] {
        match following.page(Sequence(from), Sequence(35), 1000) {
            // What was read before is still at hand.
            Ok(Some(page)) => assert_eq!((from, sequences(&page)[0]), (9, 9)),
            Err(JournalError::Gone { wanted, oldest }) => {
                assert_eq!(oldest, Sequence(21));
                assert!(from <= wanted.0);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(follow(&mut following, 21, 35, 1 << 20), (21..=35).collect::<Vec<_>>());
    let empty = Folder::new();
    let error = follower(&empty).page(Sequence(1), Sequence(1), 1000).unwrap_err();
    assert!(matches!(error, JournalError::Absent { .. }), "{error}");
    let error = following.page(Sequence(36), Sequence(36), 1000).unwrap_err();
    assert!(matches!(error, JournalError::Absent { wanted: Sequence(36), .. }), "{error}");
}

#[test]
fn the_segment_it_stopped_in_may_go() {
    let folder = Folder::new();
    write(&folder.0, 35);
    let mut following = follower(&folder);
    assert_eq!(follow(&mut following, 1, 10, 1 << 20), up_to(10));
    retention::remove_before(&RealDisk, &folder.0, Sequence(25)).unwrap();
    assert_eq!(follow(&mut following, 21, 35, 1 << 20), (21..=35).collect::<Vec<_>>());
}

#[test]
fn damage_is_seen() {
    let folder = Folder::new();
    write(&folder.0, 8);
    let tail = read(&folder.0).unwrap().1.unwrap();
    let whole = fs::read(&tail.segment).unwrap();
    for back in 1..=2 * BLOCK_BYTES as usize {
        let mut bytes = whole.clone();
        bytes[tail.offset as usize - back] ^= 4;
        fs::write(&tail.segment, bytes).unwrap();
        let error = follower(&folder).page(Sequence(7), Sequence(8), 1 << 20).unwrap_err();
        assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
    }
}

/// A segment of this many bytes, of blocks of a quarter of a MiB.
const LARGE_BYTES: u64 = 16 << 20;

#[test]
fn it_reads_what_it_needs_and_not_whole_segments() {
    let (folder, disk) = (Folder::new(), FailingDisk::default());
    let settings =
        WriterSettings { segment_bytes: LARGE_BYTES, ..settings(Arc::new(RealDisk), &folder.0) };
    let mut writer = Writer::open(settings, listed(), None, JOURNAL).unwrap();
    let mut last = 0;
    for _ in 0..60 {
        let frames: Vec<_> = (last + 1..=last + 2048).map(|sequence| frame(sequence, 1)).collect();
        last += 2048;
        writer.append(Sequence(last), frames.concat().as_flattened()).unwrap();
    }
    let mut following = Follower::new(Arc::new(disk.clone()), folder.0.clone());
    let bytes_read = || disk.faults.bytes_read.swap(0, Ordering::Relaxed);
    let page_bytes = 1 << 18;
    // The first page walks along 59 headers, 64 KiB at a time.
    let from = last - 2047;
    let page = following.page(Sequence(from), Sequence(last), page_bytes).unwrap().unwrap();
    assert_eq!((page.first.0, page.last.0), (from, last));
    assert!(bytes_read() < LARGE_BYTES / 3);
    append(&mut writer, 1);
    following.page(Sequence(last + 1), Sequence(last + 1), page_bytes).unwrap().unwrap();
    assert!(bytes_read() <= 1 << 16);
}
