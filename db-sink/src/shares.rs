//! Who writes which streams: each writer has a share of them, a batcher and a connection of its
//! own, so that one commits while another's rows go in. A stream is always the same one's.

use tokio::sync::mpsc;

use crate::feed::Entry;

/// Nobody takes the entries any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed;

/// The ways to the batchers.
#[derive(Debug)]
pub struct Shares(Vec<mpsc::Sender<Entry>>);

impl Shares {
    /// And what each batcher takes from. No more than `entries_max` entries wait in all of them.
    pub fn new(writers: usize, entries_max: usize) -> (Shares, Vec<mpsc::Receiver<Entry>>) {
        let room = (entries_max / writers.max(1)).max(1);
        let (outbound, inbound) = (0..writers.max(1)).map(|_| mpsc::channel(room)).unzip();
        (Shares(outbound), inbound)
    }

    /// Waits while that batcher's queue is full, and the other streams wait with it.
    pub async fn send(&self, entry: Entry) -> Result<(), Closed> {
        self.0[entry.stream % self.0.len()].send(entry).await.map_err(|_| Closed)
    }

    /// Until none takes entries any more.
    pub async fn closed(&self) {
        for outbound in &self.0 {
            outbound.closed().await;
        }
    }
}
