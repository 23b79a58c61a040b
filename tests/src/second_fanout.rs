//! One more fan-out beside a world's own, so that what is done to it, or what it is set to, is
//! nobody else's.

use nix::sys::signal::Signal;
use xtask::services::WS_FANOUT;

use crate::beside::Beside;
use crate::eventually::eventually;
use crate::socket::Socket;
use crate::world::World;

const ID: i64 = 951;

/// Ended when dropped.
pub struct SecondFanout(Beside);

impl SecondFanout {
    /// With these numbers in `[fanout]`. Returns when it is ready.
    pub fn start(world: &World, settings: &[(&str, i64)]) -> SecondFanout {
        let settings: Vec<(&str, toml::Value)> = [("id", ID)]
            .iter()
            .chain(settings)
            .map(|(key, number)| (*key, toml::Value::Integer(*number)))
            .collect();
        SecondFanout(Beside::start(world, WS_FANOUT, "fanout", &settings))
    }

    pub fn address(&self) -> &str {
        &self.0.address
    }

    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.0.address)
    }

    pub fn socket(&self) -> Socket {
        Socket::open(&self.ws_url())
    }

    pub fn pid(&self) -> i32 {
        self.0.process.pid
    }

    pub fn metric(&self, name: &str) -> f64 {
        self.0.metric(name)
    }

    pub fn kill9(&self) {
        self.0.kill9();
    }

    pub fn ask_to_end(&self) {
        assert!(self.0.process.signal(Signal::SIGTERM).unwrap());
    }

    /// Waits until it has ended by itself; answers how.
    pub fn until_ended(&self) -> String {
        eventually("the second fan-out ends", || self.0.process.reap().ok_or("still runs"))
    }
}
