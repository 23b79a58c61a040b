//! What a plan's reader should know: where pins are impossible, and where they cost speed.

use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

use crate::cpu_list::CpuList;
use crate::plan::Pin;
use crate::topology::{Cpu, Topology};

/// How much a remark matters; later is graver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// Works, slower than it could.
    Warning,
    /// The pin cannot be set.
    Error,
}

/// One thing to know about a plan. `Display` says it in a sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remark {
    NotOnline { shard: u32, cpu: u32, online: CpuList },
    OutsideCpuset { shard: u32, cpu: u32, cpuset: CpuList },
    SameCpu { shards: (u32, u32), cpu: u32 },
    TooFewCores { cores: usize, threads: usize },
    QuotaTooSmall { milli_cpus: u64, threads: usize },
    SharedCore { shards: (u32, u32), core: CpuList },
    CoreZero { shard: u32 },
    OutsideAffinity { shard: u32, cpu: u32, allowed: CpuList },
    OthersOnSibling { shard: u32, cpu: u32, siblings: CpuList },
    FarApart { shards: (u32, u32) },
    Governor { shard: u32, cpu: u32, governor: String },
    NotIsolated { shard: u32, cpu: u32, isolated: CpuList },
    Isolated { shard: u32, cpu: u32 },
}

impl Remark {
    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            Remark::NotOnline { .. } | Remark::OutsideCpuset { .. } => Severity::Error,
            Remark::NotIsolated { .. } | Remark::Isolated { .. } => Severity::Note,
            _ => Severity::Warning,
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Remark::NotOnline { shard, cpu, online } => {
                write!(out, "shard-{shard}: cpu {cpu} is not online (online: {online})")
            }
            Remark::OutsideCpuset { shard, cpu, cpuset } => {
                write!(out, "shard-{shard}: cpu {cpu} is outside the cpuset ({cpuset})")
            }
            Remark::SameCpu { shards: (one, two), cpu } => {
                write!(out, "shard-{one} and shard-{two} are both pinned to cpu {cpu}")
            }
            Remark::TooFewCores { cores, threads } => write!(
                out,
                "{} for {threads} engine threads: they park when idle instead of spinning",
                counted(*cores, "core")
            ),
            Remark::QuotaTooSmall { milli_cpus, threads } => write!(
                out,
                "the cgroup grants {}.{:03} cpus of time for {threads} engine threads: they park \
                 when idle instead of spinning",
                milli_cpus / 1000,
                milli_cpus % 1000
            ),
            Remark::SharedCore { shards: (one, two), core } => write!(
                out,
                "shard-{one} and shard-{two} share one physical core (its cpus: {core})"
            ),
            Remark::CoreZero { shard } => write!(
                out,
                "shard-{shard} is on the core of cpu 0, where interrupts land by default"
            ),
            Remark::OutsideAffinity { shard, cpu, allowed } => write!(
                out,
                "shard-{shard}: cpu {cpu} is outside the affinity this process has ({allowed})"
            ),
            Remark::OthersOnSibling { shard, cpu, siblings } => write!(
                out,
                "shard-{shard} on cpu {cpu} shares its core with other engine threads on \
                 {siblings}: no cpu is left for them elsewhere"
            ),
            Remark::FarApart { shards: (one, two) } => write!(
                out,
                "shard-{one} and shard-{two} share no cache: the ledger's cells travel between them"
            ),
            Remark::Governor { shard, cpu, governor } => write!(
                out,
                "shard-{shard}: cpu {cpu} has the governor {governor:?}, not \"performance\""
            ),
            Remark::NotIsolated { shard, cpu, isolated } => write!(
                out,
                "shard-{shard}: cpu {cpu} is not isolated, though others are ({isolated})"
            ),
            Remark::Isolated { shard, cpu } => {
                write!(out, "shard-{shard}: cpu {cpu} is isolated, nothing else is scheduled there")
            }
        }
    }
}

impl Serialize for Remark {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut remark = serializer.serialize_struct("Remark", 2)?;
        remark.serialize_field("severity", &self.severity())?;
        remark.serialize_field("text", &self.to_string())?;
        remark.end()
    }
}

/// `1 core`, `2 cores`.
pub(crate) fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// What speaks against threads that spin; nothing, if there is a core for each.
pub(crate) fn crowding(topology: &Topology, usable: &CpuList, threads: usize) -> Vec<Remark> {
    let cores = topology.cores().iter().filter(|core| !core.and(usable).is_empty()).count();
    let few_cores = (cores < threads).then_some(Remark::TooFewCores { cores, threads });
    let quota = topology.limits.quota_milli_cpus.filter(|milli| *milli < threads as u64 * 1000);
    let small_quota = quota.map(|milli_cpus| Remark::QuotaTooSmall { milli_cpus, threads });
    few_cores.into_iter().chain(small_quota).collect()
}

/// What there is to say about the pins, one by one and in pairs.
pub(crate) fn on_pins(topology: &Topology, pins: &[Pin], others: &CpuList) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let pinned: Vec<(u32, u32)> =
        pins.iter().filter_map(|pin| pin.cpu.map(|cpu| (pin.shard, cpu))).collect();
    for (at, &(shard, cpu)) in pinned.iter().enumerate() {
        match topology.cpu(cpu) {
            None => {
                let online = topology.online.clone();
                remarks.push(Remark::NotOnline { shard, cpu, online });
            }
            Some(found) => {
                remarks.extend(on_bounds(topology, shard, cpu));
                remarks.extend(on_place(topology, shard, found, others));
            }
        }
        for &(earlier, earlier_cpu) in &pinned[..at] {
            remarks.extend(on_pair(topology, (earlier, shard), (earlier_cpu, cpu)));
        }
    }
    remarks
}

/// Whether the process may be there at all.
fn on_bounds(topology: &Topology, shard: u32, cpu: u32) -> Option<Remark> {
    if let Some(cpuset) = topology.limits.cpus.as_ref().filter(|cpus| !cpus.contains(cpu)) {
        return Some(Remark::OutsideCpuset { shard, cpu, cpuset: cpuset.clone() });
    }
    let inherited = topology.allowed.contains(cpu) || topology.isolated.contains(cpu);
    let allowed = topology.allowed.clone();
    (!inherited).then_some(Remark::OutsideAffinity { shard, cpu, allowed })
}

/// Whether it is a good place.
fn on_place(topology: &Topology, shard: u32, cpu: &Cpu, others: &CpuList) -> Vec<Remark> {
    let mut remarks = Vec::new();
    let id = cpu.id;
    if cpu.siblings.contains(0) {
        remarks.push(Remark::CoreZero { shard });
    }
    let siblings = cpu.siblings.and(others);
    if !siblings.is_empty() {
        remarks.push(Remark::OthersOnSibling { shard, cpu: id, siblings });
    }
    if let Some(governor) = cpu.governor.clone().filter(|name| name != "performance") {
        remarks.push(Remark::Governor { shard, cpu: id, governor });
    }
    if topology.isolated.contains(id) {
        remarks.push(Remark::Isolated { shard, cpu: id });
    } else if !topology.isolated.is_empty() {
        let isolated = topology.isolated.clone();
        remarks.push(Remark::NotIsolated { shard, cpu: id, isolated });
    }
    remarks
}

fn on_pair(topology: &Topology, shards: (u32, u32), cpus: (u32, u32)) -> Option<Remark> {
    if cpus.0 == cpus.1 {
        return Some(Remark::SameCpu { shards, cpu: cpus.0 });
    }
    let (one, two) = (topology.cpu(cpus.0)?, topology.cpu(cpus.1)?);
    if one.siblings.contains(two.id) {
        return Some(Remark::SharedCore { shards, core: one.siblings.clone() });
    }
    let near = topology.neighbours(one.id).contains(two.id);
    (!near).then_some(Remark::FarApart { shards })
}
