//! One more gateway beside a world's own: another id, hence another reply channel, the same engine.

use toml::Table;
use xtask::ports::free_port;
use xtask::process::{Identity, ProcessSpec};
use xtask::readiness::Probe;
use xtask::services::IO_GATEWAY;

use crate::client::Trader;
use crate::eventually::eventually;
use crate::world::World;

const ID: i64 = 2;

/// Ended when dropped.
pub struct SecondGateway {
    spec: ProcessSpec,
    process: Identity,
    rest_url: String,
}

impl SecondGateway {
    /// Returns when it is ready.
    pub fn start(world: &World) -> SecondGateway {
        let mut spec = world.stack().record().member(IO_GATEWAY).unwrap().spec.clone();
        let config = value_of(&mut spec, "--config");
        let text = std::fs::read_to_string(config.as_str()).unwrap();
        let mut table: Table = text.parse().unwrap();
        let gateway = table["gateway"].as_table_mut().unwrap();
        gateway.insert("id".to_owned(), toml::Value::Integer(ID));
        let own = world.var().join("second-gateway.toml");
        std::fs::write(&own, toml::to_string(&table).unwrap()).unwrap();
        *config = own.display().to_string();
        let listen = format!("127.0.0.1:{}", free_port().unwrap());
        let ops = format!("127.0.0.1:{}", free_port().unwrap());
        *value_of(&mut spec, "--listen") = listen.clone();
        *value_of(&mut spec, "--ops-listen") = ops.clone();
        spec.name = "second-gateway".to_owned();
        spec.log = world.stack().places().log(&spec.name);
        spec.ready = Probe::Http { url: format!("http://{ops}/readyz") };
        let process = spec.spawn().unwrap_or_else(|error| panic!("{}", error.in_full()));
        let gateway = SecondGateway { spec, process, rest_url: format!("http://{listen}") };
        gateway.until_ready();
        gateway
    }

    fn until_ready(&self) {
        eventually("the second gateway is ready", || self.spec.ready.ask());
    }

    /// The same trader, through this gateway.
    pub fn client_of(&self, trader: &Trader) -> Trader {
        let mut trader = trader.clone();
        trader.client.rest_url.clone_from(&self.rest_url);
        trader
    }

    pub fn kill9(&self) {
        self.process.kill().unwrap();
    }

    pub fn start_again(&mut self) {
        self.process = self.spec.spawn().unwrap_or_else(|error| panic!("{}", error.in_full()));
        self.until_ready();
    }
}

impl Drop for SecondGateway {
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
