//! Everything of this process that talks to Redis, put together and driven.
//!
//! ```text
//! redis ─▶ feed ─▶ hub (sources) ─▶ workers
//!   ▲               │    ▲    ▲
//!   │     questions ▼    │    └ joins and leaves of workers
//!   └──── pusher ◀──┴ access ◀─ workers
//!   ▲
//!   └──── disconnects ◀─ workers
//! ```
//!
//! **Invariant:** workers never wait for it, so that it may wait for them: what comes in meanwhile
//! stays in bounded queues, and when the feed's is full the connection is given up, which sources
//! make up for.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use protocol::GatewayId;
use protocol::query::AnswerBody;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use service::{Condition, SharedCatalog};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::disconnects::Disconnects;
use crate::error::FanoutError;
use crate::feed::{Feed, FeedEvent, Wanted};
use crate::hub::{Asked, Asker, EngineState, Hub};
use crate::links::{ToDisconnects, ToUpstream, ToWorker};
use crate::pusher::{self, Push};
use crate::questions::Questions;
use crate::stream_name::Window;

/// Messages of Redis that wait for the hub.
const EVENTS_MAX: usize = 1024;
/// Questions that wait to be pushed; who asks more waits.
const PUSHES_MAX: usize = 1024;
/// Taken at a time.
const BATCH_MAX: usize = 256;
/// Of one command to Redis.
const CALL_MAX: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Settings {
    pub redis_url: String,
    /// Under which name this process asks and commands.
    pub asker: GatewayId,
    pub listing: SharedCatalog,
    pub redis_ready: Condition,
}

/// Everything that talks to Redis, not yet running.
pub struct Upstream {
    hub: Hub,
    feed: Feed,
    client: redis::Client,
    pushes: mpsc::Receiver<Push>,
    events: mpsc::Receiver<FeedEvent>,
    questions: Questions,
    workers: Vec<mpsc::Sender<ToWorker>>,
    commands: mpsc::Receiver<ToUpstream>,
    asker: GatewayId,
    engine: watch::Receiver<EngineState>,
    said: mpsc::Receiver<ToDisconnects>,
}

/// Connects to nothing yet. `commands` come from the workers, in the order of `workers`.
pub fn connect(
    settings: Settings,
    workers: Vec<mpsc::Sender<ToWorker>>,
    commands: mpsc::Receiver<ToUpstream>,
    disconnects: mpsc::Receiver<ToDisconnects>,
) -> Result<(Upstream, Access), FanoutError> {
    let Settings { redis_url, asker, listing, redis_ready } = settings;
    let client = redis::Client::open(redis_url.as_str()).map_err(FanoutError::RedisAddress)?;
    let (push_sender, pushes) = mpsc::channel(PUSHES_MAX);
    let (event_sender, events) = mpsc::channel(EVENTS_MAX);
    let (wanted, wanted_changes) = watch::channel(Wanted::new());
    let (engine, engine_changes) = watch::channel(EngineState::default());
    let feed = Feed::new(&redis_url, wanted_changes, event_sender, redis_ready)
        .map_err(FanoutError::RedisAddress)?;
    let life = rand::random();
    let questions = Questions::new(asker, life, push_sender.clone());
    let access = Access::new(asker, life, push_sender);
    let hub = Hub::new(listing, asker, questions.clone(), access.clone(), wanted, engine);
    let upstream = Upstream {
        hub,
        feed,
        client,
        pushes,
        events,
        questions,
        workers,
        commands,
        asker,
        engine: engine_changes,
        said: disconnects,
    };
    Ok((upstream, access))
}

type Answered = (Asker, u64, Option<AnswerBody>);

impl Upstream {
    /// Runs until told to stop, or until the workers are gone: then orders of accounts that are
    /// still armed are cancelled, which takes a bounded time.
    pub async fn run(self, stop: CancellationToken) {
        let Upstream { hub, feed, client, pushes, events, questions, workers, commands, .. } = self;
        let redis = match lazily(client) {
            Ok(redis) => redis,
            Err(error) => return tracing::error!(%error, "no connection to redis can be made"),
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(feed.run());
        tasks.spawn(pusher::run(redis.clone(), pushes));
        let (asker, engine, said) = (self.asker, self.engine, self.said);
        let asking = questions.clone();
        let disconnects = Disconnects { asker, redis, questions: asking, engine, said };
        let driver = Driver { hub, workers, questions, asked: FuturesUnordered::new() };
        tokio::select! {
            // It alone has something to end.
            () = disconnects.run(stop) => (),
            () = driver.run(commands, events) => (),
        }
    }
}

/// Connects when first used, and again whenever that broke.
fn lazily(client: redis::Client) -> redis::RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_connection_timeout(Some(CALL_MAX))
        .set_response_timeout(Some(CALL_MAX))
        .set_number_of_retries(1);
    ConnectionManager::new_lazy_with_config(client, config)
}

/// Tells the hub what happens, and does what it leaves to be done.
struct Driver {
    hub: Hub,
    workers: Vec<mpsc::Sender<ToWorker>>,
    questions: Questions,
    asked: FuturesUnordered<BoxFuture<'static, Answered>>,
}

impl Driver {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<ToUpstream>,
        mut events: mpsc::Receiver<FeedEvent>,
    ) {
        let mut ticks = interval(Duration::from_millis(Window::Ms200.milliseconds()));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut command_batch = Vec::with_capacity(BATCH_MAX);
        let mut event_batch = Vec::with_capacity(BATCH_MAX);
        let mut has_workers = true;
        loop {
            tokio::select! {
                taken = commands.recv_many(&mut command_batch, BATCH_MAX), if has_workers => {
                    has_workers = taken != 0;
                    command_batch.drain(..).for_each(|command| self.hub.obey(command));
                }
                taken = events.recv_many(&mut event_batch, BATCH_MAX) => {
                    if taken == 0 {
                        return;
                    }
                    if event_batch.contains(&FeedEvent::Lost) {
                        // Nobody waits for the answers any more: all is asked anew.
                        self.asked.clear();
                    }
                    let now = Instant::now();
                    event_batch.drain(..).for_each(|event| self.hub.hear(event, now));
                }
                Some((by, attempt, answer)) = self.asked.next() => {
                    self.hub.answered(by, attempt, answer, Instant::now());
                }
                _ = ticks.tick() => self.hub.tick(Instant::now()),
            }
            self.ask();
            self.send().await;
        }
    }

    fn ask(&mut self) {
        for Asked { by, attempt, ask, min_sequence } in self.hub.asks.drain(..) {
            let questions = self.questions.clone();
            self.asked.push(Box::pin(async move {
                (by, attempt, questions.ask(ask, min_sequence).await)
            }));
        }
    }

    /// Waits for workers that are behind.
    async fn send(&mut self) {
        for (worker, word) in self.hub.out.drain(..) {
            let Some(worker) = self.workers.get(worker.0) else { continue };
            if worker.send(word).await.is_err() {
                tracing::trace!("a worker has ended");
            }
        }
    }
}
