//! Which thread goes where. Pure: the same machine and the same threads give the same plan.
//!
//! Shards want a physical core each, away from core 0 (where interrupts land unless told
//! otherwise), isolated ones first, and near each other, because they share the ledger's cells.
//! With fewer cores than threads nothing is pinned and every thread parks when it has no work.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::config::EngineThreads;
use crate::cpu_list::CpuList;
use crate::remarks::{self, Remark};
use crate::topology::Topology;

/// The engine's threads besides its shards. They float over the cpus that the shards leave.
pub const OTHER_THREADS: [&str; 4] = ["ingress", "journal", "replica", "egress"];

/// Where the engine's threads would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// One a shard, in order.
    pub pins: Vec<Pin>,
    /// How all threads wait for work.
    pub waiting: Waiting,
    /// Where the threads that are no shards may run.
    pub others: CpuList,
    /// What the operator should know, the gravest first.
    pub remarks: Vec<Remark>,
}

/// One shard's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Pin {
    pub shard: u32,
    /// `None` is unpinned: the kernel moves the thread as it likes.
    pub cpu: Option<u32>,
    pub origin: Origin,
}

/// Who decided a pin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    Configured,
    Planned,
}

/// What a thread does while it has nothing to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Waiting {
    Spin,
    Park,
}

impl fmt::Display for Waiting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            Waiting::Spin => "spin",
            Waiting::Park => "park",
        })
    }
}

impl Plan {
    /// The plan for these threads on this machine. Pins the config names are kept as they are,
    /// with remarks; the others are chosen here.
    pub fn new(topology: &Topology, threads: &EngineThreads) -> Plan {
        let usable = usable(topology);
        let crowding = remarks::crowding(topology, &usable, threads_in(threads));
        let pins = match &threads.shard_cores {
            Some(cores) => pins(cores.iter().map(|cpu| Some(*cpu)), Origin::Configured),
            None if !crowding.is_empty() => {
                pins((0..threads.shards).map(|_| None), Origin::Planned)
            }
            None => {
                let chosen = choose(topology, &usable, threads.shards as usize);
                pins(chosen.into_iter().map(Some), Origin::Planned)
            }
        };
        let waiting = if crowding.is_empty() { Waiting::Spin } else { Waiting::Park };
        let others = left_over(topology, &usable, &pins);
        let mut remarks = crowding;
        remarks.extend(remarks::on_pins(topology, &pins, &others));
        remarks.sort_by_key(|remark| Reverse(remark.severity()));
        Plan { pins, waiting, others, remarks }
    }
}

fn threads_in(threads: &EngineThreads) -> usize {
    threads.shards as usize + OTHER_THREADS.len()
}

/// The cpus that the engine may run on: online, within the cpuset, and either in the affinity it
/// inherits or isolated, since the kernel leaves isolated cpus out of what everyone inherits.
fn usable(topology: &Topology) -> CpuList {
    let inherited = topology.allowed.or(&topology.isolated).and(&topology.online);
    topology.limits.cpus.as_ref().map_or(inherited.clone(), |cpus| inherited.and(cpus))
}

fn pins(cpus: impl Iterator<Item = Option<u32>>, origin: Origin) -> Vec<Pin> {
    (0..).zip(cpus).map(|(shard, cpu)| Pin { shard, cpu, origin }).collect()
}

/// One cpu a shard, each on a core of its own. The caller made sure of more cores than shards.
fn choose(topology: &Topology, usable: &CpuList, shards: usize) -> Vec<u32> {
    let cores = topology.cores();
    let free = cores.iter().filter(|core| !core.contains(0));
    let mut candidates: Vec<u32> = free.filter_map(|core| core.and(usable).first()).collect();
    let isolated = |cpu: &u32| topology.isolated.contains(*cpu);
    if shards <= candidates.iter().filter(|cpu| isolated(cpu)).count() {
        candidates.retain(isolated);
    }
    let mut groups: BTreeMap<CpuList, Vec<u32>> = BTreeMap::new();
    for cpu in candidates {
        groups.entry(topology.neighbours(cpu)).or_default().push(cpu);
    }
    // The first group that holds all shards, else the largest ones: as few groups as possible.
    let mut groups: Vec<Vec<u32>> = groups.into_values().collect();
    groups.sort_by_key(|group| Reverse(group.len().min(shards)));
    let mut chosen: Vec<u32> = groups.into_iter().flatten().take(shards).collect();
    chosen.sort_unstable();
    chosen
}

/// What remains for the other threads: no shard's cpu, and no sibling of one, unless nothing else
/// is left.
fn left_over(topology: &Topology, usable: &CpuList, pins: &[Pin]) -> CpuList {
    let pinned: CpuList = pins.iter().filter_map(|pin| pin.cpu).collect();
    let cores = topology.cpus.iter().filter(|cpu| pinned.contains(cpu.id));
    let shadowed: CpuList = cores.flat_map(|cpu| cpu.siblings.iter()).collect();
    let shared = usable.without(&topology.isolated);
    let choices = [shared.without(&shadowed), shared.without(&pinned), usable.without(&pinned)];
    choices.into_iter().find(|cpus| !cpus.is_empty()).unwrap_or_else(|| usable.clone())
}
