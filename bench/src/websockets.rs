//! Which library reads a fan-out's sockets, and what writing through one would cost: a server
//! thread on one core, a client thread that takes everything on another, no exchange.
//!
//! Invariant: what is timed is the server thread's own cpu time, with the kernel's share of it.

pub mod ways;
pub mod report;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream as ClientStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use bytes::Bytes;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::unistd::Pid;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::task::unconstrained;

use crate::clock::{nanoseconds, thread_cpu_time};
use crate::error::BenchError;
use crate::pace::median;
use crate::streams::frames::{self, Frame};
use crate::streams::process::{Memory, allow_sockets};
use ways::{FastWebsockets, Outgoing, OwnBytes, TokioTungstenite, TokioWebsockets, Way};

#[derive(Clone, Copy, Debug, Serialize)]
pub struct Settings {
    /// That are written to, and that memory is told of.
    pub sockets: usize,
    /// Writes to each socket in a run.
    pub rounds: usize,
    /// From one client, in a run.
    pub messages: usize,
    pub runs: u32,
}

#[derive(Clone, Debug, Serialize)]
pub struct WayFigures {
    pub way: &'static str,
    /// Bytes of the process for a socket that has read one message.
    pub bytes_per_socket: f64,
    /// ns to write a frame, of those that go in one write together.
    pub write_ns: Vec<(usize, f64)>,
    /// ns to read a message of a client that sends many.
    pub read_ns: f64,
}

/// Frames that are due to a socket at once.
const TOGETHER: [usize; 3] = [1, 4, 16];
const TEXT_BYTES: usize = 250;
const BUFFER_BYTES: usize = 256 << 10;
/// Bytes that may be on their way to one socket: less than its buffers hold.
const UNDER_WAY_MAX: usize = 32 << 10;
const SUBSCRIBE: &[u8] = br#"{"method":"SUBSCRIBE","params":["trade.SOL_USDC","depth.SOL_USDC"]}"#;
/// Core of the server, and of the client.
const CORES: (usize, usize) = (0, 1);

/// Both ends of sockets of a way, each of which has read one message.
struct Pairs<W> {
    sockets: Vec<W>,
    clients: Vec<ClientStream>,
}

pub fn run(settings: &Settings) -> Result<Vec<WayFigures>, BenchError> {
    // Both ends of each socket, for memory those of all ways at once.
    allow_sockets(settings.sockets * 10)?;
    stay_on(CORES.0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(BenchError::Stream)?.block_on(unconstrained(async {
        // Kept until all have been looked at, so that none is given the memory of another.
        let (own, own_bytes) = open::<OwnBytes>(settings).await?;
        let (tungstenite, tungstenite_bytes) = open::<TokioTungstenite>(settings).await?;
        let (websockets, websockets_bytes) = open::<TokioWebsockets>(settings).await?;
        let (fast, fast_bytes) = open::<FastWebsockets>(settings).await?;
        Ok(vec![
            measure(settings, own, own_bytes).await?,
            measure(settings, tungstenite, tungstenite_bytes).await?,
            measure(settings, websockets, websockets_bytes).await?,
            measure(settings, fast, fast_bytes).await?,
        ])
    }))
}

/// With the bytes that a socket took.
async fn open<W: Way>(settings: &Settings) -> Result<(Pairs<W>, f64), BenchError> {
    let (listener, address) = listen().await?;
    let own = std::process::id().cast_signed();
    let before = Memory::of(own)?;
    let (mut sockets, mut clients) = (Vec::new(), Vec::new());
    for _ in 0..settings.sockets {
        let mut client = ClientStream::connect(address).map_err(BenchError::Stream)?;
        let subscribe = frames::masked(Frame::Text(SUBSCRIBE));
        client.write_all(&subscribe).map_err(BenchError::Stream)?;
        clients.push(client);
        let mut socket = accept::<W>(&listener).await?;
        socket.message().await.ok_or_else(lost::<W>)?;
        sockets.push(socket);
    }
    let bytes = Memory::of(own)?.own.saturating_sub(before.own);
    Ok((Pairs { sockets, clients }, bytes as f64 / settings.sockets as f64))
}

async fn measure<W: Way>(
    settings: &Settings,
    pairs: Pairs<W>,
    bytes_per_socket: f64,
) -> Result<WayFigures, BenchError> {
    let Pairs { mut sockets, mut clients } = pairs;
    let taken = AtomicU64::new(0);
    let write_ns = thread::scope(|scope| {
        let taker = scope.spawn(|| take_all(&mut clients, &taken));
        let written = write_all(settings, &mut sockets, &taken);
        // It ends when all streams of the server have.
        sockets.clear();
        taker.join().map_err(|_| BenchError::Thread)??;
        written
    })?;
    let (listener, address) = listen().await?;
    let mut reads = Vec::new();
    for _ in 0..settings.runs {
        reads.push(read_all::<W>(settings, &listener, address).await?);
    }
    Ok(WayFigures { way: W::NAME, bytes_per_socket, write_ns, read_ns: median(reads) })
}

async fn listen() -> Result<(TcpListener, SocketAddr), BenchError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(BenchError::Stream)?;
    let address = listener.local_addr().map_err(BenchError::Stream)?;
    Ok((listener, address))
}

async fn accept<W: Way>(listener: &TcpListener) -> Result<W, BenchError> {
    let (stream, _) = listener.accept().await.map_err(BenchError::Stream)?;
    stream.set_nodelay(true).map_err(BenchError::Stream)?;
    Ok(W::over(stream))
}

fn write_all<W: Way>(
    settings: &Settings,
    sockets: &mut [W],
    taken: &AtomicU64,
) -> Result<Vec<(usize, f64)>, BenchError> {
    let text = Bytes::from(vec![b'x'; TEXT_BYTES]);
    let head = [0x81, 126, 0, TEXT_BYTES as u8];
    let one = [&head[..], &text].concat();
    let mut sent = 0;
    let mut figures = Vec::new();
    for count in TOGETHER {
        let outgoing = Outgoing { text: text.clone(), encoded: one.repeat(count).into(), count };
        let round = (outgoing.encoded.len() * sockets.len()) as u64;
        let under_way_max = (UNDER_WAY_MAX * sockets.len()) as u64;
        let mut runs = Vec::new();
        for _ in 0..settings.runs {
            let mut spent = 0;
            for _ in 0..settings.rounds {
                while taken.load(Ordering::Relaxed) + under_way_max < sent + round {
                    thread::yield_now();
                }
                let before = thread_cpu_time()?;
                for socket in sockets.iter_mut() {
                    socket.write(&outgoing).ok_or_else(lost::<W>)?;
                }
                spent += nanoseconds(thread_cpu_time()?.saturating_sub(before));
                sent += round;
            }
            runs.push(spent as f64 / (settings.rounds * count * sockets.len()) as f64);
        }
        figures.push((count, median(runs)));
    }
    Ok(figures)
}

async fn read_all<W: Way>(
    settings: &Settings,
    listener: &TcpListener,
    address: SocketAddr,
) -> Result<f64, BenchError> {
    let messages = settings.messages;
    let sender = thread::spawn(move || {
        stay_on(CORES.1);
        const AT_ONCE: usize = 500;
        let some = frames::masked(Frame::Text(SUBSCRIBE)).repeat(AT_ONCE);
        let mut client = ClientStream::connect(address)?;
        (0..messages.div_ceil(AT_ONCE)).try_for_each(|_| client.write_all(&some))
    });
    let mut socket = accept::<W>(listener).await?;
    let before = thread_cpu_time()?;
    for _ in 0..messages {
        socket.message().await.ok_or_else(lost::<W>)?;
    }
    let spent = thread_cpu_time()?.saturating_sub(before);
    drop(socket);
    // An error: what was more than wanted found the socket closed.
    let sent = sender.join().map_err(|_| BenchError::Thread)?;
    drop(sent);
    Ok(spent.as_nanos() as f64 / messages as f64)
}

/// Until the server has closed all.
fn take_all(clients: &mut [ClientStream], taken: &AtomicU64) -> Result<(), BenchError> {
    stay_on(CORES.1);
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(BenchError::Clock)?;
    for (place, client) in clients.iter().enumerate() {
        let readable = EpollEvent::new(EpollFlags::EPOLLIN, place as u64);
        epoll.add(client, readable).map_err(BenchError::Clock)?;
    }
    let (mut buffer, mut open) = (vec![0; BUFFER_BYTES], clients.len());
    let mut events = [EpollEvent::empty(); 256];
    while 0 < open {
        let count = epoll.wait(&mut events, EpollTimeout::NONE).map_err(BenchError::Clock)?;
        for event in events.iter().take(count) {
            let Some(client) = clients.get_mut(event.data() as usize) else { continue };
            match client.read(&mut buffer).map_err(BenchError::Stream)? {
                0 => {
                    epoll.delete(&*client).map_err(BenchError::Clock)?;
                    open -= 1;
                }
                came => {
                    taken.fetch_add(came as u64, Ordering::Relaxed);
                }
            }
        }
    }
    Ok(())
}

fn lost<W: Way>() -> BenchError {
    BenchError::Frame(format!("{} lost a socket, or one was full", W::NAME))
}

/// Where there is such a core; else wherever it likes.
fn stay_on(core: usize) {
    let mut cores = CpuSet::new();
    let kept = cores.set(core).and_then(|()| sched_setaffinity(Pid::from_raw(0), &cores));
    if let Err(error) = kept {
        eprintln!("not kept on core {core}: {error}");
    }
}
