//! A WebSocket client of the fan-out that keeps all it hears.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::client::IntoClientRequest;
use tungstenite::http::{HeaderName, HeaderValue};
use tungstenite::protocol::frame::Frame;
use tungstenite::{Bytes, Error, Message, WebSocket};
use xtask::client::now_ms;
use xtask::signing::{KeyPair, WINDOW_MS, signed_text};

use crate::client::Trader;
use crate::eventually::{PATIENCE, SECOND};

/// How long one read waits for a frame.
const READ: Duration = Duration::from_millis(50);

pub struct Socket {
    socket: WebSocket<TcpStream>,
    /// Every text frame so far, in order.
    pub heard: Vec<Value>,
    /// Payloads of the pongs so far.
    pub pongs: Vec<Bytes>,
    /// The code it was closed with; 0 when it broke without one.
    pub closed: Option<u16>,
    /// How many fences there were.
    fences: u64,
}

impl Socket {
    pub fn open(ws_url: &str) -> Socket {
        Socket::try_open(ws_url).unwrap()
    }

    pub fn try_open(ws_url: &str) -> Result<Socket, String> {
        Socket::try_open_with(ws_url, &[])
    }

    /// With more headers in its handshake.
    pub fn try_open_with(ws_url: &str, headers: &[(&str, &str)]) -> Result<Socket, String> {
        let address = ws_url.trim_start_matches("ws://").trim_end_matches('/');
        let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(5 * SECOND)).unwrap();
        stream.set_write_timeout(Some(5 * SECOND)).unwrap();
        let mut request = format!("ws://{address}/").into_client_request().unwrap();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            request.headers_mut().insert(name, HeaderValue::from_str(value).unwrap());
        }
        let opened = tungstenite::client(request, stream);
        let (socket, _) = opened.map_err(|error| error.to_string())?;
        socket.get_ref().set_read_timeout(Some(READ)).unwrap();
        let (heard, pongs) = (Vec::new(), Vec::new());
        Ok(Socket { socket, heard, pongs, closed: None, fences: 0 })
    }

    pub fn send(&mut self, request: &Value) {
        self.send_text(&request.to_string());
    }

    pub fn send_text(&mut self, text: &str) {
        self.send_message(Message::text(text)).unwrap();
    }

    /// `Err` when the connection broke meanwhile.
    pub fn send_message(&mut self, message: Message) -> Result<(), String> {
        self.socket.send(message).map_err(|error| error.to_string())
    }

    /// One frame as it is, whole message or not.
    pub fn send_frame(&mut self, frame: Frame) -> Result<(), String> {
        self.send_message(Message::Frame(frame))
    }

    pub fn subscribe(&mut self, streams: &[&str]) {
        self.try_subscribe(streams).unwrap();
    }

    /// `Err` when the connection broke meanwhile.
    pub fn try_subscribe(&mut self, streams: &[&str]) -> Result<(), String> {
        let request = json!({"method": "SUBSCRIBE", "params": streams}).to_string();
        self.send_message(Message::text(request))
    }

    /// With a signature of the trader's, as private streams ask for it.
    pub fn subscribe_as(&mut self, trader: &Trader, streams: &[&str]) {
        self.send(&signed_request(&trader.client.keys, streams));
    }

    /// Subscribes, and returns when whatever happens from now on is heard.
    pub fn listen(&mut self, streams: &[&str]) {
        self.subscribe(streams);
        self.fence();
    }

    /// The same as this trader.
    pub fn listen_as(&mut self, trader: &Trader, streams: &[&str]) {
        self.subscribe_as(trader, streams);
        self.fence();
    }

    pub fn unsubscribe(&mut self, streams: &[&str]) {
        self.send(&json!({"method": "UNSUBSCRIBE", "params": streams}));
    }

    /// Returns when everything sent so far is in effect: that is what a pong says.
    pub fn fence(&mut self) {
        self.fences += 1;
        let payload = Bytes::from(format!("fence {}", self.fences));
        self.ping(payload.clone());
        self.until("the pong", |socket| socket.pongs.contains(&payload).then_some(()));
    }

    pub fn ping(&mut self, payload: Bytes) {
        self.send_message(Message::Ping(payload)).unwrap();
    }

    pub fn errors(&self) -> impl Iterator<Item = &Value> {
        self.heard.iter().filter_map(|frame| frame.get("error"))
    }

    /// Data of every frame of a stream, in order.
    pub fn data<'s>(&'s self, stream: &'s str) -> impl Iterator<Item = &'s Value> + 's {
        let of_stream = move |frame: &&Value| frame["stream"] == stream;
        self.heard.iter().filter(of_stream).map(|frame| &frame["data"])
    }

    /// Listens until `found` finds something in all that was heard.
    pub fn until<T>(&mut self, what: &str, found: impl FnMut(&Socket) -> Option<T>) -> T {
        self.until_within(PATIENCE, what, found)
    }

    pub fn until_within<T>(
        &mut self,
        within: Duration,
        what: &str,
        mut found: impl FnMut(&Socket) -> Option<T>,
    ) -> T {
        let since = Instant::now();
        loop {
            if let Some(found) = found(self) {
                return found;
            }
            let late = within <= since.elapsed();
            assert!(!late, "never heard: {what}; heard {:#?}", self.recent());
            assert!(self.closed.is_none(), "closed with {:?} before {what}", self.closed);
            self.read();
        }
    }

    /// The code the server closes with.
    pub fn until_closed(&mut self) -> u16 {
        let since = Instant::now();
        while self.closed.is_none() {
            assert!(since.elapsed() < PATIENCE, "the server never closed");
            self.read();
        }
        self.closed.unwrap()
    }

    /// Takes one frame if there is one soon.
    pub fn read(&mut self) {
        match self.socket.read() {
            Ok(Message::Text(text)) => {
                let frame: Value = serde_json::from_str(&text).unwrap();
                self.heard.push(frame);
            }
            Ok(Message::Pong(payload)) => self.pongs.push(payload),
            Ok(Message::Close(frame)) => {
                self.closed = Some(frame.map_or(0, |frame| frame.code.into()));
            }
            Ok(_) => (),
            Err(Error::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.closed = Some(self.closed.unwrap_or(0)),
        }
    }

    /// The connection itself, for what no client does to it.
    pub fn stream(&self) -> &TcpStream {
        self.socket.get_ref()
    }

    /// Says that it leaves, and waits for the answer.
    pub fn close(mut self) {
        self.socket.close(None).unwrap();
        self.until_closed();
    }

    /// Ends as a client does whose machine has lost it: the server is sent a reset, if anything.
    pub fn break_off(self) {
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        let option = nix::sys::socket::sockopt::Linger;
        nix::sys::socket::setsockopt(self.stream(), option, &linger).unwrap();
    }

    fn recent(&self) -> &[Value] {
        &self.heard[self.heard.len().saturating_sub(10)..]
    }
}

/// SUBSCRIBE with a signature made now.
pub fn signed_request(keys: &KeyPair, streams: &[&str]) -> Value {
    json!({"method": "SUBSCRIBE", "params": streams, "signature": signature(keys, now_ms())})
}

/// `signature` of a SUBSCRIBE.
pub fn signature(keys: &KeyPair, timestamp_ms: u64) -> Value {
    let signature = keys.sign(&signed_text("subscribe", &Value::Null, timestamp_ms)).unwrap();
    json!([keys.api_key, signature, timestamp_ms.to_string(), WINDOW_MS.to_string()])
}
