//! `bench queries`: how long the replica takes to answer while it applies frames, through the
//! channels of its own loop.
//!
//! ```text
//! schedule ─▶ blocks  ─▶ replica ─▶ messages ─▶ reader, stops the clock
//! schedule ─▶ queries ─▶
//! ```
//!
//! A query's time runs from when it was due until its answer, written as JSON, is with who would
//! send it to Redis. Half of the queries ask for the state at a frame that was handed over just
//! before, so that they wait until it is applied: a client's look at what he has just done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{self, Receiver, Sender};
use engine::clock;
use engine::disk::RealDisk;
use engine::durable::{DurableBlock, Message};
use engine::journal::DurablePosition;
use engine::journal::block::Link;
use engine::journal::definitions::Definitions;
use engine::journal::follow::Follower;
use engine::journal::reader::Mark;
use engine::journal::segment::JournalId;
use engine::openings::Openings;
use engine::recent::Recent;
use engine::replica_loop::feed::Feed;
use engine::replica_loop::snapshots::{Distances, Snapshots};
use engine::replica_loop::{self, ReplicaChannels, ReplicaSettings};
use engine_core::replica::Replica;
use orderflow::rng::Rng;
use protocol::query::{Ask, Query};
use protocol::{AccountId, Frame, GatewayId, OrderId, Sequence, Target, keys};
use serde::{Deserialize, Serialize};
use service::Condition;

use crate::error::BenchError;
use crate::listing;
use crate::pace::{Schedule, wake_exactly};
use crate::recorder::{Percentiles, Recorder};
use crate::traffic::{Size, Traffic};

pub mod report;

/// As the engine by default.
const BLOCKS_MAX: usize = 64;
const QUERIES_MAX: usize = 1024;
const MESSAGES_MAX: usize = 4096;
/// Groups a second that the journal would hand over.
const BLOCKS_PER_SECOND: u64 = 1000;
const DEPTH_LEVELS: u32 = 100;
const DEADLINE: Duration = Duration::from_secs(10);
const ASKER: GatewayId = GatewayId(1);

#[derive(Clone, Debug)]
pub struct Settings {
    pub size: Size,
    /// Frames a second to apply, one load after the other.
    pub frame_rates: Vec<u64>,
    pub queries_per_second: u64,
    pub milliseconds: u64,
}

#[derive(Clone, Debug, Serialize)]
pub struct QueriesFigures {
    pub loads: Vec<LoadFigures>,
}

/// At one rate of frames.
#[derive(Clone, Debug, Serialize)]
pub struct LoadFigures {
    pub frames_per_second: u64,
    pub rows: Vec<RowFigures>,
    /// Dropped, or not answered in time.
    pub unanswered: u64,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct RowFigures {
    pub kind: Kind,
    pub waits: Waits,
    pub latency_ns: Percentiles,
    pub answer_bytes_mean: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Balances,
    OpenOrders,
    Order,
    Depth,
}

const KINDS: [Kind; 4] = [Kind::Balances, Kind::OpenOrders, Kind::Order, Kind::Depth];

/// For which frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Waits {
    /// Any state will do.
    No,
    /// The last one handed over.
    ForTheLatest,
}

const WAITS: [Waits; 2] = [Waits::No, Waits::ForTheLatest];

/// Runs all loads; `done` hears of each.
pub fn run(
    settings: &Settings,
    mut done: impl FnMut(&LoadFigures),
) -> Result<QueriesFigures, BenchError> {
    let mut replica = Replica::new(listing::catalog(settings.size.markets)?);
    let mut traffic = Traffic::fresh(settings.size, 1)?;
    let mut bytes = Vec::new();
    traffic.open(|step| {
        bytes.clear();
        bytes.extend_from_slice(step.records.as_flattened());
        let frame = Frame::parse(&bytes).map_err(BenchError::Decode)?;
        replica.apply(&frame).map_err(BenchError::Replica)?;
        Ok(())
    })?;
    let mut loads = Vec::new();
    for &rate in &settings.frame_rates {
        let (load, after) = one_load(settings, rate, replica, &mut traffic)?;
        replica = after;
        done(&load);
        loads.push(load);
    }
    Ok(QueriesFigures { loads })
}

/// Gives the replica back as it then stands.
fn one_load(
    settings: &Settings,
    rate: u64,
    replica: Replica,
    traffic: &mut Traffic,
) -> Result<(LoadFigures, Replica), BenchError> {
    let prepared = blocks(traffic, rate, settings.milliseconds)?;
    let asks = asks(&replica, settings.queries_per_second * settings.milliseconds / 1000);
    let asked = asks.len() as u64;
    let (to_replica, blocks) = channel::bounded(BLOCKS_MAX);
    let (to_queries, queries) = channel::bounded(QUERIES_MAX);
    let (messages, published) = channel::bounded(MESSAGES_MAX);
    let follower = Follower::new(Arc::new(RealDisk), "/nowhere".into());
    let feed = Feed::new(blocks, follower, Arc::<DurablePosition>::default());
    let snapshots = no_snapshots(&replica, settings.size);
    let channels =
        ReplicaChannels { feed, queries, messages, snapshots, openings: Openings::nowhere() };
    let conservation = Condition::default();
    let waiting_max = QUERIES_MAX;
    let loop_settings = ReplicaSettings {
        now_us: clock::now_us,
        waiting_max,
        life: 1,
        recent: Recent::default(),
        time_us: 0,
        conservation,
        parts: None,
    };
    let handed_over = AtomicU64::new(replica.position().0);
    thread::scope(|scope| {
        let replica = scope.spawn(move || replica_loop::run(replica, channels, loop_settings));
        let schedule = Schedule::begin(settings.queries_per_second);
        let reader = scope.spawn(move || read(&published, schedule, asked));
        let frames = scope.spawn(|| hand_over(prepared, to_replica, &handed_over));
        ask_all(asks, &to_queries, schedule, &handed_over)?;
        let to_replica = frames.join().map_err(|_| BenchError::Thread)??;
        // Answers to the last questions are under way.
        let asked_all = Instant::now();
        while !reader.is_finished() && asked_all.elapsed() < DEADLINE {
            thread::sleep(Duration::from_millis(1));
        }
        drop((to_replica, to_queries));
        let replica = replica.join().map_err(|_| BenchError::Thread)?;
        let replica = replica.map_err(BenchError::ReplicaLoop)?;
        let (rows, answered) = reader.join().map_err(|_| BenchError::Thread)??;
        let unanswered = asked - answered;
        Ok((LoadFigures { frames_per_second: rate, rows, unanswered }, replica))
    })
}

/// As the journal would hand them over.
fn blocks(
    traffic: &mut Traffic,
    rate: u64,
    milliseconds: u64,
) -> Result<Vec<Arc<DurableBlock>>, BenchError> {
    let each = rate.div_ceil(BLOCKS_PER_SECOND);
    let mut blocks = Vec::new();
    for _ in 0..(rate * milliseconds / 1000).checked_div(each).unwrap_or_default() {
        let first = Sequence(traffic.steps() + 1);
        let mut frames = Vec::new();
        for _ in 0..each {
            frames.extend_from_slice(traffic.trade()?.records.as_flattened());
        }
        let last = Sequence(traffic.steps());
        blocks.push(Arc::new(DurableBlock { first, last, frames, link: Link::default() }));
    }
    Ok(blocks)
}

fn no_snapshots(replica: &Replica, size: Size) -> Snapshots {
    let distances =
        Distances { frames: 0, frames_at_the_end_min: u64::MAX, busy_max: Duration::ZERO };
    let definitions = Definitions::of(replica.catalog(), &size.limits());
    let (_, ready) = channel::bounded(1);
    let (keeper, _) = channel::bounded(1);
    let (journal, link) = (JournalId([0; 16]), Link::default());
    let mark = Mark { journal, sequence: replica.position(), link };
    Snapshots::new(distances, definitions, mark, Sequence(0), (ready, keeper))
}

/// All kinds in turn, of accounts and orders without a pattern.
fn asks(replica: &Replica, count: u64) -> Vec<Ask> {
    let mut rng = Rng::new(1);
    let resting = replica.markets().flat_map(|market| market.orders().iter());
    let orders: Vec<(AccountId, OrderId)> = resting.map(|it| (it.account, it.order)).collect();
    let one = |number: u64| {
        let picked = rng.below(orders.len().max(1) as u64) as usize;
        let &(account, order) = orders.get(picked)?;
        let market = order.market();
        Some(match kind_and_waits(number).0 {
            Kind::Balances => Ask::Balances { account },
            Kind::OpenOrders => Ask::OpenOrders { account, market: None },
            Kind::Order => Ask::Order { account, market, target: Target::Order(order) },
            Kind::Depth => Ask::Depth { market, levels: DEPTH_LEVELS },
        })
    };
    (0..count).filter_map(one).collect()
}

fn kind_and_waits(number: u64) -> (Kind, Waits) {
    (KINDS[number as usize % 4], WAITS[number as usize / 4 % 2])
}

/// Hands the blocks over as they are due; gives the channel back, so that it stays open.
fn hand_over(
    blocks: Vec<Arc<DurableBlock>>,
    to_replica: Sender<Arc<DurableBlock>>,
    handed_over: &AtomicU64,
) -> Result<Sender<Arc<DurableBlock>>, BenchError> {
    wake_exactly()?;
    let schedule = Schedule::begin(BLOCKS_PER_SECOND);
    for (number, block) in (0..).zip(blocks) {
        schedule.sleep_until(number);
        handed_over.store(block.last.0, Ordering::Relaxed);
        if to_replica.send(block).is_err() {
            break;
        }
    }
    Ok(to_replica)
}

fn ask_all(
    asks: Vec<Ask>,
    to_queries: &Sender<Query>,
    schedule: Schedule,
    handed_over: &AtomicU64,
) -> Result<(), BenchError> {
    wake_exactly()?;
    for (id, ask) in (0..).zip(asks) {
        schedule.sleep_until(id);
        let min_sequence = match kind_and_waits(id).1 {
            Waits::No => Sequence(0),
            Waits::ForTheLatest => Sequence(handed_over.load(Ordering::Relaxed)),
        };
        let deadline_us = clock::now_us() + DEADLINE.as_micros() as u64;
        let query = Query { id, gateway: ASKER, life: 1, min_sequence, deadline_us, ask };
        if to_queries.send(query).is_err() {
            break;
        }
    }
    Ok(())
}

/// Of an answer.
#[derive(Deserialize)]
struct Named {
    id: u64,
}

/// Until all are answered or the replica has ended: the figures, and how many answers there were.
fn read(
    published: &Receiver<Message>,
    schedule: Schedule,
    asked: u64,
) -> Result<(Vec<RowFigures>, u64), BenchError> {
    let channel = keys::replies(ASKER);
    let mut cells = Vec::new();
    for kind in KINDS {
        for waits in WAITS {
            cells.push((kind, waits, Recorder::new(0)?, 0u64));
        }
    }
    let mut answered = 0;
    while answered < asked
        && let Ok(message) = published.recv()
    {
        let now_ns = schedule.now_ns();
        let Message::Publish(publication) = message else { continue };
        if publication.channel != channel {
            continue;
        }
        let answer: Named =
            serde_json::from_slice(&publication.payload).map_err(BenchError::Json)?;
        answered += 1;
        let (kind, waits) = kind_and_waits(answer.id);
        for (of, how, latency, bytes) in &mut cells {
            if (*of, *how) == (kind, waits) {
                latency.record(now_ns.saturating_sub(schedule.due_ns(answer.id)));
                *bytes += publication.payload.len() as u64;
            }
        }
    }
    let row = |(kind, waits, latency, bytes): (Kind, Waits, Recorder, u64)| {
        let latency_ns = latency.percentiles();
        let answer_bytes_mean = bytes as f64 / latency_ns.count.max(1) as f64;
        RowFigures { kind, waits, latency_ns, answer_bytes_mean }
    };
    Ok((cells.into_iter().map(row).collect(), answered))
}
