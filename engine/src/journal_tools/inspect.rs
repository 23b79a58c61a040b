//! What a journal consists of, as far as each of its files tells.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::{Verdict, chain};
use crate::data_dir::Folders;
use crate::disk::Disk;
use crate::error::JournalError;
use crate::journal::reader::{self, Examined, Surveyed, Tail};
use crate::journal::segment::{self, JournalId, SegmentHeader};
use crate::snapshot::{self, read};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Inspection {
    pub folder: String,
    /// Names the journal for ever.
    pub journal: Option<String>,
    /// Of all segments that could be read.
    pub first: Option<u64>,
    pub last: Option<u64>,
    pub segments: Vec<SegmentView>,
    pub tail: Option<TailView>,
    /// Of the newest segment.
    pub definitions: Vec<String>,
    pub snapshots: Vec<SnapshotView>,
    /// The first thing that keeps the engine from starting.
    pub problem: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SegmentView {
    pub file: String,
    pub first: Option<u64>,
    /// `null` while there is no block.
    pub last: Option<u64>,
    pub blocks: usize,
    pub bytes: u64,
    pub bytes_used: u64,
    /// How often the engine had been started when its last block was written.
    pub starts: u32,
    /// Whether listing, terms or limits are not those of the segment before.
    pub is_redefined: bool,
    pub problem: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TailView {
    pub file: String,
    /// Where the next block goes.
    pub offset: u64,
    pub link: String,
    /// Bytes behind the last whole block: a write cut short, or one under way.
    pub torn_bytes: u64,
    pub torn: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotView {
    pub file: String,
    pub bytes: u64,
    /// Why it is of no use.
    pub problem: Option<String>,
}

/// Errors: the folder cannot be listed, or a file not read. What is wrong inside the files is part
/// of the answer.
pub fn inspect(disk: &dyn Disk, folders: &Folders) -> Result<Inspection, JournalError> {
    let mut found = Inspection {
        folder: folders.journal.display().to_string(),
        journal: None,
        first: None,
        last: None,
        segments: Vec::new(),
        tail: None,
        definitions: Vec::new(),
        snapshots: snapshots(disk, &folders.snapshots)?,
        problem: None,
    };
    let segments = segment::list(disk, &folders.journal)?;
    let mut before = None;
    for (at, (_, path)) in segments.iter().enumerate() {
        let is_last = at + 1 == segments.len();
        let bytes = disk.length(path).map_err(JournalError::io("look at", path))?;
        match survey(disk, path, bytes)
            .and_then(|it| Ok((reader::examine(disk, &it, is_last)?, it)))
        {
            Ok((examined, surveyed)) => {
                before = Some(found.add(&examined, &surveyed, before.as_ref()));
            }
            Err(error @ JournalError::Io { .. }) => return Err(error),
            Err(error) => {
                found.add_unreadable(path, bytes, &error);
                before = None;
            }
        }
    }
    if let (Some(Before { tail, .. }), None) = (&before, &found.problem) {
        found.tail = Some(TailView {
            file: name(&tail.segment),
            offset: tail.offset,
            link: tail.joint.link.to_string(),
            torn_bytes: tail.torn.map_or(0, |torn| torn.bytes),
            torn: tail.torn.map(|torn| torn.damage.to_string()),
        });
    }
    Ok(found)
}

/// The segment before, and whether it was whole.
struct Before {
    tail: Tail,
    is_whole: bool,
}

impl Inspection {
    pub fn verdict(&self) -> Verdict {
        if self.problem.is_some() { Verdict::Wrong } else { Verdict::Right }
    }

    fn add(&mut self, examined: &Examined, segment: &Surveyed, before: Option<&Before>) -> Before {
        let SegmentHeader { journal, joint, definitions } = &segment.header;
        let Examined { blocks, tail, damage, .. } = examined;
        let followed = match before {
            Some(before) if before.is_whole => reader::check_follows(&before.tail, segment),
            _ => Ok(()),
        };
        let problem = match (followed, damage) {
            (Err(error), _) => Some(chain(&error)),
            (Ok(()), Some(damage)) => {
                let (path, offset) = (tail.segment.clone(), tail.offset);
                Some(chain(&JournalError::Damaged { path, offset, damage: *damage }))
            }
            (Ok(()), None) => None,
        };
        let last = blocks.last().map(|(header, _)| header.last.0);
        self.journal.get_or_insert_with(|| JournalId::to_string(journal));
        self.first = self.first.or(Some(joint.next.0).filter(|_| last.is_some()));
        self.last = last.or(self.last);
        self.definitions = definitions.lines().to_vec();
        self.problem = self.problem.take().or_else(|| problem.clone());
        self.segments.push(SegmentView {
            file: name(&segment.path),
            first: Some(joint.next.0),
            last,
            blocks: blocks.len(),
            bytes: segment.bytes,
            bytes_used: tail.offset,
            starts: tail.joint.life,
            is_redefined: before.is_some_and(|before| before.tail.definitions != *definitions),
            problem,
        });
        Before { tail: tail.clone(), is_whole: damage.is_none() }
    }

    fn add_unreadable(&mut self, path: &Path, bytes: u64, error: &JournalError) {
        let problem = Some(chain(error));
        self.problem = self.problem.take().or_else(|| problem.clone());
        self.segments.push(SegmentView {
            file: name(path),
            first: None,
            last: None,
            blocks: 0,
            bytes,
            bytes_used: 0,
            starts: 0,
            is_redefined: false,
            problem,
        });
    }
}

fn survey(disk: &dyn Disk, path: &Path, bytes: u64) -> Result<Surveyed, JournalError> {
    let (header, start) = SegmentHeader::read(disk, path)?;
    Ok(Surveyed { path: path.to_owned(), header, start, bytes })
}

fn snapshots(disk: &dyn Disk, folder: &Path) -> Result<Vec<SnapshotView>, JournalError> {
    // A folder that was never started on has none.
    let Ok(listed) = snapshot::list(disk, folder) else { return Ok(Vec::new()) };
    let view = |path: &Path| {
        let bytes = disk.length(path).map_err(JournalError::io("look at", path))?;
        let problem = read::verify(disk, path).err().map(|error| chain(&error));
        Ok(SnapshotView { file: name(path), bytes, problem })
    };
    listed.iter().map(|(_, path)| view(path)).collect()
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(journal) = &self.journal else {
            return write!(f, "{} has no journal that can be read", self.folder);
        };
        writeln!(f, "journal   {journal} in {}", self.folder)?;
        match (self.first, self.last) {
            (Some(first), Some(last)) => writeln!(f, "frames    {first} to {last}")?,
            _ => writeln!(f, "frames    none")?,
        }
        self.segments.iter().try_for_each(|segment| writeln!(f, "segment   {segment}"))?;
        if let Some(tail) = &self.tail {
            writeln!(f, "tail      {tail}")?;
        }
        for snapshot in &self.snapshots {
            let SnapshotView { file, bytes, problem } = snapshot;
            let state = problem.as_deref().unwrap_or("whole");
            writeln!(f, "snapshot  {file}, {bytes} bytes, {state}")?;
        }
        self.definitions.iter().try_for_each(|line| writeln!(f, "defined   {line}"))?;
        match &self.problem {
            Some(problem) => write!(f, "problem   {problem}"),
            None => write!(f, "nothing wrong was found"),
        }
    }
}

impl fmt::Display for SegmentView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        match (self.first, self.last) {
            (Some(first), Some(last)) => write!(f, "  frames {first} to {last}")?,
            (Some(first), None) => write!(f, "  no frame yet, {first} comes next")?,
            _ => write!(f, "  cannot be read")?,
        }
        let SegmentView { blocks, bytes, bytes_used, starts, .. } = self;
        write!(f, ", {blocks} blocks, {bytes_used} of {bytes} bytes, start {starts}")?;
        if self.is_redefined {
            write!(f, ", definitions changed")?;
        }
        self.problem.iter().try_for_each(|problem| write!(f, ", {problem}"))
    }
}

impl fmt::Display for TailView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}, link {}", self.file, self.offset, self.link)?;
        match &self.torn {
            Some(torn) => write!(
                f,
                "; {} bytes behind it are no whole block ({torn}): a write that is under way, or \
                 was cut short and is removed when the engine starts",
                self.torn_bytes
            ),
            None => write!(f, ", clean"),
        }
    }
}
