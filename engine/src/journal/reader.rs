//! Reads a journal back: every block verified, linked to the one before it, without a gap.
//!
//! A write that was cut short can only be the last: there is never more than one block under way.
//! So what does not verify is a *torn tail* when it stands in the last segment and nothing that
//! verifies comes after it; anything else is damage, which ends the reading with file and offset.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::thread;

use crossbeam::channel::{self, Sender};
use protocol::Sequence;

use super::block::{self, Damage, HEADER_BYTES, Link};
use super::definitions::Definitions;
use super::segment::{self, JournalId, SegmentHeader};
use crate::error::JournalError;

/// Segments read ahead of the one being applied.
const AHEAD_MAX: usize = 2;

/// Where a journal ends, and what it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tail {
    pub segment: PathBuf,
    pub journal: JournalId,
    /// Of the last segment.
    pub definitions: Definitions,
    /// Where the next block goes.
    pub offset: u64,
    /// The frame that comes next.
    pub next: Sequence,
    pub link: Link,
    pub torn: Option<Torn>,
}

/// What a cut-short write left behind the last block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Torn {
    pub damage: Damage,
    /// To the last byte that is not zero.
    pub bytes: u64,
}

/// One segment in memory, verified.
struct Loaded {
    bytes: Vec<u8>,
    blocks: Vec<Range<usize>>,
    tail: Tail,
}

/// Hands the frames of every block to `visit`, in order, while another thread reads and verifies
/// ahead. `None` when there is no journal yet.
pub fn replay<E: From<JournalError>>(
    directory: &Path,
    catalog: &Definitions,
    mut visit: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<Option<Tail>, E> {
    let segments = segment::list(directory)?;
    thread::scope(|scope| {
        let (sender, loaded) = channel::bounded(AHEAD_MAX);
        scope.spawn(move || load_all(&segments, catalog, &sender));
        let mut tail = None;
        for segment in loaded {
            let Loaded { bytes, blocks, tail: end } = segment?;
            for block in blocks {
                visit(&bytes[block])?;
            }
            tail = Some(end);
        }
        Ok(tail)
    })
}

fn load_all(
    segments: &[(Sequence, PathBuf)],
    catalog: &Definitions,
    sender: &Sender<Result<Loaded, JournalError>>,
) {
    let mut before = None;
    for (at, (named, path)) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        let loaded = load(*named, path, catalog, before.as_ref(), is_last);
        before = loaded.as_ref().ok().map(|loaded| loaded.tail.clone());
        // Nobody listens any more: a block before this one was refused.
        if sender.send(loaded).is_err() || before.is_none() {
            return;
        }
    }
}

fn load(
    named: Sequence,
    path: &Path,
    catalog: &Definitions,
    before: Option<&Tail>,
    is_last: bool,
) -> Result<Loaded, JournalError> {
    let bytes = fs::read(path).map_err(JournalError::io("read", path))?;
    let (header, start) = SegmentHeader::decode(path, &bytes)?;
    let path = path.to_owned();
    if header.first != named {
        return Err(JournalError::SegmentHeader { path });
    }
    let expected = before.map_or(Sequence(1), |tail| tail.next);
    if header.first != expected {
        return Err(JournalError::Missing { path, expected, found: header.first });
    }
    if before.is_some_and(|tail| tail.journal != header.journal) {
        return Err(JournalError::OtherJournal { path });
    }
    if let Some(found) = header.definitions.contradiction(catalog) {
        return Err(JournalError::Contradiction { path, was: found.was, now: found.now });
    }
    let mut tail = Tail {
        segment: path,
        journal: header.journal,
        definitions: header.definitions,
        offset: start as u64,
        next: expected,
        link: before.map_or(Link::default(), |tail| tail.link),
        torn: None,
    };
    let (blocks, end) = walk(&bytes, start, &mut tail);
    let at = tail.offset as usize;
    let damaged =
        |damage| JournalError::Damaged { path: tail.segment.clone(), offset: tail.offset, damage };
    match end {
        Ok(()) if block::is_zero(&bytes[at..]) => (),
        Ok(()) if is_last => tail.torn = Some(torn(&bytes, at, Damage::Magic).map_err(damaged)?),
        Err(damage) if is_last => tail.torn = Some(torn(&bytes, at, damage).map_err(damaged)?),
        Ok(()) => return Err(damaged(Damage::Magic)),
        Err(damage) => return Err(damaged(damage)),
    }
    Ok(Loaded { bytes, blocks, tail })
}

/// Where the frames of each block lie; moves `tail` behind the last good one.
fn walk(bytes: &[u8], start: usize, tail: &mut Tail) -> (Vec<Range<usize>>, Result<(), Damage>) {
    let mut blocks = Vec::new();
    let mut at = start;
    loop {
        let block = match block::read(&bytes[at..]) {
            Ok(Some(block)) => block,
            Ok(None) => return (blocks, Ok(())),
            Err(damage) => return (blocks, Err(damage)),
        };
        if block.previous != tail.link {
            return (blocks, Err(Damage::Link));
        }
        if block.first != tail.next || block.last < block.first {
            let (expected, found) = (tail.next, block.first);
            return (blocks, Err(Damage::Sequence { expected, found }));
        }
        let frames = at + HEADER_BYTES..at + HEADER_BYTES + block.frames.len();
        at = frames.end;
        tail.offset = at as u64;
        tail.next = Sequence(block.last.0 + 1);
        tail.link = block.link;
        blocks.push(frames);
    }
}

/// What stands at `at` in the last segment, if it can be the rest of a write that was cut short.
fn torn(bytes: &[u8], at: usize, damage: Damage) -> Result<Torn, Damage> {
    if !damage.may_be_torn() {
        return Err(damage);
    }
    let after = bytes[at..].chunks(64).enumerate().skip(1);
    for (chunk, _) in after {
        if block::has_valid_header(&bytes[at + 64 * chunk..]) {
            return Err(damage);
        }
    }
    let end = bytes.iter().rposition(|&byte| byte != 0).map_or(at, |last| last + 1);
    Ok(Torn { damage, bytes: (end - at) as u64 })
}

/// Hands the blocks that hold frames `wanted` (and perhaps some before) to `visit`. For reading
/// beside the writer: it never looks behind the last wanted frame, which must be durable.
pub fn read_range<E: From<JournalError>>(
    directory: &Path,
    wanted: Range<Sequence>,
    mut visit: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let segments = segment::list(directory)?;
    let begins_before = |(first, _): &&(Sequence, PathBuf)| *first <= wanted.start;
    let skipped = segments.iter().take_while(begins_before).count().saturating_sub(1);
    for (first, path) in &segments[skipped..] {
        if wanted.end <= *first {
            break;
        }
        let bytes = fs::read(path).map_err(JournalError::io("read", path))?;
        let (_, mut at) = SegmentHeader::decode(path, &bytes)?;
        let mut next = *first;
        while next < wanted.end {
            let damaged =
                |damage| JournalError::Damaged { path: path.clone(), offset: at as u64, damage };
            let Some(block) = block::read(&bytes[at..]).map_err(damaged)? else { break };
            if wanted.start <= block.last {
                visit(block.frames)?;
            }
            at += HEADER_BYTES + block.frames.len();
            next = Sequence(block.last.0 + 1);
        }
    }
    Ok(())
}
