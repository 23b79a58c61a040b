//! One more gateway beside a world's own: another id, hence another reply channel, the same engine.

use xtask::services::IO_GATEWAY;

use crate::beside::Beside;
use crate::client::Trader;
use crate::world::World;

const ID: i64 = 2;

/// Ended when dropped.
pub struct SecondGateway(Beside);

impl SecondGateway {
    /// Returns when it is ready.
    pub fn start(world: &World) -> SecondGateway {
        let id = ("id", toml::Value::Integer(ID));
        SecondGateway(Beside::start(world, IO_GATEWAY, "gateway", &[id]))
    }

    /// The same trader, through this gateway.
    pub fn client_of(&self, trader: &Trader) -> Trader {
        let mut trader = trader.clone();
        trader.client.rest_url = format!("http://{}", self.0.address);
        trader
    }

    pub fn kill9(&self) {
        self.0.kill9();
    }

    pub fn start_again(&mut self) {
        self.0.start_again();
    }
}
