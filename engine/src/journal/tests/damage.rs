//! What is wrong with a journal is seen, and named so that somebody can do something about it.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;

use super::*;
use crate::journal::block::Damage;

fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

#[test]
fn a_torn_tail_is_cut_wherever_the_write_stopped() {
    for length in [1, 40, 64, 65, 128, BLOCK_BYTES - 8] {
        let folder = Folder::new();
        write(&folder.0, 3);
        let whole = read(&folder.0).unwrap().1.unwrap();
        write(&folder.0, 1);
        let path = &whole.segment;
        let file = OpenOptions::new().write(true).open(path).unwrap();
        let lost = vec![0; (BLOCK_BYTES - length) as usize];
        file.write_all_at(&lost, whole.offset + length).unwrap();
        let (found, tail) = read(&folder.0).unwrap();
        assert_eq!((found, tail.as_ref().unwrap().offset), (up_to(3), whole.offset));
        assert!(tail.unwrap().torn.is_some(), "{length} bytes were written");
        // Going on puts the next block in its place, and nothing of it is left.
        write(&folder.0, 0);
        assert_eq!(read(&folder.0).unwrap().1.unwrap(), whole);
        write(&folder.0, 2);
        assert_eq!(read(&folder.0).unwrap().0, up_to(5));
    }
}

#[test]
fn the_first_half_of_a_write_may_be_the_lost_one() {
    let folder = Folder::new();
    write(&folder.0, 3);
    let whole = read(&folder.0).unwrap().1.unwrap();
    write(&folder.0, 1);
    let file = OpenOptions::new().write(true).open(&whole.segment).unwrap();
    file.write_all_at(&[0; 128], whole.offset).unwrap();
    let tail = read(&folder.0).unwrap().1.unwrap();
    assert_eq!((tail.joint.next, tail.torn.unwrap().damage), (Sequence(4), Damage::Magic));
}

#[test]
fn damage_before_the_end_is_refused_at_every_byte() {
    let folder = Folder::new();
    write(&folder.0, 4);
    let path = folder.segments().remove(0);
    let end = read(&folder.0).unwrap().1.unwrap().offset;
    let last_block = end - BLOCK_BYTES;
    let first_block = end - 4 * BLOCK_BYTES;
    for offset in first_block..last_block {
        flip(&path, offset);
        match read(&folder.0).unwrap_err() {
            JournalError::Damaged { path: named, offset: at, .. } => {
                assert_eq!(named, path);
                assert!(at <= offset && offset < at + 192);
            }
            other => panic!("{other}"),
        }
        flip(&path, offset);
    }
    flip(&path, last_block + 100);
    assert_eq!(read(&folder.0).unwrap().0, up_to(3));
}

#[test]
fn damage_in_an_earlier_segment_is_refused_even_at_its_end() {
    let folder = Folder::new();
    write(&folder.0, 12);
    let first = folder.segments().remove(0);
    // The last block of the full first segment, and a byte behind it where nothing belongs.
    flip(&first, SEGMENT_BYTES - 10);
    assert!(matches!(read(&folder.0), Err(JournalError::Damaged { .. })));
    flip(&first, SEGMENT_BYTES - 10);
    assert_eq!(read(&folder.0).unwrap().0, up_to(12));
}

#[test]
fn a_missing_segment_is_named() {
    for missing in [0, 1] {
        let folder = Folder::new();
        write(&folder.0, 25);
        fs::remove_file(&folder.segments()[missing]).unwrap();
        let error = read(&folder.0).unwrap_err();
        assert!(matches!(error, JournalError::Missing { .. }), "{error}");
    }
}

#[test]
fn a_segment_of_another_journal_is_refused() {
    let (folder, other) = (Folder::new(), Folder::new());
    write(&folder.0, 12);
    let settings = settings(Arc::new(RealDisk), &other.0);
    append(&mut Writer::open(settings, listed(), None, JournalId([2; 16])).unwrap(), 12);
    fs::copy(&other.segments()[1], &folder.segments()[1]).unwrap();
    assert!(matches!(read(&folder.0), Err(JournalError::OtherJournal { .. })));
}

#[test]
fn a_block_that_does_not_link_to_the_one_before_is_refused() {
    let (folder, other) = (Folder::new(), Folder::new());
    write(&folder.0, 3);
    // The same frames but for the second, whose place the third must not follow.
    let mut writer = open(&other.0, listed(), None);
    for sequence in 1..=3 {
        let frame = frame(sequence, if sequence == 2 { 9 } else { 1 });
        writer.append(Sequence(sequence), frame.as_flattened()).unwrap();
    }
    let block = BLOCK_BYTES as usize;
    let end = read(&folder.0).unwrap().1.unwrap().offset as usize;
    let bytes = fs::read(&other.segments()[0]).unwrap();
    let file = OpenOptions::new().write(true).open(&folder.segments()[0]).unwrap();
    file.write_all_at(&bytes[end - 2 * block..end - block], (end - 2 * block) as u64).unwrap();
    let error = read(&folder.0).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { damage: Damage::Link, .. }), "{error}");
}

/// Gives the header of a segment another version, checksum and all.
fn set_version(path: &Path, version: u8) {
    let mut bytes = fs::read(path).unwrap();
    bytes[8] = version;
    let checksum = crc32c::crc32c(&bytes[..124]);
    bytes[124..128].copy_from_slice(&checksum.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_foreign_version_is_named() {
    let folder = Folder::new();
    write(&folder.0, 1);
    for version in [1, 2, 99] {
        set_version(&folder.segments()[0], version);
        let error = read(&folder.0).unwrap_err().to_string();
        let wanted = format!("has journal format {version}, this engine reads 3 alone");
        assert!(error.contains(&wanted), "{error}");
    }
}

#[test]
fn a_segment_of_another_moment_of_the_same_journal_is_refused() {
    let (folder, other) = (Folder::new(), Folder::new());
    write(&folder.0, 5);
    write(&other.0, 4);
    // The same journal, by its name, whose fifth frame is not the same.
    let mut writer = open(&other.0, listed(), read(&other.0).unwrap().1);
    writer.append(Sequence(5), frame(5, 9).as_flattened()).unwrap();
    drop(writer);
    write(&folder.0, 7);
    write(&other.0, 7);
    fs::copy(&other.segments()[1], &folder.segments()[1]).unwrap();
    let error = read(&folder.0).unwrap_err();
    assert!(matches!(error, JournalError::Unlinked { .. }), "{error}");
}

#[test]
fn a_damaged_header_and_a_file_that_does_not_belong_are_named() {
    let folder = Folder::new();
    write(&folder.0, 12);
    for (segment, offset) in [(0, 0), (0, 20), (0, 80), (1, 89), (1, 130)] {
        let path = folder.segments().remove(segment);
        flip(&path, offset);
        match read(&folder.0).unwrap_err() {
            JournalError::SegmentHeader { path: named } => assert_eq!(named, path),
            other => panic!("{other}"),
        }
        flip(&path, offset);
    }
    let stranger = folder.0.join("notes.txt");
    fs::write(&stranger, b"mine").unwrap();
    let error = read(&folder.0).unwrap_err().to_string();
    assert!(error.contains("notes.txt is no journal segment"), "{error}");
    fs::remove_file(stranger).unwrap();
    let renamed = folder.0.join("00000000000000000013.journal");
    fs::rename(&folder.segments()[1], renamed).unwrap();
    assert!(matches!(read(&folder.0), Err(JournalError::SegmentHeader { .. })));
}
