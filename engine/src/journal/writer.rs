//! Appends blocks to the newest segment, and starts the next one when it is full.
//!
//! A block packs against the one before it. A write touches bytes behind the durable end only; that
//! those before it on the same sector survive a power cut is what disks promise, and what every
//! database relies on. After an error nothing is tried again: whether what was written is on disk
//! is then unknown, and only a fresh start from the disk can tell.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::Sequence;
use serde::Deserialize;

use super::block::{HEADER_BYTES, Joint};
use super::definitions::Definitions;
use super::reader::{Mark, Tail};
use super::segment::{self, JournalId, Segment, SegmentHeader};
use crate::disk::Disk;
use crate::error::JournalError;

/// When a block counts as durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// When the disk says so: survives a power cut.
    Fsync,
    /// When the operating system has it: survives the end of the process, not of the machine.
    Write,
}

#[derive(Clone, Debug)]
pub struct WriterSettings {
    pub disk: Arc<dyn Disk>,
    pub directory: PathBuf,
    pub durability: Durability,
    pub segment_bytes: u64,
}

#[derive(Debug)]
pub struct Writer {
    settings: WriterSettings,
    journal: JournalId,
    definitions: Definitions,
    segment: Segment,
    joint: Joint,
    /// Whether a block may be on disk or not.
    is_broken: bool,
}

impl Writer {
    /// Goes on where `tail` ends, which is durable when this returns, and cuts what a write left
    /// half done; without one begins a journal named `fresh`.
    pub fn open(
        settings: WriterSettings,
        definitions: Definitions,
        tail: Option<Tail>,
        fresh: JournalId,
    ) -> Result<Writer, JournalError> {
        segment::remove_unfinished(&*settings.disk, &settings.directory)?;
        let Some(tail) = tail else {
            let joint = Joint { life: 1, ..Joint::BEGIN };
            return Writer::begin(settings, fresh, definitions, joint);
        };
        settle(&*settings.disk, &settings.directory, &tail)?;
        let joint = Joint { life: tail.joint.life.saturating_add(1), ..tail.joint };
        if tail.definitions != definitions {
            tracing::info!("listing, terms or limits are not those before: a new segment begins");
            return Writer::begin(settings, tail.journal, definitions, joint);
        }
        let io = |action| JournalError::io(action, &tail.segment);
        let file = settings.disk.open(&tail.segment).map_err(io("open"))?;
        let bytes = file.length().map_err(io("look at"))?;
        let (path, offset) = (tail.segment, tail.offset);
        let segment = Segment { path, file, offset, bytes };
        let journal = tail.journal;
        Ok(Writer { settings, journal, definitions, segment, joint, is_broken: false })
    }

    /// Takes the place of an empty segment of the same first frame, if there is one.
    fn begin(
        settings: WriterSettings,
        journal: JournalId,
        definitions: Definitions,
        joint: Joint,
    ) -> Result<Writer, JournalError> {
        let WriterSettings { disk, directory, segment_bytes, .. } = &settings;
        let header = SegmentHeader { journal, joint, definitions };
        let bytes = (*segment_bytes).max(header.encode().len() as u64);
        let segment = Segment::create(&**disk, directory, &header, bytes)?;
        let definitions = header.definitions;
        Ok(Writer { settings, journal, definitions, segment, joint, is_broken: false })
    }

    /// The frame that comes next.
    pub fn next(&self) -> Sequence {
        self.joint.next
    }

    /// The end of the last block.
    pub fn mark(&self) -> Mark {
        Mark { journal: self.journal, sequence: self.joint.last(), link: self.joint.link }
    }

    /// Writes the frames up to and with `last` as one block; durable when this returns. After an
    /// error the writer must not be asked again.
    pub fn append(&mut self, last: Sequence, frames: &[u8]) -> Result<(), JournalError> {
        assert!(self.next() <= last, "Invariant: a block has a frame, and frames come in order");
        assert!(!self.is_broken, "Invariant: after an error nothing is tried again");
        self.is_broken = true;
        let bytes = (HEADER_BYTES + frames.len()) as u64;
        if self.segment.bytes < self.segment.offset + bytes {
            self.rotate(bytes)?;
        }
        let (header, behind) = self.joint.header(last, frames);
        let Segment { path, file, offset, .. } = &mut self.segment;
        let io = |action| JournalError::io(action, &*path);
        file.write_at(*offset, &[&header, frames]).map_err(io("write to"))?;
        if self.settings.durability == Durability::Fsync {
            file.sync_data().map_err(io("sync"))?;
        }
        *offset += bytes;
        self.joint = behind;
        self.is_broken = false;
        Ok(())
    }

    fn rotate(&mut self, block_bytes: u64) -> Result<(), JournalError> {
        // Also without fsync a full segment is left on disk, so that only the last can be torn.
        let Segment { path, file, .. } = &mut self.segment;
        file.sync_data().map_err(JournalError::io("sync", &*path))?;
        let (journal, joint, definitions) = (self.journal, self.joint, self.definitions.clone());
        let header = SegmentHeader { journal, joint, definitions };
        let WriterSettings { disk, directory, segment_bytes, .. } = &self.settings;
        let bytes = (*segment_bytes).max(header.encode().len() as u64 + block_bytes);
        self.segment = Segment::create(&**disk, directory, &header, bytes)?;
        tracing::info!(segment = %self.segment.path.display(), "journal segment");
        Ok(())
    }
}

/// Zeros are written so many at a time.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];

/// Makes durable what was read at the start, before anybody hears of it: a process that was killed
/// between write and sync leaves its last block in the system's memory, and one whose sync failed
/// leaves it there without the system ever writing it by itself. So the last block is written once
/// more. What a cut-short write left behind it is put to zero, never to be taken for a block.
fn settle(disk: &dyn Disk, directory: &Path, tail: &Tail) -> Result<(), JournalError> {
    let io = |action| JournalError::io(action, &tail.segment);
    let mut block = vec![0; (tail.offset - tail.last_block) as usize];
    let count = disk.read_at(&tail.segment, tail.last_block, &mut block).map_err(io("read"))?;
    let mut file = disk.open(&tail.segment).map_err(io("open"))?;
    if 0 < count {
        file.write_at(tail.last_block, &[&block[..count]]).map_err(io("write to"))?;
    }
    if let Some(torn) = tail.torn {
        tracing::warn!(
            segment = %tail.segment.display(), offset = tail.offset, bytes = torn.bytes,
            damage = %torn.damage, next = tail.joint.next.0,
            "a torn tail is cut: the last write never finished and was never acknowledged"
        );
        let (mut at, end) = (tail.offset, tail.offset + torn.bytes);
        while at < end {
            let count = (end - at).min(ZEROS.len() as u64);
            file.write_at(at, &[&ZEROS[..count as usize]]).map_err(io("cut"))?;
            at += count;
        }
    }
    file.sync_all().map_err(io("sync"))?;
    disk.sync_folder(directory).map_err(JournalError::io("sync", directory))
}
