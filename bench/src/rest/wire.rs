//! One kept-alive connection: writes a request whole, reads an answer as it comes, allocates
//! nothing on the way.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use crate::error::BenchError;

/// An answer to an order has about 700 bytes, one to a batch twenty times as many. A page of a
/// history may have more: then the buffer grows, once.
const ANSWER_BYTES: usize = 64 << 10;
const HEAD_END: &[u8] = b"\r\n\r\n";
const LENGTH: &[u8] = b"content-length:";

#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    filled: usize,
}

/// A whole answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

impl Wire {
    pub fn connect(address: SocketAddr) -> Result<Wire, BenchError> {
        let connect = || {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        let stream = connect().map_err(BenchError::Wire)?;
        Ok(Wire { stream, buffer: vec![0; ANSWER_BYTES], filled: 0 })
    }

    /// The socket's own buffer holds any request of ours: one that does not fit is an error.
    pub fn send(&mut self, request: &[u8]) -> Result<(), BenchError> {
        self.filled = 0;
        self.stream.write_all(request).map_err(BenchError::Wire)
    }

    /// Reads what is there; `None` until the answer is whole.
    pub fn receive(&mut self) -> Result<Option<Answer<'_>>, BenchError> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(4 * self.filled, 0);
        }
        let free = self.buffer.get_mut(self.filled..).unwrap_or_default();
        match self.stream.read(free) {
            Ok(0) => return Err(BenchError::Wire(ErrorKind::UnexpectedEof.into())),
            Ok(count) => self.filled += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(BenchError::Wire(error)),
        }
        let answer = parse(self.buffer.get(..self.filled).unwrap_or_default());
        answer.map_err(|what| BenchError::Answer(what.to_owned()))
    }
}

/// Status and body of the answer to one request, over a connection of its own.
pub fn ask(address: SocketAddr, request: &[u8]) -> Result<(u16, Vec<u8>), BenchError> {
    let mut wire = Wire::connect(address)?;
    wire.stream.set_nonblocking(false).map_err(BenchError::Wire)?;
    wire.send(request)?;
    loop {
        if let Some(Answer { status, body }) = wire.receive()? {
            return Ok((status, body.to_vec()));
        }
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// `Err` for what is no answer of the gateway.
fn parse(bytes: &[u8]) -> Result<Option<Answer<'_>>, &'static str> {
    let Some(end) = bytes.windows(HEAD_END.len()).position(|part| part == HEAD_END) else {
        return Ok(None);
    };
    let (head, rest) = bytes.split_at(end);
    let status = head.get(9..12).and_then(number).ok_or("an answer without a status")?;
    let status = u16::try_from(status).map_err(|_| "an answer without a status")?;
    let lines = head.split(|byte| *byte == b'\n');
    let mut lengths = lines.filter_map(|line| {
        let (name, value) = line.split_at_checked(LENGTH.len())?;
        if name.eq_ignore_ascii_case(LENGTH) { number(value.trim_ascii()) } else { None }
    });
    let length = lengths.next().ok_or("an answer without a length")?;
    let body = rest.get(HEAD_END.len()..).unwrap_or_default();
    if length < body.len() {
        return Err("an answer to nothing that was asked");
    }
    Ok(if body.len() == length { Some(Answer { status, body }) } else { None })
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_there_when_its_last_byte_is() {
        let text = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\nx: y\r\n\r\n{}";
        for end in 0..text.len() {
            assert_eq!(parse(&text[..end]), Ok(None), "{end}");
        }
        assert_eq!(parse(text), Ok(Some(Answer { status: 400, body: b"{}" })));
        assert!(parse(&[&text[..], b"H"].concat()).is_err());
        assert!(parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(parse(b"SSH-2.0-whatever\r\n\r\n").is_err());
    }
}
