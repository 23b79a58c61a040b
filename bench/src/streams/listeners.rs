//! Many sockets on one thread, as cheap as they can be: one buffer for all, a read takes all that
//! is there, a frame costs a look at its head.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use xtask::interrupt;

use super::frames::{self, Frame};
use crate::clock::nanoseconds;
use crate::error::BenchError;

const BUFFER_BYTES: usize = 256 << 10;
const EVENTS_MAX: usize = 1024;
/// Sockets that shake hands at a time.
const OPENED_AT_A_TIME: usize = 100;
const SILENCE_MAX: Duration = Duration::from_secs(20);
const HANDSHAKE: &str = "GET / HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\n\
     Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const ACCEPTED: &[u8] = b"HTTP/1.1 101 ";

#[derive(Debug)]
pub struct Listeners {
    address: SocketAddr,
    epoll: Epoll,
    sockets: Vec<Socket>,
    buffer: Vec<u8>,
    /// Answers to our pings, so far.
    pongs: usize,
    /// Codes with which sockets were closed, so far.
    closed: Vec<u16>,
}

#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    /// The beginning of a frame whose end has not come.
    carried: Vec<u8>,
}

/// A text that came.
#[derive(Clone, Copy, Debug)]
pub struct Heard<'a> {
    pub socket: usize,
    pub text: &'a [u8],
    /// Since the epoch, as engine times are.
    pub at_ns: u64,
}

impl Listeners {
    pub fn new(address: SocketAddr) -> Result<Listeners, BenchError> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(BenchError::Clock)?;
        let (sockets, buffer) = (Vec::new(), vec![0; BUFFER_BYTES]);
        Ok(Listeners { address, epoll, sockets, buffer, pongs: 0, closed: Vec::new() })
    }

    pub fn count(&self) -> usize {
        self.sockets.len()
    }

    pub fn closed(&self) -> &[u16] {
        &self.closed
    }

    /// Opens sockets until there are so many, each on this stream.
    pub fn grow(&mut self, count: usize, stream: &str) -> Result<(), BenchError> {
        while self.count() < count {
            interrupt::check().map_err(BenchError::Exchange)?;
            let from = self.count();
            let more = OPENED_AT_A_TIME.min(count - from);
            for opened in open(self.address, more)? {
                let place = self.count() as u64;
                opened.stream.set_nonblocking(true).map_err(BenchError::Stream)?;
                let readable = EpollEvent::new(EpollFlags::EPOLLIN, place);
                self.epoll.add(&opened.stream, readable).map_err(BenchError::Clock)?;
                self.sockets.push(opened);
            }
            self.ask(from, "SUBSCRIBE", stream)?;
        }
        Ok(())
    }

    /// Puts all on another stream.
    pub fn change(&mut self, from: &str, to: &str) -> Result<(), BenchError> {
        self.ask(0, "UNSUBSCRIBE", from)?;
        self.ask(0, "SUBSCRIBE", to)
    }

    /// Returns when the server has heard all from the socket `from` on: the pong comes behind what
    /// was asked before it.
    fn ask(&mut self, from: usize, method: &str, stream: &str) -> Result<(), BenchError> {
        let mut bytes = request(method, stream);
        bytes.extend(frames::masked(Frame::Ping(&[])));
        let mut asked = self.pongs;
        for socket in self.sockets.iter_mut().skip(from) {
            socket.stream.write_all(&bytes).map_err(BenchError::Stream)?;
            asked += 1;
        }
        let began = Instant::now();
        while self.pongs < asked {
            self.hear(100, &mut |_| Ok(()))?;
            if SILENCE_MAX < began.elapsed() {
                return Err(BenchError::Frame(format!("no answer to a ping behind {method}")));
            }
        }
        Ok(())
    }

    /// Waits for at most so long until something comes; tells each text.
    pub fn hear(
        &mut self,
        milliseconds: u16,
        each: &mut impl FnMut(Heard<'_>) -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        interrupt::check().map_err(BenchError::Exchange)?;
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        let count = match self.epoll.wait(&mut events, EpollTimeout::from(milliseconds)) {
            Ok(count) => count,
            // A signal: looked at above.
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(BenchError::Clock(error)),
        };
        for event in events.iter().take(count) {
            self.read(event.data() as usize, each)?;
        }
        Ok(())
    }

    fn read(
        &mut self,
        place: usize,
        each: &mut impl FnMut(Heard<'_>) -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        let Some(socket) = self.sockets.get_mut(place) else { return Ok(()) };
        let carried = socket.carried.len();
        if let Some(start) = self.buffer.get_mut(..carried) {
            start.copy_from_slice(&socket.carried);
        }
        let came = match socket.stream.read(self.buffer.get_mut(carried..).unwrap_or_default()) {
            Ok(0) => return self.lose(place, 0),
            Ok(came) => came,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return self.lose(place, 0),
        };
        let at_ns = now_ns();
        let mut rest = self.buffer.get(..carried + came).unwrap_or_default();
        while let Some((frame, length)) = frames::first(rest)? {
            match frame {
                Frame::Text(text) => each(Heard { socket: place, text, at_ns })?,
                Frame::Pong => self.pongs += 1,
                Frame::Ping(payload) => {
                    let pong = frames::pong(payload);
                    socket.stream.write_all(&pong).map_err(BenchError::Stream)?;
                }
                Frame::Close(code) => return self.lose(place, code),
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        socket.carried.clear();
        socket.carried.extend(rest);
        Ok(())
    }

    fn lose(&mut self, place: usize, code: u16) -> Result<(), BenchError> {
        self.closed.push(code);
        let Some(socket) = self.sockets.get(place) else { return Ok(()) };
        self.epoll.delete(&socket.stream).map_err(BenchError::Clock)
    }
}

/// Sockets that subscribe and then read nothing.
pub fn open_stalled(
    address: SocketAddr,
    count: usize,
    stream: &str,
) -> Result<Vec<TcpStream>, BenchError> {
    use nix::sys::socket::{setsockopt, sockopt};
    const RECEIVED_MAX: usize = 4096;
    let mut stalled = Vec::with_capacity(count);
    while stalled.len() < count {
        for mut socket in open(address, OPENED_AT_A_TIME.min(count - stalled.len()))? {
            // A small buffer, so that it is soon full.
            let set = setsockopt(&socket.stream, sockopt::RcvBuf, &RECEIVED_MAX);
            set.map_err(BenchError::Clock)?;
            let asked = socket.stream.write_all(&request("SUBSCRIBE", stream));
            asked.map_err(BenchError::Stream)?;
            stalled.push(socket.stream);
        }
    }
    Ok(stalled)
}

/// So many at once, shaken hands with.
fn open(address: SocketAddr, count: usize) -> Result<Vec<Socket>, BenchError> {
    let begin = |_| {
        let mut stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.write_all(HANDSHAKE.as_bytes())?;
        Ok(stream)
    };
    let begun: Vec<TcpStream> =
        (0..count).map(begin).collect::<Result<_, _>>().map_err(BenchError::Stream)?;
    begun.into_iter().map(finish).collect()
}

fn finish(mut stream: TcpStream) -> Result<Socket, BenchError> {
    const HEAD_END: &[u8] = b"\r\n\r\n";
    let mut bytes = Vec::new();
    loop {
        let end = bytes.windows(HEAD_END.len()).position(|part| part == HEAD_END);
        if let Some(end) = end {
            if !bytes.starts_with(ACCEPTED) {
                return Err(BenchError::Frame(String::from_utf8_lossy(&bytes).into_owned()));
            }
            return Ok(Socket { stream, carried: bytes.split_off(end + HEAD_END.len()) });
        }
        let mut part = [0; 1024];
        let came = stream.read(&mut part).map_err(BenchError::Stream)?;
        if came == 0 {
            return Err(BenchError::Stream(ErrorKind::UnexpectedEof.into()));
        }
        bytes.extend(part.get(..came).unwrap_or_default());
    }
}

fn request(method: &str, stream: &str) -> Vec<u8> {
    let text = format!(r#"{{"method":"{method}","params":["{stream}"]}}"#);
    frames::masked(Frame::Text(text.as_bytes()))
}

/// Of the clock that the engine's times are of.
pub fn now_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(nanoseconds).unwrap_or_default()
}
