//! What the sink needs of an engine: a heartbeat, and frames of its journal on request.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use protocol::query::Heartbeat;
use protocol::refill::{Content, PAGE_EXPIRES_MS, PageHead, Request};
use protocol::{MarketId, Sequence, keys};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use tokio_util::task::AbortOnDropHandle;

use crate::servers::World;
use crate::story::Story;

/// How this engine answers.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// A page ends after so many frames.
    pub frames: usize,
    /// ... or so many sequences behind what was asked, with or without a frame among them.
    pub span: u64,
    /// The journal begins behind this.
    pub begins_after: u64,
    /// The journal ends here at first.
    pub durable: u64,
    pub mischief: Mischief,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mischief {
    None,
    /// Each page twice, among pages for nobody.
    Repeats,
    /// The page of a question that is asked for the first time comes when it was asked again.
    Late,
    /// And it comes not at all.
    Deaf,
}

impl Default for Manner {
    fn default() -> Self {
        let (frames, span) = (usize::MAX, u64::MAX);
        let mischief = Mischief::None;
        Manner { frames, span, begins_after: 0, durable: u64::MAX, mischief }
    }
}

/// Runs until dropped; its heartbeat ends with it.
pub struct Engine {
    _task: AbortOnDropHandle<()>,
    requests: Arc<Mutex<Vec<Request>>>,
    durable: Arc<AtomicU64>,
}

struct Served {
    journal: HashMap<MarketId, Vec<(Sequence, Vec<u8>)>>,
    manner: Manner,
    requests: Arc<Mutex<Vec<Request>>>,
    durable: Arc<AtomicU64>,
}

impl Engine {
    /// Its journal has the stories, all of them but for what the manner says.
    pub fn start(world: &World, stories: &[&Story], manner: Manner) -> Engine {
        let journal = stories.iter().map(|story| (story.market_id(), story.frames.clone()));
        let last = stories.iter().map(|story| story.last()).max().unwrap_or(0);
        let (requests, durable) =
            (Arc::default(), Arc::new(AtomicU64::new(last.min(manner.durable))));
        let served = Served {
            journal: journal.collect(),
            manner,
            requests: Arc::clone(&requests),
            durable: Arc::clone(&durable),
        };
        let client = redis::Client::open(world.config.redis_url.as_str()).unwrap();
        let task = tokio::spawn(async move {
            loop {
                // Redis goes and comes.
                if let Ok(redis) = client.get_multiplexed_async_connection().await {
                    served.serve(redis).await.unwrap_or_default();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        Engine { _task: AbortOnDropHandle::new(task), requests, durable }
    }

    /// Nothing behind this is known to it yet.
    pub fn stands_at(&self, sequence: u64) {
        self.durable.store(sequence, Ordering::Relaxed);
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Served {
    async fn serve(&self, mut redis: MultiplexedConnection) -> redis::RedisResult<()> {
        loop {
            let sequence = Sequence(self.durable.load(Ordering::Relaxed));
            let beat = Heartbeat { life: 1, sequence, queued: None, time_us: 0 };
            let beat = serde_json::to_string(&beat).unwrap();
            let _: () = redis.pset_ex(keys::HEARTBEAT, beat, keys::HEARTBEAT_EXPIRES_MS).await?;
            let request: Option<(String, Vec<u8>)> = redis.brpop(keys::REFILLS, 0.1).await?;
            let Some((_, request)) = request else { continue };
            let request: Request = serde_json::from_slice(&request).unwrap();
            let now_us = chrono::Utc::now().timestamp_micros() as u64;
            if now_us < request.deadline_us {
                self.answer(&mut redis, &request).await?;
            }
        }
    }

    async fn answer(
        &self,
        redis: &mut MultiplexedConnection,
        request: &Request,
    ) -> redis::RedisResult<()> {
        let page = self.page(request);
        let same = |old: &Request| (old.market, old.after) == (request.market, request.after);
        let is_first = !self.requests.lock().unwrap().iter().any(same);
        self.requests.lock().unwrap().push(request.clone());
        let mailbox = keys::refill(&request.asker);
        match self.manner.mischief {
            Mischief::Deaf if is_first => return Ok(()),
            Mischief::Late if is_first => {
                let mut redis = redis.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    send(&mut redis, &mailbox, &page).await.unwrap_or_default();
                });
                return Ok(());
            }
            Mischief::Repeats => {
                send(redis, &mailbox, b"nonsense").await?;
                let other = Request { after: Sequence(request.after.0 + 1), ..request.clone() };
                send(redis, &mailbox, &self.page(&other)).await?;
                send(redis, &mailbox, &page).await?;
            }
            _ => (),
        }
        send(redis, &mailbox, &page).await
    }

    fn page(&self, request: &Request) -> Vec<u8> {
        let (Manner { frames, span, begins_after, .. }, after) = (self.manner, request.after.0);
        let mut bytes = Vec::new();
        let content = match self.journal.get(&request.market) {
            None => Content::UnknownMarket,
            Some(_) if after < begins_after => Content::BeginsAfter(Sequence(begins_after)),
            Some(journal) => {
                let durable = self.durable.load(Ordering::Relaxed).max(after);
                let mut up_to = durable.min(after.saturating_add(span));
                let lacks = |frame: &&(Sequence, _)| after < frame.0.0 && frame.0.0 <= up_to;
                let lacking: Vec<_> = journal.iter().filter(lacks).collect();
                for (sequence, frame) in lacking.iter().take(frames) {
                    bytes.extend_from_slice(frame);
                    if frames < lacking.len() {
                        up_to = sequence.0;
                    }
                }
                Content::UpTo(Sequence(up_to))
            }
        };
        let Request { id, market, after, .. } = *request;
        let mut page = serde_json::to_vec(&PageHead { id, market, after, content }).unwrap();
        page.push(b'\n');
        page.extend_from_slice(&bytes);
        page
    }
}

async fn send(
    redis: &mut MultiplexedConnection,
    mailbox: &str,
    page: &[u8],
) -> redis::RedisResult<()> {
    let mut pipeline = redis::pipe();
    pipeline.rpush(mailbox, page).ignore().pexpire(mailbox, PAGE_EXPIRES_MS as i64).ignore();
    pipeline.query_async(redis).await
}
