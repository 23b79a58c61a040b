//! Topology and plan as text for a person and as JSON for a machine.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use serde::Serialize;

use crate::cpu_list::CpuList;
use crate::plan::{OTHER_THREADS, Origin, Plan};
use crate::remarks::{Severity, counted};
use crate::topology::{Cache, CacheKind, Topology};

/// All that `tuning topology` says. `Display` is the text; serialised it is the JSON.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    pub topology: &'a Topology,
    pub plan: &'a Plan,
    /// Where the shards come from: a config file, or the default.
    pub source: &'a str,
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        machine(out, self.topology)?;
        writeln!(out)?;
        cores(out, self.topology, self.plan)?;
        writeln!(out)?;
        caches(out, self.topology)?;
        writeln!(out)?;
        threads(out, self.plan, self.source)?;
        remarks(out, self.plan)
    }
}

fn machine(out: &mut fmt::Formatter<'_>, topology: &Topology) -> fmt::Result {
    let mut facts = vec![
        counted(topology.cores().len(), "core"),
        counted(topology.online.len(), "cpu"),
        counted(topology.sockets(), "socket"),
    ];
    if !topology.nodes.is_empty() {
        facts.push(counted(topology.nodes.len(), "memory node"));
    }
    facts.extend(topology.is_virtual.then(|| "virtual machine".to_owned()));
    facts.extend(topology.kernel.as_ref().map(|kernel| format!("Linux {kernel}")));
    let model = topology.model.as_deref().unwrap_or("unknown cpu");
    let offline = topology.present.without(&topology.online);
    let quota = topology.limits.quota_milli_cpus;
    writeln!(out, "machine    {model}: {}", facts.join(", "))?;
    write!(out, "cpus       online {}", topology.online)?;
    if !offline.is_empty() {
        write!(out, ", offline {offline}")?;
    }
    writeln!(out, "; isolated {}; nohz_full {}", topology.isolated, topology.nohz_full)?;
    write!(out, "process    may use {}", topology.allowed)?;
    if let Some(cpus) = &topology.limits.cpus {
        write!(out, "; cpuset {cpus}")?;
    }
    if let Some(milli) = quota {
        write!(out, "; cpu time of {}.{:03} cpus", milli / 1000, milli % 1000)?;
    }
    writeln!(out)
}

fn cores(out: &mut fmt::Formatter<'_>, topology: &Topology, plan: &Plan) -> fmt::Result {
    let mut rows = vec![["core's cpus", "socket", "node", "governor", "for"].map(str::to_owned)];
    for core in topology.cores() {
        let Some(cpu) = core.first().and_then(|id| topology.cpu(id)) else { continue };
        rows.push([
            core.to_string(),
            cpu.socket.to_string(),
            cpu.node.map_or("-".to_owned(), |node| node.to_string()),
            cpu.governor.clone().unwrap_or("-".to_owned()),
            used_for(&core, topology, plan),
        ]);
    }
    table(out, &rows)
}

/// What runs on a core under the plan.
fn used_for(core: &CpuList, topology: &Topology, plan: &Plan) -> String {
    let shards = plan.pins.iter().filter(|pin| pin.cpu.is_some_and(|cpu| core.contains(cpu)));
    let mut uses: Vec<String> = shards.map(|pin| format!("shard-{}", pin.shard)).collect();
    let anywhere = plan.pins.iter().any(|pin| pin.cpu.is_none());
    if !core.and(&plan.others).is_empty() {
        uses.push(if anywhere { "all threads" } else { "other threads" }.to_owned());
    }
    if uses.is_empty() {
        let isolated = !core.and(&topology.isolated).is_empty();
        uses.push(if isolated { "idle (isolated)" } else { "-" }.to_owned());
    }
    uses.join(", ")
}

fn caches(out: &mut fmt::Formatter<'_>, topology: &Topology) -> fmt::Result {
    let mut kinds: BTreeMap<(u32, CacheKind), Vec<&Cache>> = BTreeMap::new();
    for cache in &topology.caches {
        kinds.entry((cache.level, cache.kind)).or_default().push(cache);
    }
    if kinds.is_empty() {
        return writeln!(out, "cache   not described by this kernel");
    }
    let cores = topology.cores();
    let mut rows = vec![["cache", "size", "shared by"].map(str::to_owned)];
    for ((level, kind), caches) in kinds {
        let mut sizes: Vec<String> =
            caches.iter().map(|cache| size_text(cache.size_bytes)).collect();
        sizes.sort();
        sizes.dedup();
        let own = caches.iter().all(|cache| cores.contains(&cache.cpus.and(&topology.online)));
        let shared: Vec<String> = caches.iter().map(|cache| cache.cpus.to_string()).collect();
        rows.push([
            format!("L{level} {kind}"),
            sizes.join(" or "),
            if own { "a core's own".to_owned() } else { shared.join(" | ") },
        ]);
    }
    table(out, &rows)
}

fn size_text(bytes: Option<u64>) -> String {
    match bytes {
        None => "-".to_owned(),
        Some(bytes) if bytes % (1 << 20) == 0 => format!("{} MiB", bytes >> 20),
        Some(bytes) => format!("{} KiB", bytes >> 10),
    }
}

fn threads(out: &mut fmt::Formatter<'_>, plan: &Plan, source: &str) -> fmt::Result {
    writeln!(out, "plan for {} ({source})", counted(plan.pins.len(), "shard"))?;
    let mut rows = vec![["thread", "cpu", "pinned by", "when idle"].map(str::to_owned)];
    let waiting = plan.waiting.to_string();
    for pin in &plan.pins {
        let pinned_by = match (pin.cpu, pin.origin) {
            (None, _) => "unpinned",
            (_, Origin::Configured) => "config",
            (_, Origin::Planned) => "planner",
        };
        let cpu = pin.cpu.map_or(plan.others.to_string(), |cpu| cpu.to_string());
        rows.push([format!("shard-{}", pin.shard), cpu, pinned_by.to_owned(), waiting.clone()]);
    }
    let unpinned = "unpinned".to_owned();
    rows.push([OTHER_THREADS.join(", "), plan.others.to_string(), unpinned, waiting]);
    table(out, &rows)
}

fn remarks(out: &mut fmt::Formatter<'_>, plan: &Plan) -> fmt::Result {
    if !plan.remarks.is_empty() {
        writeln!(out)?;
    }
    for remark in &plan.remarks {
        let severity = match remark.severity() {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        writeln!(out, "{severity}: {remark}")?;
    }
    Ok(())
}

/// Columns as wide as their widest cell, two spaces apart, no spaces at the end of a line.
fn table<const N: usize>(out: &mut fmt::Formatter<'_>, rows: &[[String; N]]) -> fmt::Result {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            write!(line, "{cell:width$}  ")?;
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}
