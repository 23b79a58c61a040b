//! A WebSocket client of the fan-out that keeps all it hears.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Error, Message, WebSocket};

use crate::eventually::{PATIENCE, SECOND};

/// How long one read waits for a frame.
const READ: Duration = Duration::from_millis(50);

pub struct Socket {
    socket: WebSocket<TcpStream>,
    /// Every text frame so far, in order.
    pub heard: Vec<Value>,
    /// The code it was closed with; 0 when it broke without one.
    pub closed: Option<u16>,
}

impl Socket {
    pub fn open(ws_url: &str) -> Socket {
        Socket::try_open(ws_url).unwrap()
    }

    pub fn try_open(ws_url: &str) -> Result<Socket, String> {
        let address = ws_url.trim_start_matches("ws://").trim_end_matches('/');
        let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(5 * SECOND)).unwrap();
        stream.set_write_timeout(Some(5 * SECOND)).unwrap();
        let opened = tungstenite::client(format!("ws://{address}/"), stream);
        let (socket, _) = opened.map_err(|error| error.to_string())?;
        socket.get_ref().set_read_timeout(Some(READ)).unwrap();
        Ok(Socket { socket, heard: Vec::new(), closed: None })
    }

    pub fn send(&mut self, request: &Value) {
        self.send_text(&request.to_string());
    }

    pub fn send_text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).unwrap();
    }

    pub fn subscribe(&mut self, streams: &[&str]) {
        self.try_subscribe(streams).unwrap();
    }

    /// `Err` when the connection broke meanwhile.
    pub fn try_subscribe(&mut self, streams: &[&str]) -> Result<(), String> {
        let request = json!({"method": "SUBSCRIBE", "params": streams}).to_string();
        self.socket.send(Message::text(request)).map_err(|error| error.to_string())
    }

    /// Subscribes, and returns when whatever happens from now on is heard. No answer tells: the
    /// fan-out asks Redis for what is new to it a moment after it was asked itself, for all names
    /// of a request at once. So a ticker is asked for with them, which comes every second.
    pub fn listen(&mut self, streams: &[&str]) {
        const TICKER: &str = "ticker.SOL_BTC";
        self.unsubscribe(&[TICKER]);
        self.fence();
        let before = self.data(TICKER).count();
        let streams: Vec<&str> = streams.iter().copied().chain([TICKER]).collect();
        self.subscribe(&streams);
        // The first may be on its way to somebody who left just now.
        self.until("two tickers", |socket| {
            (before + 2 <= socket.data(TICKER).count()).then_some(())
        });
    }

    pub fn unsubscribe(&mut self, streams: &[&str]) {
        self.send(&json!({"method": "UNSUBSCRIBE", "params": streams}));
    }

    /// Returns when the server has read everything sent so far: it answers each bad request once,
    /// in order, and this one by a code of its own.
    pub fn fence(&mut self) {
        let is_fence = |frame: &Value| frame["error"]["code"] == 4008;
        let fences = |socket: &Socket| socket.heard.iter().filter(|frame| is_fence(frame)).count();
        let before = fences(self);
        self.subscribe(&["depth.7ms.SOL_USDC"]);
        self.until("the answer to a bad window", |socket| (before < fences(socket)).then_some(()));
        let last = self.heard.iter().rposition(is_fence).unwrap();
        self.heard.remove(last);
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
            Ok(Message::Close(frame)) => {
                self.closed = Some(frame.map_or(0, |frame| frame.code.into()));
            }
            Ok(_) => (),
            Err(Error::Io(error))
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => self.closed = Some(self.closed.unwrap_or(0)),
        }
    }

    fn recent(&self) -> &[Value] {
        &self.heard[self.heard.len().saturating_sub(10)..]
    }
}
