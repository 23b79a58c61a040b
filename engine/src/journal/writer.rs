//! Appends blocks to the newest segment, and starts the next one when it is full.
//!
//! A block packs against the one before it. A write touches bytes behind the durable end only; that
//! those before it on the same sector survive a power cut is what disks promise, and what every
//! database relies on. After an error nothing is tried again: whether what was written is on disk
//! is then unknown, and only a fresh start from the disk can tell.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, IoSlice, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use protocol::Sequence;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::block::{self, HEADER_BYTES, Link};
use super::definitions::Definitions;
use super::reader::Tail;
use super::segment::{self, JournalId, Segment, SegmentHeader};
use crate::clock;
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
    link: Link,
    next: Sequence,
}

impl Writer {
    /// Goes on where `tail` ends, cutting what a write left half done; without one begins a
    /// journal.
    pub fn open(
        settings: WriterSettings,
        definitions: Definitions,
        tail: Option<Tail>,
    ) -> Result<Writer, JournalError> {
        segment::remove_unfinished(&settings.directory)?;
        let Some(tail) = tail else {
            let journal = fresh_id(&settings.directory);
            return Writer::begin(settings, journal, definitions, Link::default(), Sequence(1));
        };
        cut(&tail)?;
        if tail.definitions != definitions {
            tracing::info!("more is listed than before: a new segment begins");
            return Writer::begin(settings, tail.journal, definitions, tail.link, tail.next);
        }
        let io = |action| JournalError::io(action, &tail.segment);
        let mut file = OpenOptions::new().write(true).open(&tail.segment).map_err(io("open"))?;
        file.seek(SeekFrom::Start(tail.offset)).map_err(io("seek in"))?;
        let bytes = file.metadata().map_err(io("look at"))?.len();
        let (path, offset) = (tail.segment, tail.offset);
        Ok(Writer {
            settings,
            journal: tail.journal,
            definitions,
            segment: Segment { path, file, offset, bytes },
            link: tail.link,
            next: tail.next,
        })
    }

    /// Takes the place of an empty segment of the same first frame, if there is one.
    fn begin(
        settings: WriterSettings,
        journal: JournalId,
        definitions: Definitions,
        link: Link,
        next: Sequence,
    ) -> Result<Writer, JournalError> {
        let header = SegmentHeader { journal, first: next, definitions };
        let segment = Segment::create(&settings.directory, &header, settings.segment_bytes)?;
        let definitions = header.definitions;
        Ok(Writer { settings, journal, definitions, segment, link, next })
    }

    /// The frame that comes next.
    pub fn next(&self) -> Sequence {
        self.next
    }

    /// Writes the frames up to and with `last` as one block; durable when this returns.
    pub fn append(&mut self, last: Sequence, frames: &[u8]) -> Result<(), JournalError> {
        assert!(self.next <= last, "Invariant: a block has a frame, and frames come in order");
        let bytes = (HEADER_BYTES + frames.len()) as u64;
        if self.segment.bytes < self.segment.offset + bytes {
            self.rotate(bytes)?;
        }
        let (header, link) = block::header(self.next, last, self.link, frames);
        let io = |action| JournalError::io(action, &self.segment.path);
        write_both(&mut &self.segment.file, &header, frames).map_err(io("write to"))?;
        if self.settings.durability == Durability::Fsync {
            self.segment.file.sync_data().map_err(io("sync"))?;
        }
        self.segment.offset += bytes;
        self.link = link;
        self.next = Sequence(last.0 + 1);
        Ok(())
    }

    fn rotate(&mut self, block_bytes: u64) -> Result<(), JournalError> {
        // Also without fsync a full segment is left on disk, so that only the last can be torn.
        let io = JournalError::io("sync", &self.segment.path);
        self.segment.file.sync_data().map_err(io)?;
        let header = SegmentHeader {
            journal: self.journal,
            first: self.next,
            definitions: self.definitions.clone(),
        };
        let needed = header.encode().len() as u64 + block_bytes;
        let bytes = self.settings.segment_bytes.max(needed);
        self.segment = Segment::create(&self.settings.directory, &header, bytes)?;
        tracing::info!(segment = %self.segment.path.display(), "journal segment");
        Ok(())
    }
}

/// One system call where the system takes all at once, as it does but for signals and full disks.
fn write_both(file: &mut impl Write, header: &[u8], frames: &[u8]) -> io::Result<()> {
    let written = loop {
        match file.write_vectored(&[IoSlice::new(header), IoSlice::new(frames)]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => break written,
            Err(error) if error.kind() == ErrorKind::Interrupted => (),
            Err(error) => return Err(error),
        }
    };
    match written.checked_sub(header.len()) {
        Some(of_frames) => file.write_all(&frames[of_frames..]),
        None => {
            file.write_all(&header[written..])?;
            file.write_all(frames)
        }
    }
}

/// Puts zeros over what a cut-short write left, so that it is never taken for a block later.
fn cut(tail: &Tail) -> Result<(), JournalError> {
    let Some(torn) = tail.torn else { return Ok(()) };
    tracing::warn!(
        segment = %tail.segment.display(), offset = tail.offset, bytes = torn.bytes,
        damage = %torn.damage, next = tail.next.0,
        "a torn tail is cut: the last write never finished and was never acknowledged"
    );
    let io = |action| JournalError::io(action, &tail.segment);
    let mut file = OpenOptions::new().write(true).open(&tail.segment).map_err(io("open"))?;
    file.seek(SeekFrom::Start(tail.offset)).map_err(io("seek in"))?;
    io::copy(&mut io::Read::take(io::repeat(0), torn.bytes), &mut file).map_err(io("cut"))?;
    file.sync_all().map_err(io("sync"))
}

/// Differs for every journal ever begun, as far as time, process and place do.
fn fresh_id(directory: &Path) -> JournalId {
    let place = directory.canonicalize().unwrap_or_else(|_| directory.to_owned());
    let what = format!("{} {} {}", clock::now_us(), std::process::id(), place.display());
    let mut id = [0; 16];
    id.copy_from_slice(&Sha256::digest(what)[..16]);
    JournalId(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes at most `at_once` bytes a call, and every other call is interrupted.
    struct Reluctant {
        at_once: usize,
        calls: usize,
        taken: Vec<u8>,
    }

    impl Write for Reluctant {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.calls += 1;
            if self.calls % 2 == 1 {
                return Err(ErrorKind::Interrupted.into());
            }
            let count = bytes.len().min(self.at_once);
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
            let joined: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            self.write(&joined)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_write_in_pieces_is_whole() {
        for at_once in 1..=12 {
            let mut file = Reluctant { at_once, calls: 0, taken: Vec::new() };
            write_both(&mut file, b"header", b"frames").unwrap();
            assert_eq!(file.taken, b"headerframes");
        }
        let mut full = Reluctant { at_once: 0, calls: 0, taken: Vec::new() };
        assert!(write_both(&mut full, b"header", b"frames").is_err());
    }
}
