//! Frames, one a line.

use std::io::{self, Write};

use protocol::{Catalog, Frame, Sequence};

use super::Verdict;
use super::frame_view::FrameView;
use crate::data_dir::Folders;
use crate::disk::Disk;
use crate::error::{EngineError, JournalError};
use crate::journal::reader::{self, Begin, Source, Visit};

/// Which frames are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selection {
    pub first: Sequence,
    pub last: Sequence,
    /// Symbol of a market, or `accounts`; `None`: all.
    pub stream: Option<String>,
}

/// Why reading ended before the journal did.
enum End {
    /// The last wanted frame was shown.
    Done,
    Output(io::Error),
    Failed(EngineError),
}

impl From<JournalError> for End {
    fn from(error: JournalError) -> Self {
        End::Failed(error.into())
    }
}

impl From<EngineError> for End {
    fn from(error: EngineError) -> Self {
        End::Failed(error)
    }
}

/// Writes the selected frames to `out`. The inner error is `out`'s.
pub fn dump(
    disk: &dyn Disk,
    folders: &Folders,
    selection: &Selection,
    json: bool,
    out: &mut dyn Write,
) -> Result<io::Result<Verdict>, EngineError> {
    let begin = Begin::Near(selection.first);
    let source = Source { disk, directory: &folders.journal, definitions: None, begin };
    let mut catalog = Catalog::default();
    let shown = reader::replay(&source, |block| {
        if let Some(changed) = super::catalog_of(&block)? {
            catalog = changed;
        }
        show(&block, &catalog, selection, json, out)
    });
    match shown {
        Ok(_) | Err(End::Done) => Ok(Ok(Verdict::Right)),
        Err(End::Output(error)) => Ok(Err(error)),
        Err(End::Failed(error)) => Err(error),
    }
}

fn show(
    block: &Visit<'_>,
    catalog: &Catalog,
    selection: &Selection,
    json: bool,
    out: &mut dyn Write,
) -> Result<(), End> {
    if selection.last < block.header.first {
        return Err(End::Done);
    }
    if block.header.last < selection.first {
        return Ok(());
    }
    let mut after = Sequence(block.header.first.0.saturating_sub(1));
    for frame in Frame::each_of(block.frames) {
        let frame = frame.map_err(|cause| EngineError::Decode { after, cause })?;
        after = frame.header.sequence;
        let of_stream =
            |wanted: &String| catalog.stream_name(frame.command.market()) == Some(wanted.as_str());
        let is_wanted = (selection.first..=selection.last).contains(&after);
        if !is_wanted || !selection.stream.as_ref().is_none_or(of_stream) {
            continue;
        }
        let view = FrameView::of(&frame, catalog);
        let written = if json {
            serde_json::to_writer(&mut *out, &view).map_err(io::Error::from)
        } else {
            write!(out, "{view}")
        };
        written.and_then(|()| writeln!(out)).map_err(End::Output)?;
    }
    Ok(())
}
