//! Sockets as clients see them, with the test in the upstream's place: it decides what streams say.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::rc::Rc;
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use protocol::fixture::catalog;
use protocol::{GatewayId, MarketId};
use service::{Ops, SharedCatalog};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet, spawn_local};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};
use tokio_util::sync::CancellationToken;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use ws_fanout::close_reason::CloseReason;
use ws_fanout::config::{Config, ConnectionConfig, RawConfig};
use ws_fanout::connection::Shared;
use ws_fanout::handshake::{Door, greet};
use ws_fanout::links::{ToUpstream, ToWorker, Token, WorkerId};
use ws_fanout::stream_name::{Form, Kind, StreamName, Topic};
use ws_fanout::upstream::{self, Settings};
use ws_fanout::wire;
use ws_fanout::worker::Worker;

const DEADLINE: Duration = Duration::from_secs(30);
const TRADES: StreamName = StreamName::Public {
    topic: Topic { kind: Kind::Trade, market: MarketId(1) },
    form: Form::Dotted,
};

/// One worker, its sockets, and the ends that an upstream would hold.
struct World {
    address: std::net::SocketAddr,
    to_worker: mpsc::Sender<ToWorker>,
    asked: mpsc::Receiver<ToUpstream>,
    stop: CancellationToken,
    worker: JoinHandle<()>,
}

impl World {
    /// Needs a `LocalSet`.
    async fn start(raw: RawConfig) -> World {
        let config = Config::check(raw).unwrap();
        let (to_worker, inbound) = mpsc::channel(1024);
        let (to_upstream, asked) = mpsc::channel(1024);
        let worker = Worker::new(WorkerId(0), config.connection, to_upstream);
        let shared = Rc::new(shared(Rc::clone(&worker), config.connection));
        let door = Door::new(
            config.sockets_max,
            config.sockets_per_address_max,
            &[],
            config.handshake_max,
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        spawn_local(async move {
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                let entering = door.enter().unwrap();
                spawn_local(greet(stream, peer, door.clone(), Rc::clone(&shared), entering));
            }
        });
        let stop = CancellationToken::new();
        let told = stop.clone();
        let worker = spawn_local(async move { worker.run(inbound, told).await });
        World { address, to_worker, asked, stop, worker }
    }

    async fn client(&self) -> Client {
        self.try_client().await.unwrap()
    }

    async fn try_client(&self) -> Result<Client, tungstenite::Error> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        Ok(Client(client_async("ws://127.0.0.1/ws", stream).await?.0))
    }

    /// What the worker asks next.
    async fn asked(&mut self) -> ToUpstream {
        timeout(DEADLINE, self.asked.recv()).await.unwrap().unwrap()
    }

    /// The token under which the worker joins next; it hears that it has.
    async fn join(&mut self) -> Token {
        let ToUpstream::Join { stream, token, .. } = self.asked().await else { panic!("no join") };
        self.send(ToWorker::Joined { stream, token }).await;
        token
    }

    async fn send(&self, message: ToWorker) {
        self.to_worker.send(message).await.unwrap();
    }

    async fn say(&self, text: &str) {
        let message = wire::text_message(&[text]);
        self.send(ToWorker::Message { stream: TRADES, message }).await;
    }
}

fn shared(worker: Rc<Worker>, config: ConnectionConfig) -> Shared {
    // The metrics recorder is one for the process, so is the endpoint.
    static OPS: OnceLock<Ops> = OnceLock::new();
    let ops = OPS.get_or_init(|| Ops::start("127.0.0.1:0".parse().unwrap(), || ()).unwrap());
    let redis_ready = ops.condition("redis");
    let listing = SharedCatalog::new(catalog());
    let settings = Settings {
        redis_url: "redis://127.0.0.1:1/".to_owned(),
        asker: GatewayId(950),
        listing: listing.clone(),
        redis_ready,
    };
    let (_, commands) = mpsc::channel(1);
    let (disconnects, gone) = mpsc::channel(64);
    let (_, access) = upstream::connect(settings, Vec::new(), commands, gone).unwrap();
    let drain_max = Duration::from_secs(2);
    Shared { worker, config, listing, access, disconnects, drain_max }
}

struct Client(WebSocketStream<TcpStream>);

impl Client {
    async fn send(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    async fn fragment(&mut self, opcode: OpCode, is_final: bool, payload: &[u8]) {
        let frame = Frame::message(payload.to_vec(), opcode, is_final);
        self.send(Message::Frame(frame)).await;
    }

    async fn ask(&mut self, method: &str, name: &str) {
        let text = format!(r#"{{"method":"{method}","params":["{name}"]}}"#);
        self.send(Message::text(text)).await;
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
            match timeout(DEADLINE, self.0.next()).await.expect("in time") {
                Some(Ok(Message::Close(frame))) => return frame.unwrap().code.into(),
                Some(Ok(_)) => (),
                other => panic!("expected a close, found {other:?}"),
            }
        }
    }

    /// Everything sent before is in effect once this returns.
    async fn fence(&mut self) {
        self.send(Message::Ping("fence".into())).await;
        loop {
            if let Message::Pong(payload) = self.next().await {
                assert_eq!(payload.as_ref(), b"fence");
                return;
            }
        }
    }
}

async fn in_local_set(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

#[tokio::test]
async fn a_pong_says_that_the_streams_asked_for_before_it_have_begun() {
    in_local_set(async {
        let mut world = World::start(RawConfig::default()).await;
        let mut client = world.client().await;
        client.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        client.send(Message::Ping("x".into())).await;
        let ToUpstream::Join { stream, token, .. } = world.asked().await else { panic!() };
        assert_eq!(stream, TRADES);
        // What is said before the worker has joined belongs to no membership of it.
        world.say("too early").await;
        world.send(ToWorker::Joined { stream, token: Token(token.0 + 7) }).await;
        world.say("of another").await;
        world.send(ToWorker::Joined { stream, token }).await;
        assert_eq!(client.next().await, Message::Pong("x".into()));
        world.say("first").await;
        assert_eq!(client.text().await, "first");
    })
    .await;
}

#[tokio::test]
async fn a_stream_is_joined_by_the_first_and_left_behind_the_last() {
    in_local_set(async {
        let mut world = World::start(RawConfig::default()).await;
        let (mut one, mut two) = (world.client().await, world.client().await);
        one.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        let token = world.join().await;
        two.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        // Twice is once.
        two.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        one.fence().await;
        two.fence().await;
        world.say("to both").await;
        assert_eq!((one.text().await, two.text().await), ("to both".into(), "to both".into()));
        one.ask("UNSUBSCRIBE", "trade.SOL_USDC").await;
        one.ask("UNSUBSCRIBE", "trade.SOL_USDC").await;
        one.fence().await;
        world.say("to two").await;
        assert_eq!(two.text().await, "to two");
        drop(two);
        let left = ToUpstream::Leave { worker: WorkerId(0), stream: TRADES, token };
        assert_eq!(world.asked().await, left);
        one.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        assert_ne!(world.join().await, token);
        one.fence().await;
        world.say("again").await;
        assert_eq!(one.text().await, "again");
    })
    .await;
}

#[tokio::test]
async fn a_broken_stream_closes_who_hears_it_behind_what_was_said() {
    in_local_set(async {
        let mut world = World::start(RawConfig::default()).await;
        let (mut hears, mut idles) = (world.client().await, world.client().await);
        hears.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        let token = world.join().await;
        hears.fence().await;
        world.say("last").await;
        let (stream, reason) = (TRADES, CloseReason::Gap);
        world.send(ToWorker::Broken { stream, token, reason }).await;
        assert_eq!(hears.text().await, "last");
        assert_eq!(hears.close_code().await, 1013);
        idles.fence().await;
        // The membership has ended with it: nothing is left, and the next one joins anew.
        idles.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        assert_ne!(world.join().await, token);
    })
    .await;
}

#[tokio::test]
async fn whoever_reads_slowly_gets_every_message_whole() {
    in_local_set(async {
        let raw = RawConfig { outbox_bytes_max: 64 << 20, ..RawConfig::default() };
        let mut world = World::start(raw).await;
        let mut client = world.client().await;
        client.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        world.join().await;
        client.fence().await;
        // Much more than the kernel's buffers hold, in pieces that end nowhere in particular.
        let text = |number: usize| format!("{number}:{}", "x".repeat(number * 37 % 60_000));
        for number in 0..600 {
            world.say(&text(number)).await;
        }
        client.ask("UNSUBSCRIBE", "trade.NOPE_NOPE").await;
        client.send(Message::Ping("amid".into())).await;
        let (mut heard, mut pongs) = (0, 0);
        while heard < 600 {
            match client.next().await {
                Message::Text(found) => {
                    assert!(found.as_str() == text(heard), "message {heard} is not whole");
                    heard += 1;
                }
                Message::Pong(_) => pongs += 1,
                other => panic!("{other:?}"),
            }
        }
        if pongs == 0 {
            assert_eq!(client.next().await, Message::Pong("amid".into()));
        }
    })
    .await;
}

#[tokio::test]
async fn leaving_a_stream_amid_a_message_finishes_the_message() {
    in_local_set(async {
        let raw = RawConfig { outbox_bytes_max: 64 << 20, ..RawConfig::default() };
        let mut world = World::start(raw).await;
        let mut client = world.client().await;
        client.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        world.join().await;
        client.fence().await;
        let text = "y".repeat(1 << 20);
        for _ in 0..20 {
            world.say(&text).await;
        }
        client.ask("UNSUBSCRIBE", "trade.SOL_USDC").await;
        client.send(Message::Ping("over".into())).await;
        loop {
            match client.next().await {
                Message::Text(found) => assert!(found.as_str() == text, "a message is not whole"),
                Message::Pong(_) => break,
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_reader_that_stands_still_is_closed_while_the_others_hear_all() {
    in_local_set(async {
        let raw = RawConfig { outbox_frames_max: 200, close_ms_max: 200, ..RawConfig::default() };
        let mut world = World::start(raw).await;
        let (mut stalled, mut quick) = (world.client().await, world.client().await);
        stalled.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        world.join().await;
        quick.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        stalled.fence().await;
        quick.fence().await;
        let text = |number: usize| format!("{number}:{}", "z".repeat(64 << 10));
        for number in 0..600 {
            world.say(&text(number)).await;
            assert!(quick.text().await == text(number));
        }
        let mut received = 0;
        let end = loop {
            match timeout(DEADLINE, stalled.0.next()).await.expect("an end") {
                Some(Ok(Message::Text(_))) => received += 1,
                Some(Ok(Message::Ping(_))) => (),
                end => break end,
            }
        };
        assert!(received < 600, "{received} went to a client that did not read: {end:?}");
        // It is forgotten, and so is what was kept for it.
        world.say("after").await;
        assert_eq!(quick.text().await, "after");
    })
    .await;
}

#[tokio::test]
async fn the_client_is_answered_when_it_closes() {
    in_local_set(async {
        let world = World::start(RawConfig::default()).await;
        let mut client = world.client().await;
        client.0.close(None).await.unwrap();
        assert!(matches!(client.next().await, Message::Close(_)));
        assert!(timeout(DEADLINE, client.0.next()).await.unwrap().is_none_or(|it| it.is_err()));
    })
    .await;
}

#[tokio::test]
async fn stopping_closes_every_socket_with_1001() {
    in_local_set(async {
        let world = World::start(RawConfig::default()).await;
        let mut clients = [world.client().await, world.client().await];
        for client in &mut clients {
            client.fence().await;
        }
        world.stop.cancel();
        for client in &mut clients {
            assert_eq!(client.close_code().await, 1001);
        }
        drop(clients);
        timeout(DEADLINE, world.worker).await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn whoever_does_not_answer_pings_is_closed() {
    in_local_set(async {
        let raw = RawConfig { ping_every_ms: 500, pong_ms_max: 2000, ..RawConfig::default() };
        let world = World::start(raw).await;
        let (mut silent, mut lively) = (world.client().await, world.client().await);
        // A client that reads answers by itself: this one is read once it is over.
        let lively = spawn_local(async move {
            let mut pings = 0;
            while pings < 8 {
                if let Message::Ping(_) = lively.next().await {
                    pings += 1;
                }
            }
        });
        lively.await.unwrap();
        assert_eq!(silent.close_code().await, 1008);
    })
    .await;
}

#[tokio::test]
async fn errors_are_told_and_leave_the_socket_as_it_was() {
    in_local_set(async {
        let mut world = World::start(RawConfig::default()).await;
        let mut client = world.client().await;
        client.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        world.join().await;
        let table = [
            (Message::text("nonsense"), 4002),
            (Message::binary(vec![1, 2]), 4002),
            (Message::text(r#"{"method":"SUBSCRIBE","params":["account.orderUpdate"]}"#), 4003),
            (Message::text(r#"{"method":"SUBSCRIBE","params":["depth.SOL_USDC","x.y"]}"#), 4006),
            (Message::text(r#"{"method":"UNSUBSCRIBE","params":["depth.7ms.SOL_USDC"]}"#), 4008),
        ];
        for (request, code) in table {
            client.send(request.clone()).await;
            let told: serde_json::Value = serde_json::from_str(&client.text().await).unwrap();
            assert_eq!(told["error"]["code"], code, "{request}");
            assert!(told["id"].is_null());
        }
        world.say("still heard").await;
        assert_eq!(client.text().await, "still heard");
        // Nothing of a refused request took effect.
        assert!(world.asked.try_recv().is_err());
    })
    .await;
}

#[tokio::test]
async fn bounds_of_a_socket_are_held() {
    in_local_set(async {
        let raw = RawConfig {
            streams_per_socket_max: 1,
            sockets_max: 4,
            sockets_per_address_max: 3,
            requests_per_s_max: 50,
            ..RawConfig::default()
        };
        let mut world = World::start(raw).await;
        let mut greedy = world.client().await;
        greedy.ask("SUBSCRIBE", "trade.SOL_USDC").await;
        world.join().await;
        greedy.ask("SUBSCRIBE", "depth.SOL_USDC").await;
        assert_eq!(greedy.close_code().await, 1008);
        let mut big = world.client().await;
        big.send(Message::text(" ".repeat(65 << 10))).await;
        assert_eq!(big.close_code().await, 1009);
        let mut hasty = world.client().await;
        for _ in 0..51 {
            hasty.send(Message::Ping("".into())).await;
        }
        assert_eq!(hasty.close_code().await, 1008);
        drop((greedy, big, hasty));
        let (mut open, start) = (Vec::new(), std::time::Instant::now());
        while open.len() < 3 {
            assert!(start.elapsed() < DEADLINE, "places were not given back");
            open.extend(world.try_client().await);
        }
        let refused = world.try_client().await.err().unwrap();
        assert!(refused.to_string().contains("503"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn a_message_in_fragments_counts_as_one() {
    in_local_set(async {
        let mut world = World::start(RawConfig::default()).await;
        let mut client = world.client().await;
        let request = br#"{"method":"SUBSCRIBE","params":["trade.SOL_USDC"]}"#;
        client.fragment(OpCode::Data(Data::Text), false, &request[..9]).await;
        // Control frames may come between fragments.
        client.fence().await;
        client.fragment(OpCode::Data(Data::Continue), true, &request[9..]).await;
        world.join().await;
        client.fragment(OpCode::Data(Data::Text), false, &[b' '; 40_000]).await;
        client.fragment(OpCode::Data(Data::Continue), false, &[b' '; 40_000]).await;
        assert_eq!(client.close_code().await, 1009);
        let mut rude = world.client().await;
        rude.fragment(OpCode::Data(Data::Continue), true, b"without a beginning").await;
        assert_eq!(rude.close_code().await, 1002);
    })
    .await;
}

async fn raw_answer(world: &World, request: &str) -> String {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(DEADLINE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn what_is_no_websocket_is_told_so_and_who_says_nothing_is_cut_off() {
    in_local_set(async {
        let raw = RawConfig { handshake_ms_max: 300, ..RawConfig::default() };
        let world = World::start(raw).await;
        let plain = raw_answer(&world, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(plain.starts_with("HTTP/1.1 426"), "{plain}");
        let elsewhere = raw_answer(&world, "GET /streams HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(elsewhere.starts_with("HTTP/1.1 404"), "{elsewhere}");
        // Half a request: the connection ends without an answer.
        let half = raw_answer(&world, "GET / HTTP/1.1\r\nHo").await;
        assert!(half.is_empty() || half.starts_with("HTTP/1.1 408"), "{half}");
    })
    .await;
}
