//! Ways to speak WebSocket over a TCP stream whose handshake is done, all as a server.

use std::io::{self, ErrorKind, Read, Write};

use bytes::Bytes;
use fastwebsockets::{FragmentCollectorRead, Frame, Payload, WebSocketWrite};
use futures_util::{FutureExt, Sink, SinkExt, Stream, StreamExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_tungstenite::WebSocketStream;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message, Utf8Bytes};

/// Of one message of a client, in however many fragments.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
const READ_BUFFER_BYTES: usize = 4096;

/// A frame to send, as a text and as the bytes that are sent of it.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub text: Bytes,
    /// So many times as frames in a row, as one write takes them.
    pub encoded: Bytes,
    pub count: usize,
}

pub trait Way: Sized + 'static {
    const NAME: &'static str;

    fn over(stream: TcpStream) -> Self;

    /// The frame so many times, in as few writes as the library makes; `None` when that fails or
    /// has to wait.
    fn write(&mut self, outgoing: &Outgoing) -> Option<()>;

    /// The next message; `None` at the end.
    fn message(&mut self) -> impl Future<Output = Option<()>>;
}

/// Our own bytes, written as they are; the library reads, and does no input or output of its own.
pub struct OwnBytes {
    stream: TcpStream,
    context: WebSocketContext,
}

impl Way for OwnBytes {
    const NAME: &'static str = "own bytes, tungstenite reads";

    fn over(stream: TcpStream) -> Self {
        OwnBytes { stream, context: WebSocketContext::new(Role::Server, Some(configuration())) }
    }

    fn write(&mut self, outgoing: &Outgoing) -> Option<()> {
        let written = self.stream.try_write(&outgoing.encoded).ok()?;
        (written == outgoing.encoded.len()).then_some(())
    }

    async fn message(&mut self) -> Option<()> {
        loop {
            match self.context.read(&mut Direct(&self.stream)) {
                Ok(_) => return Some(()),
                Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    self.stream.readable().await.ok()?;
                }
                Err(_) => return None,
            }
        }
    }
}

struct Direct<'a>(&'a TcpStream);

impl Read for Direct<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Direct<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn configuration() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}

pub struct TokioTungstenite(WebSocketStream<TcpStream>);

impl Way for TokioTungstenite {
    const NAME: &'static str = "tokio-tungstenite";

    fn over(stream: TcpStream) -> Self {
        let role = Role::Server;
        let made = WebSocketStream::from_raw_socket(stream, role, Some(configuration()));
        match made.now_or_never() {
            Some(made) => TokioTungstenite(made),
            None => unreachable!("Invariant: it waits for nothing"),
        }
    }

    fn write(&mut self, outgoing: &Outgoing) -> Option<()> {
        let text = Utf8Bytes::try_from(outgoing.text.clone()).ok()?;
        feed(&mut self.0, outgoing.count, || Message::Text(text.clone()))
    }

    async fn message(&mut self) -> Option<()> {
        next(&mut self.0).await
    }
}

pub struct TokioWebsockets(tokio_websockets::WebSocketStream<TcpStream>);

impl Way for TokioWebsockets {
    const NAME: &'static str = "tokio-websockets";

    fn over(stream: TcpStream) -> Self {
        let limits = tokio_websockets::Limits::default().max_payload_len(Some(MESSAGE_BYTES_MAX));
        TokioWebsockets(tokio_websockets::ServerBuilder::new().limits(limits).serve(stream))
    }

    fn write(&mut self, outgoing: &Outgoing) -> Option<()> {
        let message = || tokio_websockets::Message::text(outgoing.text.clone());
        feed(&mut self.0, outgoing.count, message)
    }

    async fn message(&mut self) -> Option<()> {
        next(&mut self.0).await
    }
}

fn feed<M, S: Sink<M> + Unpin>(sink: &mut S, count: usize, message: impl Fn() -> M) -> Option<()> {
    for _ in 0..count {
        sink.feed(message()).now_or_never()?.ok()?;
    }
    sink.flush().now_or_never()?.ok()
}

async fn next<M, E>(stream: &mut (impl Stream<Item = Result<M, E>> + Unpin)) -> Option<()> {
    stream.next().await?.ok().map(|_| ())
}

pub struct FastWebsockets {
    read: FragmentCollectorRead<OwnedReadHalf>,
    write: WebSocketWrite<OwnedWriteHalf>,
}

impl Way for FastWebsockets {
    const NAME: &'static str = "fastwebsockets";

    fn over(stream: TcpStream) -> Self {
        let (read, write) = stream.into_split();
        let role = fastwebsockets::Role::Server;
        let (mut read, write) = fastwebsockets::after_handshake_split(read, write, role);
        read.set_max_message_size(MESSAGE_BYTES_MAX);
        FastWebsockets { read: FragmentCollectorRead::new(read), write }
    }

    fn write(&mut self, outgoing: &Outgoing) -> Option<()> {
        for _ in 0..outgoing.count {
            let payload = Payload::Bytes(outgoing.text.clone().into());
            self.write.write_frame(Frame::text(payload)).now_or_never()?.ok()?;
        }
        Some(())
    }

    async fn message(&mut self) -> Option<()> {
        let read = self.read.read_frame(&mut |_| async { Ok::<(), io::Error>(()) }).await;
        read.ok().map(|_| ())
    }
}
