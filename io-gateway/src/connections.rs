//! Open connections: how many one address has, what the system lets a process have, and how long a
//! client may leave its answers unread.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::TcpStream;

/// Descriptors besides those of connections: Redis, the database, files of the web client.
const OTHER_DESCRIPTORS: u64 = 256;

/// Open connections by address.
#[derive(Debug)]
pub struct ConnectionCounts {
    per_address_max: usize,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

/// One connection of an address; given back when dropped.
#[derive(Debug)]
pub struct Place {
    address: IpAddr,
    home: Arc<ConnectionCounts>,
}

impl ConnectionCounts {
    pub fn new(per_address_max: usize) -> Arc<Self> {
        Arc::new(ConnectionCounts { per_address_max, counts: Mutex::default() })
    }

    /// `None` when the address has as many as it may.
    pub fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut counts = self.counts();
        let count = counts.entry(address).or_default();
        if self.per_address_max <= *count {
            metrics::counter!("gateway_connections_refused_total").increment(1);
            return None;
        }
        *count += 1;
        Some(Place { address, home: Arc::clone(self) })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.home.counts();
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

/// Lets the process have as many descriptors as its connections may need, as far as it is allowed
/// to; many systems start with a thousand.
pub fn raise_descriptor_limit(connections_max: usize) {
    let wanted = u64::try_from(connections_max).unwrap_or(u64::MAX);
    let wanted = wanted.saturating_add(OTHER_DESCRIPTORS);
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < wanted {
            setrlimit(Resource::RLIMIT_NOFILE, wanted.min(hard), hard)?;
        }
        Ok(hard)
    });
    match raised {
        Ok(hard) if wanted <= hard => (),
        Ok(hard) => tracing::warn!(hard, wanted, "fewer file descriptors than connections_max"),
        Err(error) => tracing::warn!(%error, "could not see to the number of file descriptors"),
    }
}

/// A connection whose client takes nothing of what it was sent for `unread_max` is cut.
pub fn cut_when_unread(stream: &TcpStream, unread_max: Duration) {
    let milliseconds = u32::try_from(unread_max.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = setsockopt(stream, sockopt::TcpUserTimeout, &milliseconds) {
        tracing::debug!(%error, "could not bound how long answers may be left unread");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let counts = ConnectionCounts::new(2);
        let [one, other] = [[10, 0, 0, 1], [10, 0, 0, 2]].map(IpAddr::from);
        let first = counts.admit(one).unwrap();
        let _second = counts.admit(one).unwrap();
        assert!(counts.admit(one).is_none());
        assert!(counts.admit(other).is_some());
        drop(first);
        assert!(counts.admit(one).is_some());
        assert_eq!(counts.counts().len(), 1, "who has none is forgotten");
    }
}
