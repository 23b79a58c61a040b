//! A disk that loses power: between two calls or in the middle of one.
//!
//! What a crash leaves is decided by the seed, within what [`engine::disk`] promises: synced bytes
//! are there, names are there when their folder was synced after; of everything else any part may
//! be there. A failed sync may throw away what it was to make durable while readers go on seeing
//! it, as operating systems do.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::disk::{Disk, DiskFile};
use orderflow::rng::Rng;

/// Unwinds the engine's own code when the power goes, from inside a call on the disk.
#[derive(Debug)]
pub struct PowerCut;

/// What a disk writes whole or not at all, mostly.
const SECTOR_BYTES: usize = 512;

/// How the engine's process ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    /// The machine lives on, and what was written is there.
    ProcessKilled,
    PowerLost,
}

#[derive(Clone, Debug)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Clone, Debug)]
struct State {
    rng: Rng,
    folders: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    renames: Vec<NameChange>,
    nodes: Vec<Node>,
    bytes_max: u64,
    /// Edges of calls until the power goes.
    cut_after: Option<u32>,
    failing_syncs: u32,
    counts: DiskCounts,
}

/// What was asked of the disk, for the report of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct DiskCounts {
    pub edges: u64,
    pub writes: u64,
    pub syncs: u64,
    pub syncs_failed: u64,
    pub refused_full: u64,
}

/// A file whatever it is called.
#[derive(Clone, Debug, Default)]
struct Node {
    /// As readers see it.
    content: Vec<u8>,
    durable: Vec<u8>,
    /// From `durable` to `content`, in order.
    pending: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

#[derive(Clone, Debug)]
struct NameChange {
    folder: PathBuf,
    removed: Option<PathBuf>,
    added: Option<(PathBuf, usize)>,
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => write(content, *offset, bytes),
            Change::Length(length) => content.resize(*length, 0),
        }
    }
}

fn write(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

impl Node {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.content);
        self.pending.push(change);
    }

    fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// Keeps some of what is not durable: each sector of each write for itself, and one that is
    /// torn within.
    fn lose(&mut self, rng: &mut Rng) {
        // All, none and some of it are each worth trying often.
        let kept_of_4 = [0, 4, 2, 3][rng.below(4) as usize];
        for change in std::mem::take(&mut self.pending) {
            match change {
                Change::Length(_) if rng.below(4) < kept_of_4 => change.apply(&mut self.durable),
                Change::Length(_) => (),
                Change::Write { offset, bytes } => {
                    let mut at = 0;
                    while at < bytes.len() {
                        let sector_end = (offset + at + 1).next_multiple_of(SECTOR_BYTES) - offset;
                        let end = sector_end.min(bytes.len());
                        if rng.below(4) < kept_of_4 {
                            let torn = rng.below(16) == 0;
                            let kept =
                                if torn { rng.below((end - at) as u64) as usize } else { end - at };
                            // A file that never got its length has no room for it.
                            let room = self.durable.len().saturating_sub(offset + at).min(kept);
                            write(&mut self.durable, offset + at, &bytes[at..at + room]);
                        }
                        at = end;
                    }
                }
            }
        }
        self.content.clone_from(&self.durable);
    }

    /// What a failed sync leaves: some reached the disk, and nobody knows any more what did not.
    fn fail_sync(&mut self, rng: &mut Rng) {
        let seen = std::mem::take(&mut self.content);
        self.lose(rng);
        self.content = seen;
    }
}

impl State {
    fn node(&mut self, path: &Path) -> io::Result<&mut Node> {
        let node = *self.names.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(&mut self.nodes[node])
    }

    fn rename(&mut self, removed: Option<&Path>, added: Option<(&Path, usize)>) {
        let either = removed.or(added.map(|(path, _)| path));
        let folder = either.and_then(Path::parent).unwrap_or(Path::new("/")).to_owned();
        let added = added.map(|(path, node)| (path.to_owned(), node));
        let change = NameChange { folder, removed: removed.map(Path::to_owned), added };
        apply_name(&mut self.names, &change);
        self.renames.push(change);
    }

    fn used_bytes(&self) -> u64 {
        let named: BTreeSet<usize> = self.names.values().copied().collect();
        named.into_iter().map(|node| self.nodes[node].content.len() as u64).sum()
    }

    fn lose(&mut self) {
        let rng = &mut self.rng;
        // As most file systems keep them, in order, up to some change; or any of them.
        let ordered = rng.below(4) != 0;
        let kept = rng.below(self.renames.len() as u64 + 1) as usize;
        for (at, change) in std::mem::take(&mut self.renames).iter().enumerate() {
            if if ordered { at < kept } else { rng.below(2) == 0 } {
                apply_name(&mut self.durable_names, change);
            }
        }
        self.names.clone_from(&self.durable_names);
        self.nodes.iter_mut().for_each(|node| node.lose(rng));
    }
}

fn apply_name(names: &mut BTreeMap<PathBuf, usize>, change: &NameChange) {
    if let Some(removed) = &change.removed {
        names.remove(removed);
    }
    if let Some((path, node)) = &change.added {
        names.insert(path.clone(), *node);
    }
}

impl SimDisk {
    pub fn new(seed: u64) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(State {
            rng: Rng::new(seed),
            folders: BTreeSet::from([PathBuf::from("/")]),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            renames: Vec::new(),
            nodes: Vec::new(),
            bytes_max: u64::MAX,
            cut_after: None,
            failing_syncs: 0,
            counts: DiskCounts::default(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The power goes at the so-manieth edge of a call from now on; 0 is the next one.
    pub fn cut_after(&self, edges: Option<u32>) {
        self.state().cut_after = edges;
    }

    /// So many of the next syncs fail.
    pub fn fail_syncs(&self, count: u32) {
        self.state().failing_syncs = count;
    }

    pub fn limit(&self, bytes_max: u64) {
        self.state().bytes_max = bytes_max;
    }

    pub fn used_bytes(&self) -> u64 {
        self.state().used_bytes()
    }

    pub fn counts(&self) -> DiskCounts {
        self.state().counts
    }

    /// What the next life of the engine finds.
    pub fn crash(&self, crash: Crash) {
        let mut state = self.state();
        state.cut_after = None;
        state.failing_syncs = 0;
        if crash == Crash::PowerLost {
            state.lose();
        }
    }

    /// Another disk with the same content, all of it durable.
    pub fn copy(&self) -> SimDisk {
        let mut state = self.state().clone();
        state.cut_after = None;
        state.failing_syncs = 0;
        state.bytes_max = u64::MAX;
        state.renames.clear();
        state.durable_names.clone_from(&state.names);
        for node in &mut state.nodes {
            node.pending.clear();
            node.durable.clone_from(&node.content);
        }
        SimDisk(Arc::new(Mutex::new(state)))
    }

    pub fn flip(&self, path: &Path, bit: u64) -> io::Result<()> {
        let mut state = self.state();
        let node = state.node(path)?;
        let at = (bit / 8) as usize;
        node.content[at] ^= 1 << (bit % 8);
        node.durable.clone_from(&node.content);
        Ok(())
    }

    /// Before and after each call that changes something: here the power may go.
    fn edge(&self) {
        let mut state = self.state();
        state.counts.edges += 1;
        let Some(left) = state.cut_after else { return };
        state.cut_after = left.checked_sub(1);
        drop(state);
        if left == 0 {
            resume_unwind(Box::new(PowerCut));
        }
    }

    fn between_edges<T>(&self, work: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        self.edge();
        let done = work(&mut self.state());
        self.edge();
        done
    }
}

impl State {
    fn sync(&mut self, node: usize) -> io::Result<()> {
        self.counts.syncs += 1;
        if 0 < self.failing_syncs {
            self.failing_syncs -= 1;
            self.counts.syncs_failed += 1;
            self.nodes[node].fail_sync(&mut self.rng);
            return Err(io::Error::other("the simulated drive does not answer"));
        }
        self.nodes[node].sync();
        Ok(())
    }

    fn refuse_beyond(&mut self, more: u64) -> io::Result<()> {
        if self.bytes_max < self.used_bytes().saturating_add(more) {
            self.counts.refused_full += 1;
            return Err(ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl Disk for SimDisk {
    fn create_folders(&self, folder: &Path) -> io::Result<()> {
        // Folders are made once, before anything can be lost.
        self.state().folders.extend(folder.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state();
        if !state.folders.contains(folder) {
            return Err(ErrorKind::NotFound.into());
        }
        let within = |path: &&PathBuf| path.parent() == Some(folder);
        let files = state.names.keys().filter(within);
        let folders = state.folders.iter().filter(within);
        let mut paths: Vec<_> = files.chain(folders).cloned().collect();
        paths.sort();
        Ok(paths)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.state().node(path)?.content.clone())
    }

    fn read_at(&self, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state();
        let content = &state.node(path)?.content;
        let from = content.len().min(offset as usize);
        let count = buffer.len().min(content.len() - from);
        buffer[..count].copy_from_slice(&content[from..from + count]);
        Ok(count)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(self.state().node(path)?.content.len() as u64)
    }

    fn create(&self, path: &Path, reserved_bytes: u64) -> io::Result<Box<dyn DiskFile>> {
        let node = self.between_edges(|state| {
            state.refuse_beyond(reserved_bytes)?;
            let node = match state.names.get(path) {
                Some(node) => *node,
                None => {
                    let node = state.nodes.len();
                    state.nodes.push(Node::default());
                    state.rename(None, Some((path, node)));
                    node
                }
            };
            state.nodes[node].change(Change::Length(0));
            state.nodes[node].change(Change::Length(reserved_bytes as usize));
            Ok(node)
        })?;
        Ok(Box::new(SimFile { disk: self.clone(), node }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let node = *self.state().names.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(Box::new(SimFile { disk: self.clone(), node }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.between_edges(|state| {
            let node = *state.names.get(from).ok_or(ErrorKind::NotFound)?;
            state.rename(Some(from), Some((to, node)));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.between_edges(|state| {
            state.names.get(path).ok_or(ErrorKind::NotFound)?;
            state.rename(Some(path), None);
            Ok(())
        })
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.between_edges(|state| {
            state.counts.syncs += 1;
            if 0 < state.failing_syncs {
                state.failing_syncs -= 1;
                state.counts.syncs_failed += 1;
                return Err(io::Error::other("the simulated drive does not answer"));
            }
            let here = |change: &mut NameChange| change.folder == folder;
            let synced: Vec<_> = state.renames.extract_if(.., here).collect();
            for change in synced {
                apply_name(&mut state.durable_names, &change);
            }
            Ok(())
        })
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        let state = self.state();
        Ok(state.bytes_max.saturating_sub(state.used_bytes()))
    }
}

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    node: usize,
}

impl DiskFile for SimFile {
    fn write_at(&mut self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        self.disk.between_edges(|state| {
            state.counts.writes += 1;
            let (offset, mut bytes) = (offset as usize, parts.concat());
            let length = state.nodes[self.node].content.len();
            let more = (offset + bytes.len()).saturating_sub(length);
            let fits = state.refuse_beyond(more as u64);
            if fits.is_err() {
                bytes.truncate(length.saturating_sub(offset));
            }
            state.nodes[self.node].change(Change::Write { offset, bytes });
            if 0 < more && fits.is_ok() {
                let length = Change::Length(length + more);
                // Before the bytes: a file's length and what stands there reach the disk apart.
                let pending = &mut state.nodes[self.node].pending;
                pending.insert(pending.len() - 1, length);
            }
            fits
        })
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.disk.between_edges(|state| state.sync(self.node))
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state().nodes[self.node].content.len() as u64)
    }
}
