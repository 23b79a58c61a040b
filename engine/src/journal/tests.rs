//! The journal on a real disk: what is written is read, and what is damaged is seen.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use protocol::frame::{FrameHeader, FrameWriter};
use protocol::{
    Action, Command, Frame, GatewayId, Origin, Outcome, Record, Refusal, Sequence, StreamCursor,
    Units,
};

use super::block::{Damage, HEADER_BYTES};
use super::definitions::Definitions;
use super::reader::{self, Tail};
use super::segment;
use super::writer::{Durability, Writer, WriterSettings};
use crate::error::JournalError;

/// Fits one segment header and about ten blocks of one frame.
const SEGMENT_BYTES: u64 = 192 + 10 * (64 + 128);
const LISTED: &str = "asset 1 USDC decimals 6\nasset 2 SOL decimals 9";

/// A folder that goes when the test does.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Folder {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("exchange-journal-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn segments(&self) -> Vec<PathBuf> {
        segment::list(&self.0).unwrap().into_iter().map(|(_, path)| path).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// The records of a refused command's frame, `records` long.
pub fn frame(sequence: u64, gateway: u32) -> Vec<Record> {
    let header = FrameHeader {
        sequence: Sequence(sequence),
        previous: None,
        cursor: StreamCursor { milliseconds: sequence, counter: 0 },
        outcome: Outcome::Refused(Refusal::TooManyAccounts),
        held: Units::ZERO,
    };
    let origin = Origin { gateway: GatewayId(gateway), epoch: 1, sequence };
    let command = Command { origin, time_us: sequence, action: Action::CreateAccount };
    FrameWriter::new(1).finish(&header, &command).to_vec()
}

fn listed() -> Definitions {
    Definitions::parse(LISTED)
}

fn open(folder: &Path, definitions: Definitions, tail: Option<Tail>) -> Writer {
    let directory = folder.to_owned();
    let settings =
        WriterSettings { directory, durability: Durability::Write, segment_bytes: SEGMENT_BYTES };
    Writer::open(settings, definitions, tail).unwrap()
}

fn write(folder: &Path, count: u64) {
    let (_, tail) = read(folder).unwrap();
    let mut writer = open(folder, listed(), tail);
    for _ in 0..count {
        let next = writer.next();
        writer.append(next, frame(next.0, 1).as_flattened()).unwrap();
    }
}

fn read(folder: &Path) -> Result<(Vec<u64>, Option<Tail>), JournalError> {
    read_as(folder, &listed())
}

fn read_as(
    folder: &Path,
    definitions: &Definitions,
) -> Result<(Vec<u64>, Option<Tail>), JournalError> {
    let mut found = Vec::new();
    let tail = reader::replay(folder, definitions, |frames| {
        found.extend(Frame::each_of(frames).map(|frame| frame.unwrap().header.sequence.0));
        Ok::<_, JournalError>(())
    })?;
    Ok((found, tail))
}

fn flip(path: &Path, offset: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], offset).unwrap();
}

fn up_to(last: u64) -> Vec<u64> {
    (1..=last).collect()
}

#[test]
fn what_is_written_is_read_over_segments_and_restarts() {
    let folder = Folder::new();
    assert_eq!(read(&folder.0).unwrap(), (vec![], None));
    for round in 0..5 {
        write(&folder.0, 7);
        assert_eq!(read(&folder.0).unwrap().0, up_to(7 * (round + 1)));
    }
    assert_eq!(folder.segments().len(), 4);
    let mut seen = Vec::new();
    reader::read_range(&folder.0, Sequence(9)..Sequence(24), |frames| {
        seen.push(Frame::parse(frames).unwrap().header.sequence.0);
        Ok::<_, JournalError>(())
    })
    .unwrap();
    assert_eq!(seen, (9..24).collect::<Vec<_>>());
}

#[test]
fn a_torn_tail_is_cut_wherever_the_write_stopped() {
    let block = HEADER_BYTES as u64 + 128;
    for length in [1, 40, 64, 65, 128, block - 8] {
        let folder = Folder::new();
        write(&folder.0, 3);
        let whole = read(&folder.0).unwrap().1.unwrap();
        write(&folder.0, 1);
        let path = &whole.segment;
        let file = OpenOptions::new().write(true).open(path).unwrap();
        let lost = vec![0; (block - length) as usize];
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
    assert_eq!((tail.next, tail.torn.unwrap().damage), (Sequence(4), Damage::Magic));
}

#[test]
fn damage_before_the_end_is_refused_at_every_byte() {
    let folder = Folder::new();
    write(&folder.0, 4);
    let path = folder.segments().remove(0);
    let end = read(&folder.0).unwrap().1.unwrap().offset;
    let last_block = end - HEADER_BYTES as u64 - 128;
    let first_block = end - 4 * (HEADER_BYTES as u64 + 128);
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
    write(&other.0, 12);
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
    let block = HEADER_BYTES + 128;
    let end = read(&folder.0).unwrap().1.unwrap().offset as usize;
    let bytes = fs::read(&other.segments()[0]).unwrap();
    let file = OpenOptions::new().write(true).open(&folder.segments()[0]).unwrap();
    file.write_all_at(&bytes[end - 2 * block..end - block], (end - 2 * block) as u64).unwrap();
    let error = read(&folder.0).unwrap_err();
    assert!(matches!(error, JournalError::Damaged { damage: Damage::Link, .. }), "{error}");
}

#[test]
fn a_foreign_version_is_named() {
    let folder = Folder::new();
    write(&folder.0, 1);
    let path = folder.segments().remove(0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 99;
    let checksum = crc32c::crc32c(&bytes[..124]);
    bytes[124..128].copy_from_slice(&checksum.to_le_bytes());
    fs::write(&path, bytes).unwrap();
    assert!(matches!(read(&folder.0), Err(JournalError::Version { found: 99, .. })));
}

#[test]
fn more_may_be_listed_later_and_nothing_changed() {
    let folder = Folder::new();
    write(&folder.0, 2);
    let more = Definitions::parse(&format!("{LISTED}\nmarket 1 SOL_USDC base 2 quote 1"));
    let (_, tail) = read_as(&folder.0, &more).unwrap();
    let mut writer = open(&folder.0, more.clone(), tail);
    writer.append(Sequence(3), frame(3, 1).as_flattened()).unwrap();
    assert_eq!(read_as(&folder.0, &more).unwrap().0, up_to(3));
    let error = read(&folder.0).unwrap_err().to_string();
    assert!(error.contains("market 1 is not listed"), "{error}");
}

#[test]
fn more_listed_before_the_first_frame_replaces_the_empty_segment() {
    let folder = Folder::new();
    write(&folder.0, 0);
    let more = Definitions::parse(&format!("{LISTED}\nmarket 1 SOL_USDC base 2 quote 1"));
    let (_, tail) = read_as(&folder.0, &more).unwrap();
    open(&folder.0, more.clone(), tail).append(Sequence(1), frame(1, 1).as_flattened()).unwrap();
    assert_eq!(folder.segments().len(), 1);
    assert_eq!(read_as(&folder.0, &more).unwrap().0, up_to(1));
}

#[test]
fn what_a_crash_left_unfinished_is_no_segment() {
    let folder = Folder::new();
    write(&folder.0, 2);
    let left = folder.0.join("00000000000000000003.unfinished");
    fs::write(&left, b"half a header").unwrap();
    write(&folder.0, 1);
    assert!(!left.exists());
    assert_eq!(read(&folder.0).unwrap().0, up_to(3));
}
