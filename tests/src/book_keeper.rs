//! A client that keeps a book by the published procedure for as long as it is wanted: whenever its
//! socket is closed it starts again, and it never finds its book wrong.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use serde_json::Value;

use crate::depth_book::DepthBook;
use crate::eventually::{PATIENCE, SECOND, breathe};
use crate::socket::Socket;
use crate::world::World;

/// With which an honest server closes a socket that could not go on, and 0: it broke.
const EXCUSES: [u16; 3] = [0, 1001, 1013];

/// What the book is in the end, once somebody knows.
pub type End = Arc<OnceLock<DepthBook>>;

pub struct Keeper {
    thread: JoinHandle<Kept>,
}

/// What a keeper has seen.
#[derive(Debug, Default)]
pub struct Kept {
    pub frames: usize,
    pub connections: usize,
    /// How often a socket was closed with a code.
    pub closed: BTreeMap<u16, usize>,
}

struct Keeping {
    ws_url: String,
    depth_url: String,
    stream: String,
    end: End,
    kept: Kept,
    ended_at: Option<Instant>,
}

/// One connection's view.
#[derive(Default)]
struct View {
    /// Not applied yet.
    waiting: Vec<Value>,
    last: Option<u64>,
    book: Option<DepthBook>,
    /// Whether a frame has followed on from the snapshot.
    has_begun: bool,
}

impl Keeper {
    /// Until the book is the one of the `end`.
    pub fn start(world: &World, symbol: &str, stream: &str, end: &End) -> Keeper {
        let mut keeping = Keeping {
            ws_url: world.stack().ws_url().to_owned(),
            depth_url: depth_url(world, symbol),
            stream: stream.to_owned(),
            end: Arc::clone(end),
            kept: Kept::default(),
            ended_at: None,
        };
        let thread = thread::spawn(move || {
            while !keeping.connect() {}
            keeping.kept
        });
        Keeper { thread }
    }

    pub fn has_failed(&self, end: &End) -> bool {
        self.thread.is_finished() && end.get().is_none()
    }

    /// Waits until it has found its book to be the one of the end.
    pub fn finish(self) -> Kept {
        self.thread.join().expect("the book was right all the time")
    }
}

pub fn depth_url(world: &World, symbol: &str) -> String {
    format!("{}/api/v1/depth?symbol={symbol}&limit=1000", world.rest_url())
}

impl Keeping {
    /// One connection to its end; answers whether the book is complete.
    fn connect(&mut self) -> bool {
        self.assert_in_time("connects");
        let Ok(mut socket) = Socket::try_open(&self.ws_url) else {
            breathe();
            return false;
        };
        if socket.try_subscribe(&[&self.stream]).is_err() {
            return false;
        }
        self.kept.connections += 1;
        let mut view = View::default();
        while socket.closed.is_none() {
            socket.read();
            for frame in socket.heard.drain(..) {
                assert_eq!(frame["stream"], self.stream.as_str(), "{frame}");
                self.kept.frames += 1;
                view.hear(&frame["data"]);
            }
            if view.book.is_none() && !view.begin(&self.depth_url) {
                breathe();
            }
            if view.is_at(&self.end) {
                return true;
            }
            self.assert_in_time("is complete");
        }
        let code = socket.closed.unwrap();
        assert!(EXCUSES.contains(&code), "closed with {code}");
        *self.kept.closed.entry(code).or_default() += 1;
        false
    }

    fn assert_in_time(&mut self, what: &str) {
        if self.end.get().is_some() {
            let since = *self.ended_at.get_or_insert_with(Instant::now);
            assert!(since.elapsed() < PATIENCE, "never {what}: {}", self.stream);
        }
    }
}

impl View {
    fn hear(&mut self, frame: &Value) {
        let (first, last) = (frame["U"].as_u64().unwrap(), frame["u"].as_u64().unwrap());
        if let Some(before) = self.last.replace(last) {
            assert_eq!(first, before + 1, "{frame}");
        }
        self.waiting.push(frame.clone());
        self.apply();
    }

    /// Whether there is a snapshot that fits now.
    fn begin(&mut self, depth_url: &str) -> bool {
        let shown = self.last;
        let answer = xtask::http::get(depth_url, 10 * SECOND);
        let Ok((200, text)) = answer else { return false };
        let snapshot = DepthBook::snapshot(&serde_json::from_str(&text).unwrap());
        assert!(shown <= Some(snapshot.last_update), "{shown:?} was shown before {snapshot:?}");
        self.book = Some(snapshot);
        self.apply();
        self.book.is_some()
    }

    fn apply(&mut self) {
        let Some(book) = &mut self.book else { return };
        let snapshot = book.last_update;
        self.waiting.retain(|frame| snapshot < frame["u"].as_u64().unwrap());
        let first = self.waiting.first().map(|frame| frame["U"].as_u64().unwrap());
        if !self.has_begun && first.is_some_and(|first| snapshot + 1 < first) {
            // The subscription took effect behind the snapshot, which is too old.
            self.book = None;
            return;
        }
        self.has_begun |= first.is_some();
        self.waiting.drain(..).for_each(|frame| book.apply(&frame));
    }

    fn is_at(&self, end: &End) -> bool {
        let (Some(book), Some(end)) = (&self.book, end.get()) else { return false };
        if book.last_update != end.last_update {
            return false;
        }
        assert_eq!(book, end, "another book under the same id");
        true
    }
}
