//! WebSocket on the wire: messages out as bytes, made once and sent to many; messages in by a
//! library, which sees to masks, fragments, bounds and the rules of control frames.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_websockets::{Error, Limits, ServerBuilder, WebSocketStream};

use crate::close_reason::CloseReason;

/// Of one message of a client, in however many fragments.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// The longest head of a frame that is not masked.
const HEAD_MAX: usize = 10;
/// The last frame of a message, with an opcode.
const FINAL: u8 = 0x80;
const TEXT: u8 = 0x1;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;

/// A text message in one frame, put together of `parts`.
pub fn text_message(parts: &[&str]) -> Bytes {
    let length = parts.iter().map(|part| part.len()).sum();
    let mut message = BytesMut::with_capacity(HEAD_MAX + length);
    put_head(&mut message, TEXT, length);
    parts.iter().for_each(|part| message.put_slice(part.as_bytes()));
    message.freeze()
}

pub fn close_message(reason: CloseReason) -> Bytes {
    let text = reason.text();
    let mut message = BytesMut::with_capacity(HEAD_MAX + text.len());
    put_head(&mut message, CLOSE, size_of::<u16>() + text.len());
    message.put_u16(reason.code());
    message.put_slice(text.as_bytes());
    message.freeze()
}

pub fn ping_message() -> Bytes {
    Bytes::from_static(&[FINAL | PING, 0])
}

fn put_head(out: &mut BytesMut, opcode: u8, length: usize) {
    out.put_u8(FINAL | opcode);
    match length {
        0..=125 => out.put_u8(length as u8),
        126..=0xffff => {
            out.put_u8(126);
            out.put_u16(length as u16);
        }
        _ => {
            out.put_u8(127);
            out.put_u64(length as u64);
        }
    }
}

/// The reading half of a socket.
pub struct Reader {
    messages: WebSocketStream<Half>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Incoming {
    Text(String),
    Binary,
    /// Its pong is made when the next message is asked for.
    Ping,
    Pong,
    /// Of the client, or the connection has ended.
    Closed,
    /// What came breaks the rules.
    Violation(CloseReason),
}

impl Reader {
    /// `first` came behind the handshake. What the library wants written (pongs, and its answer to a
    /// Close) is given to `reply`.
    pub fn new(socket: Rc<TcpStream>, first: Bytes, reply: impl Fn(&[u8]) + 'static) -> Reader {
        let half = Half { socket, first, reply: Box::new(reply) };
        let limits = Limits::default().max_payload_len(Some(MESSAGE_BYTES_MAX));
        Reader { messages: ServerBuilder::new().limits(limits).serve(half) }
    }

    /// Cancel safe: what is not yet whole stays.
    pub async fn next(&mut self) -> Incoming {
        match self.messages.next().await {
            None | Some(Err(Error::Io(_) | Error::AlreadyClosed)) => Incoming::Closed,
            Some(Err(Error::PayloadTooLong { .. })) => {
                Incoming::Violation(CloseReason::MessageTooBig)
            }
            Some(Err(_)) => Incoming::Violation(CloseReason::Protocol),
            Some(Ok(message)) if message.is_close() => Incoming::Closed,
            Some(Ok(message)) if message.is_ping() => Incoming::Ping,
            Some(Ok(message)) if message.is_pong() => Incoming::Pong,
            Some(Ok(message)) => match message.as_text() {
                Some(text) => Incoming::Text(text.to_owned()),
                None => Incoming::Binary,
            },
        }
    }
}

/// Reads from the socket, and passes what is written to whoever writes to it.
struct Half {
    socket: Rc<TcpStream>,
    first: Bytes,
    reply: Reply,
}

type Reply = Box<dyn Fn(&[u8])>;

impl AsyncRead for Half {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.first.has_remaining() {
            let length = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first.split_to(length));
            return Poll::Ready(Ok(()));
        }
        loop {
            std::task::ready!(self.socket.poll_read_ready(context))?;
            match self.socket.try_read(buffer.initialize_unfilled()) {
                Ok(length) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Half {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        (self.reply)(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_as_long_as_its_length_needs() {
        for (length, head) in [
            (5, vec![0x81, 5]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 0xff, 0xff]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let text = "x".repeat(length);
            let message = text_message(&[&text[..2], &text[2..]]);
            assert_eq!(&message[..head.len()], head);
            assert_eq!(&message[head.len()..], text.as_bytes());
        }
    }

    #[test]
    fn a_close_names_code_and_reason() {
        let message = close_message(CloseReason::Shutdown);
        assert_eq!(&message[..4], [0x88, 12, 0x03, 0xe9]);
        assert_eq!(&message[4..], b"going away");
    }
}
