//! An exchange on disk, made by the real shards and the real writer: a journal that begins with
//! accounts, money and resting orders, and goes on with everyday commands.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use engine::clock;
use engine::data_dir::{self, Folders};
use engine::disk::{Disk, RealDisk};
use engine::journal::definitions::Definitions;
use engine::journal::reader::{Mark, Tail};
use engine::journal::writer::{Durability, Writer, WriterSettings};
use engine::snapshot::Snapshot;
use engine::snapshot::write::{Care, write};
use engine_core::replica::Replica;
use protocol::{Frame, Sequence};

use crate::error::BenchError;
use crate::listing;
use crate::traffic::{Size, Step, Traffic};

const SEGMENT_BYTES: u64 = 64 << 20;
/// Of one block: about what a group commit holds at a hundred thousand commands a second.
const BLOCK_FRAMES: usize = 200;
/// Written when everything else is.
const COMPLETE: &str = "complete";

#[derive(Clone, Debug)]
pub struct Archive {
    pub folders: Folders,
    pub size: Size,
    /// Frames behind the snapshot, which stands where the orders have come to rest.
    pub tail: u64,
}

impl Archive {
    /// The one that is in `folder` already, or a new one.
    pub fn find_or_make(folder: &Path, size: Size, tail: u64) -> Result<Archive, BenchError> {
        let archive = Archive { folders: Folders::of(folder), size, tail };
        let complete = folder.join(COMPLETE);
        if !complete.exists() {
            Folders::create(&RealDisk, folder).map_err(BenchError::Journal)?;
            archive.make()?;
            fs::write(&complete, b"").map_err(BenchError::io(&complete))?;
        }
        Ok(archive)
    }

    fn make(&self) -> Result<(), BenchError> {
        let mut traffic = Traffic::fresh(self.size, 2)?;
        let mut replica = Replica::new(listing::catalog(self.size.markets)?);
        let mut blocks = Blocks::new(self.writer(&replica, None, Durability::Write)?);
        let mut bytes = Vec::new();
        let mut time_us = 0;
        traffic.open(|step| {
            bytes.clear();
            bytes.extend_from_slice(step.records.as_flattened());
            let frame = Frame::parse(&bytes).map_err(BenchError::Decode)?;
            time_us = frame.command.time_us;
            replica.apply(&frame).map_err(BenchError::Replica)?;
            blocks.push(step)
        })?;
        let mark = blocks.flush()?;
        let definitions = Definitions::of(replica.catalog(), &self.size.limits());
        let snapshot = Snapshot::of(&replica, mark, definitions, time_us);
        write(&RealDisk, &self.folders.snapshots, &snapshot, &CARE)
            .map_err(BenchError::Snapshot)?;
        drop(replica);
        for _ in 0..self.tail {
            blocks.push(&traffic.trade()?)?;
        }
        blocks.flush().map(drop)
    }

    /// A writer that goes on behind `tail`, or begins.
    pub fn writer(
        &self,
        replica: &Replica,
        tail: Option<Tail>,
        durability: Durability,
    ) -> Result<Writer, BenchError> {
        let directory = self.folders.journal.clone();
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let fresh = data_dir::fresh_journal_id(&directory, clock::now_us());
        let segment_bytes = SEGMENT_BYTES;
        let settings = WriterSettings { disk, directory, durability, segment_bytes };
        let definitions = Definitions::of(replica.catalog(), &self.size.limits());
        Writer::open(settings, definitions, tail, fresh).map_err(BenchError::Journal)
    }
}

/// What a bench minds when it writes a snapshot: nothing.
pub const CARE: Care<'static> =
    Care { free_bytes_min: 0, unsynced_journal: None, goes_on: &|| true };

/// Frames on their way into blocks of the journal.
struct Blocks {
    writer: Writer,
    frames: Vec<u8>,
    count: usize,
}

impl Blocks {
    fn new(writer: Writer) -> Blocks {
        Blocks { writer, frames: Vec::new(), count: 0 }
    }

    fn push(&mut self, step: &Step<'_>) -> Result<(), BenchError> {
        self.frames.extend_from_slice(step.records.as_flattened());
        self.count += 1;
        if BLOCK_FRAMES <= self.count {
            self.flush()?;
        }
        Ok(())
    }

    /// Ends a block; returns where.
    fn flush(&mut self) -> Result<Mark, BenchError> {
        if 0 < self.count {
            let last = Sequence(self.writer.next().0 + self.count as u64 - 1);
            self.writer.append(last, &self.frames).map_err(BenchError::Journal)?;
            self.frames.clear();
            self.count = 0;
        }
        Ok(self.writer.mark())
    }
}
