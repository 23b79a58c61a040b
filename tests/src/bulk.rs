//! Orders by the ten thousand, straight into the order queues as a gateway of its own: for what
//! takes more of them than clients can sign.

use protocol::{
    AccountId, Action, Command, GatewayId, Lots, MarketId, OrderKind, Origin, Place, Price,
    SelfTradePrevention, Side, TimeInForce, keys,
};
use redis::Connection;
use xtask::client::now_ms;

use crate::client::Trader;
use crate::listing::Market;
use crate::world::World;

/// Nobody else's; see `id` of `[gateway]` and `gateway_id` of `[market_maker]`.
const GATEWAY: GatewayId = GatewayId(700);
const BATCH: usize = 1000;

pub struct Bulk {
    redis: Connection,
    epoch: u32,
    sent: u64,
    pipeline: redis::Pipeline,
}

impl Bulk {
    pub fn new(world: &World) -> Bulk {
        let epoch = u32::try_from(now_ms() / 1000).unwrap();
        Bulk { redis: world.redis(), epoch, sent: 0, pipeline: redis::pipe() }
    }

    /// `rounds` times: `resting` offers of one lot at one price, and a bid that takes them all.
    /// Returns when all of them are queued.
    pub fn trade(
        &mut self,
        market: &Market,
        (seller, buyer): (&Trader, &Trader),
        ticks: u64,
        (rounds, resting): (u64, u64),
    ) {
        for _ in 0..rounds {
            for _ in 0..resting {
                self.place(market, seller, Side::Ask, ticks, 1);
            }
            self.place(market, buyer, Side::Bid, ticks, resting);
        }
        self.flush();
    }

    fn place(&mut self, market: &Market, trader: &Trader, side: Side, ticks: u64, lots: u64) {
        self.sent += 1;
        let place = Place {
            market: MarketId(market.id.try_into().unwrap()),
            account: AccountId::new(trader.account.parse().unwrap()).unwrap(),
            side,
            kind: OrderKind::Limit {
                price: Price::from_ticks(ticks).unwrap(),
                lots: Lots(lots),
                post_only: false,
            },
            time_in_force: TimeInForce::GoodTillCancelled,
            self_trade_prevention: SelfTradePrevention::RejectTaker,
            client_id: None,
            valid_until_us: 0,
        };
        let origin = Origin { gateway: GATEWAY, epoch: self.epoch, sequence: self.sent };
        let record = Command { origin, time_us: 0, action: Action::Place(place) }.encode();
        let add = self.pipeline.cmd("XADD").arg(keys::orders(&market.symbol)).arg("*");
        add.arg(keys::COMMAND_FIELD).arg(&record[..]).ignore();
        if BATCH <= self.pipeline.len() {
            self.flush();
        }
    }

    fn flush(&mut self) {
        if !self.pipeline.is_empty() {
            self.pipeline.exec(&mut self.redis).unwrap();
            self.pipeline.clear();
        }
    }
}
