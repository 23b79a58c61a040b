//! The refills thread: pages of frames for readers of event queues that lack some.
//!
//! Who asks gets what the journal has, one page a request ([`protocol::refill`]). A request that
//! cannot be read or comes too late is dropped: its asker has gone or asks again. So is one whose
//! asker leaves his pages lying. Nothing of this can hold up orders: the thread has a connection
//! and files of its own, and nobody waits for it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protocol::refill::{Content, PAGE_BYTES, PAGE_EXPIRES_MS, PageHead, Request};
use protocol::{Frame, MarketId, Sequence, keys};
use redis::{RedisResult, Value};

use crate::counters::EgressCounters;
use crate::disk::Disk;
use crate::error::{EngineError, JournalError};
use crate::journal::DurablePosition;
use crate::journal::follow::Follower;
use crate::openings::ListedMarkets;
use crate::redis_link::{Pipeline, RedisLink};
use crate::stop::Stop;

/// Requests taken from Redis at once.
const REQUESTS_MAX: &str = "16";
/// How long Redis holds a pop of an empty list, in seconds.
const POP_WAIT: &str = "0.4";
/// Askers whose place in the journal is remembered.
const DESKS_MAX: usize = 8;
/// Pages that wait for one asker.
const PAGES_MAX: i64 = 8;
const ASKER_BYTES_MAX: usize = 64;
/// Read for one page, when few frames of the journal are the asker's.
const READ_BYTES_MAX: usize = 32 << 20;
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);

/// Where the journal is, and how far it may be read.
pub struct Archive {
    pub disk: Arc<dyn Disk>,
    pub directory: PathBuf,
    pub position: Arc<DurablePosition>,
}

pub struct Refills {
    pub link: RedisLink,
    pub desks: Desks,
    /// Microseconds since the epoch.
    pub now_us: fn() -> u64,
    pub stop: Stop,
    pub counters: Arc<EgressCounters>,
}

/// Serves askers; remembers where each stopped, so that the next page costs no search.
pub struct Desks {
    archive: Archive,
    markets: Arc<ListedMarkets>,
    /// The latest served in front.
    desks: VecDeque<Desk>,
}

struct Desk {
    asker: String,
    market: MarketId,
    /// How far its last page went.
    up_to: Sequence,
    follower: Follower,
}

impl Archive {
    pub fn follower(&self) -> Follower {
        Follower::new(Arc::clone(&self.disk), self.directory.clone())
    }
}

impl Refills {
    /// Runs until the end is wished.
    pub fn run(mut self) {
        while !self.stop.is_wished() {
            if let Err(error) = self.serve() {
                tracing::warn!(%error, "requests for refills cannot be served; trying again");
                self.counters.retries.add(1);
                self.stop.sleep(PAUSE_AFTER_FAILURE);
            }
        }
    }

    fn serve(&mut self) -> RedisResult<()> {
        let list = keys::REFILLS.as_bytes();
        let (wait, count) = (POP_WAIT.as_bytes(), REQUESTS_MAX.as_bytes());
        let pop: [&[u8]; 7] = [b"BLMPOP", wait, b"1", list, b"RIGHT", b"COUNT", count];
        let popped = self.link.one(&pop)?;
        let Some([_, requests]) = popped.as_sequence() else { return Ok(()) };
        for request in requests.as_sequence().unwrap_or_default() {
            let Value::BulkString(json) = request else { continue };
            match serde_json::from_slice::<Request>(json) {
                Ok(request) if is_name(&request.asker) => self.answer(&request)?,
                Ok(_) => count_dropped("asker"),
                Err(error) => {
                    tracing::debug!(%error, "a request for a refill cannot be read");
                    count_dropped("malformed");
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, request: &Request) -> RedisResult<()> {
        if request.deadline_us < (self.now_us)() {
            count_dropped("late");
            return Ok(());
        }
        let key = keys::refill(&request.asker);
        let waiting = self.link.one(&[b"LLEN", key.as_bytes()])?;
        if matches!(waiting, Value::Int(pages) if PAGES_MAX <= pages) {
            count_dropped("pages waiting");
            return Ok(());
        }
        let page = match self.desks.page(request) {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(asker = request.asker, %error, "a refill cannot be read");
                count_dropped("journal");
                return Ok(());
            }
        };
        let mut pipeline = Pipeline::default();
        pipeline.push(&[b"RPUSH", key.as_bytes(), &page]);
        let expires = PAGE_EXPIRES_MS.to_string();
        pipeline.push(&[b"PEXPIRE", key.as_bytes(), expires.as_bytes()]);
        for value in self.link.exchange(&pipeline)? {
            value.extract_error()?;
        }
        self.counters.messages.add(1);
        self.counters.bytes.add(page.len() as u64);
        Ok(())
    }
}

impl Desks {
    pub fn new(archive: Archive, markets: Arc<ListedMarkets>) -> Desks {
        Desks { archive, markets, desks: VecDeque::new() }
    }

    /// The page that answers a request, as it goes to its asker.
    pub fn page(&mut self, request: &Request) -> Result<Vec<u8>, EngineError> {
        let Request { ref asker, id, market, after, .. } = *request;
        let head = |content| PageHead { id, market, after, content };
        if market != MarketId::ACCOUNTS && !self.markets.contains(market) {
            return Ok(encode(&head(Content::UnknownMarket), &[]));
        }
        let is_his =
            |desk: &Desk| desk.asker == *asker && desk.market == market && desk.up_to == after;
        let desk = self.desks.iter().position(is_his).and_then(|at| self.desks.remove(at));
        let follower = desk.map_or_else(|| self.archive.follower(), |desk| desk.follower);
        let mut desk = Desk { asker: asker.clone(), market, up_to: after, follower };
        let mut frames = Vec::new();
        match desk.read(self.archive.position.get(), &mut frames) {
            Ok(()) => (),
            Err(EngineError::Journal(JournalError::Gone { oldest, .. })) => {
                let last = Sequence(oldest.0.saturating_sub(1));
                return Ok(encode(&head(Content::BeginsAfter(last)), &[]));
            }
            Err(error) => return Err(error),
        }
        let page = encode(&head(Content::UpTo(desk.up_to)), &frames);
        self.desks.push_front(desk);
        self.desks.truncate(DESKS_MAX);
        Ok(page)
    }
}

impl Desk {
    /// Adds the stream's frames that follow, until they make a page or there are no more.
    fn read(&mut self, durable: Sequence, frames: &mut Vec<u8>) -> Result<(), EngineError> {
        let mut read = 0;
        while frames.len() < PAGE_BYTES && read < READ_BYTES_MAX {
            let from = Sequence(self.up_to.0.saturating_add(1));
            let Some(page) = self.follower.page(from, durable, PAGE_BYTES)? else { break };
            read += page.frames.len();
            for frame in Frame::each_of(&page.frames) {
                let after = self.up_to;
                let frame = frame.map_err(|cause| EngineError::Decode { after, cause })?;
                if frame.command.market() == self.market && frame.is_effective() {
                    frames.extend_from_slice(frame.bytes());
                }
                self.up_to = frame.header.sequence;
                if PAGE_BYTES <= frames.len() {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn encode(head: &PageHead, frames: &[u8]) -> Vec<u8> {
    let mut page = serde_json::to_vec(head).unwrap_or_default();
    page.push(b'\n');
    page.extend_from_slice(frames);
    page
}

/// Whether it can be part of a key's name.
fn is_name(asker: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    (1..=ASKER_BYTES_MAX).contains(&asker.len()) && asker.bytes().all(is_plain)
}

fn count_dropped(reason: &'static str) {
    metrics::counter!("engine_refills_dropped_total", "reason" => reason).increment(1);
}

#[cfg(test)]
mod tests;
