//! Loopback ports: free ones, and the same ones again for the same stack where possible.

use std::collections::{BTreeMap, HashSet};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::sync::Mutex;

use crate::error::{Doing, Result, XtaskError};
use crate::places::read_if_there;
use crate::secrets;

/// Below the range from which the kernel takes the ports of outgoing connections, so nothing
/// slips in between choosing a port and listening on it.
const RANGE: std::ops::Range<u16> = 20_000..32_000;
const TRIES_MAX: usize = 200;

/// Ports already given out in this process, free or not.
static GIVEN: Mutex<Option<HashSet<u16>>> = Mutex::new(None);

/// A port of the loopback interface nobody listens on.
pub fn free_port() -> Result<u16> {
    let width = u32::from(RANGE.end - RANGE.start);
    for _ in 0..TRIES_MAX {
        let offset = u32::from_le_bytes(secrets::random_bytes()?) % width;
        let port = RANGE.start + u16::try_from(offset).unwrap_or(0);
        if is_free(port) && give(port) {
            return Ok(port);
        }
    }
    Err(XtaskError::Unable(format!("found no free port in {RANGE:?} on 127.0.0.1")))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn give(port: u16) -> bool {
    let mut given = GIVEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    given.get_or_insert_default().insert(port)
}

/// Ports by name, kept in a file.
#[derive(Debug)]
pub struct Ports {
    file: PathBuf,
    by_name: BTreeMap<String, u16>,
}

impl Ports {
    pub fn load(file: PathBuf) -> Result<Ports> {
        let by_name = match read_if_there(&file)? {
            None => BTreeMap::new(),
            Some(text) => serde_json::from_str(&text)
                .map_err(|cause| XtaskError::Json { what: file.display().to_string(), cause })?,
        };
        Ok(Ports { file, by_name })
    }

    /// The port this name had before if it is still free, else another.
    pub fn take(&mut self, name: &str) -> Result<u16> {
        if let Some(&port) = self.by_name.get(name)
            && is_free(port)
        {
            give(port);
            return Ok(port);
        }
        let port = free_port()?;
        self.by_name.insert(name.to_owned(), port);
        let text = serde_json::to_string_pretty(&self.by_name)
            .map_err(|cause| XtaskError::Json { what: "the ports".to_owned(), cause })?;
        std::fs::write(&self.file, text).doing(format!("write {}", self.file.display()))?;
        Ok(port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_port_is_never_given_twice() {
        let ports: HashSet<u16> = (0..200).map(|_| free_port().unwrap()).collect();
        assert_eq!(ports.len(), 200);
    }

    #[test]
    fn a_name_keeps_its_port_until_somebody_else_listens_on_it() {
        let scratch = Scratch::new("ports").unwrap();
        let file = scratch.path().join("ports.json");
        let first = Ports::load(file.clone()).unwrap().take("rest").unwrap();
        let mut again = Ports::load(file.clone()).unwrap();
        assert_eq!(again.take("rest").unwrap(), first);

        let squatter = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
        let moved = Ports::load(file.clone()).unwrap().take("rest").unwrap();
        assert_ne!(moved, first);
        drop(squatter);
        assert_eq!(Ports::load(file).unwrap().take("rest").unwrap(), moved);
    }
}
