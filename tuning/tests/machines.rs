//! Whole machines, from the kernel's files to the plan. Each fixture is the text of the files under
//! `/sys` and `/proc` that matter; it is laid out as a folder and read like a live machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tuning::config::EngineThreads;
use tuning::error::TuningError;
use tuning::plan::{Plan, Waiting};
use tuning::remarks::{Remark, Severity};
use tuning::topology::{CacheKind, Topology};

const DESKTOP: &str = include_str!("../fixtures/desktop_smt.machine");
const SERVER: &str = include_str!("../fixtures/server_numa.machine");
const VM: &str = include_str!("../fixtures/vm_two_cores.machine");

/// A machine laid out below a folder of its own, `name` being its test's.
struct Machine {
    root: PathBuf,
}

// `cfg(test)` is always true here; it tells clippy that this is test code, where `expect` may be.
#[cfg(test)]
impl Machine {
    fn new(name: &str, fixture: &str) -> Machine {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        if root.exists() {
            fs::remove_dir_all(&root).expect("the last run's folder");
        }
        let mut files: BTreeMap<&str, String> = BTreeMap::new();
        for row in fixture.lines().filter(|row| !row.starts_with('#')) {
            let (path, line) = row.split_once(':').expect("path:text");
            let text = files.entry(path).or_default();
            text.push_str(line);
            text.push('\n');
        }
        let machine = Machine { root };
        for (path, text) in files {
            machine.write(path, &text);
        }
        machine
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("create the folder");
        fs::write(path, text).expect("write the file");
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.root.join(path)).expect("remove the file");
    }

    fn read(&self) -> Topology {
        Topology::read(&self.root).expect("a readable machine")
    }

    fn plan(&self, shards: u32, shard_cores: Option<&[u32]>) -> Plan {
        let shard_cores = shard_cores.map(<[u32]>::to_vec);
        Plan::new(&self.read(), &EngineThreads { shards, shard_cores })
    }

    /// The real command on this machine.
    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tuning"));
        command.arg("topology").arg("--root").arg(&self.root).args(arguments);
        command.current_dir(&self.root).output().expect("run tuning")
    }
}

fn cpus(plan: &Plan) -> Vec<Option<u32>> {
    plan.pins.iter().map(|pin| pin.cpu).collect()
}

fn texts(plan: &Plan) -> Vec<String> {
    plan.remarks.iter().map(|r| format!("{:?}: {r}", r.severity())).collect()
}

#[test]
fn a_small_vm_is_read_whole() {
    let vm = Machine::new("a_small_vm_is_read_whole", VM).read();
    assert_eq!((vm.cores().len(), vm.sockets(), vm.nodes.len()), (2, 1, 1));
    assert!(vm.is_virtual);
    assert_eq!(vm.model.as_deref(), Some("AMD EPYC"));
    assert_eq!(vm.limits.cpus.as_ref().map(|cpus| cpus.to_string()).as_deref(), Some("0-1"));
    assert_eq!(vm.cpu(1).expect("cpu 1").governor, None);
    assert!(vm.isolated.is_empty() && vm.nohz_full.is_empty());
    assert_eq!(vm.caches.len(), 2 + 2 + 2 + 1);
}

#[test]
fn siblings_and_shared_caches_are_found() {
    let desktop = Machine::new("siblings_and_shared_caches_are_found", DESKTOP).read();
    assert_eq!((desktop.cores().len(), desktop.online.len()), (8, 16));
    assert_eq!(desktop.cpu(11).expect("cpu 11").siblings.to_string(), "3,11");
    let last = desktop.caches.last().expect("a cache");
    assert_eq!((last.level, last.kind), (3, CacheKind::Unified));
    assert_eq!((last.size_bytes, last.cpus.len()), (Some(32 << 20), 16));
    let server = Machine::new("siblings_and_shared_caches_are_found_2", SERVER).read();
    assert_eq!((server.sockets(), server.nodes.len(), server.cores().len()), (2, 2, 16));
    assert_eq!(server.cpu(24).expect("cpu 24").node, Some(1));
    assert_eq!(server.neighbours(3).to_string(), "0-7,16-23");
    assert_eq!(server.nohz_full, server.isolated);
}

#[test]
fn too_few_cores_leave_all_threads_unpinned_and_parking() {
    let plan = Machine::new("too_few_cores", VM).plan(2, None);
    assert_eq!(cpus(&plan), [None, None]);
    assert_eq!(plan.waiting, Waiting::Park);
    assert_eq!(plan.remarks, [Remark::TooFewCores { cores: 2, threads: 6 }]);
    assert_eq!(plan.others.to_string(), "0-1");
}

#[test]
fn configured_cores_that_do_not_exist_are_errors() {
    let plan = Machine::new("configured_cores_that_do_not_exist", VM).plan(2, Some(&[1, 2]));
    assert_eq!(cpus(&plan), [Some(1), Some(2)]);
    let expected = [
        "Error: shard-1: cpu 2 is not online (online: 0-1)",
        "Warning: 2 cores for 6 engine threads: they park when idle instead of spinning",
    ];
    assert_eq!(texts(&plan), expected);
}

#[test]
fn a_desktop_gets_a_core_a_shard_and_keeps_the_siblings_free() {
    let plan = Machine::new("a_desktop_gets_a_core_a_shard", DESKTOP).plan(3, None);
    assert_eq!(cpus(&plan), [Some(1), Some(2), Some(3)]);
    assert_eq!(plan.waiting, Waiting::Spin);
    assert_eq!(plan.others.to_string(), "0,4-8,12-15");
    let governors = plan.remarks.iter().filter(|r| matches!(r, Remark::Governor { .. }));
    assert_eq!((governors.count(), plan.remarks.len()), (3, 3));
}

#[test]
fn siblings_core_zero_and_doubled_cpus_are_warned_of() {
    let machine = Machine::new("siblings_core_zero_and_doubled", DESKTOP);
    let said = texts(&machine.plan(4, Some(&[8, 3, 11, 3])));
    for expected in [
        "Warning: shard-0 is on the core of cpu 0, where interrupts land by default",
        "Warning: shard-1 and shard-2 share one physical core (its cpus: 3,11)",
        "Warning: shard-1 and shard-3 are both pinned to cpu 3",
    ] {
        assert!(said.iter().any(|text| text == expected), "{expected} in {said:#?}");
    }
}

#[test]
fn isolated_cores_of_one_socket_are_preferred() {
    let machine = Machine::new("isolated_cores_of_one_socket", SERVER);
    let plan = machine.plan(4, None);
    assert_eq!(cpus(&plan), [9, 10, 11, 12].map(Some));
    assert_eq!(plan.others.to_string(), "0-8,16-24");
    assert!(plan.remarks.iter().all(|remark| remark.severity() == Severity::Note));
    // Seven cores are isolated. Eight shards still fit into one socket, nine do not.
    assert_eq!(cpus(&machine.plan(8, None)), [8, 9, 10, 11, 12, 13, 14, 15].map(Some));
    assert_eq!(cpus(&machine.plan(9, None)), [1, 8, 9, 10, 11, 12, 13, 14, 15].map(Some));
    machine.write("sys/devices/system/cpu/isolated", "\n");
    machine.write("proc/self/status", "Cpus_allowed_list:\t0-31\n");
    assert_eq!(cpus(&machine.plan(4, None)), [1, 2, 3, 4].map(Some));
}

#[test]
fn shards_on_two_sockets_and_off_the_isolated_cores_are_told() {
    let plan = Machine::new("shards_on_two_sockets", SERVER).plan(2, Some(&[1, 9]));
    assert_eq!(
        texts(&plan),
        [
            "Warning: shard-0 and shard-1 share no cache: the ledger's cells travel between them",
            "Note: shard-0: cpu 1 is not isolated, though others are (9-15,25-31)",
            "Note: shard-1: cpu 9 is isolated, nothing else is scheduled there",
        ]
    );
}

#[test]
fn a_container_bounds_what_can_be_pinned() {
    let machine = Machine::new("a_container_bounds", DESKTOP);
    machine.write("proc/self/cgroup", "0::/box/inner\n");
    machine.write("sys/fs/cgroup/box/inner/cpuset.cpus.effective", "8-15\n");
    machine.write("sys/fs/cgroup/box/cpu.max", "250000 100000\n");
    machine.write("proc/self/status", "Cpus_allowed_list:\t8-12\n");
    let plan = machine.plan(2, Some(&[1, 13]));
    let said = texts(&plan);
    assert_eq!(said[0], "Error: shard-0: cpu 1 is outside the cpuset (8-15)");
    for expected in [
        "Warning: 5 cores for 6 engine threads: they park when idle instead of spinning",
        "Warning: the cgroup grants 2.500 cpus of time for 6 engine threads: they park when idle \
         instead of spinning",
        "Warning: shard-1: cpu 13 is outside the affinity this process has (8-12)",
    ] {
        assert!(said.iter().any(|text| text == expected), "{expected} in {said:#?}");
    }
}

#[test]
fn an_offline_cpu_is_left_out_and_its_sibling_still_counts_as_a_core() {
    let machine = Machine::new("an_offline_cpu", DESKTOP);
    machine.write("sys/devices/system/cpu/online", "0-8,10-15\n");
    machine.remove("sys/devices/system/cpu/cpu9/topology/core_id");
    let topology = machine.read();
    assert_eq!((topology.cores().len(), topology.cpus.len()), (8, 15));
    let plan = machine.plan(1, Some(&[9]));
    assert_eq!(texts(&plan)[0], "Error: shard-0: cpu 9 is not online (online: 0-8,10-15)");
}

#[test]
fn what_a_kernel_leaves_out_is_absent_and_what_it_garbles_is_an_error() {
    let machine = Machine::new("what_a_kernel_leaves_out", VM);
    machine.remove("sys/devices/system/cpu/isolated");
    machine.remove("proc/cpuinfo");
    machine.remove("proc/self/cgroup");
    machine.remove("sys/devices/system/cpu/cpu0/cache/index3/size");
    let topology = machine.read();
    assert_eq!((topology.model, topology.limits.cpus), (None, None));
    machine.write("sys/devices/system/cpu/cpu1/topology/core_id", "one\n");
    let error = Topology::read(&machine.root).expect_err("a core that is no number");
    assert!(matches!(&error, TuningError::Malformed { text, .. } if text == "one"), "{error}");
    machine.remove("sys/devices/system/cpu/online");
    let error = Topology::read(&machine.root).expect_err("no cpus");
    assert!(matches!(error, TuningError::Missing { .. }), "{error}");
}

#[test]
fn the_command_prints_a_table_or_json_and_tells_failure_from_misuse() {
    let machine = Machine::new("the_command", DESKTOP);
    machine.write("exchange.toml", "[engine]\nshards = 2\nshard_cores = [2, 3]\n");
    let text = machine.command(&[]);
    let said = String::from_utf8_lossy(&text.stdout).into_owned();
    assert_eq!(text.status.code(), Some(0));
    assert!(said.contains("plan for 2 shards (exchange.toml)"), "{said}");
    assert!(said.contains("\n3,11         0       0     powersave  shard-1\n"), "{said}");
    assert!(said.contains("L3 unified      32 MiB   0-15\n"), "{said}");
    let json = machine.command(&["--json"]);
    let report: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(report["plan"]["pins"][1]["cpu"], 3);
    assert_eq!(report["topology"]["cpus"][9]["siblings"], serde_json::json!([1, 9]));
    assert_eq!(report["plan"]["remarks"][0]["severity"], "warning");
    let missing = machine.command(&["--config", "absent.toml"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("could not read absent.toml"));
    assert_eq!(machine.command(&["--shards"]).status.code(), Some(2));
}
