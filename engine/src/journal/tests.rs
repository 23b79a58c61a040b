//! The journal on a real disk: what is written is read, and what is damaged is seen.

mod begin;
mod damage;
mod faults;
mod follow;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use protocol::frame::{FrameHeader, FrameWriter};
use protocol::{
    Action, Command, Frame, GatewayId, Origin, Outcome, Record, Refusal, Sequence, StateDigest,
    StreamCursor, Units,
};

use super::block::HEADER_BYTES;
use super::definitions::Definitions;
use super::reader::{self, Begin, Source, Tail};
use super::segment::{self, JournalId};
use super::writer::{Durability, Writer, WriterSettings};
use crate::disk::{Disk, RealDisk};
use crate::error::JournalError;

/// A block of one frame.
const BLOCK_BYTES: u64 = HEADER_BYTES as u64 + 128;
/// Fits one segment header and about ten blocks of one frame.
const SEGMENT_BYTES: u64 = 192 + 10 * BLOCK_BYTES;
const LISTED: &str = "asset 1 USDC decimals 6\nasset 2 SOL decimals 9";
const JOURNAL: JournalId = JournalId([1; 16]);

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
        let segments = segment::list(&RealDisk, &self.0).unwrap();
        segments.into_iter().map(|(_, path)| path).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// The records of a refused command's frame.
pub fn frame(sequence: u64, gateway: u32) -> Vec<Record> {
    let header = FrameHeader {
        sequence: Sequence(sequence),
        previous: None,
        cursor: StreamCursor { milliseconds: sequence, counter: 0 },
        outcome: Outcome::Refused(Refusal::TooManyAccounts),
        held: Units::ZERO,
        digest: StateDigest::default(),
    };
    let origin = Origin { gateway: GatewayId(gateway), epoch: 1, sequence };
    let command = Command { origin, time_us: sequence, action: Action::CreateAccount };
    FrameWriter::new(1).finish(&header, &command).to_vec()
}

fn listed() -> Definitions {
    Definitions::parse(LISTED)
}

fn more_listed() -> Definitions {
    Definitions::parse(&format!("{LISTED}\nmarket 1 SOL_USDC base 2 quote 1"))
}

fn settings(disk: Arc<dyn Disk>, folder: &Path) -> WriterSettings {
    let directory = folder.to_owned();
    let (durability, segment_bytes) = (Durability::Write, SEGMENT_BYTES);
    WriterSettings { disk, directory, durability, segment_bytes }
}

fn open(folder: &Path, definitions: Definitions, tail: Option<Tail>) -> Writer {
    Writer::open(settings(Arc::new(RealDisk), folder), definitions, tail, JOURNAL).unwrap()
}

fn append(writer: &mut Writer, count: u64) {
    for _ in 0..count {
        let next = writer.next();
        writer.append(next, frame(next.0, 1).as_flattened()).unwrap();
    }
}

/// Goes on with so many blocks of one frame, as an engine that was started again.
fn write(folder: &Path, count: u64) {
    let (_, tail) = read(folder).unwrap();
    append(&mut open(folder, listed(), tail), count);
}

type Read = Result<(Vec<u64>, Option<Tail>), JournalError>;

fn read(folder: &Path) -> Read {
    read_as(folder, &listed(), Begin::First)
}

fn read_as(folder: &Path, definitions: &Definitions, begin: Begin) -> Read {
    let definitions = Some(definitions);
    let source = Source { disk: &RealDisk, directory: folder, definitions, begin };
    let mut found = Vec::new();
    let tail = reader::replay(&source, |block| {
        let frames = Frame::each_of(block.frames);
        found.extend(frames.map(|frame| frame.unwrap().header.sequence.0));
        Ok::<_, JournalError>(())
    })?;
    Ok((found, tail))
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
        let (found, tail) = read(&folder.0).unwrap();
        assert_eq!((found, tail.unwrap().joint.life), (up_to(7 * (round + 1)), 1 + round as u32));
    }
    assert_eq!(folder.segments().len(), 4);
}

#[test]
fn more_may_be_listed_later_and_nothing_changed() {
    let folder = Folder::new();
    write(&folder.0, 2);
    let (_, tail) = read_as(&folder.0, &more_listed(), Begin::First).unwrap();
    append(&mut open(&folder.0, more_listed(), tail), 1);
    assert_eq!(read_as(&folder.0, &more_listed(), Begin::First).unwrap().0, up_to(3));
    let error = read(&folder.0).unwrap_err().to_string();
    assert!(error.contains("market 1 is not listed"), "{error}");
}

#[test]
fn other_terms_begin_a_segment_and_are_told_to_who_reads() {
    let folder = Folder::new();
    write(&folder.0, 2);
    let (_, tail) = read(&folder.0).unwrap();
    let dearer = Definitions::parse(&format!("{LISTED}\nterms 1 maker_fee 9"));
    append(&mut open(&folder.0, dearer.clone(), tail), 12);
    let definitions = Some(&dearer);
    let source = Source { disk: &RealDisk, directory: &folder.0, definitions, begin: Begin::First };
    let (mut told, mut last) = (Vec::new(), reader::Progress::default());
    reader::replay(&source, |block| {
        let definitions = block.definitions.cloned();
        told.extend(definitions.map(|definitions| (block.header.first.0, definitions)));
        assert!(last.read < block.progress.read);
        last = block.progress;
        Ok::<_, JournalError>(())
    })
    .unwrap();
    assert_eq!(told, [(1, listed()), (3, dearer)]);
    assert_eq!((last.read <= last.total, last.total), (true, 3 * SEGMENT_BYTES));
}

#[test]
fn more_listed_before_the_first_frame_replaces_the_empty_segment() {
    let folder = Folder::new();
    write(&folder.0, 0);
    let (_, tail) = read_as(&folder.0, &more_listed(), Begin::First).unwrap();
    append(&mut open(&folder.0, more_listed(), tail), 1);
    assert_eq!(folder.segments().len(), 1);
    assert_eq!(read_as(&folder.0, &more_listed(), Begin::First).unwrap().0, up_to(1));
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

#[test]
fn reading_beside_the_writer_never_takes_what_is_being_written_for_damage() {
    const LAST: u64 = 4000;
    let folder = Folder::new();
    let settings = WriterSettings {
        segment_bytes: 64 * BLOCK_BYTES,
        ..settings(Arc::new(RealDisk), &folder.0)
    };
    let mut writer = Writer::open(settings, listed(), None, JOURNAL).unwrap();
    let writing = std::thread::spawn(move || append(&mut writer, LAST));
    let mut seen = 0;
    while seen < LAST {
        let (found, _) = read(&folder.0).unwrap();
        assert!(seen <= found.len() as u64);
        seen = found.len() as u64;
        assert_eq!(found, up_to(seen));
    }
    writing.join().unwrap();
}
