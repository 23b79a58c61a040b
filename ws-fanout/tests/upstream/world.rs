//! A private Redis, a replica and an engine played by the test, and one worker.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use protocol::book_checksum::book_checksum;
use protocol::feed::{Head, Heads};
use protocol::fixture::{catalog, market, price};
use protocol::query::{Answer, AnswerBody, Ask, Depth, DepthSince, Listening, PublicTrade, Query};
use protocol::{
    AccountId, GatewayId, Lots, MarketId, OrderId, Price, Sequence, Side, TradeId, keys,
    stream_json,
};
use redis::aio::MultiplexedConnection;
use service::{Condition, SharedCatalog};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use ws_fanout::access::Access;
use ws_fanout::close_reason::CloseReason;
use ws_fanout::links::{ToDisconnects, ToUpstream, ToWorker, Token, WorkerId};
use ws_fanout::stream_name::StreamName;
use ws_fanout::upstream::{Settings, connect};
use xtask::private_servers::Server;

pub const DEADLINE: Duration = Duration::from_secs(20);
pub const ASKER: GatewayId = GatewayId(950);
const MARKET: MarketId = MarketId(1);

/// What the replica knows.
#[derive(Default)]
pub struct Engine {
    pub life: u64,
    pub asks: BTreeMap<u64, u64>,
    pub bids: BTreeMap<u64, u64>,
    pub update_id: u64,
    pub touched: Vec<(bool, u64)>,
    /// Those that are remembered.
    pub trades: Vec<PublicTrade>,
    pub last_trade: u64,
    /// Of the last message of each account.
    pub numbers: HashMap<AccountId, u64>,
    pub epoch: u32,
    /// Answers nothing.
    pub is_away: bool,
    /// Questions that got no answer.
    pub unanswered: usize,
}

impl Engine {
    fn levels(side: &BTreeMap<u64, u64>) -> Vec<(Price, Lots)> {
        side.iter().map(|(ticks, lots)| (price(*ticks), Lots(*lots))).collect()
    }

    fn depth(&self) -> Depth {
        let (asks, mut bids) = (Engine::levels(&self.asks), Engine::levels(&self.bids));
        bids.reverse();
        Depth { bids, asks, update_id: self.update_id, time_us: self.update_id }
    }

    /// Tells all levels there are or were, whatever changed them when.
    fn since(&self, after: u64) -> DepthSince {
        let Depth { update_id, time_us, .. } = self.depth();
        let is_whole = after <= update_id;
        let gone = self.touched.iter().map(|(is_bid, ticks)| (*is_bid, *ticks, 0));
        let of = |side, levels: &BTreeMap<u64, u64>| -> Vec<(Price, Lots)> {
            let gone = gone.clone().filter(|(is_bid, ..)| *is_bid == side);
            let mut all: BTreeMap<u64, u64> = gone.map(|(_, ticks, lots)| (ticks, lots)).collect();
            all.extend(levels);
            if is_whole { Engine::levels(&all) } else { Vec::new() }
        };
        let (asks, mut bids) = (of(false, &self.asks), of(true, &self.bids));
        bids.reverse();
        DepthSince { bids, asks, update_id, time_us, checksum: self.checksum(), is_whole }
    }

    pub fn checksum(&self) -> u32 {
        let Depth { asks, bids, .. } = self.depth();
        book_checksum(&market(), asks.into_iter(), bids.into_iter())
    }

    /// Changes the book; returns the frame that tells it.
    pub fn change(&mut self, side: Side, ticks: u64, lots: u64) -> String {
        let levels = match side {
            Side::Ask => &mut self.asks,
            Side::Bid => &mut self.bids,
        };
        if lots == 0 {
            levels.remove(&ticks);
        } else {
            levels.insert(ticks, lots);
        }
        self.update_id += 1;
        self.touched.push((side == Side::Bid, ticks));
        let change = [(price(ticks), Lots(lots))];
        let (asks, bids): (&[_], &[_]) = match side {
            Side::Ask => (&change, &[]),
            Side::Bid => (&[], &change),
        };
        let depth = stream_json::Depth {
            time_us: self.update_id,
            first_update: self.update_id,
            last_update: self.update_id,
            asks,
            bids,
            checksum: self.checksum(),
        };
        stream_json::depth(&market(), 0, &depth)
    }

    pub fn trade(&mut self) -> String {
        self.last_trade += 1;
        let trade = PublicTrade {
            id: TradeId(self.last_trade),
            time_us: self.last_trade,
            price: price(100),
            lots: Lots(self.last_trade),
            taker_side: Side::Bid,
            taker_order: OrderId::from_parts(MARKET, 1, 1).unwrap(),
            maker_order: OrderId::from_parts(MARKET, 2, 1).unwrap(),
        };
        self.trades.push(trade);
        stream_json::trade(&market(), 0, &trade)
    }

    /// One update of the account's orders in the market, and one of its balances.
    pub fn update(&mut self, account: AccountId) -> String {
        let number = self.numbers.entry(account).or_default();
        *number += 1;
        format!(
            r#"{{"life":{},"number":{number},"updates":[
            {{"about":{{"Order":1}},"data":{{"e":"orderFill","n":{number}}}}},
            {{"about":"Balance","data":{{"e":"balanceUpdate","n":{number}}}}}]}}"#,
            self.life
        )
    }

    fn heads(&self) -> Heads {
        let head =
            Head { market: MARKET, update_id: self.update_id, trade: TradeId(self.last_trade) };
        Heads { life: self.life, sequence: Sequence(1), markets: vec![head] }
    }

    fn answer(&mut self, ask: &Ask) -> Option<AnswerBody> {
        Some(match ask {
            _ if self.is_away => {
                self.unanswered += 1;
                return None;
            }
            Ask::Depth { .. } => AnswerBody::Depth(self.depth()),
            Ask::DepthSince { after, .. } => AnswerBody::DepthSince(self.since(*after)),
            Ask::Trades { after, .. } => {
                let behind = self.trades.iter().filter(|trade| *after < trade.id).copied();
                // So few that more than one answer may be needed.
                AnswerBody::Trades(behind.take(3).collect())
            }
            Ask::Listen { account } => {
                let number = self.numbers.get(account).copied().unwrap_or(0);
                AnswerBody::Listening(Listening { life: self.life, number })
            }
            Ask::Epoch { .. } => AnswerBody::Epoch(self.epoch),
            other => panic!("nobody asks {other:?}"),
        })
    }
}

/// The upstream, with its one worker's ends.
pub struct Fanout {
    pub access: Access,
    pub disconnects: mpsc::Sender<ToDisconnects>,
    pub stop: CancellationToken,
    pub running: JoinHandle<()>,
    commands: mpsc::Sender<ToUpstream>,
    words: mpsc::Receiver<ToWorker>,
}

impl Fanout {
    fn start(redis_url: &str) -> Fanout {
        let settings = Settings {
            redis_url: redis_url.to_owned(),
            asker: ASKER,
            listing: SharedCatalog::new(catalog()),
            redis_ready: Condition::default(),
        };
        let (worker, words) = mpsc::channel(1024);
        let (commands, command_queue) = mpsc::channel(64);
        let (disconnects, said) = mpsc::channel(64);
        let (upstream, access) = connect(settings, vec![worker], command_queue, said).unwrap();
        let stop = CancellationToken::new();
        let running = tokio::spawn(upstream.run(stop.clone()));
        Fanout { access, disconnects, stop, running, commands, words }
    }
}

pub struct World {
    pub redis: Server,
    pub engine: Arc<Mutex<Engine>>,
    pub fanout: Fanout,
    tokens: u64,
    connection: Option<MultiplexedConnection>,
    replica: JoinHandle<()>,
}

impl World {
    pub async fn start() -> World {
        let redis = Server::redis("upstream").unwrap();
        let engine = Arc::new(Mutex::new(Engine { life: 1, ..Engine::default() }));
        let replica = tokio::spawn(answer_questions(redis.url.clone(), Arc::clone(&engine)));
        let fanout = Fanout::start(&redis.url);
        World { redis, engine, fanout, tokens: 0, connection: None, replica }
    }

    /// The fan-out ends without a word.
    pub async fn die_and_start_again(&mut self) {
        self.fanout.running.abort();
        assert!((&mut self.fanout.running).await.is_err());
        self.fanout = Fanout::start(&self.redis.url);
    }

    pub fn engine(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap()
    }

    pub async fn connection(&mut self) -> &mut MultiplexedConnection {
        if self.connection.is_none() {
            self.connection = Some(connected(&self.redis.url).await);
        }
        self.connection.as_mut().unwrap()
    }

    /// Kills Redis and starts it again.
    pub async fn restart_redis(&mut self) {
        self.redis.kill().unwrap();
        self.connection = None;
        self.redis.restart().unwrap();
    }

    /// Ends the connections that hear something.
    pub async fn cut_off(&mut self) {
        let mut kill = redis::cmd("CLIENT");
        kill.arg("KILL").arg("TYPE").arg("pubsub");
        kill.exec_async(self.connection().await).await.unwrap();
    }

    /// As soon as somebody listens.
    pub async fn publish(&mut self, channel: &str, payload: &str) {
        let start = Instant::now();
        loop {
            let mut publish = redis::cmd("PUBLISH");
            publish.arg(channel).arg(payload);
            let heard: usize = publish.query_async(self.connection().await).await.unwrap();
            if heard != 0 {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "nobody listens to {channel}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn tell_heads(&mut self) {
        let heads = serde_json::to_string(&self.engine().heads()).unwrap();
        self.publish(keys::HEADS, &heads).await;
    }

    /// Until so many questions were asked in vain.
    pub async fn until_unanswered(&self, questions: usize) {
        let start = Instant::now();
        while self.engine().unanswered < questions {
            assert!(start.elapsed() < DEADLINE, "nobody asks");
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Changes the book and tells it.
    pub async fn change(&mut self, side: Side, ticks: u64, lots: u64) {
        let frame = self.engine().change(side, ticks, lots);
        self.publish("depth@SOL_USDC", &frame).await;
    }

    pub async fn trade(&mut self) {
        let frame = self.engine().trade();
        self.publish("trade@SOL_USDC", &frame).await;
    }

    pub async fn update(&mut self, account: AccountId) {
        let message = self.engine().update(account);
        self.publish(&keys::account(account), &message).await;
    }

    pub async fn ask_to_join(&mut self, stream: StreamName) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        let worker = WorkerId(0);
        self.fanout.commands.send(ToUpstream::Join { worker, stream, token }).await.unwrap();
        token
    }

    pub async fn leave(&mut self, stream: StreamName, token: Token) {
        let worker = WorkerId(0);
        self.fanout.commands.send(ToUpstream::Leave { worker, stream, token }).await.unwrap();
    }

    pub async fn join(&mut self, stream: StreamName) -> Token {
        let token = self.ask_to_join(stream).await;
        let start = Instant::now();
        while start.elapsed() < DEADLINE {
            // Trades begin once the engine has said where it stands.
            self.tell_heads().await;
            if let Ok(word) = timeout(Duration::from_millis(100), self.fanout.words.recv()).await {
                assert_eq!(word, Some(ToWorker::Joined { stream, token }));
                return token;
            }
        }
        panic!("{stream:?} was never joined");
    }

    pub async fn word(&mut self) -> ToWorker {
        timeout(DEADLINE, self.fanout.words.recv()).await.expect("in time").expect("it runs")
    }

    /// The next word is a message of the stream.
    pub async fn message(&mut self, expected: StreamName) -> serde_json::Value {
        match self.word().await {
            ToWorker::Message { stream, message } if stream == expected => body(&message),
            other => panic!("expected a message of {expected:?}, found {other:?}"),
        }
    }

    pub async fn any_message(&mut self) -> (StreamName, serde_json::Value) {
        match self.word().await {
            ToWorker::Message { stream, message } => (stream, body(&message)),
            other => panic!("expected a message, found {other:?}"),
        }
    }

    pub async fn broken(&mut self, stream: StreamName, token: Token) {
        let reason = CloseReason::Gap;
        assert_eq!(self.word().await, ToWorker::Broken { stream, token, reason });
    }

    pub fn is_silent(&mut self) -> bool {
        self.fanout.words.try_recv().is_err()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.fanout.running.abort();
        self.replica.abort();
    }
}

async fn connected(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).unwrap();
    let start = Instant::now();
    loop {
        match client.get_multiplexed_async_connection().await {
            Ok(connection) => return connection,
            Err(error) => assert!(start.elapsed() < DEADLINE, "{error}"),
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// The text in a WebSocket message that is not masked.
fn body(message: &[u8]) -> serde_json::Value {
    assert_eq!(message[0], 0x81, "a text, whole");
    let head = match message[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    serde_json::from_slice(&message[head..]).unwrap()
}

async fn answer_questions(url: String, engine: Arc<Mutex<Engine>>) {
    loop {
        let mut connection = connected(&url).await;
        loop {
            let mut pop = redis::cmd("RPOP");
            let popped: Result<Option<Vec<u8>>, _> =
                pop.arg(keys::QUERIES).query_async(&mut connection).await;
            let Ok(popped) = popped else { break };
            let Some(json) = popped else {
                sleep(Duration::from_millis(2)).await;
                continue;
            };
            let query: Query = serde_json::from_slice(&json).unwrap();
            let Some(body) = engine.lock().unwrap().answer(&query.ask) else { continue };
            let answer =
                Answer { id: query.id, life: query.life, sequence: query.min_sequence, body };
            let mut publish = redis::cmd("PUBLISH");
            publish.arg(keys::replies(query.gateway)).arg(serde_json::to_vec(&answer).unwrap());
            if publish.exec_async(&mut connection).await.is_err() {
                break;
            }
        }
    }
}

/// A client's book, which believes nothing that it cannot prove.
#[derive(Default)]
pub struct Client {
    asks: BTreeMap<u64, u64>,
    bids: BTreeMap<u64, u64>,
    pub last: Option<u64>,
}

impl Client {
    /// From a snapshot.
    pub fn of(engine: &Engine) -> Client {
        let (asks, bids) = (engine.asks.clone(), engine.bids.clone());
        Client { asks, bids, last: Some(engine.update_id) }
    }

    pub fn apply(&mut self, frame: &serde_json::Value) {
        let data = &frame["data"];
        let (first, last) = (data["U"].as_u64().unwrap(), data["u"].as_u64().unwrap());
        assert_eq!(self.last.map_or(first, |last| last + 1), first, "{frame}");
        self.last = Some(last);
        for (name, side) in [("a", &mut self.asks), ("b", &mut self.bids)] {
            for level in data[name].as_array().unwrap() {
                let hundredths = |at: usize| -> u64 {
                    level[at].as_str().unwrap().replace('.', "").parse().unwrap()
                };
                match hundredths(1) {
                    0 => side.remove(&hundredths(0)),
                    lots => side.insert(hundredths(0), lots),
                };
            }
        }
        let (asks, mut bids) = (Engine::levels(&self.asks), Engine::levels(&self.bids));
        bids.reverse();
        let found = book_checksum(&market(), asks.into_iter(), bids.into_iter());
        assert_eq!(data["k"].as_u64(), Some(u64::from(found)), "{frame}");
    }
}
