//! One more process of a service beside a world's own: on other ports, under another id, and with
//! settings of its own where a scenario wants them.

use toml::{Table, Value};
use xtask::http;
use xtask::ports::free_port;
use xtask::process::{Identity, ProcessSpec};
use xtask::readiness::Probe;

use crate::eventually::{SECOND, eventually};
use crate::world::World;

/// Ended when dropped.
pub struct Beside {
    spec: ProcessSpec,
    pub process: Identity,
    /// `host:port` where clients find it.
    pub address: String,
    ops: String,
}

impl Beside {
    /// A second `service` with these settings in its section. Returns when it is ready.
    pub fn start(
        world: &World,
        service: &str,
        section: &str,
        settings: &[(&str, Value)],
    ) -> Beside {
        let mut spec = world.stack().record().member(service).unwrap().spec.clone();
        let address = format!("127.0.0.1:{}", free_port().unwrap());
        let ops = format!("127.0.0.1:{}", free_port().unwrap());
        spec.name = format!("second-{service}-{}", address.trim_start_matches("127.0.0.1:"));
        let config = value_of(&mut spec, "--config");
        let text = std::fs::read_to_string(config.as_str()).unwrap();
        let mut table: Table = text.parse().unwrap();
        let own = table[section].as_table_mut().unwrap();
        for (key, value) in settings {
            assert!(own.insert((*key).to_owned(), value.clone()).is_some(), "no {key} before");
        }
        let file = world.var().join(format!("{}.toml", spec.name));
        std::fs::write(&file, toml::to_string(&table).unwrap()).unwrap();
        *value_of(&mut spec, "--config") = file.display().to_string();
        *value_of(&mut spec, "--listen") = address.clone();
        *value_of(&mut spec, "--ops-listen") = ops.clone();
        spec.log = world.stack().places().log(&spec.name);
        spec.ready = Probe::Http { url: format!("http://{ops}/readyz") };
        let process = spec.spawn().unwrap_or_else(|error| panic!("{}", error.in_full()));
        let beside = Beside { spec, process, address, ops };
        beside.until_ready();
        beside
    }

    fn until_ready(&self) {
        eventually("the second process is ready", || self.spec.ready.ask());
    }

    /// What it counts under this name, which has no labels; 0 before it has counted.
    pub fn metric(&self, name: &str) -> f64 {
        let (_, text) = http::get(&format!("http://{}/metrics", self.ops), 5 * SECOND).unwrap();
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(found, _)| *found == name).map_or(0.0, |(_, value)| value.parse().unwrap())
    }

    pub fn kill9(&self) {
        self.process.kill().unwrap();
    }

    pub fn start_again(&mut self) {
        self.process = self.spec.spawn().unwrap_or_else(|error| panic!("{}", error.in_full()));
        self.until_ready();
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        if let Err(error) = self.process.kill() {
            eprintln!("{}", error.in_full());
        }
    }
}

fn value_of<'s>(spec: &'s mut ProcessSpec, flag: &str) -> &'s mut String {
    let at = spec.args.iter().position(|argument| argument == flag).unwrap();
    &mut spec.args[at + 1]
}
