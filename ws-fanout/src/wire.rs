//! WebSocket on the wire: messages out as bytes, made once and sent to many; messages in by a
//! library, which sees to masks, fragments, bounds and the rules of control frames.

use std::io::{self, Read, Write};
use std::rc::Rc;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tungstenite::error::ProtocolError;
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

use crate::close_reason::CloseReason;

/// Of one message of a client, in however many fragments.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Each socket has such a buffer; a SUBSCRIBE is seldom longer.
const READ_BUFFER_BYTES: usize = 1024;
/// Reads before other sockets have their turn.
const READS_MAX: usize = 16;
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
#[derive(Debug)]
pub struct Reader {
    socket: Rc<TcpStream>,
    context: WebSocketContext,
    /// A violation was told: what comes behind it means nothing, and the library must not see it.
    is_broken: bool,
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
    /// `first` came behind the handshake.
    pub fn new(socket: Rc<TcpStream>, first: &[u8]) -> Reader {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX));
        let (part, role) = (first.to_vec(), Role::Server);
        let context = WebSocketContext::from_partially_read(part, role, Some(config));
        Reader { socket, context, is_broken: false }
    }

    /// What the library wants written (pongs, and its answer to a Close) is given to `reply`.
    /// Cancel safe: what is not yet whole stays.
    pub async fn next(&mut self, reply: impl Fn(&[u8])) -> Incoming {
        if self.is_broken {
            self.discard_all().await;
            return Incoming::Closed;
        }
        let next = self.read(reply).await;
        self.is_broken = matches!(next, Incoming::Violation(_));
        next
    }

    /// Until the connection has ended.
    async fn discard_all(&self) {
        // Not within the future, whose size every idle socket pays for.
        let mut discarded = vec![0; 4096];
        while self.socket.readable().await.is_ok() {
            match self.socket.try_read(&mut discarded) {
                Ok(0) => return,
                Ok(_) => yield_now().await,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => (),
                Err(_) => return,
            }
        }
    }

    async fn read(&mut self, reply: impl Fn(&[u8])) -> Incoming {
        loop {
            let mut half = Half { socket: &self.socket, reads: READS_MAX, reply: &reply };
            let error = match self.context.read(&mut half) {
                Ok(message) => return Incoming::of(message),
                Err(error) => error,
            };
            match error {
                Error::Io(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if half.reads == 0 {
                        // There is more; others have their turn first.
                        yield_now().await;
                    } else if self.socket.readable().await.is_err() {
                        return Incoming::Closed;
                    }
                }
                Error::Capacity(_) => return Incoming::Violation(CloseReason::MessageTooBig),
                Error::Utf8(_) => return Incoming::Violation(CloseReason::Text),
                Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => {
                    return Incoming::Closed;
                }
                Error::Protocol(_) => return Incoming::Violation(CloseReason::Protocol),
                _ => return Incoming::Closed,
            }
        }
    }
}

impl Incoming {
    fn of(message: Message) -> Incoming {
        match message {
            Message::Text(text) => Incoming::Text(text.as_str().to_owned()),
            Message::Binary(_) | Message::Frame(_) => Incoming::Binary,
            Message::Ping(_) => Incoming::Ping,
            Message::Pong(_) => Incoming::Pong,
            Message::Close(_) => Incoming::Closed,
        }
    }
}

/// Reads from the socket, and passes what is written to whoever writes to it.
struct Half<'a, R> {
    socket: &'a TcpStream,
    /// Left for now.
    reads: usize,
    reply: &'a R,
}

impl<R> Read for Half<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reads = match self.reads.checked_sub(1) {
            Some(left) => left,
            None => return Err(io::ErrorKind::WouldBlock.into()),
        };
        let read = self.socket.try_read(buffer);
        if read.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            // Not for want of turns.
            self.reads += 1;
        }
        read
    }
}

impl<R: Fn(&[u8])> Write for Half<'_, R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (self.reply)(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
