//! Many stream clients on a few threads: each keeps a book ([`crate::book_keeper`]) or follows the
//! trades, and comes back whenever it is turned away.
//!
//! On an open socket nothing may be missing: a gap or a wrong checksum is a panic of its thread,
//! which [`StreamCrowd::assert_unhurt`] finds.

use std::collections::BTreeMap;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tungstenite::{Error, Message, WebSocket};
use xtask::http;
use xtask::interrupt;

use crate::book_keeper::{Book, Keeper, Update, Wants};
use crate::eventually::SECOND;

const THREADS: usize = 4;
/// Frames taken of one socket before the next has its turn.
const FRAMES_A_TURN: usize = 200;
const IDLE: Duration = Duration::from_millis(3);
/// Before somebody who was turned away tries again.
const RETRY: Duration = Duration::from_millis(100);
/// How long a fickle client keeps its book.
const FICKLE: Duration = Duration::from_millis(150);
/// A pong that came this quickly says that the streams have begun; the server waits no longer than
/// 5 s for them.
const SURE: Duration = Duration::from_secs(4);

/// One client: which stream, and when it joins by what the crowd's clock says.
#[derive(Clone, Debug)]
pub struct Plan {
    pub stream: String,
    pub joins_at: u64,
    /// Whether it asks for its snapshot behind a pong; then that must never be too old.
    pub is_fenced: bool,
    /// Whether it begins again with a new snapshot all the time: at every moment, also when the
    /// stream is behind, that must lead to the book.
    pub is_fickle: bool,
}

pub struct StreamCrowd {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Vec<Member>>>,
}

struct Shared {
    ws_url: String,
    depth_url: String,
    clock: Arc<AtomicU64>,
    stop: AtomicBool,
    /// How far each has come: `u` of its book, or the last trade. 0 while it has nothing.
    reached: Vec<AtomicU64>,
    frames: AtomicUsize,
    old_snapshots: AtomicUsize,
    /// How often sockets ended, by code; 0: without one.
    closed: Mutex<BTreeMap<u16, usize>>,
}

struct Member {
    number: usize,
    plan: Plan,
    session: Option<Session>,
    not_before: Instant,
}

struct Session {
    socket: WebSocket<TcpStream>,
    began: Instant,
    /// When a fickle one last began with a snapshot; `None`: it is none.
    began_again: Option<Instant>,
    hears: Hears,
}

enum Hears {
    Book {
        keeper: Keeper,
        /// Whether a snapshot is to be asked for, now or behind the pong.
        wants: bool,
        awaits_pong: bool,
        /// The pong came in time.
        is_sure: bool,
    },
    Trades {
        last: Option<u64>,
    },
}

#[derive(Deserialize)]
struct Frame<T> {
    stream: String,
    data: T,
}

#[derive(Deserialize)]
struct Trade {
    t: u64,
}

impl StreamCrowd {
    pub fn start(
        (ws_url, rest_url): (&str, &str),
        symbol: &str,
        plans: Vec<Plan>,
        clock: Arc<AtomicU64>,
    ) -> StreamCrowd {
        let shared = Arc::new(Shared {
            ws_url: ws_url.to_owned(),
            depth_url: format!("{rest_url}/api/v1/depth?symbol={symbol}&limit=1000"),
            clock,
            stop: AtomicBool::new(false),
            reached: plans.iter().map(|_| AtomicU64::new(0)).collect(),
            frames: AtomicUsize::new(0),
            old_snapshots: AtomicUsize::new(0),
            closed: Mutex::default(),
        });
        let mut shares: Vec<Vec<Member>> = (0..THREADS).map(|_| Vec::new()).collect();
        for (number, plan) in plans.into_iter().enumerate() {
            let member = Member { number, plan, session: None, not_before: Instant::now() };
            shares[number % THREADS].push(member);
        }
        let run = |mut members: Vec<Member>| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                while !shared.stop.load(Ordering::Relaxed) && !interrupt::requested() {
                    let busy = members.iter_mut().filter_map(|it| it.turn(&shared)).count();
                    if busy == 0 {
                        interrupt::pause(IDLE);
                    }
                }
                members
            })
        };
        let threads = shares.into_iter().map(run).collect();
        StreamCrowd { shared, threads }
    }

    pub fn assert_unhurt(&self) {
        let failed = self.threads.iter().any(JoinHandle::is_finished);
        assert!(!failed, "a client was told what cannot be; see the panic above");
    }

    /// How far each has come, in the order of their plans.
    pub fn reached(&self) -> Vec<u64> {
        self.shared.reached.iter().map(|it| it.load(Ordering::Relaxed)).collect()
    }

    pub fn frames(&self) -> usize {
        self.shared.frames.load(Ordering::Relaxed)
    }

    pub fn closed(&self) -> BTreeMap<u16, usize> {
        self.shared.closed.lock().unwrap().clone()
    }

    /// For whoever reads what a run has shown.
    pub fn report(&self) -> String {
        let old = self.shared.old_snapshots.load(Ordering::Relaxed);
        let (frames, closed) = (self.frames(), self.closed());
        format!("{frames} frames, {old} snapshots too old, sockets ended by code: {closed:?}")
    }

    /// The books as they were kept to the end, each with its stream.
    pub fn stop(self) -> Vec<(String, Book)> {
        self.shared.stop.store(true, Ordering::Relaxed);
        let members = self.threads.into_iter().flat_map(|thread| thread.join().unwrap());
        let book = |member: Member| match member.session?.hears {
            Hears::Book { keeper, .. } => Some((member.plan.stream, keeper.book()?.clone())),
            Hears::Trades { .. } => None,
        };
        members.filter_map(book).collect()
    }
}

impl Member {
    /// `None`: there was nothing to do.
    fn turn(&mut self, shared: &Shared) -> Option<()> {
        let now = Instant::now();
        if now < self.not_before || shared.clock.load(Ordering::Relaxed) < self.plan.joins_at {
            return None;
        }
        let Some(session) = &mut self.session else {
            self.session = Session::open(&shared.ws_url, self.number, &self.plan);
            self.not_before = if self.session.is_none() { now + RETRY } else { now };
            return Some(());
        };
        let mut frames = 0;
        let ended = session.read(&mut frames);
        shared.frames.fetch_add(frames, Ordering::Relaxed);
        if let Some(code) = ended {
            assert!(matches!(code, 0 | 1001 | 1008 | 1013), "{}: closed {code}", self.plan.stream);
            *shared.closed.lock().unwrap().entry(code).or_default() += 1;
            shared.reached[self.number].store(0, Ordering::Relaxed);
            self.session = None;
            self.not_before = now + RETRY;
            return Some(());
        }
        if !session.see_to_snapshot(shared) {
            self.not_before = now + RETRY;
        }
        shared.reached[self.number].store(session.reached(), Ordering::Relaxed);
        (0 < frames).then_some(())
    }
}

impl Session {
    /// Asks for the stream; `None`: turned away.
    fn open(ws_url: &str, number: usize, plan: &Plan) -> Option<Session> {
        let address = ws_url.trim_start_matches("ws://").trim_end_matches('/');
        let stream = TcpStream::connect(address).ok()?;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(5 * SECOND)).unwrap();
        let (mut socket, _) = tungstenite::client(format!("ws://{address}/"), stream).ok()?;
        let request = json!({"method": "SUBSCRIBE", "params": [plan.stream]}).to_string();
        socket.send(Message::text(request)).ok()?;
        if plan.is_fenced {
            socket.send(Message::Ping("begun".into())).ok()?;
        }
        socket.get_ref().set_nonblocking(true).unwrap();
        let name = format!("client {number} of {}", plan.stream);
        let hears = match plan.stream.starts_with("trade") {
            true => Hears::Trades { last: None },
            false => Hears::Book {
                keeper: Keeper::new(&name),
                wants: true,
                awaits_pong: plan.is_fenced,
                is_sure: false,
            },
        };
        let began = Instant::now();
        let began_again = plan.is_fickle.then_some(began);
        Some(Session { socket, began, began_again, hears })
    }

    /// Takes what has come; the code it was closed with when it has ended.
    fn read(&mut self, frames: &mut usize) -> Option<u16> {
        for _ in 0..FRAMES_A_TURN {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    *frames += 1;
                    self.hears.take(&text);
                }
                Ok(Message::Pong(_)) => self.hears.pong(self.began.elapsed() < SURE),
                Ok(Message::Close(frame)) => {
                    return Some(frame.map_or(0, |frame| frame.code.into()));
                }
                Ok(_) => (),
                Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    return None;
                }
                Err(Error::Io(_) | Error::ConnectionClosed | Error::Protocol(_)) => return Some(0),
                Err(error) => panic!("a frame that cannot be read: {error}"),
            }
        }
        None
    }

    /// `false`: it could not be had now.
    fn see_to_snapshot(&mut self, shared: &Shared) -> bool {
        let Hears::Book { keeper, wants, awaits_pong: false, is_sure } = &mut self.hears else {
            return true;
        };
        if let Some(last) = &mut self.began_again
            && FICKLE <= last.elapsed()
        {
            *last = Instant::now();
            keeper.begin_again();
            *wants = true;
        }
        if !*wants {
            return true;
        }
        let heard = keeper.heard();
        let answer = http::get(&shared.depth_url, 10 * SECOND);
        let Ok((200, text)) = answer else { return false };
        let Ok(depth) = serde_json::from_str(&text) else { panic!("{text}") };
        *wants = keeper.start(Book::of_answer(&depth), heard) == Wants::Snapshot;
        if *wants {
            assert!(!*is_sure, "a snapshot behind the pong is older than the stream's beginning");
            shared.old_snapshots.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    fn reached(&self) -> u64 {
        match &self.hears {
            Hears::Book { keeper, .. } => keeper.book().map_or(0, |book| book.last_update),
            Hears::Trades { last } => last.unwrap_or(0),
        }
    }
}

impl Hears {
    fn take(&mut self, text: &str) {
        match self {
            Hears::Book { keeper, wants, is_sure, .. } => {
                if keeper.take(data::<Update>(text, "depth")) == Wants::Snapshot {
                    assert!(
                        !*is_sure,
                        "the stream begins behind a snapshot that followed the pong"
                    );
                    *wants = true;
                }
            }
            Hears::Trades { last } => {
                let Trade { t } = data(text, "trade");
                if let Some(before) = last.replace(t) {
                    assert_eq!(t, before + 1, "a gap in trades on an open socket");
                }
            }
        }
    }

    fn pong(&mut self, in_time: bool) {
        if let Hears::Book { awaits_pong, is_sure, .. } = self
            && *awaits_pong
        {
            (*awaits_pong, *is_sure) = (false, in_time);
        }
    }
}

fn data<T: DeserializeOwned>(text: &str, kind: &str) -> T {
    let frame: Frame<T> =
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert!(frame.stream.starts_with(kind), "{text}");
    frame.data
}
