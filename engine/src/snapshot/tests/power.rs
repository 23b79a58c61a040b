//! A disk in memory that ends at any call: what was not made durable by then is lost, or is there.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::disk::{Disk, DiskFile};

/// What a crash does to what was not made durable.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    LosesIt,
    KeepsIt,
}

#[derive(Clone, Debug, Default)]
struct Node {
    content: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct State {
    nodes: Vec<Node>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Changing calls that still succeed.
    calls_left: Option<u32>,
    calls: u32,
}

impl State {
    fn change(&mut self) -> io::Result<()> {
        if let Some(left) = &mut self.calls_left {
            *left = left.checked_sub(1).ok_or_else(|| io::Error::other("no power"))?;
        }
        self.calls += 1;
        Ok(())
    }

    fn node(&mut self, path: &Path) -> io::Result<&mut Node> {
        let at = *self.names.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(&mut self.nodes[at])
    }
}

#[derive(Clone, Debug, Default)]
pub struct PowerDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct PowerFile {
    disk: PowerDisk,
    node: usize,
}

impl PowerDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// All changing calls after so many fail.
    pub fn end_after(&self, calls: u32) {
        self.state().calls_left = Some(calls);
    }

    pub fn calls(&self) -> u32 {
        self.state().calls
    }

    /// What is there afterwards; this disk stays as it is.
    pub fn after(&self, crash: Crash) -> PowerDisk {
        let mut state = self.state().clone();
        state.calls_left = None;
        if crash == Crash::LosesIt {
            state.names = state.durable_names.clone();
            state.nodes.iter_mut().for_each(|node| node.content = node.durable.clone());
        }
        state.durable_names = state.names.clone();
        state.nodes.iter_mut().for_each(|node| node.durable = node.content.clone());
        PowerDisk(Arc::new(Mutex::new(state)))
    }

    pub fn copy(&self) -> PowerDisk {
        self.after(Crash::KeepsIt)
    }

    /// Damages a file behind everybody's back.
    pub fn flip(&self, path: &Path, byte: usize, bit: u8) {
        self.state().node(path).unwrap().content[byte] ^= 1 << bit;
    }
}

impl Disk for PowerDisk {
    fn create_folders(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.state();
        let inside = state.names.keys().filter(|path| path.parent() == Some(folder));
        Ok(inside.cloned().collect())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.state().node(path)?.content.clone())
    }

    fn read_at(&self, path: &Path, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state();
        let rest = state.node(path)?.content.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(self.state().node(path)?.content.len() as u64)
    }

    fn create(&self, path: &Path, reserved_bytes: u64) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.change()?;
        let node = state.nodes.len();
        let content = vec![0; reserved_bytes as usize];
        state.nodes.push(Node { content, durable: Vec::new() });
        state.names.insert(path.to_owned(), node);
        Ok(Box::new(PowerFile { disk: self.clone(), node }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let node = *self.state().names.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(Box::new(PowerFile { disk: self.clone(), node }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        let node = state.names.remove(from).ok_or(ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), node);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        state.names.remove(path).map(drop).ok_or(ErrorKind::NotFound.into())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.change()?;
        let State { names, durable_names, .. } = &mut *state;
        durable_names.retain(|path, _| path.parent() != Some(folder));
        let inside = names.iter().filter(|(path, _)| path.parent() == Some(folder));
        durable_names.extend(inside.map(|(path, node)| (path.clone(), *node)));
        Ok(())
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }
}

impl DiskFile for PowerFile {
    fn write_at(&mut self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change()?;
        let content = &mut state.nodes[self.node].content;
        let mut at = offset as usize;
        for part in parts {
            let end = at + part.len();
            content.resize(content.len().max(end), 0);
            content[at..end].copy_from_slice(part);
            at = end;
        }
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.change()?;
        let node = &mut state.nodes[self.node];
        node.durable = node.content.clone();
        Ok(())
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state().nodes[self.node].content.len() as u64)
    }
}
