//! Hands on the frames of all streams from the journal, by turns, up to where it ended at first.

use std::sync::Arc;
use std::time::Duration;

use protocol::Frame;
use protocol::refill::Content;
use tokio::sync::mpsc;

use super::BackfillError;
use super::tally::Tally;
use crate::backoff::Backoff;
use crate::chain::Chain;
use crate::checkpoint::Position;
use crate::error::StreamFault;
use crate::feed::Entry;
use crate::journal::{JournalError, Pages};
use crate::lane;
use crate::refill::Page;
use crate::streams::Streams;

pub struct Reader {
    pub streams: Arc<Streams>,
    pub pages: Pages,
    pub target: u64,
    pub tally: Arc<Tally>,
    pub outbound: mpsc::Sender<Entry>,
    lanes: Vec<Lane>,
    backoff: Backoff,
}

struct Lane {
    chain: Chain,
    /// The next page is of what comes behind; further than the chain while a page is worked on.
    asked: u64,
}

impl Reader {
    pub fn new(
        streams: Arc<Streams>,
        pages: Pages,
        positions: &[Position],
        target: u64,
        tally: Arc<Tally>,
        outbound: mpsc::Sender<Entry>,
        retry_max: Duration,
    ) -> Reader {
        let lane = |position: &Position| Lane {
            chain: Chain::new(position.sequence),
            asked: position.sequence,
        };
        let lanes = positions.iter().map(lane).collect();
        let backoff = Backoff::new(retry_max);
        Reader { streams, pages, target, tally, outbound, lanes, backoff }
    }

    /// Until every stream has reached the target, or nobody takes the entries any more. Not cancel
    /// safe, and need not be: what is handed on follows from the positions alone.
    pub async fn run(mut self) -> Result<(), BackfillError> {
        let mut is_ordered = self.order().await?;
        while is_ordered {
            let page = self.pages.next().await?;
            self.note(&page).await?;
            // The engine reads on while this page is handed on.
            is_ordered = self.order().await?;
            if !self.hand_on(&page).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Asks for the stream that is furthest behind; `false` when none is.
    async fn order(&mut self) -> Result<bool, JournalError> {
        let behind = self.lanes.iter().enumerate().min_by_key(|(_, lane)| lane.asked);
        let Some((place, lane)) = behind.filter(|(_, lane)| lane.asked < self.target) else {
            return Ok(false);
        };
        self.pages.order(place, lane.asked).await?;
        Ok(true)
    }

    async fn note(&mut self, page: &Page) -> Result<(), BackfillError> {
        let lane = &mut self.lanes[page.stream];
        let before = lane.asked;
        match page.content {
            Content::UpTo(up_to) | Content::BeginsAfter(up_to) => lane.asked = up_to.0,
            Content::UnknownMarket => {
                let stream = self.streams.at(page.stream).name.clone();
                return Err(BackfillError::Unlisted { stream });
            }
        }
        if before < lane.asked {
            self.backoff.reset();
        } else {
            // The engine has come back and does not yet read as far as it did.
            tokio::time::sleep(self.backoff.pause()).await;
        }
        Ok(())
    }

    /// `false` when nobody takes the entries any more.
    async fn hand_on(&mut self, page: &Page) -> Result<bool, BackfillError> {
        let (place, name) = (page.stream, &self.streams.at(page.stream).name);
        let chain = &mut self.lanes[place].chain;
        let broken = |fault| BackfillError::Stream { stream: name.clone(), fault };
        for frame in Frame::each_of(page.frames()) {
            let frame = frame.map_err(|cause| StreamFault::Page { after: page.after.0, cause });
            let frame = frame.map_err(broken)?;
            if !chain.refilled(&frame.header).map_err(broken)? {
                continue;
            }
            let id = lane::cursor(frame.header.sequence.0);
            let entry = Entry { stream: place, id, frame: frame.bytes().to_vec() };
            if self.outbound.send(entry).await.is_err() {
                return Ok(false);
            }
        }
        chain.page_ends(page.content).map_err(broken)?;
        self.tally.read(place, chain.known_until());
        Ok(true)
    }
}
