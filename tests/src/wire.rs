//! HTTP byte by byte over one kept-alive connection, for requests no client library would send.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(20);
const BODY_BYTES_MAX: usize = 1 << 20;

#[derive(Debug)]
pub struct Wire {
    reader: BufReader<TcpStream>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
    /// The server will close the connection.
    pub closes: bool,
}

impl Wire {
    pub fn connect(rest_url: &str) -> Result<Wire> {
        let stream = TcpStream::connect(rest_url.trim_start_matches("http://"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Wire { reader: BufReader::new(stream) })
    }

    pub fn send(&mut self, request: &[u8]) -> Result<()> {
        self.reader.get_mut().write_all(request)
    }

    pub fn receive(&mut self) -> Result<Response> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| Error::other(format!("status line {line:?}")))?;
        let (mut length, mut closes) = (None, false);
        loop {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            match (name.to_ascii_lowercase().as_str(), value.trim()) {
                ("content-length", value) => length = value.parse().ok(),
                ("connection", value) => closes = value.eq_ignore_ascii_case("close"),
                _ => (),
            }
        }
        let length: usize = length.ok_or_else(|| Error::other("an answer without a length"))?;
        assert!(length <= BODY_BYTES_MAX, "an answer of {length} bytes");
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        Ok(Response { status, body, closes })
    }

    /// Hangs up without a word.
    pub fn hang_up(self) {
        drop(self);
    }
}
