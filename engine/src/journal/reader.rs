//! Reads a journal back: every block verified, linked to the one before it, without a gap.
//!
//! A write that was cut short can only be the last: there is never more than one block under way.
//! So what does not verify is a *torn tail* when it stands in the last segment and nothing that
//! verifies comes after it; anything else is damage, which ends the reading with file and offset.
//!
//! Reading may go on behind a [`Mark`], which a snapshot carries. Then the headers of all segments
//! are checked, and the contents from the segment on that holds the frame after the mark.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;

use crossbeam::channel::{self, Sender};
use protocol::Sequence;

use super::block::{self, BlockHeader, Damage, HEADER_BYTES, Joint, Link};
use super::definitions::Definitions;
use super::segment::{self, JournalId, SegmentHeader};
use crate::disk::Disk;
use crate::error::JournalError;

/// Segments read ahead of the one being applied.
const AHEAD_MAX: usize = 2;

/// The end of a block, named so that it cannot be taken for that of another journal or moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    pub journal: JournalId,
    /// The last frame of the block.
    pub sequence: Sequence,
    /// What the block after it says of it.
    pub link: Link,
}

/// Where reading begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Begin {
    /// With the first frame there ever was.
    First,
    /// With the segment that holds this frame, or with the oldest there is.
    Near(Sequence),
    /// With the frame after the mark.
    After(Mark),
}

/// What to read.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    pub disk: &'a dyn Disk,
    pub directory: &'a Path,
    /// What the journal must not contradict.
    pub definitions: Option<&'a Definitions>,
    pub begin: Begin,
}

/// A block, verified and in its place.
#[derive(Clone, Copy, Debug)]
pub struct Visit<'a> {
    pub header: BlockHeader,
    pub frames: &'a [u8],
    pub journal: JournalId,
    /// What it was written under, when that is not what the block before it was.
    pub definitions: Option<&'a Definitions>,
    pub progress: Progress,
}

impl Visit<'_> {
    /// The end of this block.
    pub fn mark(&self) -> Mark {
        Mark { journal: self.journal, sequence: self.header.last, link: self.header.link }
    }
}

/// Bytes read of all that there are to read, reserved space among them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    pub read: u64,
    pub total: u64,
}

/// Where a journal ends, and what it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tail {
    pub segment: PathBuf,
    pub journal: JournalId,
    /// Of the last segment.
    pub definitions: Definitions,
    /// Where the last block of the segment stands; where the next one goes if there is none.
    pub last_block: u64,
    /// Where the next block goes.
    pub offset: u64,
    pub joint: Joint,
    pub torn: Option<Torn>,
}

/// What a cut-short write left behind the last block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Torn {
    pub damage: Damage,
    /// To the last byte that is not zero.
    pub bytes: u64,
}

/// A segment whose header was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Surveyed {
    pub path: PathBuf,
    pub header: SegmentHeader,
    /// Where its first block stands.
    pub start: usize,
    /// Of the file.
    pub bytes: u64,
}

/// One segment in memory, its good blocks and what ends them.
pub struct Examined {
    pub bytes: Vec<u8>,
    /// Where the frames of each block lie.
    pub blocks: Vec<(BlockHeader, Range<usize>)>,
    /// Behind the last good block.
    pub tail: Tail,
    /// What stands there, when that is no torn write.
    pub damage: Option<Damage>,
}

/// A segment without damage.
struct Loaded {
    segment: Examined,
    /// In all segments read before this one.
    bytes_before: u64,
}

/// The headers of all segments: of one journal, rising, and contradicting nothing.
pub fn survey(
    disk: &dyn Disk,
    directory: &Path,
    definitions: Option<&Definitions>,
) -> Result<Vec<Surveyed>, JournalError> {
    let mut segments: Vec<Surveyed> = Vec::new();
    for (named, path) in segment::list(disk, directory)? {
        let (header, start) = SegmentHeader::read(disk, &path)?;
        if header.first() != named {
            return Err(JournalError::SegmentHeader { path });
        }
        if segments.last().is_some_and(|before| before.header.journal != header.journal) {
            return Err(JournalError::OtherJournal { path });
        }
        let contradicts = |definitions| header.definitions.contradiction(definitions);
        if let Some(found) = definitions.and_then(contradicts) {
            return Err(JournalError::Contradiction { path, was: found.was, now: found.now });
        }
        let bytes = disk.length(&path).map_err(JournalError::io("look at", &path))?;
        segments.push(Surveyed { path, header, start, bytes });
    }
    Ok(segments)
}

/// Hands every block to `visit`, in order, while another thread reads and verifies ahead. `None`
/// when there is no journal yet.
pub fn replay<E: From<JournalError>>(
    source: &Source<'_>,
    mut visit: impl FnMut(Visit<'_>) -> Result<(), E>,
) -> Result<Option<Tail>, E> {
    let Source { disk, directory, definitions, begin } = *source;
    let mut segments = survey(disk, directory, definitions)?;
    segments.drain(..skipped(directory, &segments, begin)?);
    let total = segments.iter().map(|segment| segment.bytes).sum();
    thread::scope(|scope| {
        let (sender, loaded) = channel::bounded(AHEAD_MAX);
        scope.spawn(move || load_all(disk, &segments, begin, &sender));
        let mut tail: Option<Tail> = None;
        for segment in loaded {
            let Loaded { segment, bytes_before } = segment?;
            let Examined { bytes, blocks, tail: end, .. } = segment;
            let is_new = tail.is_none_or(|tail| tail.definitions != end.definitions);
            let mut definitions = Some(&end.definitions).filter(|_| is_new);
            for (header, place) in blocks {
                let progress = Progress { read: bytes_before + place.end as u64, total };
                let frames = &bytes[place];
                let journal = end.journal;
                visit(Visit { header, frames, journal, definitions, progress })?;
                definitions = None;
            }
            tail = Some(end);
        }
        Ok(tail)
    })
}

/// How many of the segments come before the one that reading begins in.
fn skipped(directory: &Path, segments: &[Surveyed], begin: Begin) -> Result<usize, JournalError> {
    let missing = |expected, oldest: &Surveyed| {
        let (path, found) = (oldest.path.clone(), oldest.header.first());
        Err(JournalError::Missing { path, expected, found })
    };
    match (begin, segments.first()) {
        (Begin::First, None) => Ok(0),
        (Begin::Near(wanted), _) => Ok(begun_by(wanted, segments).saturating_sub(1)),
        (Begin::First, Some(oldest)) if oldest.header.joint.last() == Sequence(0) => Ok(0),
        (Begin::First, Some(oldest)) => missing(Joint::BEGIN.next, oldest),
        (Begin::After(Mark { sequence, .. }), None) => {
            let (path, last) = (directory.to_owned(), Sequence(0));
            Err(JournalError::EndsEarly { path, last, sequence })
        }
        (Begin::After(mark), Some(oldest)) => {
            if oldest.header.journal != mark.journal {
                return Err(mixed(&oldest.path, mark.sequence, "it has another id"));
            }
            let next = Sequence(mark.sequence.0 + 1);
            begun_by(next, segments).checked_sub(1).map_or_else(|| missing(next, oldest), Ok)
        }
    }
}

fn begun_by(next: Sequence, segments: &[Surveyed]) -> usize {
    segments.iter().take_while(|segment| segment.header.first() <= next).count()
}

fn mixed(path: &Path, sequence: Sequence, how: &'static str) -> JournalError {
    JournalError::Mixed { path: path.to_owned(), sequence, how }
}

fn load_all(
    disk: &dyn Disk,
    segments: &[Surveyed],
    begin: Begin,
    sender: &Sender<Result<Loaded, JournalError>>,
) {
    let mut before: Option<Tail> = None;
    let mut bytes_before = 0;
    for (at, segment) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        let followed = before.as_ref().map_or(Ok(()), |tail| check_follows(tail, segment));
        let loaded = followed.and_then(|()| load(disk, segment, is_last));
        let loaded = loaded.and_then(|loaded| match begin {
            Begin::After(mark) if at == 0 => behind(mark, segment, loaded),
            _ => Ok(loaded),
        });
        before = loaded.as_ref().ok().map(|loaded| loaded.tail.clone());
        let loaded = loaded.map(|segment| Loaded { segment, bytes_before });
        bytes_before += segment.bytes;
        // Nobody listens any more: a block before this one was refused.
        if sender.send(loaded).is_err() || before.is_none() {
            return;
        }
    }
}

/// Whether a segment goes on where the one before it ends.
pub fn check_follows(tail: &Tail, segment: &Surveyed) -> Result<(), JournalError> {
    let (path, joint) = (segment.path.clone(), segment.header.joint);
    if joint.next != tail.joint.next {
        let (expected, found) = (tail.joint.next, joint.next);
        return Err(JournalError::Missing { path, expected, found });
    }
    if joint.link != tail.joint.link || joint.life < tail.joint.life {
        return Err(JournalError::Unlinked { path });
    }
    Ok(())
}

fn load(disk: &dyn Disk, segment: &Surveyed, is_last: bool) -> Result<Examined, JournalError> {
    let examined = examine(disk, segment, is_last)?;
    let Some(damage) = examined.damage else { return Ok(examined) };
    let (path, offset) = (examined.tail.segment, examined.tail.offset);
    Err(JournalError::Damaged { path, offset, damage })
}

/// Reads a segment up to the first thing that is wrong with it.
pub fn examine(
    disk: &dyn Disk,
    segment: &Surveyed,
    is_last: bool,
) -> Result<Examined, JournalError> {
    let Surveyed { path, header, start, .. } = segment;
    let mut tail = Tail {
        segment: path.clone(),
        journal: header.journal,
        definitions: header.definitions.clone(),
        last_block: *start as u64,
        offset: *start as u64,
        joint: header.joint,
        torn: None,
    };
    let mut blocks = Vec::new();
    let mut is_second = false;
    loop {
        let bytes = disk.read(path).map_err(JournalError::io("read", path))?;
        let from = tail.offset;
        let end = walk(&bytes, &mut tail, &mut blocks);
        let rest = bytes.get(tail.offset as usize..).unwrap_or_default();
        let damage = match rest_of(rest, end, is_last) {
            // Beside a running engine: blocks were written behind and before the place just read.
            // All that were seen are whole by now.
            Err(_) if is_last && (!is_second || from < tail.offset) => {
                is_second = true;
                continue;
            }
            Err(damage) => Some(damage),
            Ok(torn) => {
                tail.torn = torn;
                None
            }
        };
        return Ok(Examined { bytes, blocks, tail, damage });
    }
}

/// Notes where each block lies from where `tail` stands; moves `tail` behind the last good one.
fn walk(
    bytes: &[u8],
    tail: &mut Tail,
    blocks: &mut Vec<(BlockHeader, Range<usize>)>,
) -> Result<(), Damage> {
    loop {
        let at = tail.offset as usize;
        let Some(block) = block::read(bytes.get(at..).ok_or(Damage::Length)?)? else {
            return Ok(());
        };
        let behind = tail.joint.behind(&block.header)?;
        let frames = at + HEADER_BYTES..at + HEADER_BYTES + block.frames.len();
        (tail.last_block, tail.offset) = (at as u64, frames.end as u64);
        tail.joint = behind;
        blocks.push((block.header, frames));
    }
}

/// Looks at what stands behind the last good block, and why that was the last.
fn rest_of(rest: &[u8], end: Result<(), Damage>, is_last: bool) -> Result<Option<Torn>, Damage> {
    match end {
        Ok(()) if block::is_zero(rest) => Ok(None),
        Ok(()) if is_last => torn(rest, Damage::Magic).map(Some),
        Err(damage) if is_last => torn(rest, damage).map(Some),
        Ok(()) => Err(Damage::Magic),
        Err(damage) => Err(damage),
    }
}

/// What stands at the end of the last segment, if it can be the rest of a write that was cut short.
fn torn(rest: &[u8], damage: Damage) -> Result<Torn, Damage> {
    if !damage.may_be_torn() {
        return Err(damage);
    }
    let later = (HEADER_BYTES..rest.len()).step_by(HEADER_BYTES);
    if later.into_iter().any(|at| block::has_valid_header(&rest[at..])) {
        return Err(damage);
    }
    let bytes = rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    Ok(Torn { damage, bytes: bytes as u64 })
}

/// Drops the blocks up to the mark, which must end one of them.
fn behind(mark: Mark, segment: &Surveyed, mut loaded: Examined) -> Result<Examined, JournalError> {
    let Mark { sequence, link, .. } = mark;
    let path = &segment.path;
    let dropped = loaded.blocks.iter().take_while(|(header, _)| header.last <= sequence).count();
    let last = match dropped.checked_sub(1) {
        Some(at) => loaded.blocks[at].0.joint(),
        None => segment.header.joint,
    };
    if last.last() != sequence && dropped == loaded.blocks.len() {
        let (path, last) = (path.clone(), last.last());
        return Err(JournalError::EndsEarly { path, last, sequence });
    }
    if last.last() != sequence || last.link != link {
        return Err(mixed(path, sequence, "another block ends there"));
    }
    loaded.blocks.drain(..dropped);
    Ok(loaded)
}
