//! Reads the machine: cpus, cores, sockets, memory nodes, caches, and what this process may use.
//!
//! Everything is read below a root folder, `/` in life and a fixture's folder in tests. What a
//! kernel may leave out (caches on some virtual machines, governors, isolation) is absent in the
//! result; what is there and cannot be read is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use crate::cgroup::{self, Limits};
use crate::cpu_list::CpuList;
use crate::error::TuningError;

/// The machine as the kernel describes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Topology {
    pub model: Option<String>,
    pub kernel: Option<String>,
    pub is_virtual: bool,
    pub present: CpuList,
    pub online: CpuList,
    /// Kept free of other work by the kernel (`isolcpus`, or an isolated cpuset partition).
    pub isolated: CpuList,
    /// Without the timer tick while one thread runs.
    pub nohz_full: CpuList,
    /// The process's own affinity mask.
    pub allowed: CpuList,
    pub limits: Limits,
    /// The online cpus, by number.
    pub cpus: Vec<Cpu>,
    /// The memory nodes; empty if the kernel knows of none.
    pub nodes: Vec<Node>,
    /// Each cache once, by level, kind and cpus.
    pub caches: Vec<Cache>,
}

/// One online logical cpu.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cpu {
    pub id: u32,
    /// The kernel's number of the core within its socket.
    pub core: u32,
    pub socket: u32,
    pub node: Option<u32>,
    /// All cpus of the same physical core, this one included.
    pub siblings: CpuList,
    pub governor: Option<String>,
}

/// A memory node and the cpus near it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Node {
    pub id: u32,
    pub cpus: CpuList,
}

/// One cache and who shares it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Cache {
    pub level: u32,
    pub kind: CacheKind,
    pub cpus: CpuList,
    /// `None` where a hypervisor hides it.
    pub size_bytes: Option<u64>,
}

/// What a cache holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheKind {
    Data,
    Instruction,
    Unified,
}

impl fmt::Display for CacheKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(match self {
            CacheKind::Data => "data",
            CacheKind::Instruction => "instruction",
            CacheKind::Unified => "unified",
        })
    }
}

impl FromStr for CacheKind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "Data" => Ok(CacheKind::Data),
            "Instruction" => Ok(CacheKind::Instruction),
            "Unified" => Ok(CacheKind::Unified),
            _ => Err(()),
        }
    }
}

impl Topology {
    /// The machine under `root`. Errors: a file that must be there is not, or says nonsense.
    pub fn read(root: &Path) -> Result<Topology, TuningError> {
        let cpu_root = root.join("sys/devices/system/cpu");
        let online: CpuList = required(&cpu_root.join("online"), "a list of cpus")?;
        let list = |name: &str| optional::<CpuList>(&cpu_root.join(name), "a list of cpus");
        let nodes = read_nodes(&root.join("sys/devices/system/node"))?;
        let (model, is_virtual) = read_cpuinfo(&root.join("proc/cpuinfo"))?;
        let cpus = online.iter().map(|id| read_cpu(&cpu_root, id, &nodes));
        Ok(Topology {
            model,
            is_virtual,
            kernel: read_optional(&root.join("proc/sys/kernel/osrelease"))?
                .map(|text| text.trim().to_owned()),
            present: list("present")?.unwrap_or_else(|| online.clone()),
            isolated: list("isolated")?.unwrap_or_default(),
            nohz_full: list("nohz_full")?.unwrap_or_default(),
            allowed: read_affinity(&root.join("proc/self/status"))?
                .unwrap_or_else(|| online.clone()),
            limits: cgroup::read(root)?,
            cpus: cpus.collect::<Result<_, _>>()?,
            caches: read_caches(&cpu_root, &online)?,
            nodes,
            online,
        })
    }

    /// The online cpu of that number.
    pub fn cpu(&self, id: u32) -> Option<&Cpu> {
        self.cpus.iter().find(|cpu| cpu.id == id)
    }

    /// The physical cores, each as its online cpus, by their lowest cpu.
    pub fn cores(&self) -> Vec<CpuList> {
        let cores: BTreeSet<CpuList> =
            self.cpus.iter().map(|cpu| cpu.siblings.and(&self.online)).collect();
        cores.into_iter().collect()
    }

    /// How many sockets have an online cpu.
    pub fn sockets(&self) -> usize {
        self.cpus.iter().map(|cpu| cpu.socket).collect::<BTreeSet<_>>().len()
    }

    /// The cpus that share the largest cache with `cpu`; its memory node's, or all online ones,
    /// where the caches are not known.
    pub fn neighbours(&self, cpu: u32) -> CpuList {
        let shared = self.caches.iter().filter(|cache| cache.cpus.contains(cpu));
        let last = shared.filter(|cache| cache.kind != CacheKind::Instruction).max();
        let node = self.nodes.iter().find(|node| node.cpus.contains(cpu));
        let near = last.map(|cache| &cache.cpus).or(node.map(|node| &node.cpus));
        near.map_or_else(|| self.online.clone(), |cpus| cpus.and(&self.online))
    }
}

/// The text of a file, or `None` if there is none of that name.
pub(crate) fn read_optional(path: &Path) -> Result<Option<String>, TuningError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(TuningError::Read { path: path.to_owned(), cause }),
    }
}

fn optional<T: FromStr>(path: &Path, expected: &'static str) -> Result<Option<T>, TuningError> {
    let Some(text) = read_optional(path)? else { return Ok(None) };
    match text.trim().parse() {
        Ok(value) => Ok(Some(value)),
        Err(_) => {
            let text = text.trim().to_owned();
            Err(TuningError::Malformed { path: path.to_owned(), text, expected })
        }
    }
}

fn required<T: FromStr>(path: &Path, expected: &'static str) -> Result<T, TuningError> {
    optional(path, expected)?.ok_or_else(|| TuningError::Missing { path: path.to_owned() })
}

fn read_cpu(cpu_root: &Path, id: u32, nodes: &[Node]) -> Result<Cpu, TuningError> {
    let folder = cpu_root.join(format!("cpu{id}"));
    let topology = folder.join("topology");
    // `core_cpus_list` is the newer name of the same list; kernels before 5.3 have the other only.
    let cpus = "a list of cpus";
    let siblings = match optional(&topology.join("core_cpus_list"), cpus)? {
        Some(siblings) => siblings,
        None => required(&topology.join("thread_siblings_list"), cpus)?,
    };
    let number = "a number";
    Ok(Cpu {
        id,
        core: required(&topology.join("core_id"), number)?,
        // ARM kernels write -1 where firmware does not say: one socket, then.
        socket: required::<i64>(&topology.join("physical_package_id"), number)?
            .try_into()
            .unwrap_or(0),
        node: nodes.iter().find(|node| node.cpus.contains(id)).map(|node| node.id),
        siblings,
        governor: read_optional(&folder.join("cpufreq/scaling_governor"))?
            .map(|text| text.trim().to_owned()),
    })
}

/// The numbers N of the folders `prefixN` in `folder`, in order; none if there is no such folder.
fn numbered(folder: &Path, prefix: &str) -> Result<Vec<(u32, PathBuf)>, TuningError> {
    let failed = |cause| TuningError::Read { path: folder.to_owned(), cause };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(failed(cause)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(prefix)?.parse().ok());
        found.extend(number.map(|number| (number, entry.path())));
    }
    found.sort();
    Ok(found)
}

fn read_nodes(node_root: &Path) -> Result<Vec<Node>, TuningError> {
    let folders = numbered(node_root, "node")?.into_iter();
    let read = |(id, folder): (u32, PathBuf)| {
        Ok(Node { id, cpus: required(&folder.join("cpulist"), "a list of cpus")? })
    };
    folders.map(read).collect()
}

fn read_caches(cpu_root: &Path, online: &CpuList) -> Result<Vec<Cache>, TuningError> {
    let mut caches = BTreeMap::new();
    for id in online.iter() {
        for (_, folder) in numbered(&cpu_root.join(format!("cpu{id}/cache")), "index")? {
            let level: u32 = required(&folder.join("level"), "a number")?;
            let kind: CacheKind = required(&folder.join("type"), "a kind of cache")?;
            let cpus: CpuList = required(&folder.join("shared_cpu_list"), "a list of cpus")?;
            let size = optional::<CacheSize>(&folder.join("size"), "a size such as 32K")?;
            caches.insert((level, kind, cpus), size.map(|size| size.0));
        }
    }
    let cache = |((level, kind, cpus), size_bytes)| Cache { level, kind, cpus, size_bytes };
    Ok(caches.into_iter().map(cache).collect())
}

/// The kernel's `32K`, in bytes.
struct CacheSize(u64);

impl FromStr for CacheSize {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, unit) = match text.strip_suffix(['K', 'M']) {
            Some(number) if text.ends_with('K') => (number, 1 << 10),
            Some(number) => (number, 1 << 20),
            None => (text, 1),
        };
        let size = number.parse::<u64>().ok().and_then(|size| size.checked_mul(unit));
        size.map(CacheSize).ok_or(())
    }
}

/// The model's name, and whether the cpu says that it runs under a hypervisor.
fn read_cpuinfo(path: &Path) -> Result<(Option<String>, bool), TuningError> {
    let text = read_optional(path)?.unwrap_or_default();
    let field = |name: &str| {
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
    };
    let is_virtual = field("flags").is_some_and(|f| f.split(' ').any(|f| f == "hypervisor"));
    Ok((field("model name").map(str::to_owned), is_virtual))
}

fn read_affinity(path: &Path) -> Result<Option<CpuList>, TuningError> {
    let text = read_optional(path)?.unwrap_or_default();
    let Some(list) = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")) else {
        return Ok(None);
    };
    let malformed = |_| TuningError::Malformed {
        path: path.to_owned(),
        text: list.trim().to_owned(),
        expected: "a list of cpus",
    };
    list.parse().map(Some).map_err(malformed)
}
