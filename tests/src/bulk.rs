//! Orders by the ten thousand, straight into the order queues as a gateway of its own: for what
//! takes more of them than clients can sign.

use protocol::{
    AccountId, Action, CancelAll, CancelKinds, Command, GatewayId, Lots, MarketId, OrderKind,
    Origin, Place, Price, RECORD_BYTES, SelfTradePrevention, Side, TimeInForce, keys,
};
use redis::{Connection, RedisResult};
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
                self.place(market, seller, Side::Ask, (ticks, 1));
            }
            self.place(market, buyer, Side::Bid, (ticks, resting));
            if BATCH <= self.pipeline.len() {
                self.flush().unwrap();
            }
        }
        self.flush().unwrap();
    }

    /// Goes with the next flush.
    pub fn place(
        &mut self,
        market: &Market,
        trader: &Trader,
        side: Side,
        (ticks, lots): (u64, u64),
    ) {
        let place = Place {
            market: id_of(market),
            account: account_of(trader),
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
        self.push(market, Action::Place(place));
    }

    /// Goes with the next flush.
    pub fn cancel_all(&mut self, market: &Market, trader: &Trader) {
        let kinds = CancelKinds::All;
        let (market_id, account) = (id_of(market), account_of(trader));
        let action = CancelAll { market: market_id, account, kinds, created_until_us: 0 };
        self.push(market, Action::CancelAll(action));
    }

    fn push(&mut self, market: &Market, action: Action) {
        self.sent += 1;
        let origin = Origin { gateway: GATEWAY, epoch: self.epoch, sequence: self.sent };
        let record: [u8; RECORD_BYTES] = Command { origin, time_us: 0, action }.encode();
        let add = self.pipeline.cmd("XADD").arg(keys::orders(&market.symbol)).arg("*");
        add.arg(keys::COMMAND_FIELD).arg(&record[..]).ignore();
    }

    /// Errors: some of it may have been queued; it is not sent again.
    pub fn flush(&mut self) -> RedisResult<()> {
        let outcome = match self.pipeline.is_empty() {
            true => Ok(()),
            false => self.pipeline.exec(&mut self.redis),
        };
        self.pipeline.clear();
        outcome
    }

    /// After an error.
    pub fn connect_again(&mut self, redis_url: &str) -> RedisResult<()> {
        self.redis = redis::Client::open(redis_url)?.get_connection()?;
        Ok(())
    }
}

fn id_of(market: &Market) -> MarketId {
    MarketId(market.id.try_into().unwrap())
}

fn account_of(trader: &Trader) -> AccountId {
    AccountId::new(trader.account.parse().unwrap()).unwrap()
}
