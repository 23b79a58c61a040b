//! What the journal does not have any more though the database lacks it, found before anything is
//! claimed or written.
//!
//! The first frame of each stream names the one before it, which shows a hole. Of a stream so quiet
//! that its first page has none it shows later: then the reader stops there (`reader.rs`).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use protocol::Frame;
use protocol::refill::Content;

use super::BackfillError;
use crate::chain::Chain;
use crate::checkpoint::Position;
use crate::columns;
use crate::config::Config;
use crate::error::StreamFault;
use crate::journal::{Archive, JournalError, Pages};
use crate::streams::Streams;

/// By stream.
#[derive(Debug, Default)]
pub struct Holes(Vec<(String, Hole)>);

#[derive(Debug)]
enum Hole {
    Removed {
        last: u64,
        begins_after: u64,
        until: u64,
        before: String,
    },
    /// The database has frames that the journal does not.
    Ahead {
        last: u64,
        ends_at: u64,
    },
    Other(StreamFault),
}

impl Holes {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Holes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the engine's journal is not enough for this database")?;
        for (stream, hole) in &self.0 {
            write!(out, "; {stream}: ")?;
            match hole {
                Hole::Removed { last, begins_after, until, before } => write!(
                    out,
                    "the database ends at frame {last}, the journal begins only behind frame \
                     {begins_after}, so this stream's frames behind {last} up to {until}, all of \
                     before {before}, are missing"
                )?,
                Hole::Ahead { last, ends_at } => write!(
                    out,
                    "the database is at frame {last}, the journal ends at {ends_at}: they are not \
                     of one exchange"
                )?,
                Hole::Other(fault) => write!(out, "{fault}")?,
            }
        }
        out.write_str(
            ". Restore a copy of the database that goes further, or of the engine's data folder \
             that begins earlier, and start this again",
        )
    }
}

pub async fn look(
    archive: &Archive,
    config: &Config,
    streams: &Arc<Streams>,
    stand: &HashMap<String, Position>,
    ends_at: u64,
) -> Result<Holes, BackfillError> {
    let mut holes = Holes::default();
    let mut pages = archive.pages(config, streams);
    for (place, stream) in streams.all().iter().enumerate() {
        let last = stand.get(&stream.name).map_or(0, |position| position.sequence);
        let hole = match last {
            last if ends_at < last => Some(Hole::Ahead { last, ends_at }),
            last => hole(&mut pages, place, last).await?,
        };
        holes.0.extend(hole.map(|hole| (stream.name.clone(), hole)));
    }
    Ok(holes)
}

async fn hole(pages: &mut Pages, place: usize, last: u64) -> Result<Option<Hole>, JournalError> {
    let mut chain = Chain::new(last);
    let mut page = pages.get(place, last).await?;
    if let Content::BeginsAfter(sequence) = page.content {
        // No gap is open, so that it says nothing yet.
        if let Err(fault) = chain.page_ends(page.content) {
            return Ok(Some(Hole::Other(fault)));
        }
        page = pages.get(place, sequence.0).await?;
    }
    let Some(frame) = Frame::each_of(page.frames()).next() else { return Ok(None) };
    let frame = frame.map_err(|cause| StreamFault::Page { after: page.after.0, cause });
    let fault = match frame.and_then(|frame| chain.refilled(&frame.header).map(|_| frame)) {
        Ok(_) => return Ok(None),
        Err(fault) => fault,
    };
    let first = Frame::each_of(page.frames()).next().and_then(Result::ok);
    Ok(Some(match (fault, first) {
        (StreamFault::Removed { last, begins_after }, Some(first)) => Hole::Removed {
            last,
            begins_after,
            until: first.header.previous.map_or(0, |previous| previous.0),
            before: columns::time(first.command.time_us)
                .map_or_else(|_| "an unknown time".to_owned(), |time| time.to_rfc3339()),
        },
        (fault, _) => Hole::Other(fault),
    }))
}
