//! Who owns which thread and which queue.
//!
//! ```text
//!                                                            ┌─▶ replies ─▶ recalls ─▶ redis
//! redis ─▶ ingress-i ═▶ shard-j ═▶ journal ─▶ (fdatasync) ─▶─┼╌▶ replica ─▶ publisher ─▶ redis
//!          XREAD        pinned     by sequence               └╌▶ events ─▶ redis
//!
//! redis ─▶ queries ─▶ replica ─▶ snapshot (files)     heartbeat ─▶ redis
//! redis ─▶ refills ─▶ redis         journal's files ─▶ replica, events, recalls, refills
//!
//! ═▶ ring (rtrb)   ─▶ bounded channel   ╌▶ bounded channel that lets pass what it has no room for
//! ```
//!
//! **Invariants.** Every ring has one producer and one consumer. Every queue is bounded, and a full
//! one stalls the stage before it, up to the ingress, which then leaves the commands on Redis; but
//! who can read from the journal's files what he missed (╌▶) stalls nobody. So at most this many
//! commands are read but not durable: one answer of Redis for each ingress thread, the inbound
//! rings, the outbound rings and one block. Nothing goes round in a circle, so nobody waits for
//! himself; why the rings between shards and journal cannot lock up is told in
//! [`crate::journal::merge`].
//!
//! Ending: ingress, queries, refills and heartbeat look for the wish to stop. Whoever ends lets go
//! of its queues; the next one drains them and ends in turn. A thread that ends otherwise ends the
//! process.

use std::sync::Arc;

use crossbeam::channel::{self, Receiver, Sender};
use engine_core::replica::Replica;
use engine_core::{Input, Shard};
use protocol::{Record, Sequence, keys};
use redis::Client;
use service::{Condition, Ops};

use crate::clock::{self, Clock};
use crate::config::Config;
use crate::counters::{Counters, EgressCounters};
use crate::crew::Crew;
use crate::data_dir::{self, DataDir};
use crate::disk::{Disk, RealDisk};
use crate::durable::{DurableBlock, Listener};
use crate::egress::event_queues::EventQueues;
use crate::egress::event_streams::EventStreams;
use crate::egress::recalls::Recalls;
use crate::egress::recent_frames::RecentFrames;
use crate::egress::refills::{Archive, Desks, Refills};
use crate::egress::replies::Replies;
use crate::egress::{Broadcast, publisher};
use crate::error::EngineError;
use crate::heartbeat::Pulse;
use crate::idle::{Bell, Idle};
use crate::ingress::durable_cursors::DurableCursors;
use crate::ingress::{self, Ingress, Source};
use crate::journal::definitions::Definitions;
use crate::journal::follow::Follower;
use crate::journal::merge::Merge;
use crate::journal::reader::Mark;
use crate::journal::writer::{Writer, WriterSettings};
use crate::journal::{DurablePosition, JournalLoop};
use crate::openings::{self, ListedMarkets, Opening, Openings};
use crate::pinning;
use crate::queries::{self, QueriesSettings};
use crate::recent::Recent;
use crate::recovery::{self, Recovered};
use crate::redis_link::{self, RedisLink};
use crate::replica_loop::feed::Feed;
use crate::replica_loop::snapshots::{Distances, Snapshots};
use crate::replica_loop::status_feed::Parts;
use crate::replica_loop::{self, ReplicaChannels, ReplicaSettings};
use crate::ring::{Inlet, Outlet, ring};
use crate::shard_loop::ShardLoop;
use crate::snapshot::keeper::{Keeper, KeeperSettings};
use crate::stop::Stop;

/// Memory for the latest frames, in which first answers to commands that come again are found.
const RECENT_BYTES_MAX: usize = 32 << 20;
/// First answers that wait to be read from the journal.
const RECALLS_MAX: usize = 8192;

/// What an operator sees of the engine's state.
pub struct Conditions {
    recovered: Condition,
    redis: Condition,
    conservation: Condition,
}

impl Conditions {
    pub fn of(ops: &Ops) -> Conditions {
        let [recovered, redis, conservation] =
            ["recovered", "redis", "conservation"].map(|name| ops.condition(name));
        Conditions { recovered, redis, conservation }
    }
}

/// One to each shard.
type Outlets = Vec<Outlet<Input>>;
/// One from each ingress thread.
type Inlets = Vec<Inlet<Input>>;
/// Markets listed later, one way to each shard; and their streams, one to each ingress thread.
type ShardOpenings = Vec<Receiver<Box<Opening>>>;
type IngressOpenings = Vec<Receiver<Source>>;

/// The bells of the threads that share rings, made before any of them.
struct Bells {
    ingress: Vec<Arc<Bell>>,
    shards: Vec<Arc<Bell>>,
    journal: Arc<Bell>,
}

struct Pipeline {
    config: Config,
    client: Client,
    counters: Arc<Counters>,
    stop: Stop,
    bells: Bells,
    crew: Crew,
}

/// Recovers, runs until the wish to stop, drains. Errors end the process.
pub fn run(
    config: Config,
    counters: Arc<Counters>,
    conditions: Conditions,
    stop: Stop,
) -> Result<(), EngineError> {
    let client = redis_link::client(&config.redis_url)?;
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let data_dir = DataDir::open(&*disk, &config.data_dir)?;
    let journal = &data_dir.folders.journal;
    let Recovered { replica, recent, tail, time_us, snapshot, unusable } =
        recovery::recover(&*disk, &data_dir.folders, &config.catalog, &config.limits)?;
    recovery::warn_of_terms(&replica, &config.catalog);
    let settings = WriterSettings {
        disk: Arc::clone(&disk),
        directory: journal.clone(),
        durability: config.durability,
        segment_bytes: config.segment_bytes,
    };
    let definitions = Definitions::of(&config.catalog, &config.limits);
    let fresh = data_dir::fresh_journal_id(journal, clock::now_us());
    let writer = Writer::open(settings, definitions, tail, fresh)?;
    let shards = recovery::shards(&replica, config.shards, config.limits)?;
    conditions.recovered.set(true);
    let position = Arc::new(DurablePosition::at(replica.last_sequence()));
    let archive = Archive { disk: Arc::clone(&disk), directory: journal.clone(), position };
    let last = replica.position();
    let event_of = |market| recovery::last_event_of(&replica, market);
    let mut events = EventStreams::new(
        RedisLink::new(client.clone()),
        &archive,
        EventQueues::new(replica.catalog(), event_of, last, config.events),
        Arc::clone(&counters.events),
        stop.clone(),
    );
    counters.begin_at(last);
    if !events.check_start()? {
        return Ok(());
    }
    if let Err(error) = RedisLink::new(client.clone()).one(&[b"DEL", keys::QUERIES.as_bytes()]) {
        tracing::warn!(%error, "questions to the engine's last life could not be removed");
    }
    let settings = KeeperSettings {
        folders: data_dir.folders.clone(),
        retention: config.journal_retention,
        durability: config.durability,
        free_bytes_min: 2 * config.segment_bytes,
        drain_max: config.drain_max / 2,
    };
    let keeper = Keeper::new(disk, settings, events.database(), &unusable);
    let bells = |count: usize| (0..count).map(|_| Bell::new()).collect();
    let pipeline = Pipeline {
        bells: Bells {
            ingress: bells(config.ingress_threads),
            shards: bells(config.shards),
            journal: Bell::new(),
        },
        config,
        client,
        counters,
        stop,
        crew: Crew::new(),
    };
    let start =
        Start { replica, recent, writer, shards, archive, events, keeper, snapshot, time_us };
    pipeline.run(start, conditions)
}

/// What recovery hands to the threads.
struct Start {
    replica: Replica,
    recent: Recent,
    writer: Writer,
    shards: Vec<Shard>,
    archive: Archive,
    events: EventStreams,
    keeper: Keeper,
    /// The last frame of the last snapshot; 0 = none.
    snapshot: Sequence,
    time_us: u64,
}

impl Pipeline {
    fn run(mut self, start: Start, conditions: Conditions) -> Result<(), EngineError> {
        let Start { replica, recent, writer, shards, archive, events, keeper, snapshot, time_us } =
            start;
        let last = replica.position();
        let position = Arc::clone(&archive.position);
        let cursors = Arc::new(DurableCursors::default());
        let (to_shards, from_ingress) = self.inbound_rings();
        let sources = ingress::sources(&replica, self.config.ingress_threads, self.config.shards);
        let listed = Arc::new(ListedMarkets::of(replica.catalog()));
        let markets = replica.catalog().markets().len();
        let (openings, shard_openings, ingress_openings) = self.openings(&listed);
        // From the last stage to the first, so that nobody waits for a stage that is not there yet.
        let life = clock::now_us();
        self.spawn_heartbeat(life, &position, conditions.redis)?;
        let snapshots = self.spawn_keeper(keeper, snapshot, writer.mark())?;
        let settings = ReplicaSettings {
            now_us: clock::now_us,
            waiting_max: self.config.queries_max,
            life,
            recent,
            time_us,
            conservation: conditions.conservation,
            parts: Some(Parts {
                counters: Arc::clone(&self.counters),
                shard_cores: self.config.shard_cores.clone(),
            }),
        };
        let listeners = vec![
            Listener::Every(self.spawn_replies(&cursors, archive.follower())?),
            Listener::WithGaps(self.spawn_events(events)?),
            Listener::WithGaps(self.spawn_replica(
                replica,
                &archive,
                (snapshots, openings),
                settings,
            )?),
        ];
        self.spawn_refills(archive, listed)?;
        let mut inlets = Vec::new();
        let doors = from_ingress.into_iter().zip(shard_openings);
        for (index, (shard, ways_in)) in shards.into_iter().zip(doors).enumerate() {
            inlets.push(self.spawn_shard(index, shard, ways_in)?);
        }
        let next = Sequence(last.0 + 1);
        self.spawn_journal(Merge::new(inlets, next), writer, &position, listeners)?;
        let clock = Arc::new(Clock::after(time_us));
        let streams = sources.into_iter().zip(ingress_openings);
        for (index, (streams, outlets)) in streams.zip(to_shards).enumerate() {
            self.spawn_ingress(index, streams, outlets, &clock, &cursors)?;
        }
        self.announce(next, markets);
        self.crew.watch(&self.stop, self.config.drain_max)
    }

    fn announce(&self, next: Sequence, markets: usize) {
        let (threads, cores) = (self.crew.count(), pinning::usable_cores());
        let plan = self.config.waiting;
        if cores < threads {
            tracing::info!(
                cores, threads, shards = ?plan.shards, journal = ?plan.journal,
                "fewer cores than threads: a thread waits as shown, and a hand-over costs a wake-up"
            );
        }
        let (shards, durability) = (self.config.shards, self.config.durability);
        tracing::info!(next = next.0, shards, markets, ?durability, "the engine runs");
    }

    /// A ring from each ingress thread to each shard: both ends, by the number of their thread.
    fn inbound_rings(&self) -> (Vec<Outlets>, Vec<Inlets>) {
        let mut to_shards: Vec<_> = self.bells.ingress.iter().map(|_| Outlets::new()).collect();
        let mut from_ingress: Vec<_> = self.bells.shards.iter().map(|_| Inlets::new()).collect();
        for (outlets, ingress) in to_shards.iter_mut().zip(&self.bells.ingress) {
            for (inlets, shard) in from_ingress.iter_mut().zip(&self.bells.shards) {
                let (outlet, inlet) = ring(self.config.inbound_ring_commands, ingress, shard);
                outlets.push(outlet);
                inlets.push(inlet);
            }
        }
        (to_shards, from_ingress)
    }

    /// The ways of a market that is listed later: to its shard, and to its ingress thread.
    fn openings(&self, listed: &Arc<ListedMarkets>) -> (Openings, ShardOpenings, IngressOpenings) {
        let (shards, to_shards) = self.bells.shards.iter().map(openings::to_shard).unzip();
        let ingress = self.bells.ingress.iter().map(|_| openings::to_ingress());
        let (ingress, to_ingress) = ingress.unzip();
        let (limits, listed) = (self.config.limits, Arc::clone(listed));
        (Openings { limits, shards, ingress, listed }, to_shards, to_ingress)
    }

    fn spawn_ingress(
        &mut self,
        index: usize,
        (sources, openings): (Vec<Source>, Receiver<Source>),
        outlets: Outlets,
        clock: &Arc<Clock>,
        durable: &Arc<DurableCursors>,
    ) -> Result<(), EngineError> {
        let waiting = self.config.waiting.ingress;
        let ingress = Ingress {
            link: RedisLink::new(self.client.clone()),
            sources,
            outlets,
            openings,
            clock: Arc::clone(clock),
            durable: Arc::clone(durable),
            read_max: self.config.ingress_read_max,
            waiting,
            stop: self.stop.clone(),
            counters: Arc::clone(&self.counters.ingress[index]),
        };
        let bell = Arc::clone(&self.bells.ingress[index]);
        self.crew.spawn(&format!("ingress-{index}"), move || {
            ingress.run(&Idle::on_this_thread(waiting, bell));
            Ok(())
        })
    }

    fn spawn_shard(
        &mut self,
        index: usize,
        shard: Shard,
        (inbound, openings): (Inlets, Receiver<Box<Opening>>),
    ) -> Result<Inlet<Record>, EngineError> {
        let bell = Arc::clone(&self.bells.shards[index]);
        let records = self.config.outbound_ring_records;
        let (outbound, inlet) = ring(records, &bell, &self.bells.journal);
        let counters = Arc::clone(&self.counters.shards[index]);
        let work = ShardLoop { shard, inbound, outbound, openings, counters };
        let (waiting, core) =
            (self.config.waiting.shards, self.config.shard_cores.get(index).copied());
        self.crew.spawn(&format!("shard-{index}"), move || {
            core.map_or(Ok(()), pinning::pin_this_thread)?;
            work.run(&Idle::on_this_thread(waiting, bell));
            Ok(())
        })?;
        Ok(inlet)
    }

    fn spawn_journal(
        &mut self,
        merge: Merge,
        writer: Writer,
        position: &Arc<DurablePosition>,
        listeners: Vec<Listener>,
    ) -> Result<(), EngineError> {
        let work = JournalLoop {
            merge,
            writer,
            block_bytes_max: self.config.block_bytes_max,
            position: Arc::clone(position),
            listeners,
            counters: Arc::clone(&self.counters.journal),
        };
        let (waiting, bell) = (self.config.waiting.journal, Arc::clone(&self.bells.journal));
        self.crew.spawn("journal", move || Ok(work.run(&Idle::on_this_thread(waiting, bell))?))
    }

    fn spawn_replies(
        &mut self,
        cursors: &Arc<DurableCursors>,
        follower: Follower,
    ) -> Result<Sender<Arc<DurableBlock>>, EngineError> {
        let (sender, blocks) = channel::bounded(self.config.egress_blocks_max);
        let (to_recalls, requests) = channel::bounded(RECALLS_MAX);
        let counters = Arc::clone(&self.counters.replies);
        let work = Replies {
            blocks,
            broadcast: self.broadcast(&counters),
            cursors: Arc::clone(cursors),
            recent: RecentFrames::new(RECENT_BYTES_MAX),
            recalls: to_recalls,
            counters,
            now_us: clock::now_us,
        };
        self.crew.spawn("replies", move || work.run())?;
        let broadcast = self.broadcast(&self.counters.recalls);
        let recalls = Recalls { requests, follower, broadcast };
        self.crew.spawn("recalls", move || recalls.run())?;
        Ok(sender)
    }

    fn broadcast(&self, counters: &Arc<EgressCounters>) -> Broadcast {
        Broadcast::new(RedisLink::new(self.client.clone()), Arc::clone(counters))
    }

    fn spawn_events(
        &mut self,
        events: EventStreams,
    ) -> Result<Sender<Arc<DurableBlock>>, EngineError> {
        let (sender, blocks) = channel::bounded(self.config.egress_blocks_max);
        self.crew.spawn("events", move || events.run(blocks))?;
        Ok(sender)
    }

    fn spawn_refills(
        &mut self,
        archive: Archive,
        listed: Arc<ListedMarkets>,
    ) -> Result<(), EngineError> {
        let refills = Refills {
            link: RedisLink::new(self.client.clone()),
            desks: Desks::new(archive, listed),
            now_us: clock::now_us,
            stop: self.stop.clone(),
            counters: Arc::clone(&self.counters.refills),
        };
        self.crew.spawn("refills", move || {
            refills.run();
            Ok(())
        })
    }

    /// The replica, who asks it, and who publishes what it says.
    fn spawn_replica(
        &mut self,
        replica: Replica,
        archive: &Archive,
        (snapshots, openings): (Snapshots, Openings),
        settings: ReplicaSettings,
    ) -> Result<Sender<Arc<DurableBlock>>, EngineError> {
        let (sender, blocks) = channel::bounded(self.config.egress_blocks_max);
        let feed = Feed::new(blocks, archive.follower(), Arc::clone(&archive.position));
        let (to_replica, queries) = channel::bounded(self.config.queries_max);
        let (messages, to_publisher) = channel::bounded(self.config.publications_max);
        let broadcast = self.broadcast(&self.counters.publications);
        self.crew.spawn("publisher", move || {
            publisher::run(&to_publisher, broadcast);
            Ok(())
        })?;
        let channels = ReplicaChannels { feed, queries, messages, snapshots, openings };
        self.crew.spawn("replica", move || {
            replica_loop::run(replica, channels, settings)?;
            Ok(())
        })?;
        let settings =
            QueriesSettings { redis_url: self.config.redis_url.clone(), now_us: clock::now_us };
        let stop = self.stop.clone();
        self.crew.spawn("queries", move || {
            queries::run(&settings, &to_replica, stop.flag());
            Ok(())
        })?;
        Ok(sender)
    }

    /// Who writes the snapshots that the replica makes.
    fn spawn_keeper(
        &mut self,
        keeper: Keeper,
        last: Sequence,
        mark: Mark,
    ) -> Result<Snapshots, EngineError> {
        let (to_keeper, snapshots) = channel::bounded(1);
        let (to_replica, ready) = channel::bounded(1);
        let stop = self.stop.clone();
        self.crew.spawn("snapshot", move || {
            keeper.run(&snapshots, &to_replica, &stop);
            Ok(())
        })?;
        let distances = Distances {
            frames: self.config.snapshot_frames,
            frames_at_the_end_min: self.config.drain_snapshot_frames_min,
            busy_max: self.config.drain_max / 4,
        };
        let definitions = Definitions::of(&self.config.catalog, &self.config.limits);
        Ok(Snapshots::new(distances, definitions, mark, last, (ready, to_keeper)))
    }

    fn spawn_heartbeat(
        &mut self,
        life: u64,
        position: &Arc<DurablePosition>,
        redis: Condition,
    ) -> Result<(), EngineError> {
        let pulse = Pulse {
            client: self.client.clone(),
            life,
            position: Arc::clone(position),
            events: Arc::clone(&self.counters.events),
            redis,
            stop: self.stop.clone(),
        };
        self.crew.spawn("heartbeat", move || {
            pulse.run();
            Ok(())
        })
    }
}
