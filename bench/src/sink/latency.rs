//! From an event on its queue to its rows in the database, visible to anybody: at a steady rate,
//! the sink as it is by default.
//!
//! An event's time runs from when it was due, whether Redis had taken it by then or not, until a
//! look from another connection finds the position of its stream at it or beyond.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use db_sink::Sink;
use db_sink::sink::Readiness;
use db_sink::streams::Streams;
use serde::Serialize;
use sqlx::PgConnection;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::events::{Event, Events};
use super::servers::{Queues, Servers, connect};
use super::ways::{POSITIONS, append};
use crate::error::BenchError;
use crate::pace::{Schedule, wake_exactly};
use crate::recorder::{Percentiles, Recorder};

/// Between two looks: what the figures are exact to.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// As long as nothing is committed.
const PATIENCE_NS: u64 = 60_000_000_000;

/// One rate.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct RateFigures {
    pub trades_per_second: u64,
    pub events: usize,
    pub latency_ns: Percentiles,
}

pub async fn run(
    servers: &mut Servers,
    trades_per_second: u64,
    milliseconds: u64,
) -> Result<RateFigures, BenchError> {
    let trades = (trades_per_second * milliseconds / 1000).max(1);
    let events = Events::of_trades(trades, super::MARKETS, super::ACCOUNTS)?;
    let config = servers.fresh().await?;
    let (funding, paced) = events.all.split_at(events.funding);
    let streams = Streams::of(&events.catalog);
    let mut queues = servers.redis()?;
    put(&mut queues, &streams, funding)?;

    let stop = CancellationToken::new();
    let (catalog, readiness) = (events.catalog.clone(), Readiness::default());
    let sink = Sink { config: config.clone(), catalog, readiness }.run(stop.clone());
    let sink = tokio::spawn(sink);
    let mut connection = connect(&config.database_url).await?;
    let mut waiting = Waiting::of(&streams, funding);
    while !waiting.is_empty() {
        waiting.look(&mut connection, |_| ()).await?;
        sleep(LOOK_EVERY).await;
    }
    let rate = paced.len() as u64 * 1000 / milliseconds.max(1);
    let schedule = Schedule::begin(rate);
    let mut recorder = Recorder::new(0)?;
    let mut waiting = Waiting::of(&streams, paced);
    let mut changed_ns = schedule.now_ns();
    let sent = thread::scope(|scope| {
        let producer = scope.spawn(|| send(queues, &streams, paced, &schedule));
        let look = async {
            while !waiting.is_empty() {
                let now_ns = schedule.now_ns();
                let due = |number| recorder.record(now_ns.saturating_sub(schedule.due_ns(number)));
                if waiting.look(&mut connection, due).await? {
                    changed_ns = now_ns;
                }
                if PATIENCE_NS < now_ns - changed_ns {
                    return Err(BenchError::Ended("the sink".to_owned()));
                }
                sleep(LOOK_EVERY).await;
            }
            Ok(())
        };
        let looked =
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(look));
        looked.and(producer.join().unwrap_or(Err(BenchError::Thread)))
    });
    stop.cancel();
    sink.await.map_err(|_| BenchError::Thread)?.map_err(BenchError::Sink)?;
    servers.discard(&config).await?;
    sent?;
    let latency_ns = recorder.percentiles();
    Ok(RateFigures { trades_per_second, events: paced.len(), latency_ns })
}

fn send(
    mut queues: Queues,
    streams: &Streams,
    events: &[Event],
    schedule: &Schedule,
) -> Result<(), BenchError> {
    wake_exactly()?;
    let mut sent = 0;
    while sent < events.len() {
        schedule.sleep_until(sent as u64);
        let due = events.len().min(schedule.due_now() as usize);
        put(&mut queues, streams, &events[sent..due])?;
        sent = due;
    }
    Ok(())
}

fn put(queues: &mut Queues, streams: &Streams, events: &[Event]) -> Result<(), BenchError> {
    for some in events.chunks(1000) {
        let mut pipeline = redis::pipe();
        some.iter().for_each(|event| append(&mut pipeline, streams, event));
        queues.append(&pipeline)?;
    }
    Ok(())
}

/// Events that no look has found committed.
struct Waiting {
    names: Vec<String>,
    /// By place of the stream: (sequence, number among all), in order.
    events: Vec<VecDeque<(u64, u64)>>,
}

impl Waiting {
    fn of(streams: &Streams, events: &[Event]) -> Waiting {
        let mut waiting = vec![VecDeque::new(); streams.all().len()];
        for (event, number) in events.iter().zip(0..) {
            waiting[event.stream].push_back((event.sequence, number));
        }
        Waiting { names: streams.names(), events: waiting }
    }

    fn is_empty(&self) -> bool {
        self.events.iter().all(VecDeque::is_empty)
    }

    /// Whether there was anything new.
    async fn look(
        &mut self,
        connection: &mut PgConnection,
        mut committed: impl FnMut(u64),
    ) -> Result<bool, BenchError> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as(POSITIONS).fetch_all(connection).await.map_err(BenchError::Database)?;
        let mut found = false;
        for (name, last) in rows {
            let Some(place) = self.names.iter().position(|known| *known == name) else { continue };
            let events = &mut self.events[place];
            while events.front().is_some_and(|(sequence, _)| *sequence <= last.unsigned_abs()) {
                events.pop_front().into_iter().for_each(|(_, number)| committed(number));
                found = true;
            }
        }
        Ok(found)
    }
}
