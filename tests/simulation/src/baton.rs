//! Shards on threads of their own, of which one at most runs at a time: whoever has the baton.
//!
//! A shard gives the baton back when a command is done, and now and then in the middle of one, just
//! before it touches the ledger or the sequence. So hold, draw and give of different shards
//! interleave in every way, and the seed alone says which.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, resume_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use engine::ring::{Inlet, Outlet};
use engine_core::atomics::hooked;
use engine_core::{Input, Shard};
use orderflow::rng::Rng;
use protocol::Record;

/// What a shard did while it had the baton.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Progress {
    /// In the middle of a command.
    Paused,
    /// One command is done and its frame handed on.
    Applied,
    /// There is no room for its frame.
    Full,
    /// There is no command.
    Idle,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Turn {
    GoOn,
    Die,
}

/// Unwinds a shard whose process has ended.
struct Killed;

struct Side {
    turns: Receiver<Turn>,
    progress: SyncSender<Progress>,
    rng: Rng,
    /// A shard pauses before one of so many operations.
    pauses_one_in: u64,
}

thread_local! {
    static SIDE: RefCell<Option<Side>> = const { RefCell::new(None) };
}

/// Gives the baton back, and returns when it comes again.
fn give_back(progress: Progress) {
    let turn = SIDE.with_borrow(|side| match side {
        // The world that waited has gone: so has the shard.
        Some(side) => side.progress.send(progress).ok().and_then(|()| side.turns.recv().ok()),
        None => Some(Turn::GoOn),
    });
    if turn != Some(Turn::GoOn) {
        resume_unwind(Box::new(Killed));
    }
}

fn before_operation() {
    let pauses = SIDE.with_borrow_mut(|side| {
        side.as_mut().is_some_and(|side| side.rng.below(side.pauses_one_in) == 0)
    });
    if pauses {
        give_back(Progress::Paused);
    }
}

/// A shard's thread, as the world sees it.
#[derive(Debug)]
pub struct ShardThread {
    turns: SyncSender<Turn>,
    progress: Receiver<Progress>,
    thread: Option<JoinHandle<()>>,
}

impl ShardThread {
    pub fn spawn(
        shard: Shard,
        inbound: Inlet<Input>,
        outbound: Outlet<Record>,
        outbound_records: usize,
        rng: Rng,
        pauses_one_in: u64,
    ) -> ShardThread {
        let (turns, from_world) = sync_channel(1);
        let (to_world, progress) = sync_channel(1);
        let side = Side { turns: from_world, progress: to_world, rng, pauses_one_in };
        let thread = thread::spawn(move || {
            let first = side.turns.recv();
            SIDE.set(Some(side));
            if first == Ok(Turn::GoOn) {
                hooked::set_hook(Some(before_operation));
                let run = AssertUnwindSafe(|| run(shard, inbound, outbound, outbound_records));
                if let Err(cause) = panic::catch_unwind(run)
                    && !cause.is::<Killed>()
                {
                    // The world hears of it as it finds nobody at the other end.
                    resume_unwind(cause);
                }
            }
        });
        ShardThread { turns, progress, thread: Some(thread) }
    }

    /// Lets the shard have the baton once; `None`: it panicked.
    pub fn go_on(&mut self) -> Option<Progress> {
        self.turns.send(Turn::GoOn).ok()?;
        self.progress.recv().ok()
    }
}

impl Drop for ShardThread {
    fn drop(&mut self) {
        // A shard that panicked is not there to hear it.
        if self.turns.send(Turn::Die).is_ok() {
            while self.progress.recv().is_ok() {}
        }
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn run(
    mut shard: Shard,
    mut inbound: Inlet<Input>,
    mut outbound: Outlet<Record>,
    outbound_records: usize,
) {
    loop {
        // What fires is a frame of its own: the world may end between a trade and what it fires.
        while let Some(frame) = shard.fire_next() {
            deliver(frame, &mut outbound, outbound_records);
        }
        let Some(input) = inbound.pop() else {
            give_back(Progress::Idle);
            continue;
        };
        deliver(shard.apply(&input), &mut outbound, outbound_records);
    }
}

fn deliver(frame: &[Record], outbound: &mut Outlet<Record>, outbound_records: usize) {
    while outbound_records - outbound.depth() < frame.len() {
        give_back(Progress::Full);
    }
    outbound.push(frame);
    give_back(Progress::Applied);
}
