//! Reading that begins behind a mark, as a snapshot carries it.

use super::*;
use crate::journal::reader::Mark;
use crate::journal::retention::{self, Removed};

/// The marks at the ends of all blocks, from frame 0 on.
fn marks(folder: &Path) -> Vec<Mark> {
    let definitions = Some(&listed());
    let source = Source { disk: &RealDisk, directory: folder, definitions, begin: Begin::First };
    let link = super::super::block::Link::default();
    let mut marks = vec![Mark { journal: JOURNAL, sequence: Sequence(0), link }];
    reader::replay(&source, |block| {
        marks.push(block.mark());
        Ok::<_, JournalError>(())
    })
    .unwrap();
    marks
}

fn read_after(folder: &Path, mark: Mark) -> Read {
    read_as(folder, &listed(), Begin::After(mark))
}

#[test]
fn reading_goes_on_behind_every_block() {
    let folder = Folder::new();
    write(&folder.0, 25);
    let (_, tail) = read(&folder.0).unwrap();
    for mark in marks(&folder.0) {
        let (found, end) = read_after(&folder.0, mark).unwrap();
        assert_eq!(found, (mark.sequence.0 + 1..=25).collect::<Vec<_>>());
        assert_eq!(end, tail);
    }
    let writer = open(&folder.0, listed(), tail);
    assert_eq!(Some(&writer.mark()), marks(&folder.0).last());
}

#[test]
fn what_comes_before_may_be_gone_as_far_as_the_mark_allows() {
    let folder = Folder::new();
    write(&folder.0, 35);
    let marks = marks(&folder.0);
    let all = Removed { segments: 0, bytes: 0 };
    assert_eq!(retention::remove_before(&RealDisk, &folder.0, Sequence(10)).unwrap(), all);
    let removed = retention::remove_before(&RealDisk, &folder.0, Sequence(22)).unwrap();
    assert_eq!(removed, Removed { segments: 2, bytes: 2 * SEGMENT_BYTES });
    assert_eq!(folder.segments().len(), 2);
    for after in [20, 21, 34, 35] {
        let found = read_after(&folder.0, marks[after as usize]).unwrap().0;
        assert_eq!(found, (after + 1..=35).collect::<Vec<_>>());
    }
    let error = read_after(&folder.0, marks[19]).unwrap_err();
    let (expected, found) = (Sequence(20), Sequence(21));
    assert!(
        matches!(error, JournalError::Missing { expected: e, found: f, .. }
            if (e, f) == (expected, found)),
        "{error}"
    );
    assert!(matches!(read(&folder.0), Err(JournalError::Missing { .. })));
    for (near, first) in [(0, 21), (5, 21), (30, 21), (31, 31), (40, 31)] {
        let found = read_as(&folder.0, &listed(), Begin::Near(Sequence(near))).unwrap().0;
        assert_eq!(found, (first..=35).collect::<Vec<_>>());
    }
    let removed = retention::remove_before(&RealDisk, &folder.0, Sequence(1000)).unwrap();
    assert_eq!((removed.segments, folder.segments().len()), (1, 1));
}

#[test]
fn a_mark_of_another_journal_or_moment_is_refused() {
    let folder = Folder::new();
    write(&folder.0, 15);
    for at in [3, 10, 15] {
        let mark = marks(&folder.0)[at];
        let other = Mark { journal: JournalId([9; 16]), ..mark };
        let error = read_after(&folder.0, other).unwrap_err();
        assert!(matches!(error, JournalError::Mixed { .. }), "{error}");
        let other = Mark { link: marks(&folder.0)[at - 1].link, ..mark };
        let error = read_after(&folder.0, other).unwrap_err();
        assert!(matches!(error, JournalError::Mixed { .. }), "{error}");
    }
}

#[test]
fn a_mark_inside_a_block_is_refused() {
    let folder = Folder::new();
    let mut writer = open(&folder.0, listed(), None);
    writer.append(Sequence(2), [frame(1, 1), frame(2, 1)].concat().as_flattened()).unwrap();
    let mark = Mark { sequence: Sequence(1), ..writer.mark() };
    assert!(matches!(read_after(&folder.0, mark), Err(JournalError::Mixed { .. })));
}

#[test]
fn a_journal_that_ends_before_the_mark_is_refused() {
    let (folder, empty) = (Folder::new(), Folder::new());
    write(&folder.0, 5);
    let mark = Mark { sequence: Sequence(6), ..marks(&folder.0)[5] };
    for folder in [&folder, &empty] {
        let error = read_after(&folder.0, mark).unwrap_err();
        assert!(matches!(error, JournalError::EndsEarly { .. }), "{error}");
    }
}

#[test]
fn headers_of_segments_before_the_mark_are_checked_too() {
    let folder = Folder::new();
    write(&folder.0, 25);
    let mark = marks(&folder.0)[22];
    fs::write(&folder.segments()[0], b"not any more").unwrap();
    assert!(matches!(read_after(&folder.0, mark), Err(JournalError::SegmentHeader { .. })));
}
