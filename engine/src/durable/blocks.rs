//! The reading end of a listener with gaps: durable blocks as the journal hands them over, some of
//! them missing. Who lacks one reads it from the journal's files.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel::{Receiver, RecvError, RecvTimeoutError, TryRecvError};
use protocol::Sequence;

use super::DurableBlock;

#[derive(Debug)]
pub struct Blocks {
    channel: Receiver<Arc<DurableBlock>>,
    /// The next one, when it has been taken off the channel.
    front: Option<Arc<DurableBlock>>,
    has_ended: bool,
}

impl Blocks {
    pub fn new(channel: Receiver<Arc<DurableBlock>>) -> Blocks {
        Blocks { channel, front: None, has_ended: false }
    }

    /// For who waits for this and more at once; what it gives goes to [`Blocks::push`].
    pub fn channel(&self) -> &Receiver<Arc<DurableBlock>> {
        &self.channel
    }

    pub fn push(&mut self, block: Result<Arc<DurableBlock>, RecvError>) {
        match block {
            Ok(block) => self.front = Some(block),
            Err(RecvError) => self.has_ended = true,
        }
    }

    /// The block that holds the frame after `after`, if it is here.
    pub fn take_after(&mut self, after: Sequence) -> Option<Arc<DurableBlock>> {
        loop {
            if self.front.is_none() {
                self.front = match self.channel.try_recv() {
                    Ok(block) => Some(block),
                    Err(TryRecvError::Empty) => None,
                    Err(TryRecvError::Disconnected) => {
                        self.has_ended = true;
                        None
                    }
                };
            }
            let front = self.front.as_ref()?;
            if after < front.last {
                let is_next = front.before() <= after;
                return if is_next { self.front.take() } else { None };
            }
            self.front = None;
        }
    }

    /// What stands before the next block, which [`Blocks::take_after`] has left for later; `None`
    /// when it has found none.
    pub fn gap_end(&self) -> Option<Sequence> {
        self.front.as_ref().map(|block| block.before())
    }

    /// Waits for a block.
    pub fn wait(&mut self, time: Duration) {
        match self.channel.recv_timeout(time) {
            Ok(block) => self.push(Ok(block)),
            Err(RecvTimeoutError::Timeout) => (),
            Err(RecvTimeoutError::Disconnected) => self.push(Err(RecvError)),
        }
    }

    /// Lets all blocks go by; the journal has them.
    pub fn pass(&mut self) {
        self.take_after(Sequence(u64::MAX));
    }

    /// As [`Blocks::pass`], until the journal has ended.
    pub fn pass_all(self) {
        while self.channel.recv().is_ok() {}
    }

    /// Whether the journal has ended, so that no more blocks will come.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether a block is waiting to be taken.
    pub fn has_more(&self) -> bool {
        self.front.is_some() || !self.channel.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::{Sender, bounded};

    use super::*;
    use crate::journal::block::Link;

    fn blocks() -> (Sender<Arc<DurableBlock>>, Blocks) {
        let (sender, channel) = bounded(8);
        (sender, Blocks::new(channel))
    }

    fn send(sender: &Sender<Arc<DurableBlock>>, first: u64, last: u64) {
        let (first, last) = (Sequence(first), Sequence(last));
        let (frames, link) = (Vec::new(), Link::default());
        sender.send(Arc::new(DurableBlock { first, last, frames, link })).unwrap();
    }

    #[test]
    fn a_block_behind_a_gap_waits_until_the_gap_is_read_elsewhere() {
        let (sender, mut blocks) = blocks();
        for (first, last) in [(1, 3), (4, 6), (9, 9)] {
            send(&sender, first, last);
        }
        let mut after = |sequence| blocks.take_after(Sequence(sequence)).map(|block| block.first.0);
        assert_eq!(after(0), Some(1));
        // Somebody was set back: what is before the next block is no longer here.
        assert_eq!(after(1), None);
        // In the middle of a block: all of it comes.
        assert_eq!(after(5), Some(4));
        assert_eq!(after(6), None);
        assert_eq!(after(8), Some(9));
        assert_eq!(after(9), None);
        assert!(!blocks.has_ended);
    }

    #[test]
    fn blocks_that_are_not_wanted_pass_and_the_end_is_seen() {
        let (sender, mut blocks) = blocks();
        send(&sender, 1, 1);
        blocks.wait(Duration::from_secs(600));
        send(&sender, 2, 2);
        blocks.pass();
        assert!(blocks.front.is_none() && blocks.channel.is_empty() && !blocks.has_ended);
        drop(sender);
        blocks.wait(Duration::from_secs(600));
        assert!(blocks.has_ended);
    }
}
