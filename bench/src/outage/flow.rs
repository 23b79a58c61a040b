//! Trades at a rate: commands written into the order queue as a gateway does it. Small offers rest,
//! and a bid takes them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use protocol::{
    AccountId, Action, Command, GatewayId, Lots, MarketId, OrderKind, Origin, Place, Price,
    SelfTradePrevention, Side, TimeInForce, keys,
};
use xtask::artifacts::repository_root;
use xtask::client::now_ms;
use xtask::interrupt;

use crate::error::BenchError;
use crate::rest::exchange::Exchange;

/// Not the market of the probe: what queues up here is not in its way.
pub const SYMBOL: &str = "ETH_USDC";
/// Nobody else's; see `id` of `[gateway]` and `gateway_id` of `[market_maker]`.
const GATEWAY: GatewayId = GatewayId(701);
const TRADES_A_BID: u64 = 50;
/// Prices of the trades, one after the other.
const TICKS: u64 = 400_000;
const PRICES: u64 = 97;
const TICK: Duration = Duration::from_millis(10);
/// Commands that wait for the engine; then the flow waits as well.
const QUEUED_MAX: u64 = 10_000;

pub struct Flow {
    rate: Arc<AtomicU64>,
    made: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<(), BenchError>>,
}

impl Flow {
    /// With two funded accounts of its own, and nothing to do yet.
    pub fn start(exchange: &Exchange) -> Result<Flow, BenchError> {
        let admin = exchange.stack().admin();
        let account = |label: &str, asset: &str| {
            let account = admin.create_account(label)?;
            admin.deposit(&account, asset, "1000000000", &format!("{label}-{account}"))?;
            Ok(account)
        };
        let number = |account: xtask::Result<String>| {
            let account = account.map_err(BenchError::Exchange)?;
            let id = account.parse().ok().and_then(AccountId::new);
            id.ok_or_else(|| BenchError::Answer(format!("{account} is no account")))
        };
        let client = redis::Client::open(exchange.redis_url()).map_err(BenchError::Redis)?;
        let (rate, made, stop) = (Arc::default(), Arc::default(), Arc::default());
        let source = Source {
            redis: client.get_connection().map_err(BenchError::Redis)?,
            market: market()?,
            seller: number(account("bench-seller", "ETH"))?,
            buyer: number(account("bench-buyer", "USDC"))?,
            epoch: u32::try_from(now_ms() / 1000).unwrap_or(u32::MAX),
            sent: 0,
            rounds: 0,
            rate: Arc::clone(&rate),
            made: Arc::clone(&made),
            stop: Arc::clone(&stop),
        };
        Ok(Flow { rate, made, stop, thread: thread::spawn(|| source.run()) })
    }

    /// Trades a second from now on.
    pub fn set_rate(&self, rate: u64) {
        self.rate.store(rate, Ordering::Relaxed);
    }

    /// Trades whose orders are queued.
    pub fn made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    /// Returns when so many more are made.
    pub fn wait_for(&self, more: u64) -> Result<(), BenchError> {
        let wanted = self.made() + more;
        while self.made() < wanted {
            interrupt::check().map_err(BenchError::Exchange)?;
            if self.thread.is_finished() {
                return Err(BenchError::Ended("the flow of trades".to_owned()));
            }
            thread::sleep(TICK);
        }
        Ok(())
    }

    /// How many trades there are to be.
    pub fn stop(self) -> Result<u64, BenchError> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| BenchError::Thread)??;
        Ok(self.made.load(Ordering::Relaxed))
    }
}

/// The id of [`SYMBOL`].
pub fn market() -> Result<MarketId, BenchError> {
    let file = service::ExchangeFile::load(&repository_root().join("exchange.toml"));
    let file = file.map_err(|error| BenchError::Answer(error.to_string()))?;
    let market = file.catalog.markets().iter().find(|market| market.symbol == SYMBOL);
    Ok(market.ok_or_else(|| BenchError::Answer(format!("no market {SYMBOL}")))?.id)
}

struct Source {
    redis: redis::Connection,
    market: MarketId,
    seller: AccountId,
    buyer: AccountId,
    epoch: u32,
    sent: u64,
    rounds: u64,
    rate: Arc<AtomicU64>,
    made: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
}

impl Source {
    fn run(mut self) -> Result<(), BenchError> {
        let (mut due, mut at) = (0.0, Instant::now());
        while !self.stop.load(Ordering::Relaxed) {
            thread::sleep(TICK);
            let rate = self.rate.load(Ordering::Relaxed) as f64;
            due += rate * at.elapsed().as_secs_f64();
            at = Instant::now();
            let queue = keys::orders(SYMBOL);
            let length = redis::cmd("XLEN").arg(&queue).query::<u64>(&mut self.redis);
            if QUEUED_MAX < length.map_err(BenchError::Redis)? {
                due = 0.0;
            }
            while TRADES_A_BID as f64 <= due {
                due -= TRADES_A_BID as f64;
                self.round(&queue)?;
            }
        }
        Ok(())
    }

    fn round(&mut self, queue: &str) -> Result<(), BenchError> {
        let ticks = TICKS + self.rounds % PRICES;
        let mut pipeline = redis::pipe();
        for _ in 0..TRADES_A_BID {
            self.place(&mut pipeline, queue, (Side::Ask, self.seller), (ticks, 1));
        }
        self.place(&mut pipeline, queue, (Side::Bid, self.buyer), (ticks, TRADES_A_BID));
        pipeline.exec(&mut self.redis).map_err(BenchError::Redis)?;
        self.rounds += 1;
        self.made.fetch_add(TRADES_A_BID, Ordering::Relaxed);
        Ok(())
    }

    fn place(
        &mut self,
        pipeline: &mut redis::Pipeline,
        queue: &str,
        (side, account): (Side, AccountId),
        (ticks, lots): (u64, u64),
    ) {
        let Some(price) = Price::from_ticks(ticks) else { return };
        let place = Place {
            market: self.market,
            account,
            side,
            kind: OrderKind::Limit { price, lots: Lots(lots), post_only: false },
            time_in_force: TimeInForce::GoodTillCancelled,
            self_trade_prevention: SelfTradePrevention::RejectTaker,
            client_id: None,
            valid_until_us: 0,
        };
        self.sent += 1;
        let origin = Origin { gateway: GATEWAY, epoch: self.epoch, sequence: self.sent };
        let record = Command { origin, time_us: 0, action: Action::Place(place) }.encode();
        let add = pipeline.cmd("XADD").arg(queue).arg("*");
        add.arg(keys::COMMAND_FIELD).arg(&record[..]).ignore();
    }
}
