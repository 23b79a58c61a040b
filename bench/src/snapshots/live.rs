//! The engine's threads from the shard's inbound ring to the snapshot on disk, without Redis.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{self, Receiver, Sender};
use engine::clock;
use engine::counters::{JournalCounters, ShardCounters};
use engine::disk::{Disk, RealDisk};
use engine::durable::{DatabasePosition, DurableBlock, Listener};
use engine::idle::{Bell, Idle, Waiting};
use engine::journal::definitions::Definitions;
use engine::journal::follow::Follower;
use engine::journal::merge::Merge;
use engine::journal::reader::Mark;
use engine::journal::writer::{Durability, Writer};
use engine::journal::{DurablePosition, JournalLoop};
use engine::openings::{self, Openings};
use engine::recent::Recent;
use engine::recovery::{self, Recovered};
use engine::replica_loop::feed::Feed;
use engine::replica_loop::snapshots::{Distances, Snapshots};
use engine::replica_loop::{self, ReplicaChannels, ReplicaSettings};
use engine::ring::{Outlet, ring};
use engine::shard_loop::ShardLoop;
use engine::snapshot::Snapshot;
use engine::snapshot::keeper::{Keeper, KeeperSettings};
use engine::snapshot::retention::JournalRetention;
use engine_core::replica::Replica;
use engine_core::{Input, Shard};
use protocol::Sequence;
use service::Condition;

use crate::archive::Archive;
use crate::error::BenchError;
use crate::listing;
use crate::pace::{Schedule, wake_exactly};
use crate::traffic::Traffic;

/// As the engine by default.
const INBOUND_COMMANDS: usize = 4096;
const OUTBOUND_RECORDS: usize = 16_384;
const BLOCK_BYTES_MAX: usize = 1 << 20;
const BLOCKS_MAX: usize = 64;
const MESSAGES_MAX: usize = 4096;

/// An engine, recovered, and the commands it will get.
pub struct Live {
    replica: Replica,
    shard: Shard,
    writer: Writer,
    keeper: Keeper,
    snapshots: SnapshotsEnd,
    archive: Archive,
    inputs: Vec<Input>,
}

/// The replica's end of the snapshots, and ours.
struct SnapshotsEnd {
    replica: Snapshots,
    ask: Sender<Sequence>,
    made: Receiver<Snapshot>,
}

/// What a run left behind.
pub struct Ran {
    pub schedule: Schedule,
    pub blocks: Vec<Durable>,
    pub laps: Vec<Lap>,
}

/// Commands that became durable together. Numbers count from 0.
pub struct Durable {
    pub first: u64,
    pub commands: u64,
    pub durable_ns: u64,
}

/// One snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Lap {
    pub began_ns: u64,
    pub made_ns: u64,
    pub written_ns: u64,
}

impl Live {
    /// Recovers the archive, and rehearses what it will be told.
    pub fn prepare(
        archive: &Archive,
        durability: Durability,
        commands: u64,
    ) -> Result<Live, BenchError> {
        let limits = archive.size.limits();
        let catalog = listing::catalog(archive.size.markets)?;
        let recovered = recovery::recover(&RealDisk, &archive.folders, &catalog, &limits);
        let Recovered { replica, tail, .. } = recovered.map_err(BenchError::Engine)?;
        let mut traffic = Traffic::after(&replica, archive.size, 1)?;
        let mut inputs = Vec::with_capacity(commands as usize);
        for _ in 0..commands {
            inputs.push(traffic.trade()?.input);
        }
        let mut shards = recovery::shards(&replica, 1, limits).map_err(BenchError::Engine)?;
        let shard = shards.pop().ok_or(BenchError::NoRuns)?;
        let writer = archive.writer(&replica, tail, durability)?;
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        let settings = KeeperSettings {
            folders: archive.folders.clone(),
            retention: JournalRetention::Forever,
            durability,
            free_bytes_min: 0,
            drain_max: Duration::from_secs(60),
        };
        let keeper = Keeper::new(disk, settings, Arc::<DatabasePosition>::default(), &[]);
        let definitions = Definitions::of(&catalog, &limits);
        let snapshots = SnapshotsEnd::new(definitions, writer.mark());
        let archive = archive.clone();
        Ok(Live { replica, shard, writer, keeper, snapshots, archive, inputs })
    }

    /// Offers the commands at a rate, or as fast as there is room for them.
    pub fn run(self, offered: Option<u64>, pause: Duration) -> Result<Ran, BenchError> {
        let Live { replica, shard, writer, mut keeper, snapshots, archive, inputs } = self;
        let last = replica.position();
        let position = Arc::new(DurablePosition::at(replica.last_sequence()));
        let [feeder_bell, shard_bell, journal_bell] = [(); 3].map(|()| Bell::new());
        let (commands, inbound) = ring(INBOUND_COMMANDS, &feeder_bell, &shard_bell);
        let (outbound, frames) = ring(OUTBOUND_RECORDS, &shard_bell, &journal_bell);
        let (to_listener, heard) = channel::bounded(BLOCKS_MAX);
        let (to_replica, blocks) = channel::bounded(BLOCKS_MAX);
        let (messages, published) = channel::bounded(MESSAGES_MAX);
        let (_queries, asked) = channel::bounded(1);
        let counters = Arc::<ShardCounters>::default();
        let shard = ShardLoop {
            shard,
            inbound: vec![inbound],
            outbound,
            openings: openings::none(),
            counters,
        };
        let journal = JournalLoop {
            merge: Merge::new(vec![frames], Sequence(last.0 + 1)),
            writer,
            block_bytes_max: BLOCK_BYTES_MAX,
            position: Arc::clone(&position),
            listeners: vec![Listener::Every(to_listener), Listener::WithGaps(to_replica)],
            counters: Arc::<JournalCounters>::default(),
        };
        let follower = Follower::new(Arc::new(RealDisk), archive.folders.journal);
        let feed = Feed::new(blocks, follower, position);
        let SnapshotsEnd { replica: snapshots, ask, made } = snapshots;
        let openings = Openings::nowhere();
        let channels = ReplicaChannels { feed, queries: asked, messages, snapshots, openings };
        let settings = ReplicaSettings {
            now_us: clock::now_us,
            waiting_max: 1,
            life: 1,
            recent: Recent::default(),
            time_us: 0,
            conservation: Condition::default(),
            parts: None,
        };
        thread::scope(|scope| {
            let park = |bell| Idle::on_this_thread(Waiting::Park, bell);
            scope.spawn(move || published.into_iter().for_each(drop));
            let replica = scope.spawn(move || replica_loop::run(replica, channels, settings));
            let journal = scope.spawn(move || journal.run(&park(journal_bell)));
            scope.spawn(move || shard.run(&park(shard_bell)));
            let schedule = Schedule::begin(offered.unwrap_or(1));
            let snapshots = scope.spawn(move || {
                let keep = |snapshot: &Snapshot| {
                    keeper.take(snapshot, &|| true).map_err(BenchError::Snapshot)
                };
                take_snapshots(&ask, &made, pause, schedule, keep)
            });
            let listener = scope.spawn(move || listen(&heard, last, schedule));
            feed_shard(commands, feeder_bell, schedule, offered.is_some(), &inputs)?;
            journal.join().map_err(|_| BenchError::Thread)?.map_err(BenchError::Journal)?;
            replica.join().map_err(|_| BenchError::Thread)?.map_err(BenchError::ReplicaLoop)?;
            let laps = snapshots.join().map_err(|_| BenchError::Thread)??;
            let blocks = listener.join().map_err(|_| BenchError::Thread)?;
            let (sent, durable) =
                (inputs.len() as u64, blocks.iter().map(|block| block.commands).sum());
            if sent != durable {
                return Err(BenchError::Lost { sent, durable });
            }
            Ok(Ran { schedule, blocks, laps })
        })
    }
}

impl SnapshotsEnd {
    /// Asking holds until the replica begins: the channel has no room to leave a question in.
    fn new(definitions: Definitions, mark: Mark) -> SnapshotsEnd {
        let (ask, ready) = channel::bounded(0);
        let (keeper, made) = channel::bounded(1);
        let distances =
            Distances { frames: 1, frames_at_the_end_min: u64::MAX, busy_max: Duration::ZERO };
        let last = Sequence(0);
        let replica = Snapshots::new(distances, definitions, mark, last, (ready, keeper));
        SnapshotsEnd { replica, ask, made }
    }
}

/// One after the other until the replica has ended.
fn take_snapshots(
    ask: &Sender<Sequence>,
    made: &Receiver<Snapshot>,
    pause: Duration,
    schedule: Schedule,
    mut keep: impl FnMut(&Snapshot) -> Result<(), BenchError>,
) -> Result<Vec<Lap>, BenchError> {
    let mut laps = Vec::new();
    loop {
        thread::sleep(pause);
        if ask.send(Sequence(0)).is_err() {
            return Ok(laps);
        }
        let began_ns = schedule.now_ns();
        let Ok(snapshot) = made.recv() else { return Ok(laps) };
        let made_ns = schedule.now_ns();
        keep(&snapshot)?;
        laps.push(Lap { began_ns, made_ns, written_ns: schedule.now_ns() });
    }
}

fn listen(
    blocks: &Receiver<Arc<DurableBlock>>,
    before: Sequence,
    schedule: Schedule,
) -> Vec<Durable> {
    let durable = |block: Arc<DurableBlock>| Durable {
        first: block.first.0 - before.0 - 1,
        commands: block.last.0 - block.before().0,
        durable_ns: schedule.now_ns(),
    };
    blocks.into_iter().map(durable).collect()
}

fn feed_shard(
    mut commands: Outlet<Input>,
    bell: Arc<Bell>,
    schedule: Schedule,
    is_paced: bool,
    inputs: &[Input],
) -> Result<(), BenchError> {
    wake_exactly()?;
    let idle = Idle::on_this_thread(Waiting::Park, bell);
    let mut next = 0;
    while next < inputs.len() && !commands.is_abandoned() {
        let due = if is_paced { schedule.due_now() as usize } else { inputs.len() };
        let mut rest = &inputs[next..due.min(inputs.len())];
        next += rest.len();
        while !rest.is_empty() && !commands.is_abandoned() {
            rest = commands.push(rest);
            commands.ring_reader();
            if !rest.is_empty() {
                idle.wait(|| !commands.is_full() || commands.is_abandoned());
            }
        }
        if is_paced && next < inputs.len() {
            schedule.sleep_until(next as u64);
        }
    }
    Ok(())
}
