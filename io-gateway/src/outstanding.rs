//! Commands that wait for their decision: who waits for each, until when, and the very bytes sent,
//! so that they can be sent again.
//!
//! A command keeps its name (its origin) however often it is sent; the engine recognises what it
//! has decided before. Invariant: a slot is in here exactly as long as somebody waits for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::{
    Action, Amend, Command, GatewayId, MarketId, Origin, Place, StreamCursor, TriggerPlace,
};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use crate::error::ApiError;
use crate::replies::Decision;

#[derive(Debug)]
pub struct Outstanding {
    gateway: GatewayId,
    book: Mutex<Book>,
    waiting_max: usize,
}

#[derive(Debug, Default)]
struct Book {
    /// By number, hence oldest first.
    slots: BTreeMap<u64, Slot>,
    /// The number given out last; they count from 1 in each life of the process, on through its
    /// epochs.
    last: u64,
    /// The reply to what was sent before this may have been lost, or the command itself.
    suspect_before: Option<Instant>,
}

#[derive(Debug)]
struct Slot {
    command: Command,
    deadline: Instant,
    /// Last sending; `None` when nobody knows whether it reached the queue.
    sent_at: Option<Instant>,
    sendings: u32,
    /// Where the last copy stands in the market's queue, as far as Redis has said.
    entry: Option<StreamCursor>,
    waiter: oneshot::Sender<Reply>,
}

/// What the engine decided, and how often it had been asked by then.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    pub decision: Decision,
    pub sendings: u32,
}

/// What a reply met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Met {
    Waiter,
    /// Nobody waits for it (any more), or it is a command of another life.
    Nobody,
    /// A command of this name waits, but the engine decided on another one.
    OtherCommand,
}

/// One slot. Given back when dropped, so that who hung up or lost patience leaves none.
#[derive(Debug)]
pub struct Ticket<'o> {
    pub command: Command,
    home: &'o Outstanding,
    reply: oneshot::Receiver<Reply>,
}

impl Outstanding {
    pub fn new(gateway: GatewayId, waiting_max: usize) -> Self {
        Outstanding { gateway, book: Mutex::default(), waiting_max }
    }

    /// Names a command that is about to be sent. Refused when as many wait already as may.
    pub fn register(
        &self,
        epoch: u32,
        action: Action,
        deadline: Instant,
    ) -> Result<Ticket<'_>, ApiError> {
        let (waiter, reply) = oneshot::channel();
        let mut book = self.book();
        if self.waiting_max <= book.slots.len() {
            return Err(ApiError::overloaded());
        }
        book.last += 1;
        let origin = Origin { gateway: self.gateway, epoch, sequence: book.last };
        let command = Command { origin, time_us: 0, action };
        let sent_at = Some(Instant::now());
        let slot = Slot { command, deadline, sent_at, sendings: 1, entry: None, waiter };
        book.slots.insert(origin.sequence, slot);
        Ok(Ticket { command, home: self, reply })
    }

    /// Redis has told where the command stands in its queue.
    pub fn queued(&self, number: u64, entry: StreamCursor) {
        if let Some(slot) = self.book().slots.get_mut(&number) {
            slot.entry = Some(entry);
        }
    }

    /// Redis did not take the copy just sent. `true`: it was the only one, so nobody will decide on
    /// the command, and it is sent no more.
    pub fn withdraw(&self, number: u64) -> bool {
        let mut book = self.book();
        let is_only_copy = book.slots.get(&number).is_none_or(|slot| slot.sendings == 1);
        if is_only_copy {
            book.slots.remove(&number);
        }
        is_only_copy
    }

    /// Nobody knows whether the command reached its queue.
    pub fn suspect(&self, number: u64) {
        if let Some(slot) = self.book().slots.get_mut(&number) {
            (slot.sent_at, slot.entry) = (None, None);
        }
    }

    /// All that was sent until now, or the replies to it, may be lost.
    pub fn suspect_all(&self) {
        self.book().suspect_before = Some(Instant::now());
    }

    /// At most `count_max` commands behind number `after` that are to be sent again at `now`,
    /// oldest first, counted as sent: those that are suspect, and those sent longer ago than
    /// `every` unless their last copy `is_coming` still.
    pub fn take_due(
        &self,
        after: u64,
        count_max: usize,
        now: Instant,
        every: Duration,
        is_coming: impl Fn(MarketId, Option<StreamCursor>) -> bool,
    ) -> Vec<Command> {
        let mut book = self.book();
        let suspect_before = book.suspect_before;
        let is_due = |slot: &Slot| {
            let Some(sent_at) = slot.sent_at else { return true };
            suspect_before.is_some_and(|before| sent_at < before)
                || every <= now.saturating_duration_since(sent_at)
                    && !is_coming(slot.command.market(), slot.entry)
        };
        let behind = book.slots.range_mut(after.saturating_add(1)..);
        let due = behind.filter(|(_, slot)| now < slot.deadline && is_due(slot)).take(count_max);
        due.map(|(_, slot)| {
            slot.sent_at = Some(now);
            slot.sendings += 1;
            slot.command
        })
        .collect()
    }

    /// Hands a decision to who waits for it.
    pub fn resolve(&self, decision: Decision) -> Met {
        let Command { origin, action, .. } = decision.command;
        let mut book = self.book();
        let Some(slot) = book.slots.get(&origin.sequence) else { return Met::Nobody };
        if slot.command.origin != origin {
            return Met::Nobody;
        }
        if without_bound(slot.command.action) != without_bound(action) {
            return Met::OtherCommand;
        }
        let Some(slot) = book.slots.remove(&origin.sequence) else { return Met::Nobody };
        match slot.waiter.send(Reply { decision, sendings: slot.sendings }) {
            Ok(()) => Met::Waiter,
            Err(_) => Met::Nobody,
        }
    }

    pub fn len(&self) -> usize {
        self.book().slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket<'_> {
    /// The reply, unless it is not here by the deadline it was registered with.
    pub async fn reply(mut self, deadline: Instant) -> Result<Reply, ApiError> {
        match timeout_at(deadline, &mut self.reply).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(_)) | Err(_) => Err(ApiError::timeout()),
        }
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.home.book().slots.remove(&self.command.origin.sequence);
    }
}

/// The engine moves an order's bound to its own time.
fn without_bound(action: Action) -> Action {
    match action {
        Action::Place(place) => Action::Place(Place { valid_until_us: 0, ..place }),
        Action::PlaceTrigger(TriggerPlace { place, trigger }) => {
            let place = Place { valid_until_us: 0, ..place };
            Action::PlaceTrigger(TriggerPlace { place, trigger })
        }
        Action::Amend(amend) => Action::Amend(Amend { valid_until_us: 0, ..amend }),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{AccountId, Outcome, Sequence};

    const EVERY: Duration = Duration::from_millis(500);

    fn outstanding() -> Outstanding {
        Outstanding::new(GatewayId(1), 2)
    }

    fn cancel_all(account: u32) -> Action {
        Action::cancel_all(MarketId(1), AccountId::new(account).unwrap())
    }

    fn deadline() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    fn decision(command: Command) -> Decision {
        Decision {
            sequence: Sequence(1),
            command,
            outcome: Outcome::Cancelled,
            trades: Vec::new(),
            closed: Vec::new(),
            withdrawn: Vec::new(),
        }
    }

    fn due(home: &Outstanding, now: Instant) -> Vec<u64> {
        let due = home.take_due(0, 10, now, EVERY, |_, entry| entry.is_some());
        due.iter().map(|command| command.origin.sequence).collect()
    }

    #[tokio::test]
    async fn a_reply_finds_who_waits_and_says_how_often_was_sent() {
        let home = outstanding();
        let (first, second) = (
            home.register(7, cancel_all(1), deadline()).unwrap(),
            home.register(7, cancel_all(2), deadline()).unwrap(),
        );
        assert_eq!(home.register(7, cancel_all(3), deadline()).unwrap_err().status, 503);
        home.suspect(1);
        assert_eq!(due(&home, Instant::now()), [1]);
        let (one, two) = (first.command, second.command);
        let earlier = Command { origin: Origin { epoch: 6, ..two.origin }, ..two };
        assert_eq!(home.resolve(decision(earlier)), Met::Nobody);
        let other = Command { action: cancel_all(9), ..two };
        assert_eq!(home.resolve(decision(other)), Met::OtherCommand);
        assert_eq!(home.resolve(decision(two)), Met::Waiter);
        assert_eq!(home.resolve(decision(one)), Met::Waiter);
        assert_eq!(home.resolve(decision(one)), Met::Nobody);
        assert_eq!(second.reply(deadline()).await.unwrap().sendings, 1);
        assert_eq!(first.reply(deadline()).await.unwrap().sendings, 2);
        assert!(home.is_empty());
    }

    #[tokio::test]
    async fn what_has_no_answer_is_due_again_after_an_interval_and_until_its_deadline() {
        let home = outstanding();
        let ticket = home.register(7, cancel_all(1), deadline()).unwrap();
        let later = Instant::now() + EVERY;
        assert!(due(&home, Instant::now()).is_empty());
        assert_eq!(due(&home, later), [1]);
        assert!(due(&home, later).is_empty(), "once an interval");
        assert!(due(&home, later + Duration::from_secs(5)).is_empty(), "nobody waits any more");
        assert_eq!(ticket.reply(Instant::now()).await.unwrap_err(), ApiError::timeout());
        assert!(home.is_empty());
    }

    #[test]
    fn a_copy_that_is_still_coming_is_not_followed_by_another_unless_it_may_be_lost() {
        let home = outstanding();
        let _ticket = home.register(7, cancel_all(1), deadline()).unwrap();
        let later = Instant::now() + EVERY;
        home.queued(1, StreamCursor { milliseconds: 5, counter: 0 });
        assert!(due(&home, later).is_empty());
        home.suspect_all();
        assert_eq!(due(&home, later), [1]);
        assert!(due(&home, later).is_empty());
        home.suspect(1);
        assert_eq!(due(&home, later), [1]);
        assert!(!home.withdraw(1), "one of the copies may be there");
        assert!(
            home.withdraw(home.register(7, cancel_all(2), later).unwrap().command.origin.sequence)
        );
        let behind = home.take_due(1, 10, later, Duration::ZERO, |_, _| false);
        assert!(behind.is_empty());
    }
}
