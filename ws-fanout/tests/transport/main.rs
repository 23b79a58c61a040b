//! Sockets as clients see them, with the test in the upstream's place: it decides what streams say.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod limits;
mod readers;
mod streams;

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

pub const DEADLINE: Duration = Duration::from_secs(30);
pub const TRADES: StreamName = StreamName::Public {
    topic: Topic { kind: Kind::Trade, market: MarketId(1) },
    form: Form::Dotted,
};

/// One worker, its sockets, and the ends that an upstream would hold.
pub struct World {
    pub address: std::net::SocketAddr,
    pub to_worker: mpsc::Sender<ToWorker>,
    pub asked: mpsc::Receiver<ToUpstream>,
    pub stop: CancellationToken,
    pub worker: JoinHandle<()>,
}

impl World {
    /// Needs a `LocalSet`.
    pub async fn start(raw: RawConfig) -> World {
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

    pub async fn client(&self) -> Client {
        self.try_client().await.unwrap()
    }

    pub async fn try_client(&self) -> Result<Client, tungstenite::Error> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        Ok(Client(client_async("ws://127.0.0.1/ws", stream).await?.0))
    }

    /// What the worker asks next.
    pub async fn asked(&mut self) -> ToUpstream {
        timeout(DEADLINE, self.asked.recv()).await.unwrap().unwrap()
    }

    /// The token under which the worker joins next; it hears that it has.
    pub async fn join(&mut self) -> Token {
        let ToUpstream::Join { stream, token, .. } = self.asked().await else { panic!("no join") };
        self.send(ToWorker::Joined { stream, token }).await;
        token
    }

    pub async fn send(&self, message: ToWorker) {
        self.to_worker.send(message).await.unwrap();
    }

    pub async fn say(&self, text: &str) {
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

pub struct Client(pub WebSocketStream<TcpStream>);

impl Client {
    pub async fn send(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    pub async fn fragment(&mut self, opcode: OpCode, is_final: bool, payload: &[u8]) {
        let frame = Frame::message(payload.to_vec(), opcode, is_final);
        self.send(Message::Frame(frame)).await;
    }

    pub async fn ask(&mut self, method: &str, name: &str) {
        let text = format!(r#"{{"method":"{method}","params":["{name}"]}}"#);
        self.send(Message::text(text)).await;
    }

    pub async fn next(&mut self) -> Message {
        timeout(DEADLINE, self.0.next()).await.expect("in time").expect("open").unwrap()
    }

    pub async fn text(&mut self) -> String {
        loop {
            match self.next().await {
                Message::Text(text) => return text.as_str().to_owned(),
                Message::Ping(_) => (),
                other => panic!("expected a text, found {other:?}"),
            }
        }
    }

    pub async fn close_code(&mut self) -> u16 {
        loop {
            match timeout(DEADLINE, self.0.next()).await.expect("in time") {
                Some(Ok(Message::Close(frame))) => return frame.unwrap().code.into(),
                Some(Ok(_)) => (),
                other => panic!("expected a close, found {other:?}"),
            }
        }
    }

    /// Everything sent before is in effect once this returns.
    pub async fn fence(&mut self) {
        self.send(Message::Ping("fence".into())).await;
        loop {
            if let Message::Pong(payload) = self.next().await {
                assert_eq!(payload.as_ref(), b"fence");
                return;
            }
        }
    }
}

pub async fn in_local_set(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}
