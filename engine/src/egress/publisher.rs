//! The publisher thread: market data and answers to queries, as the replica made them.

use crossbeam::channel::Receiver;

use super::Broadcast;
use crate::durable::Publication;

/// Runs until the replica has ended and everything is sent.
pub fn run(publications: &Receiver<Publication>, mut broadcast: Broadcast) {
    while let Ok(publication) = publications.recv() {
        broadcast.push(publication.channel.as_bytes(), &publication.payload);
        while !broadcast.is_full()
            && let Ok(publication) = publications.try_recv()
        {
            broadcast.push(publication.channel.as_bytes(), &publication.payload);
        }
        broadcast.flush();
    }
}
