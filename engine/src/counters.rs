//! What the threads count, and its way to `/metrics`.
//!
//! **Invariant:** a counter has one writer, the thread its group is named after, so counting is a
//! relaxed load, an add and a store: no locked instruction on the hot path. The operations thread
//! copies them out when it is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use metrics::{counter, gauge, histogram};
use protocol::Sequence;

#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    #[inline]
    pub fn add(&self, more: u64) {
        self.set(self.get().wrapping_add(more));
    }

    #[inline]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    #[inline]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Written by one ingress thread.
#[derive(Debug, Default)]
pub struct IngressCounters {
    pub commands: Counter,
    /// Stream entries that are no command of their stream.
    pub malformed: Counter,
    /// Streams that were found to be others than had been read.
    pub replaced: Counter,
    /// Times a shard's ring was full.
    pub stalls: Counter,
    /// Milliseconds between the newest command's arrival on Redis and its reading.
    pub lag_ms: Counter,
}

/// Written by one shard thread.
#[derive(Debug, Default)]
pub struct ShardCounters {
    pub commands: Counter,
    pub records: Counter,
    /// Times the journal's ring was full.
    pub stalls: Counter,
    pub inbound_depth: Counter,
    pub outbound_depth: Counter,
}

/// Written by the journal thread.
#[derive(Debug, Default)]
pub struct JournalCounters {
    pub frames: Counter,
    pub groups: Counter,
    pub bytes: Counter,
    pub sequence: Counter,
}

impl JournalCounters {
    pub fn committed(&self, last: Sequence, frames: u64, bytes: usize, time: Duration) {
        self.frames.add(frames);
        self.groups.add(1);
        self.bytes.add(bytes as u64);
        self.sequence.set(last.0);
        histogram!("engine_journal_commit_seconds").record(time);
    }
}

/// Written by one thread that sends to Redis.
#[derive(Debug, Default)]
pub struct EgressCounters {
    pub messages: Counter,
    pub bytes: Counter,
    /// Batches that had to be sent again.
    pub retries: Counter,
    /// Frame up to which all is sent; 0 where there is none to tell.
    pub sequence: Counter,
}

/// Written by the events thread.
#[derive(Debug, Default)]
pub struct EventsCounters {
    pub sent: EgressCounters,
    /// Frames that were read from the journal's files, because they had passed by in memory or were
    /// sent before.
    pub read_again: Counter,
}

#[derive(Debug, Default)]
pub struct Counters {
    pub ingress: Vec<Arc<IngressCounters>>,
    pub shards: Vec<Arc<ShardCounters>>,
    pub journal: Arc<JournalCounters>,
    pub replies: Arc<EgressCounters>,
    pub recalls: Arc<EgressCounters>,
    pub events: Arc<EventsCounters>,
    pub refills: Arc<EgressCounters>,
    pub publications: Arc<EgressCounters>,
}

impl Counters {
    pub fn new(ingress_threads: usize, shards: usize) -> Counters {
        Counters {
            ingress: (0..ingress_threads).map(|_| Arc::default()).collect(),
            shards: (0..shards).map(|_| Arc::default()).collect(),
            ..Counters::default()
        }
    }

    /// Before any thread runs: what is durable from the lives before.
    pub fn begin_at(&self, last: Sequence) {
        self.journal.sequence.set(last.0);
        self.events.sent.sequence.set(last.0);
    }

    /// Copies everything into the process's metrics.
    pub fn export(&self) {
        for (thread, one) in self.ingress.iter().enumerate() {
            let thread = thread.to_string();
            counter!("engine_ingress_commands_total", "thread" => thread.clone())
                .absolute(one.commands.get());
            counter!("engine_ingress_malformed_total", "thread" => thread.clone())
                .absolute(one.malformed.get());
            counter!("engine_ingress_streams_replaced_total", "thread" => thread.clone())
                .absolute(one.replaced.get());
            counter!("engine_ingress_stalls_total", "thread" => thread.clone())
                .absolute(one.stalls.get());
            gauge!("engine_ingress_lag_seconds", "thread" => thread).set(seconds(&one.lag_ms));
        }
        for (shard, one) in self.shards.iter().enumerate() {
            let shard = shard.to_string();
            counter!("engine_shard_commands_total", "shard" => shard.clone())
                .absolute(one.commands.get());
            counter!("engine_shard_records_total", "shard" => shard.clone())
                .absolute(one.records.get());
            counter!("engine_shard_stalls_total", "shard" => shard.clone())
                .absolute(one.stalls.get());
            gauge!("engine_shard_inbound_entries", "shard" => shard.clone())
                .set(figure(&one.inbound_depth));
            gauge!("engine_shard_outbound_records", "shard" => shard)
                .set(figure(&one.outbound_depth));
        }
        counter!("engine_journal_frames_total").absolute(self.journal.frames.get());
        counter!("engine_journal_groups_total").absolute(self.journal.groups.get());
        counter!("engine_journal_bytes_total").absolute(self.journal.bytes.get());
        gauge!("engine_durable_sequence").set(figure(&self.journal.sequence));
        counter!("engine_events_read_again_frames_total").absolute(self.events.read_again.get());
        let behind = self.journal.sequence.get().saturating_sub(self.events.sent.sequence.get());
        gauge!("engine_events_behind_frames").set(behind as f64);
        let egress: [(&str, &EgressCounters); 5] = [
            ("replies", &self.replies),
            ("recalls", &self.recalls),
            ("events", &self.events.sent),
            ("refills", &self.refills),
            ("publications", &self.publications),
        ];
        for (thread, one) in egress {
            counter!("engine_egress_messages_total", "thread" => thread)
                .absolute(one.messages.get());
            counter!("engine_egress_bytes_total", "thread" => thread).absolute(one.bytes.get());
            counter!("engine_egress_retries_total", "thread" => thread).absolute(one.retries.get());
            gauge!("engine_egress_sequence", "thread" => thread).set(figure(&one.sequence));
        }
    }
}

/// Metrics are floats; no amount of money ever is.
fn figure(counter: &Counter) -> f64 {
    counter.get() as f64
}

fn seconds(milliseconds: &Counter) -> f64 {
    Duration::from_millis(milliseconds.get()).as_secs_f64()
}
