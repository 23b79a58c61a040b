//! A whole sink that runs, and the queues it reads, filled as the engine fills them.

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use db_sink::checkpoint;
use db_sink::sink::{End, Readiness};
use db_sink::streams::Streams;
use db_sink::writer::Writer;
use db_sink::{Sink, SinkError, WriteBy};
use protocol::keys;
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::servers::{PATIENCE, World};
use crate::story::{Story, position};

/// With a Redis, and tables for the test to look at.
pub async fn ready(world: World) -> World {
    world.migrate().await.unwrap();
    world.with_redis()
}

pub struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<End, SinkError>>,
}

pub fn start(world: &World) -> Running {
    let stop = CancellationToken::new();
    let (config, catalog) = (world.config.clone(), world.catalog.clone());
    let sink = Sink { config, catalog, readiness: Readiness::default() };
    Running { task: tokio::spawn(sink.run(stop.clone())), stop }
}

impl Running {
    pub async fn end(self) -> End {
        timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap()
    }

    pub async fn drain(self) -> End {
        self.stop.cancel();
        self.end().await
    }
}

pub fn stream(story: &Story) -> String {
    keys::events(story.market.as_ref().map_or(keys::ACCOUNTS, |market| &market.symbol))
}

/// As the engine does it: ids are the sequences.
pub async fn emit(redis: &mut MultiplexedConnection, story: &Story, range: Range<usize>) {
    let key = stream(story);
    for frames in story.frames[range].chunks(500) {
        let mut pipeline = redis::pipe();
        for (sequence, bytes) in frames {
            let id = format!("{}-0", sequence.0);
            pipeline.xadd(&key, id, &[(keys::FRAME_FIELD, bytes.as_slice())]).ignore();
        }
        pipeline.query_async::<()>(redis).await.unwrap();
    }
}

/// Waits until the frame, or one behind it, is committed.
pub async fn stands_at(world: &World, story: &Story, frame: usize) {
    let name = story.market.as_ref().map_or(keys::ACCOUNTS, |market| &market.symbol).to_owned();
    let last = story.frames[frame].0.0 as i64;
    let mut connection = world.connect().await;
    let until = Instant::now() + PATIENCE;
    while position(&mut connection, &name).await < last {
        assert!(Instant::now() < until, "{name} did not come to {last}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub async fn stream_length(redis: &MultiplexedConnection, story: &Story) -> usize {
    redis.clone().xlen(stream(story)).await.unwrap()
}

pub fn story(world: &World, symbol: &str, frames: usize, seed: u64) -> Story {
    Story::trading(world.catalog.market_by_symbol(symbol).unwrap(), frames, seed)
}

/// A writer alone, which has claimed the streams.
pub async fn writer(world: &World, streams: &Arc<Streams>, write_by: WriteBy) -> Writer {
    let mut database = world.database();
    let connection = database.connection().await.unwrap();
    let claim = checkpoint::claim(connection, streams).await.unwrap().unwrap();
    let pause = world.config.retry_max;
    Writer::new(database, Arc::clone(streams), claim, write_by, pause, Readiness::default()).0
}
