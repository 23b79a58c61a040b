//! Orders by the ten thousand, straight into the order queues as a gateway of its own: for what
//! takes more of them than clients can sign.

use protocol::{
    AccountId, Action, ClientId, Command, GatewayId, Lots, MarketId, OrderKind, Origin, Place,
    Price, SelfTradePrevention, Side, Target, TimeInForce, keys,
};
use redis::{Client, Connection, RedisResult};
use xtask::client::now_ms;

use crate::client::Trader;
use crate::eventually::SECOND;
use crate::listing::Market;
use crate::world::World;

/// Nobody else's; see `id` of `[gateway]` and `gateway_id` of `[market_maker]`.
const GATEWAY: GatewayId = GatewayId(700);
const BATCH: usize = 1000;

pub struct Bulk {
    client: Client,
    redis: Connection,
    epoch: u32,
    sent: u64,
    pipeline: redis::Pipeline,
}

impl Bulk {
    pub fn new(world: &World) -> Bulk {
        let epoch = u32::try_from(now_ms() / 1000).unwrap();
        let client = Client::open(world.stack().redis_url()).unwrap();
        Bulk { client, redis: world.redis(), epoch, sent: 0, pipeline: redis::pipe() }
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
                self.place(market, seller, Side::Ask, (ticks, 1), None);
            }
            self.place(market, buyer, Side::Bid, (ticks, resting), None);
        }
        self.flush();
    }

    /// Queued with the next flush, at the latest when there are [`BATCH`].
    pub fn place(
        &mut self,
        market: &Market,
        trader: &Trader,
        side: Side,
        (ticks, lots): (u64, u64),
        client_id: Option<u32>,
    ) {
        let place = Place {
            market: market_id(market),
            account: account_id(trader),
            side,
            kind: OrderKind::Limit {
                price: Price::from_ticks(ticks).unwrap(),
                lots: Lots(lots),
                post_only: false,
            },
            time_in_force: TimeInForce::GoodTillCancelled,
            self_trade_prevention: SelfTradePrevention::RejectTaker,
            client_id: client_id.map(ClientId),
            valid_until_us: 0,
        };
        self.add(market, Action::Place(place));
    }

    pub fn cancel(&mut self, market: &Market, trader: &Trader, client_id: u32) {
        let (account, target) = (account_id(trader), Target::Client(ClientId(client_id)));
        self.add(market, Action::Cancel { market: market_id(market), account, target });
    }

    fn add(&mut self, market: &Market, action: Action) {
        self.sent += 1;
        let origin = Origin { gateway: GATEWAY, epoch: self.epoch, sequence: self.sent };
        let record = Command { origin, time_us: 0, action }.encode();
        let add = self.pipeline.cmd("XADD").arg(keys::orders(&market.symbol)).arg("*");
        add.arg(keys::COMMAND_FIELD).arg(&record[..]).ignore();
        if BATCH <= self.pipeline.len() {
            self.flush();
        }
    }

    pub fn flush(&mut self) {
        self.try_flush().unwrap();
    }

    /// What was not queued is forgotten: it may have been, and nobody knows.
    pub fn try_flush(&mut self) -> RedisResult<()> {
        let pipeline = std::mem::replace(&mut self.pipeline, redis::pipe());
        if pipeline.is_empty() {
            return Ok(());
        }
        let done = pipeline.exec(&mut self.redis);
        if done.is_err()
            && let Ok(again) = self.client.get_connection_with_timeout(SECOND)
        {
            again.set_read_timeout(Some(10 * SECOND))?;
            self.redis = again;
        }
        done
    }

    /// Commands that the engine has not taken off the market's queue yet, and a few more.
    pub fn queued(&mut self, market: &Market) -> RedisResult<usize> {
        redis::cmd("XLEN").arg(keys::orders(&market.symbol)).query(&mut self.redis)
    }
}

fn market_id(market: &Market) -> MarketId {
    MarketId(market.id.try_into().unwrap())
}

fn account_id(trader: &Trader) -> AccountId {
    AccountId::new(trader.account.parse().unwrap()).unwrap()
}
