//! Reads frames beside the writer, from any on: for egress that fell behind, and for whoever asks
//! for what he missed.
//!
//! It looks at nothing behind the durable position, so that it never meets a block half written.
//! It remembers the block it stopped in: going on costs the bytes that are new, and only the first
//! step walks along the block headers of one segment.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::{Frame, RECORD_BYTES, Sequence};

use super::block::{self, BlockHeader, Damage, HEADER_BYTES, Joint, Link};
use super::segment::{self, SegmentHeader};
use crate::disk::Disk;
use crate::error::JournalError;

/// Read at once where less would do.
const WINDOW_BYTES: usize = 1 << 16;

/// Whole frames, one behind the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    pub first: Sequence,
    pub last: Sequence,
    pub frames: Vec<u8>,
    /// What the block after it says of the block that the last frame ends; `None` where it ends
    /// none.
    pub link: Option<Link>,
}

#[derive(Debug)]
pub struct Follower {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    /// Where it stopped; `None` before the first page and after an error.
    reading: Option<Reading>,
}

impl Follower {
    pub fn new(disk: Arc<dyn Disk>, directory: PathBuf) -> Follower {
        Follower { disk, directory, reading: None }
    }

    /// The frames from `from` on: as many as fit into `bytes_max`, but at least one, and none
    /// behind `durable`. `None` when `durable` comes before `from`. Errors: among others
    /// [`JournalError::Gone`], when the journal begins later by now.
    pub fn page(
        &mut self,
        from: Sequence,
        durable: Sequence,
        bytes_max: usize,
    ) -> Result<Option<Page>, JournalError> {
        if durable < from {
            return Ok(None);
        }
        let bounds = Bounds { from, durable, bytes_max };
        let goes_on = self.reading.is_some();
        let mut read = self.read_page(&bounds);
        // Old segments are removed beside the reader, also the one at whose end it stopped.
        if goes_on && read.as_ref().is_err_and(is_removed) {
            read = self.read_page(&bounds);
        }
        match read {
            Ok((page, reading)) => {
                self.reading = Some(reading);
                Ok(Some(page))
            }
            Err(JournalError::Io { cause, path, .. }) if cause.kind() == ErrorKind::NotFound => {
                Err(self.gone(from).unwrap_or(JournalError::Absent { path, wanted: from }))
            }
            Err(error) => Err(error),
        }
    }

    fn read_page(&mut self, bounds: &Bounds) -> Result<(Page, Reading), JournalError> {
        let begun = |reading: &Reading| reading.joint.next <= bounds.from;
        let mut reading = match self.reading.take().filter(begun) {
            Some(reading) => reading,
            None => self.segment_of(bounds.from)?,
        };
        let mut header = self.header(&mut reading, bounds.durable)?;
        while header.last < bounds.from {
            reading.pass(&header);
            header = self.header(&mut reading, bounds.durable)?;
        }
        let (first, last) = (bounds.from, bounds.from);
        let mut page = Page { first, last, frames: Vec::new(), link: None };
        loop {
            let is_whole = reading.take(&*self.disk, &header, bounds, &mut page)?;
            let end = if is_whole { header.joint() } else { reading.joint };
            page.link = Some(end.link).filter(|_| end.last() == page.last);
            if !is_whole || bounds.durable <= header.last {
                return Ok((page, reading));
            }
            reading.pass(&header);
            header = self.header(&mut reading, bounds.durable)?;
        }
    }

    /// At the first block of the segment that holds `wanted`.
    fn segment_of(&self, wanted: Sequence) -> Result<Reading, JournalError> {
        let segments = segment::list(&*self.disk, &self.directory)?;
        let held = segments.iter().take_while(|(first, _)| *first <= wanted).last();
        match (held, segments.first()) {
            (Some((_, path)), _) => Reading::open(&*self.disk, path.clone()),
            (None, Some((oldest, _))) => Err(JournalError::Gone { wanted, oldest: *oldest }),
            (None, None) => Err(JournalError::Absent { path: self.directory.clone(), wanted }),
        }
    }

    fn gone(&self, wanted: Sequence) -> Option<JournalError> {
        let segments = segment::list(&*self.disk, &self.directory).ok()?;
        let (oldest, _) = *segments.first().filter(|(oldest, _)| wanted < *oldest)?;
        Some(JournalError::Gone { wanted, oldest })
    }

    /// The header of the block that comes next, in the next segment where this one ends. The block
    /// must be durable.
    fn header(
        &self,
        reading: &mut Reading,
        durable: Sequence,
    ) -> Result<BlockHeader, JournalError> {
        if let Some(header) = reading.header(&*self.disk, durable)? {
            return Ok(header);
        }
        let Joint { next, link, .. } = reading.joint;
        let path = segment::path_of(&self.directory, next);
        let absent = |path: &Path| JournalError::Absent { path: path.to_owned(), wanted: next };
        if path == reading.path {
            return Err(absent(&path));
        }
        let followed = Reading::open(&*self.disk, path.clone())?;
        if followed.joint.next != next || followed.joint.link != link {
            return Err(JournalError::Unlinked { path });
        }
        *reading = followed;
        reading.header(&*self.disk, durable)?.ok_or_else(|| absent(&path))
    }
}

fn is_removed(error: &JournalError) -> bool {
    matches!(error, JournalError::Io { cause, .. } if cause.kind() == ErrorKind::NotFound)
}

/// What a page may hold.
struct Bounds {
    from: Sequence,
    durable: Sequence,
    bytes_max: usize,
}

/// A segment, and the block in it that comes next.
#[derive(Debug)]
struct Reading {
    path: PathBuf,
    offset: u64,
    joint: Joint,
    /// A part of the file, and where it begins.
    window: Vec<u8>,
    window_offset: u64,
    /// The last durable frame when the window was read; what is behind may have been written since.
    window_durable: Sequence,
}

impl Reading {
    fn open(disk: &dyn Disk, path: PathBuf) -> Result<Reading, JournalError> {
        let (header, start) = SegmentHeader::read(disk, &path)?;
        Ok(Reading {
            path,
            offset: start as u64,
            joint: header.joint,
            window: Vec::new(),
            window_offset: 0,
            window_durable: Sequence(0),
        })
    }

    /// Of the block at its place; `None` where the segment ends.
    fn header(
        &mut self,
        disk: &dyn Disk,
        durable: Sequence,
    ) -> Result<Option<BlockHeader>, JournalError> {
        if self.window_durable < self.joint.next {
            self.window.clear();
        }
        let bytes = self.bytes(disk, HEADER_BYTES, durable)?;
        let header = block::read_header(&bytes[..bytes.len().min(HEADER_BYTES)]);
        let header = header.map_err(|damage| self.damaged(damage))?;
        if let Some(header) = &header {
            self.joint.behind(header).map_err(|damage| self.damaged(damage))?;
        }
        Ok(header)
    }

    /// Copies frames of the block at its place; returns whether all that come within the bounds are
    /// copied.
    fn take(
        &mut self,
        disk: &dyn Disk,
        header: &BlockHeader,
        bounds: &Bounds,
        page: &mut Page,
    ) -> Result<bool, JournalError> {
        let bytes = self.bytes(disk, HEADER_BYTES + header.frames_bytes, bounds.durable)?;
        let mut rest = match block::read(bytes) {
            Ok(Some(block)) => block.frames,
            Ok(None) => return Err(self.damaged(Damage::Magic)),
            Err(damage) => return Err(self.damaged(damage)),
        };
        while let Some(record) = rest.first_chunk::<RECORD_BYTES>() {
            let (head, records) = match Frame::head(record) {
                Ok(head) => head,
                Err(cause) => {
                    let (path, offset) = (self.path.clone(), self.offset);
                    return Err(JournalError::Undecodable { path, offset, cause });
                }
            };
            let Some((frame, behind)) = rest.split_at_checked(records * RECORD_BYTES) else {
                return Err(self.damaged(Damage::Length));
            };
            rest = behind;
            if head.sequence < bounds.from {
                continue;
            }
            let is_full = bounds.bytes_max < page.frames.len() + frame.len();
            if bounds.durable < head.sequence || (is_full && !page.frames.is_empty()) {
                return Ok(false);
            }
            page.frames.extend_from_slice(frame);
            page.last = head.sequence;
        }
        Ok(true)
    }

    /// Goes behind the block at its place.
    fn pass(&mut self, header: &BlockHeader) {
        self.offset += (HEADER_BYTES + header.frames_bytes) as u64;
        self.joint = header.joint();
    }

    /// `wanted` bytes or more from its place on, or all there are.
    fn bytes(
        &mut self,
        disk: &dyn Disk,
        wanted: usize,
        durable: Sequence,
    ) -> Result<&[u8], JournalError> {
        let end = self.offset + wanted as u64;
        let window_end = self.window_offset + self.window.len() as u64;
        if self.offset < self.window_offset || window_end < end {
            self.window.resize(wanted.max(WINDOW_BYTES), 0);
            let read = disk.read_at(&self.path, self.offset, &mut self.window);
            self.window.truncate(read.map_err(JournalError::io("read", &self.path))?);
            self.window_offset = self.offset;
            self.window_durable = durable;
        }
        let skipped = (self.offset - self.window_offset) as usize;
        Ok(self.window.get(skipped..).unwrap_or_default())
    }

    fn damaged(&self, damage: Damage) -> JournalError {
        JournalError::Damaged { path: self.path.clone(), offset: self.offset, damage }
    }
}
