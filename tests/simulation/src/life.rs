//! One life of the engine's process: its real parts, moved a step at a time.
//!
//! ```text
//! redis ─▶ ingress ═▶ shards (threads with a baton) ═▶ merge ─▶ writer ─▶ replies, events, replica
//! ```
//!
//! Real are: the reading of command streams, rings, shards, merge, journal, recovery, snapshots,
//! replica, the choice of what goes to which event queue, and the letters of replies. What drives
//! them here are the threads' loops in single steps; queues between them are as bounded as there.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use engine::data_dir::Folders;
use engine::disk::Disk;
use engine::durable::DurableBlock;
use engine::egress::event_queues::EventQueues;
use engine::egress::recent_frames::RecentFrames;
use engine::error::{EngineError, JournalError};
use engine::idle::{Bell, Idle, Waiting};
use engine::ingress::durable_cursors::DurableCursors;
use engine::ingress::stream::{AtCursor, CommandStream};
use engine::journal::definitions::Definitions;
use engine::journal::follow::Follower;
use engine::journal::merge::Merge;
use engine::journal::segment::JournalId;
use engine::journal::writer::{Durability, Writer, WriterSettings};
use engine::recovery::{self, Recovered};
use engine::ring::{Outlet, ring};
use engine_core::Input;
use engine_core::replica::Replica;
use orderflow::rng::Rng;
use protocol::{Catalog, Command, Frame, MarketId, Sequence, keys};

use crate::baton::{Progress, ShardThread};
use crate::history::EPOCH_DISGUISE;
use crate::listing::{FRAME_RECORDS_MAX, LIMITS, streams};
use crate::plan::Plan;
use crate::redis::{Broken, SimRedis};
use crate::snapshots::{Found, Snapshots};
use crate::variant::Variant;

const DATA_DIR: &str = "/engine";
/// Blocks that a listener may be behind.
const BLOCKS_MAX: usize = 4;
/// Some answers must be looked up on disk.
const RECENT_BYTES: usize = 4096;

/// Why a life ends that nobody ended.
#[derive(Debug)]
pub enum Ended {
    /// The disk or its neighbour failed it, as it may.
    ByFault(String),
    /// It must not end like this.
    ByItself(String),
}

impl From<JournalError> for Ended {
    fn from(error: JournalError) -> Self {
        match error {
            JournalError::Io { .. } => Ended::ByFault(error.to_string()),
            _ => Ended::ByItself(error.to_string()),
        }
    }
}

impl From<EngineError> for Ended {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Journal(error) => error.into(),
            _ => Ended::ByItself(format!("{error:?}")),
        }
    }
}

/// A command stream and where its commands go.
#[derive(Debug)]
struct Source {
    market: MarketId,
    key: String,
    stream: CommandStream,
    shard: usize,
}

pub struct Life {
    pub variant: Variant,
    pub catalog: Catalog,
    sources: Vec<Source>,
    outlets: Vec<Outlet<Input>>,
    inbound_commands: usize,
    read_max: usize,
    /// The connection of the ingress; 0 = none.
    connection: u64,
    time_us: u64,
    /// Commands read in all lives, for the variant that recognises none.
    pub readings: u32,
    shards: Vec<ShardThread>,
    merge: Merge,
    idle: Idle,
    writer: Writer,
    block_bytes_max: usize,
    /// The last frame that is on disk.
    pub durable: Sequence,
    pub durable_cursors: DurableCursors,
    pub recent: RecentFrames,
    pub to_replies: VecDeque<Arc<DurableBlock>>,
    to_replica: VecDeque<Arc<DurableBlock>>,
    /// What has not been published yet.
    pub letters: VecDeque<(String, Vec<u8>)>,
    pub recalls: Follower,
    pub events: EventQueues,
    pub events_follower: Follower,
    /// The connection of the events thread; 0 = none, or it has to look.
    pub events_connection: u64,
    pub replica: Replica,
    pub snapshots: Snapshots,
}

/// The frames of a block before it is durable.
#[derive(Clone, Debug)]
pub struct Gathered {
    pub first: Sequence,
    pub last: Sequence,
    pub frames: Vec<u8>,
}

/// What a life needs from outside.
#[derive(Clone, Debug)]
pub struct Place {
    pub disk: Arc<dyn Disk>,
    pub folders: Folders,
}

impl Place {
    pub fn on(disk: Arc<dyn Disk>) -> Place {
        Place { disk, folders: Folders::of(Path::new(DATA_DIR)) }
    }

    pub fn follower(&self) -> Follower {
        Follower::new(Arc::clone(&self.disk), self.folders.journal.clone())
    }

    /// What a start finds; changes nothing.
    pub fn recover(&self, catalog: &Catalog) -> Result<Recovered, Ended> {
        Ok(recovery::recover(&*self.disk, &self.folders, catalog, &LIMITS)?)
    }
}

impl Life {
    pub fn start(
        place: &Place,
        catalog: &Catalog,
        plan: &Plan,
        variant: Variant,
        rng: &mut Rng,
    ) -> Result<Life, Ended> {
        Folders::create(&*place.disk, Path::new(DATA_DIR))?;
        let Recovered { replica, tail, time_us, snapshot, unusable, .. } =
            place.recover(catalog)?;
        let settings = WriterSettings {
            disk: Arc::clone(&place.disk),
            directory: place.folders.journal.clone(),
            durability: Durability::Fsync,
            segment_bytes: plan.segment_bytes,
        };
        let definitions = Definitions::of(catalog, &LIMITS);
        let fresh = JournalId(rng.next_u64().to_le_bytes().repeat(2).try_into().expect("16 bytes"));
        let writer = Writer::open(settings, definitions.clone(), tail, fresh)?;
        let found = Found { used: snapshot, unusable, mark: writer.mark() };
        let mut snapshots = Snapshots::new(place, definitions, plan.snapshot_frames, found);
        snapshots.take_stock()?;
        let (bell, last) = (Bell::new(), replica.position());
        let (mut outlets, mut inlets, mut shards) = (Vec::new(), Vec::new(), Vec::new());
        for shard in recovery::shards(&replica, plan.shards, LIMITS)? {
            let (outlet, inbound) = ring(plan.inbound_commands, &bell, &bell);
            let records = FRAME_RECORDS_MAX * 3;
            let (outbound, inlet) = ring(records, &bell, &bell);
            outlets.push(outlet);
            inlets.push(inlet);
            let rng = Rng::new(rng.next_u64());
            let pauses = plan.pauses_one_in;
            shards.push(ShardThread::spawn(shard, inbound, outbound, records, rng, pauses));
        }
        let source = |(market, name): (MarketId, String)| Source {
            market,
            key: keys::orders(&name),
            stream: CommandStream::read_up_to(replica.cursor(market), replica.last_origin(market)),
            shard: recovery::shard_of(catalog, market, plan.shards),
        };
        let last_event = |market| recovery::last_event_of(&replica, market);
        Ok(Life {
            variant,
            catalog: catalog.clone(),
            sources: streams(catalog).into_iter().map(source).collect(),
            outlets,
            inbound_commands: plan.inbound_commands,
            read_max: plan.read_max,
            connection: 0,
            time_us,
            readings: 0,
            shards,
            merge: Merge::new(inlets, Sequence(last.0 + 1)),
            idle: Idle::on_this_thread(Waiting::Yield, bell),
            writer,
            block_bytes_max: plan.block_bytes_max,
            durable: last,
            durable_cursors: DurableCursors::new(),
            recent: RecentFrames::new(RECENT_BYTES),
            to_replies: VecDeque::new(),
            to_replica: VecDeque::new(),
            letters: VecDeque::new(),
            recalls: place.follower(),
            events: EventQueues::new(catalog, last_event, last, plan.events),
            events_follower: place.follower(),
            events_connection: 0,
            snapshots,
            replica,
        })
    }

    /// Reads one stream; returns how many commands were handed on.
    pub fn ingress(&mut self, redis: &mut SimRedis, now_us: u64, at: usize) -> usize {
        let connected = self.connection == redis.connection || self.care(redis).is_ok();
        let taken = if connected { self.read(redis, now_us, at) } else { Err(Broken) };
        if taken.is_err() {
            self.connection = 0;
        }
        taken.unwrap_or(0)
    }

    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    fn read(&mut self, redis: &mut SimRedis, now_us: u64, at: usize) -> Result<usize, Broken> {
        let source = &mut self.sources[at];
        let outlet = &mut self.outlets[source.shard];
        let count = self.read_max.min(self.inbound_commands - outlet.depth());
        let (key, cursor) = (&source.key, source.stream.cursor());
        let entries = redis.call(|it| it.read(key, cursor, count))?;
        for (cursor, bytes) in &entries {
            let command = Command::decode_slice(bytes).ok();
            source.stream.read(*cursor, command.map(|command| command.origin));
            let Some(mut command) = command else { continue };
            self.time_us = self.time_us.max(now_us);
            command.time_us = self.time_us;
            if self.variant == Variant::NothingRecognised {
                self.readings += 1;
                command.origin.epoch += EPOCH_DISGUISE * self.readings;
            }
            let input = [Input { cursor: *cursor, command }];
            assert!(outlet.push(&input).is_empty(), "no more was read than there is room for");
            source.stream.hand_on();
        }
        Ok(entries.len())
    }

    /// Looks whether the streams are those that were read, and trims them.
    pub fn care(&mut self, redis: &mut SimRedis) -> Result<(), Broken> {
        self.connection = 0;
        let connection = redis.connection;
        let mut trims = Vec::new();
        for source in &mut self.sources {
            let cursor = source.stream.cursor();
            let found = match redis.call(|it| it.at(&source.key, cursor))? {
                Some(bytes) => {
                    let command = Command::decode_slice(&bytes).ok();
                    AtCursor::Entry(command.map(|command| command.origin))
                }
                None => AtCursor::Nothing,
            };
            source.stream.look(found);
            let durable = self.durable_cursors.get(source.market);
            if let Some(below) = source.stream.trim_below(durable) {
                trims.push((source.key.clone(), below));
            }
        }
        for (key, below) in trims {
            redis.call(|it| it.trim(&key, below))?;
        }
        self.connection = connection;
        Ok(())
    }

    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// `None`: the shard panicked.
    pub fn shard(&mut self, at: usize) -> Option<Progress> {
        self.shards[at].go_on()
    }

    /// Takes what is there as one block; nothing while somebody is far behind.
    pub fn gather(&mut self) -> Result<Option<Gathered>, Ended> {
        if BLOCKS_MAX <= self.to_replies.len().max(self.to_replica.len()) {
            return Ok(None);
        }
        let mut frames = Vec::new();
        let count = self.merge.gather(&mut frames, self.block_bytes_max, &self.idle)?;
        if count == 0 {
            return Ok(None);
        }
        let first = Sequence(self.merge.next().0 - count);
        Ok(Some(Gathered { first, last: Sequence(first.0 + count - 1), frames }))
    }

    /// Makes the block durable.
    pub fn append(&mut self, block: &Gathered) -> Result<(), Ended> {
        self.writer.append(block.last, &block.frames)?;
        self.durable = block.last;
        Ok(())
    }

    /// Tells everybody of a durable block.
    pub fn hand_out(&mut self, block: Gathered) {
        let Gathered { first, last, frames } = block;
        let link = self.writer.mark().link;
        let block = Arc::new(DurableBlock { first, last, frames, link });
        self.to_replies.push_back(Arc::clone(&block));
        self.to_replica.push_back(block);
    }

    /// The replica takes a block, and makes a snapshot when one is due.
    pub fn replicate(&mut self) -> Result<bool, Ended> {
        let Some(block) = self.to_replica.pop_front() else { return Ok(false) };
        for frame in Frame::each_of(&block.frames) {
            let frame = frame.map_err(|error| Ended::ByItself(error.to_string()))?;
            let applied = self.replica.apply(&frame).map(drop);
            applied.map_err(|error| Ended::ByItself(error.to_string()))?;
        }
        if let Some(row) = self.replica.conservation().into_iter().find(|row| !row.holds()) {
            return Err(Ended::ByItself(format!("units come from nowhere: {row:?}")));
        }
        self.snapshots.applied(&self.replica, &block, self.time_us)?;
        Ok(true)
    }

    /// The wish to stop: what is durable is applied, and a last snapshot made.
    pub fn drain(&mut self) -> Result<(), Ended> {
        while self.replicate()? {}
        self.snapshots.at_the_end(&self.replica, self.time_us)
    }

    pub fn has_commands(&self, shard: usize) -> bool {
        0 < self.outlets[shard].depth()
    }

    /// Whether all that was read has gone everywhere.
    pub fn is_drained(&self) -> bool {
        let is_behind = self.replica.position() < self.durable;
        let waits = !self.to_replies.is_empty() || !self.letters.is_empty() || is_behind;
        !waits && !self.merge.has_news() && self.outlets.iter().all(|it| it.depth() == 0)
    }
}
