//! Who owns which thread and which queue.
//!
//! ```text
//!                                                            ┌─▶ replies ──────▶ redis
//! redis ─▶ ingress-i ═▶ shard-j ═▶ journal ─▶ (fdatasync) ─▶─┼─▶ events ───────▶ redis
//!          XREAD        pinned     by sequence               └─▶ replica ─▶ publisher ─▶ redis
//!                                                                   ▲
//!          ═▶ ring (rtrb)   ─▶ bounded channel            redis ─▶ queries      heartbeat ─▶ redis
//! ```
//!
//! **Invariants.** Every ring has one producer and one consumer. Every queue is bounded, and a full
//! one stalls the stage before it, up to the ingress, which then leaves the commands on Redis. So
//! at most this many commands are read but not durable: one answer of Redis for each ingress
//! thread, the inbound rings, the outbound rings and one block. Nothing goes round in a circle, so
//! nobody waits for himself; why the rings between shards and journal cannot lock up is told in
//! [`crate::journal::merge`].
//!
//! Ending: ingress, queries and heartbeat look for the wish to stop. Whoever ends lets go of its
//! queues; the next one drains them and ends in turn. A thread that ends otherwise ends the
//! process.

use std::sync::Arc;

use crossbeam::channel::{self, Receiver, Sender};
use engine_core::replica::Replica;
use engine_core::{Input, Shard};
use protocol::{MarketId, Record, Sequence, keys};
use redis::Client;
use service::{Condition, Ops};

use crate::clock::{self, Clock};
use crate::config::Config;
use crate::counters::Counters;
use crate::crew::Crew;
use crate::data_dir::DataDir;
use crate::durable::{DurableBlock, Publication};
use crate::egress::event_streams::EventStreams;
use crate::egress::replies::Replies;
use crate::egress::{Broadcast, publisher};
use crate::error::EngineError;
use crate::heartbeat::Pulse;
use crate::idle::{Bell, Idle};
use crate::ingress::durable_cursors::DurableCursors;
use crate::ingress::{CommandStream, Ingress};
use crate::journal::definitions::Definitions;
use crate::journal::merge::Merge;
use crate::journal::writer::{Writer, WriterSettings};
use crate::journal::{DurablePosition, JournalLoop};
use crate::pinning;
use crate::queries::{self, QueriesSettings};
use crate::recovery::{self, Recovered};
use crate::redis_link::{self, RedisLink};
use crate::replica_loop::{self, ReplicaChannels, ReplicaSettings};
use crate::ring::{Inlet, Outlet, ring};
use crate::shard_loop::ShardLoop;
use crate::stop::Stop;

/// What an operator sees of the engine's state.
pub struct Conditions {
    recovered: Condition,
    redis: Condition,
}

impl Conditions {
    pub fn of(ops: &Ops) -> Conditions {
        Conditions { recovered: ops.condition("recovered"), redis: ops.condition("redis") }
    }
}

/// One to each shard.
type Outlets = Vec<Outlet<Input>>;
/// One from each ingress thread.
type Inlets = Vec<Inlet<Input>>;

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
    let data_dir = DataDir::open(&config.data_dir)?;
    let Recovered { replica, tail, time_us } =
        recovery::replay(&data_dir.journal, &config.catalog)?;
    let settings = WriterSettings {
        directory: data_dir.journal.clone(),
        durability: config.durability,
        segment_bytes: config.segment_bytes,
    };
    let writer = Writer::open(settings, Definitions::of(&config.catalog), tail)?;
    let shards = recovery::shards(&replica, config.shards, config.limits)?;
    conditions.recovered.set(true);
    let mut events = EventStreams::new(
        RedisLink::new(client.clone()),
        data_dir.journal.clone(),
        &config.catalog,
        |market| recovery::last_event_of(&replica, market),
        Arc::clone(&counters.events),
    );
    if !events.check_start(&stop)? {
        return Ok(());
    }
    if let Err(error) = RedisLink::new(client.clone()).one(&[b"DEL", keys::QUERIES.as_bytes()]) {
        tracing::warn!(%error, "questions to the engine's last life could not be removed");
    }
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
    pipeline.run(Start { replica, writer, shards, events, time_us }, conditions)
}

/// What recovery hands to the threads.
struct Start {
    replica: Replica,
    writer: Writer,
    shards: Vec<Shard>,
    events: EventStreams,
    time_us: u64,
}

impl Pipeline {
    fn run(mut self, start: Start, conditions: Conditions) -> Result<(), EngineError> {
        let Start { replica, writer, shards, events, time_us } = start;
        let last = replica.last_sequence();
        let position = Arc::new(DurablePosition::at(last));
        let cursors = Arc::new(DurableCursors::default());
        let (to_shards, from_ingress) = self.inbound_rings();
        let streams = self.command_streams(&replica);
        // From the last stage to the first, so that nobody waits for a stage that is not there yet.
        self.spawn_heartbeat(&position, conditions.redis)?;
        let listeners = vec![
            self.spawn_replies(&cursors)?,
            self.spawn_events(events)?,
            self.spawn_replica(replica)?,
        ];
        let mut inlets = Vec::new();
        for (index, (shard, inbound)) in shards.into_iter().zip(from_ingress).enumerate() {
            inlets.push(self.spawn_shard(index, shard, inbound)?);
        }
        let next = Sequence(last.map_or(0, |last| last.0) + 1);
        self.spawn_journal(Merge::new(inlets, next), writer, &position, listeners)?;
        let clock = Arc::new(Clock::after(time_us));
        for (index, (streams, outlets)) in streams.into_iter().zip(to_shards).enumerate() {
            self.spawn_ingress(index, streams, outlets, &clock, &cursors)?;
        }
        self.announce(next);
        self.crew.watch(&self.stop, self.config.drain_max)
    }

    fn announce(&self, next: Sequence) {
        let (threads, cores) = (self.crew.count(), pinning::usable_cores());
        let plan = self.config.waiting;
        if cores < threads {
            tracing::info!(
                cores, threads, shards = ?plan.shards, journal = ?plan.journal,
                "fewer cores than threads: a thread waits as shown, and a hand-over costs a wake-up"
            );
        }
        let markets = self.config.catalog.markets().len();
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

    /// The command streams, dealt out to the ingress threads.
    fn command_streams(&self, replica: &Replica) -> Vec<Vec<CommandStream>> {
        let (catalog, threads) = (&self.config.catalog, self.config.ingress_threads);
        let mut streams: Vec<_> = (0..threads).map(|_| Vec::new()).collect();
        let markets = catalog.markets().iter().map(|market| market.id);
        for (at, market) in [MarketId::ACCOUNTS].into_iter().chain(markets).enumerate() {
            let Some(name) = catalog.stream_name(market) else { continue };
            let (key, cursor) = (keys::orders(name), replica.cursor(market));
            let outlet = recovery::shard_of(catalog, market, self.config.shards);
            let stream = CommandStream { market, key, cursor, outlet, trimmed: cursor };
            streams[at % threads].push(stream);
        }
        streams
    }

    fn spawn_ingress(
        &mut self,
        index: usize,
        streams: Vec<CommandStream>,
        outlets: Outlets,
        clock: &Arc<Clock>,
        durable: &Arc<DurableCursors>,
    ) -> Result<(), EngineError> {
        let waiting = self.config.waiting.ingress;
        let ingress = Ingress {
            link: RedisLink::new(self.client.clone()),
            streams,
            outlets,
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
        inbound: Inlets,
    ) -> Result<Inlet<Record>, EngineError> {
        let bell = Arc::clone(&self.bells.shards[index]);
        let records = self.config.outbound_ring_records;
        let (outbound, inlet) = ring(records, &bell, &self.bells.journal);
        let counters = Arc::clone(&self.counters.shards[index]);
        let work = ShardLoop { shard, inbound, outbound, counters };
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
        listeners: Vec<Sender<Arc<DurableBlock>>>,
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
    ) -> Result<Sender<Arc<DurableBlock>>, EngineError> {
        let (sender, blocks) = channel::bounded(self.config.egress_blocks_max);
        let counters = &self.counters.replies;
        let work = Replies {
            blocks,
            broadcast: Broadcast::new(RedisLink::new(self.client.clone()), Arc::clone(counters)),
            cursors: Arc::clone(cursors),
            counters: Arc::clone(counters),
        };
        self.crew.spawn("replies", move || work.run())?;
        Ok(sender)
    }

    fn spawn_events(
        &mut self,
        events: EventStreams,
    ) -> Result<Sender<Arc<DurableBlock>>, EngineError> {
        let (sender, blocks) = channel::bounded(self.config.egress_blocks_max);
        self.crew.spawn("events", move || events.run(&blocks))?;
        Ok(sender)
    }

    /// The replica, who asks it, and who publishes what it says.
    fn spawn_replica(
        &mut self,
        replica: Replica,
    ) -> Result<Sender<Arc<DurableBlock>>, EngineError> {
        let (sender, blocks) = channel::bounded(self.config.egress_blocks_max);
        let (to_replica, queries) = channel::bounded(self.config.queries_max);
        let (publications, to_publisher): (Sender<Publication>, Receiver<Publication>) =
            channel::bounded(self.config.publications_max);
        let broadcast = Broadcast::new(
            RedisLink::new(self.client.clone()),
            Arc::clone(&self.counters.publications),
        );
        self.crew.spawn("publisher", move || {
            publisher::run(&to_publisher, broadcast);
            Ok(())
        })?;
        let channels = ReplicaChannels { blocks, queries, publications };
        let settings =
            ReplicaSettings { now_us: clock::now_us, waiting_max: self.config.queries_max };
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

    fn spawn_heartbeat(
        &mut self,
        position: &Arc<DurablePosition>,
        redis: Condition,
    ) -> Result<(), EngineError> {
        let pulse = Pulse {
            client: self.client.clone(),
            epoch: u32::try_from(clock::now_us() / 1_000_000).unwrap_or(u32::MAX),
            position: Arc::clone(position),
            redis,
            stop: self.stop.clone(),
        };
        self.crew.spawn("heartbeat", move || {
            pulse.run();
            Ok(())
        })
    }
}
