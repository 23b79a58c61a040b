//! The fan-out as clients see it: a real Redis on a free port, real sockets.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use protocol::fixture::catalog;
use redis::aio::MultiplexedConnection;
use service::{Condition, Ops, SharedCatalog};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;
use ws_fanout::config::{Config, RawConfig};
use ws_fanout::error::FanoutError;
use ws_fanout::server::Fanout;
use xtask::private_servers::Server;

const DEADLINE: Duration = Duration::from_secs(20);

async fn connect(redis: &Server) -> MultiplexedConnection {
    let client = redis::Client::open(redis.url.as_str()).unwrap();
    client.get_multiplexed_async_connection().await.unwrap()
}

/// The metrics recorder is one for the process, so is the endpoint.
fn condition() -> Condition {
    static OPS: OnceLock<Ops> = OnceLock::new();
    let ops = OPS.get_or_init(|| Ops::start("127.0.0.1:0".parse().unwrap(), || ()).unwrap());
    ops.condition("redis")
}

struct World {
    redis: Server,
    publisher: MultiplexedConnection,
    url: String,
    ready: Condition,
    stop: CancellationToken,
    fanout: JoinHandle<Result<(), FanoutError>>,
}

impl World {
    async fn start() -> World {
        Self::with(RawConfig::default()).await
    }

    async fn with(raw: RawConfig) -> World {
        let listen = "127.0.0.1:0".parse().unwrap();
        let config = Config::check(RawConfig { listen, ..raw }).unwrap();
        let redis = Server::redis("fanout").unwrap();
        let publisher = connect(&redis).await;
        let (ready, stop) = (condition(), CancellationToken::new());
        let fanout =
            Fanout::start(config, SharedCatalog::new(catalog()), &redis.url, ready.clone())
                .await
                .unwrap();
        let url = format!("ws://{}/", fanout.address);
        let fanout = tokio::spawn(fanout.run_until(stop.clone()));
        let world = World { redis, publisher, url, ready, stop, fanout };
        world.until_ready().await;
        world
    }

    async fn until_ready(&self) {
        let start = Instant::now();
        while !self.ready.holds() {
            assert!(start.elapsed() < DEADLINE, "redis never connected");
            sleep(Duration::from_millis(10)).await;
        }
    }

    async fn client(&self) -> Client {
        Client(connect_async(self.url.as_str()).await.unwrap().0)
    }

    /// Publishes; returns how many listened.
    async fn publish(&mut self, channel: &str, frame: &str) -> usize {
        let mut publish = redis::cmd("PUBLISH");
        publish.arg(channel).arg(frame).query_async(&mut self.publisher).await.unwrap()
    }

    /// Publishes as soon as the fan-out listens to the channel.
    async fn publish_heard(&mut self, channel: &str, frame: &str) {
        let start = Instant::now();
        while self.publish(channel, frame).await == 0 {
            assert!(start.elapsed() < DEADLINE, "nobody listens to {channel}");
            sleep(Duration::from_millis(5)).await;
        }
    }

    async fn until_unheard(&mut self, channel: &str) {
        let start = Instant::now();
        loop {
            let mut count = redis::cmd("PUBSUB");
            let (_, listeners): (String, usize) =
                count.arg("NUMSUB").arg(channel).query_async(&mut self.publisher).await.unwrap();
            if listeners == 0 {
                return;
            }
            assert!(start.elapsed() < DEADLINE, "{channel} is still listened to");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn send(&mut self, text: &str) {
        self.0.send(Message::text(text)).await.unwrap();
    }

    async fn subscribe(&mut self, names: &[&str]) {
        let params = serde_json::to_string(names).unwrap();
        self.send(&format!(r#"{{"method":"SUBSCRIBE","params":{params}}}"#)).await;
    }

    async fn next(&mut self) -> Message {
        timeout(DEADLINE, self.0.next()).await.expect("in time").expect("open").unwrap()
    }

    async fn text(&mut self) -> String {
        loop {
            match self.next().await {
                Message::Text(text) => return text.as_str().to_owned(),
                Message::Ping(_) => (),
                other => panic!("expected a text, found {other:?}"),
            }
        }
    }

    async fn close_code(&mut self) -> u16 {
        loop {
            match self.next().await {
                Message::Close(frame) => return frame.unwrap().code.into(),
                Message::Text(_) | Message::Ping(_) => (),
                other => panic!("expected a close, found {other:?}"),
            }
        }
    }

    /// Everything asked before has been looked at once this returns.
    async fn settle(&mut self) {
        self.send("settle").await;
        assert!(self.text().await.contains("4002"));
    }
}

fn trade(id: u64) -> String {
    format!(r#"{{"stream":"trade@SOL_USDC","data":{{"e":"trade","t":{id},"T":{id}}}}}"#)
}

fn depth(first: u64, last: u64) -> String {
    format!(
        "{}{}",
        r#"{"stream":"depth@SOL_USDC","data":{"e":"depth","E":1,"s":"SOL_USDC","b":[],"#,
        format_args!(r#""T":{last},"a":[["20.50","{last}.00"]],"U":{first},"u":{last}}}}}"#)
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn both_forms_of_a_name_get_the_same_bytes_but_one() {
    let mut world = World::start().await;
    let (mut dotted, mut at) = (world.client().await, world.client().await);
    dotted.subscribe(&["ticker.SOL_USDC", "ticker.NOPE_NOPE"]).await;
    at.subscribe(&["ticker@SOL_USDC", "kline.1m@SOL_USDC", "ticker@SOL_USDC"]).await;
    dotted.settle().await;
    at.settle().await;
    let frame = r#"{"stream":"ticker@SOL_USDC","data":{"c":"@"}}"#;
    world.publish_heard("ticker@SOL_USDC", frame).await;
    assert_eq!(at.text().await, frame);
    assert_eq!(dotted.text().await, r#"{"stream":"ticker.SOL_USDC","data":{"c":"@"}}"#);
    let frame = r#"{"stream":"kline.1m@SOL_USDC","data":{}}"#;
    world.publish_heard("kline.1m@SOL_USDC", frame).await;
    assert_eq!(at.text().await, frame);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_told_and_leave_the_socket_as_it_was() {
    let mut world = World::start().await;
    let mut client = world.client().await;
    client.subscribe(&["trade.SOL_USDC"]).await;
    let table = [
        ("nonsense", 4002),
        (r#"{"method":"SUBSCRIBE","params":["account.orderUpdate"]}"#, 4003),
        (r#"{"method":"SUBSCRIBE","params":["nonsense.SOL_USDC"]}"#, 4006),
        (r#"{"method":"SUBSCRIBE","params":["ticker.SOL_USDC","depth.100ms.SOL_USDC"]}"#, 4008),
    ];
    for (request, code) in table {
        client.send(request).await;
        let told: serde_json::Value = serde_json::from_str(&client.text().await).unwrap();
        assert_eq!(told["error"]["code"], code, "{request}");
    }
    client.0.send(Message::binary(vec![1, 2])).await.unwrap();
    assert!(client.text().await.contains("4002"));
    world.publish_heard("trade@SOL_USDC", &trade(1)).await;
    assert_eq!(client.text().await, trade(1).replace('@', "."));
    // Nothing of a refused request took effect.
    assert_eq!(world.publish("ticker@SOL_USDC", "{}").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn unsubscribing_ends_one_name_and_the_last_one_the_channel() {
    let mut world = World::start().await;
    let mut client = world.client().await;
    client.subscribe(&["trade.SOL_USDC", "trade@SOL_USDC"]).await;
    world.publish_heard("trade@SOL_USDC", &trade(1)).await;
    let mut both = [client.text().await, client.text().await];
    both.sort();
    assert_eq!(both, [trade(1).replace('@', "."), trade(1)]);
    client.send(r#"{"method":"UNSUBSCRIBE","params":["trade.SOL_USDC","ticker.SOL_USDC"]}"#).await;
    client.settle().await;
    world.publish_heard("trade@SOL_USDC", &trade(2)).await;
    assert_eq!(client.text().await, trade(2));
    client.send(r#"{"method":"UNSUBSCRIBE","params":["trade@SOL_USDC"]}"#).await;
    world.until_unheard("trade@SOL_USDC").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_left_is_forgotten() {
    let mut world = World::start().await;
    let mut client = world.client().await;
    client.subscribe(&["depth.200ms.SOL_USDC"]).await;
    world.publish_heard("depth@SOL_USDC", &depth(1, 1)).await;
    drop(client);
    world.until_unheard("depth@SOL_USDC").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_join_and_follow_each_other() {
    let mut world = World::start().await;
    let mut client = world.client().await;
    client.subscribe(&["depth.200ms.SOL_USDC", "depth.1000ms@SOL_USDC"]).await;
    world.publish_heard("depth@SOL_USDC", &depth(5, 5)).await;
    for id in 6..400 {
        world.publish("depth@SOL_USDC", &depth(id, id)).await;
    }
    let mut last = [4, 4];
    while last != [399, 399] {
        let frame: serde_json::Value = serde_json::from_str(&client.text().await).unwrap();
        let window = match frame["stream"].as_str().unwrap() {
            "depth.200ms.SOL_USDC" => 0,
            "depth.1000ms@SOL_USDC" => 1,
            other => panic!("unexpected {other}"),
        };
        assert_eq!(frame["data"]["U"], last[window] + 1);
        last[window] = frame["data"]["u"].as_u64().unwrap();
        assert_eq!(frame["data"]["a"][0][1], format!("{}.00", last[window]));
        assert_eq!(frame["data"]["T"], last[window]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_closes_who_hears_the_stream_and_nobody_else() {
    let mut world = World::start().await;
    let (mut windowed, mut realtime) = (world.client().await, world.client().await);
    let mut trades = world.client().await;
    windowed.subscribe(&["depth.600ms.SOL_USDC"]).await;
    realtime.subscribe(&["depth.SOL_USDC", "ticker.SOL_USDC"]).await;
    trades.subscribe(&["trade.SOL_USDC"]).await;
    for client in [&mut windowed, &mut realtime, &mut trades] {
        client.settle().await;
    }
    world.publish_heard("trade@SOL_USDC", &trade(1)).await;
    world.publish_heard("depth@SOL_USDC", &depth(7, 9)).await;
    assert_eq!(realtime.text().await, depth(7, 9).replace('@', "."));
    // What the engine publishes again after a crash is left out.
    world.publish("depth@SOL_USDC", &depth(8, 8)).await;
    world.publish("depth@SOL_USDC", &depth(10, 10)).await;
    assert_eq!(realtime.text().await, depth(10, 10).replace('@', "."));
    world.publish("depth@SOL_USDC", &depth(12, 12)).await;
    assert_eq!(realtime.close_code().await, 1013);
    assert_eq!(windowed.close_code().await, 1013);
    world.publish("trade@SOL_USDC", &trade(2)).await;
    assert_eq!(trades.text().await, trade(1).replace('@', "."));
    assert_eq!(trades.text().await, trade(2).replace('@', "."));
    world.publish("trade@SOL_USDC", &trade(4)).await;
    assert_eq!(trades.close_code().await, 1013);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_closed_while_others_go_on() {
    let raw = RawConfig { outbox_bytes_max: 1 << 20, close_ms_max: 200, ..RawConfig::default() };
    let mut world = World::with(raw).await;
    let (mut slow, mut quick) = (world.client().await, world.client().await);
    for client in [&mut slow, &mut quick] {
        client.subscribe(&["trade.SOL_USDC"]).await;
        client.settle().await;
    }
    let padding = "x".repeat(64 << 10);
    let frame = |id| trade(id).replace("\"e\"", &format!("\"pad\":\"{padding}\",\"e\""));
    world.publish_heard("trade@SOL_USDC", &frame(1)).await;
    assert_eq!(quick.text().await.len(), frame(1).len());
    // More than the outbox and the kernel's buffers hold.
    for id in 2..=400 {
        world.publish("trade@SOL_USDC", &frame(id)).await;
        assert!(quick.text().await.contains(&format!("\"t\":{id},")));
    }
    let mut received = 0;
    let end = loop {
        match timeout(DEADLINE, slow.0.next()).await.expect("an end") {
            Some(Ok(Message::Text(_))) => received += 1,
            Some(Ok(Message::Ping(_))) => (),
            end => break end,
        }
    };
    assert!(received < 400, "{received} frames went to a client that did not read: {end:?}");
    world.publish("trade@SOL_USDC", &trade(401)).await;
    assert_eq!(quick.text().await, trade(401).replace('@', "."));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_redis_closes_gapless_listeners_and_the_rest_goes_on() {
    let mut world = World::start().await;
    let (mut gapless, mut tolerant) = (world.client().await, world.client().await);
    gapless.subscribe(&["trade.SOL_USDC", "ticker.SOL_USDC"]).await;
    tolerant.subscribe(&["ticker.SOL_USDC"]).await;
    world.publish_heard("trade@SOL_USDC", &trade(1)).await;
    gapless.settle_after_text().await;
    world.redis.kill().unwrap();
    world.redis.restart().unwrap();
    assert_eq!(gapless.close_code().await, 1013);
    world.publisher = connect(&world.redis).await;
    world.until_ready().await;
    let frame = r#"{"stream":"ticker@SOL_USDC","data":{}}"#;
    world.publish_heard("ticker@SOL_USDC", frame).await;
    assert_eq!(tolerant.text().await, frame.replace('@', "."));
}

impl Client {
    async fn settle_after_text(&mut self) {
        self.text().await;
        self.settle().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_closes_every_socket_with_1001() {
    let world = World::start().await;
    let mut clients = [world.client().await, world.client().await];
    clients[0].subscribe(&["trade.SOL_USDC"]).await;
    clients[0].settle().await;
    world.stop.cancel();
    for client in &mut clients {
        assert_eq!(client.close_code().await, 1001);
        // The library answers the Close when it is polled again.
        assert!(client.0.next().await.is_none_or(|it| it.is_err()));
    }
    timeout(DEADLINE, world.fanout).await.unwrap().unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_of_a_socket_are_held() {
    let raw = RawConfig { streams_per_socket_max: 2, sockets_max: 3, ..RawConfig::default() };
    let world = World::with(raw).await;
    let mut greedy = world.client().await;
    greedy.subscribe(&["trade.SOL_USDC", "depth.SOL_USDC"]).await;
    greedy.settle().await;
    greedy.subscribe(&["ticker.SOL_USDC"]).await;
    assert_eq!(greedy.close_code().await, 1008);
    let mut big = world.client().await;
    big.send(&" ".repeat(65 << 10)).await;
    assert_eq!(big.close_code().await, 1009);
    let mut idle = world.client().await;
    idle.settle().await;
    drop((greedy, big));
    let mut open = vec![idle];
    let start = Instant::now();
    while open.len() < 3 {
        assert!(start.elapsed() < DEADLINE, "places were not given back");
        if let Ok((socket, _)) = connect_async(world.url.as_str()).await {
            open.push(Client(socket));
        }
    }
    assert!(connect_async(world.url.as_str()).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_client_is_pinged_and_closed_without_pong() {
    let raw = RawConfig { ping_every_ms: 50, pong_ms_max: 400, ..RawConfig::default() };
    let world = World::with(raw).await;
    let mut answering = Client(connect_async(format!("{}ws", world.url)).await.unwrap().0);
    // A client that does not read does not answer pings either.
    let mut mute = world.client().await;
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(1200) {
        assert!(matches!(answering.next().await, Message::Ping(_)));
    }
    assert_eq!(mute.close_code().await, 1008);
    answering.0.send(Message::Ping(b"42".as_slice().into())).await.unwrap();
    loop {
        match answering.next().await {
            Message::Pong(payload) => break assert_eq!(payload.as_ref(), b"42"),
            Message::Ping(_) => (),
            other => panic!("unexpected {other:?}"),
        }
    }
}
