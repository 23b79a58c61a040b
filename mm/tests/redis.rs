//! The market maker against a real Redis and a pretended engine.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::{Duration, Instant};

use mm::config::{Config, RawConfig, RawMarket};
use mm::runner::{Conditions, Runner};
use protocol::fixture::catalog;
use protocol::query::{Answer, AnswerBody, Ask, Balance, Heartbeat, Query};
use protocol::{
    Action, AssetId, Command, FrameHeader, FrameWriter, GatewayId, MarketId, OrderId, OrderKind,
    Outcome, Sequence, StateDigest, StreamCursor, TimeInForce, Units, keys,
};
use redis::Value;
use redis::aio::MultiplexedConnection;
use service::{Ops, SharedCatalog};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use xtask::private_servers::Server;

/// Beyond what a clock can add.
const EPOCH_KNOWN: u32 = 4_100_000_000;
const DEADLINE: Duration = Duration::from_secs(20);
const STEP: Duration = Duration::from_millis(10);

/// Rests every order, carries out every cancel, and remembers what it was asked.
struct Engine {
    redis: MultiplexedConnection,
    cursor: String,
    sequence: u64,
    commands: Vec<Command>,
}

impl Engine {
    async fn beat(&mut self, life: u64) {
        let sequence = Sequence(self.sequence);
        let beat = Heartbeat { life, sequence, queued: None, time_us: 0 };
        let mut set = redis::cmd("SET");
        set.arg(keys::HEARTBEAT).arg(serde_json::to_string(&beat).unwrap());
        set.arg("PX").arg(keys::HEARTBEAT_EXPIRES_MS);
        set.exec_async(&mut self.redis).await.unwrap();
    }

    async fn serve(&mut self) {
        let mut read = redis::cmd("XRANGE");
        read.arg(keys::orders("SOL_USDC")).arg(format!("({}", self.cursor)).arg("+");
        let entries: Vec<(String, Vec<Value>)> = read.query_async(&mut self.redis).await.unwrap();
        for (id, fields) in entries {
            self.cursor = id;
            let Value::BulkString(record) = &fields[1] else { panic!("{fields:?}") };
            let command = Command::decode_slice(record).unwrap();
            self.commands.push(command);
            self.reply(&command).await;
        }
        let mut pop = redis::cmd("RPOP");
        while let Some(json) =
            pop.arg(keys::QUERIES).query_async::<Option<String>>(&mut self.redis).await.unwrap()
        {
            self.answer(&serde_json::from_str(&json).unwrap()).await;
            pop = redis::cmd("RPOP");
        }
    }

    async fn reply(&mut self, command: &Command) {
        self.sequence += 1;
        let order = OrderId::from_parts(MarketId(1), self.sequence as u32, 1).unwrap();
        let outcome = match command.action {
            Action::Place(place) => {
                let OrderKind::Limit { lots, .. } = place.kind else { panic!("{place:?}") };
                assert_eq!(place.time_in_force, TimeInForce::GoodTillCancelled);
                Outcome::Rested { order, lots_left: lots }
            }
            _ => Outcome::Cancelled,
        };
        let header = FrameHeader {
            sequence: Sequence(self.sequence),
            previous: None,
            cursor: StreamCursor::START,
            outcome,
            held: Units::ZERO,
            digest: StateDigest::default(),
        };
        let frame = FrameWriter::new(0).finish(&header, command).concat();
        self.publish(frame).await;
    }

    async fn answer(&mut self, query: &Query) {
        let balance = |asset| Balance { asset, available: Units(1 << 50), locked: Units::ZERO };
        let body = match query.ask {
            Ask::Balances { .. } => {
                AnswerBody::Balances(vec![balance(AssetId(1)), balance(AssetId(2))])
            }
            Ask::OpenOrders { .. } => AnswerBody::OpenOrders(Vec::new()),
            Ask::Epoch { gateway: GatewayId(900) } => {
                let epochs = self.commands.iter().map(|command| command.origin.epoch);
                AnswerBody::Epoch(epochs.max().unwrap_or(EPOCH_KNOWN))
            }
            _ => panic!("{query:?}"),
        };
        let sequence = Sequence(self.sequence);
        let answer = Answer { id: query.id, life: query.life, sequence, body };
        self.publish(serde_json::to_vec(&answer).unwrap()).await;
    }

    async fn publish(&mut self, payload: Vec<u8>) {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(keys::replies(GatewayId(900))).arg(payload);
        publish.exec_async(&mut self.redis).await.unwrap();
    }

    fn placed(&self) -> usize {
        self.commands.iter().filter(|it| matches!(it.action, Action::Place(_))).count()
    }

    /// Serves under `epoch` until `done`.
    async fn until(&mut self, epoch: u32, mut done: impl FnMut(&Engine) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < DEADLINE, "{} commands", self.commands.len());
            self.beat(epoch.into()).await;
            self.serve().await;
            sleep(STEP).await;
        }
    }
}

fn config() -> Config {
    let market = RawMarket {
        symbol: "SOL_USDC".to_owned(),
        start_price: "150".to_owned(),
        quantity_min: "0.1".to_owned(),
        quantity_max: "2".to_owned(),
        spread_bps: 20,
        step_bps: 1,
        drift_bps_max: 1000,
        rate_per_s: 100,
        open_orders_max: 50,
    };
    let raw = RawConfig { account: Some(1), markets: vec![market], ..RawConfig::default() };
    Config::check(&raw, &catalog()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_quotes_survives_the_engine_and_cancels_at_the_end() {
    let redis = Server::redis("mm").unwrap();
    let client = redis::Client::open(redis.url.as_str()).unwrap();
    let connection = client.get_multiplexed_async_connection().await.unwrap();
    let mut engine =
        Engine { redis: connection, cursor: "0-0".to_owned(), sequence: 0, commands: Vec::new() };
    let ops = Ops::start("127.0.0.1:0".parse().unwrap(), || ()).unwrap();
    let conditions = Conditions {
        redis: ops.condition("redis"),
        engine: ops.condition("engine"),
        funds: ops.condition("funds"),
    };
    let stop = CancellationToken::new();
    let runner =
        Runner::new(config(), SharedCatalog::new(catalog()), &redis.url, conditions.clone());
    let maker = tokio::spawn(runner.run(stop.clone()));

    engine.until(1, |engine| 20 <= engine.placed()).await;
    assert!(matches!(engine.commands[0].action, Action::CancelAll(_)));
    engine.until(1, |_| conditions.engine.holds() && conditions.funds.holds()).await;
    let sequences = engine.commands.iter().map(|command| command.origin.sequence);
    assert!(sequences.eq(1..=engine.commands.len() as u64));
    assert!(engine.commands.iter().all(|command| command.origin.epoch == EPOCH_KNOWN + 1));

    // The engine dies: its heartbeat goes, and with it the orders stop coming.
    let mut delete = redis::cmd("DEL");
    delete
        .arg(keys::HEARTBEAT)
        .arg(keys::epoch(GatewayId(900)))
        .exec_async(&mut engine.redis)
        .await
        .unwrap();
    let start = Instant::now();
    while conditions.engine.holds() {
        assert!(start.elapsed() < DEADLINE, "the engine's end was not noticed");
        sleep(STEP).await;
    }
    engine.serve().await;
    let before = engine.placed();
    sleep(Duration::from_millis(300)).await;
    engine.serve().await;
    assert_eq!(engine.placed(), before);

    engine.until(2, |engine| before + 20 <= engine.placed()).await;
    // Redis has forgotten the epoch, the engine has not.
    assert_eq!(engine.commands.last().unwrap().origin.epoch, EPOCH_KNOWN + 2);
    stop.cancel();
    let is_last = |engine: &Engine| {
        maker.is_finished()
            && matches!(engine.commands.last().unwrap().action, Action::CancelAll(_))
    };
    engine.until(2, is_last).await;
    maker.await.unwrap().unwrap();
}
