//! `account.cancelOnDisconnect`: the engine cancels an account's orders when this process says that
//! an armed socket has closed, and also when it says nothing any more.
//!
//! While armed sockets of an account live, its lease with the engine is renewed; it is held under
//! this process's own name, so that the account's own dead man's switch and other fan-outs do not
//! disturb it. When one closes, the expiry is sent at once, and again until Redis has it, under the
//! same name, so that it happens once. If this process dies, the lease runs out.

use std::collections::{HashMap, HashSet};
use std::future::pending;
use std::time::Duration;

use futures_util::future::BoxFuture;
use protocol::query::{AnswerBody, Ask};
use protocol::{AccountId, Action, Command, GatewayId, Origin, RECORD_BYTES, keys};
use redis::aio::ConnectionManager;
use redis::{AsyncCommands, RedisResult};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::hub::EngineState;
use crate::links::ToDisconnects;
use crate::questions::Questions;

/// How long the engine waits for a word of ours: three renewals may get lost.
const LEASE_MS: u32 = 10_000;
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// Between two attempts while Redis or the engine is away.
const RETRY_AFTER: Duration = Duration::from_millis(250);
/// At the end, for what is still to be said.
const DRAIN_MAX: Duration = Duration::from_millis(1500);
const BATCH_MAX: usize = 256;

pub struct Disconnects {
    pub asker: GatewayId,
    pub redis: ConnectionManager,
    pub questions: Questions,
    pub engine: watch::Receiver<EngineState>,
    pub said: mpsc::Receiver<ToDisconnects>,
}

type Record = [u8; RECORD_BYTES];

/// What came of what was under way.
enum Done {
    /// Taken after so many doubts.
    Epoch {
        doubts: u64,
        epoch: Option<u32>,
    },
    /// Whose sockets died with an earlier life.
    Recalled(RedisResult<Vec<u32>>),
    Sent {
        leases: Vec<AccountId>,
        outcome: RedisResult<()>,
    },
}

/// What goes out together.
#[derive(Debug)]
struct Batch {
    /// Whose sockets would die with this process.
    remembered: Vec<u32>,
    records: Vec<Record>,
    /// Who has none any more.
    forgotten: Vec<u32>,
    /// Whose leases are among the records.
    leases: Vec<AccountId>,
}

#[derive(Default)]
struct State {
    has_recalled: bool,
    /// How many sockets; none stands for none.
    armed: HashMap<AccountId, usize>,
    /// Whose lease is to be said anew, as it is then.
    to_lease: HashSet<AccountId>,
    to_expire: Vec<AccountId>,
    /// Expiries that have their name, in order, with whose they are; sent until Redis has them.
    named: Vec<(AccountId, Record)>,
    epoch: Option<u32>,
    /// How many commands of this epoch there were.
    sequence: u64,
    doubts: u64,
    retry_at: Option<Instant>,
}

impl Disconnects {
    /// Runs until told to stop, or until nobody can say anything any more; then every account that
    /// is still armed has its orders cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut state = State::default();
        let mut renewals = interval(RENEW_EVERY);
        renewals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::with_capacity(BATCH_MAX);
        let mut doing = self.next(&mut state);
        loop {
            let retry_at = state.retry_at.unwrap_or_else(Instant::now);
            tokio::select! {
                () = stop.cancelled() => break,
                taken = self.said.recv_many(&mut batch, BATCH_MAX) => {
                    if taken == 0 {
                        break;
                    }
                    batch.drain(..).for_each(|word| state.note(word));
                }
                done = whenever(&mut doing) => {
                    doing = None;
                    state.done(done);
                }
                _ = renewals.tick() => state.to_lease.extend(state.armed.keys()),
                Ok(()) = self.engine.changed() => state.look_at(*self.engine.borrow_and_update()),
                () = sleep_until(retry_at), if state.retry_at.is_some() => state.retry_at = None,
            }
            if doing.is_none() {
                doing = self.next(&mut state);
            }
        }
        self.said.close();
        while let Ok(word) = self.said.try_recv() {
            state.note(word);
        }
        state.end();
        if timeout(DRAIN_MAX, self.drain(&mut state, doing)).await.is_err() {
            tracing::warn!("orders are left to be cancelled by the engine when leases run out");
        }
    }

    /// Until all is sent. Cancel safe for who ends anyway.
    async fn drain(&self, state: &mut State, mut doing: Option<BoxFuture<'static, Done>>) {
        loop {
            if let Some(done) = doing.take() {
                state.done(done.await);
            }
            doing = self.next(state);
            if doing.is_none() {
                let Some(retry_at) = state.retry_at.take() else { return };
                sleep_until(retry_at).await;
            }
        }
    }

    /// What is to be done now, if anything.
    fn next(&self, state: &mut State) -> Option<BoxFuture<'static, Done>> {
        if state.retry_at.is_some() || !state.has_work() {
            return None;
        }
        if !state.has_recalled {
            let (mut redis, armed) = (self.redis.clone(), keys::armed(self.asker));
            return Some(Box::pin(async move { Done::Recalled(redis.smembers(armed).await) }));
        }
        let Some(epoch) = state.epoch else {
            let engine = *self.engine.borrow();
            state.doubts = engine.doubts;
            let (redis, questions) = (self.redis.clone(), self.questions.clone());
            let taking = take_epoch(redis, questions, self.asker, engine);
            return Some(Box::pin(async move {
                Done::Epoch { doubts: engine.doubts, epoch: taking.await }
            }));
        };
        let batch = state.name(self.asker, epoch);
        Some(Box::pin(send(self.redis.clone(), self.asker, batch)))
    }
}

async fn send(mut redis: ConnectionManager, asker: GatewayId, batch: Batch) -> Done {
    let (stream, armed) = (keys::orders(keys::ACCOUNTS), keys::armed(asker));
    let mut pipeline = redis::pipe();
    // Before its lease and until after its expiry: a life that finds too many does no harm.
    if !batch.remembered.is_empty() {
        pipeline.sadd(&armed, &batch.remembered).ignore();
    }
    for record in &batch.records {
        let add = pipeline.cmd("XADD").arg(&stream).arg("*");
        add.arg(keys::COMMAND_FIELD).arg(record.as_slice()).ignore();
    }
    if !batch.forgotten.is_empty() {
        pipeline.srem(&armed, &batch.forgotten).ignore();
    }
    Done::Sent { leases: batch.leases, outcome: pipeline.exec_async(&mut redis).await }
}

/// Cancel safe: what is under way stays where it is.
async fn whenever(doing: &mut Option<BoxFuture<'static, Done>>) -> Done {
    match doing {
        Some(doing) => doing.await,
        None => pending().await,
    }
}

/// One above all that engine and Redis know of this name: no other life of this process had it.
async fn take_epoch(
    mut redis: ConnectionManager,
    questions: Questions,
    asker: GatewayId,
    engine: EngineState,
) -> Option<u32> {
    let answer = questions.ask(Ask::Epoch { gateway: asker }, engine.sequence).await?;
    let AnswerBody::Epoch(known) = answer else { return None };
    let mut take = redis::cmd("EVAL");
    take.arg(keys::TAKE_EPOCH).arg(1).arg(keys::epoch(asker)).arg(known);
    match take.query_async(&mut redis).await {
        Ok(epoch) => Some(epoch),
        Err(error) => {
            tracing::warn!(%error, "Redis gave no epoch");
            None
        }
    }
}

impl State {
    fn note(&mut self, word: ToDisconnects) {
        match word {
            ToDisconnects::Armed(account) => {
                *self.armed.entry(account).or_default() += 1;
                self.to_lease.insert(account);
            }
            ToDisconnects::Disarmed(account) => {
                // Without a socket left the lease is given back.
                self.release(account);
                self.to_lease.insert(account);
            }
            ToDisconnects::Closed(account) => {
                self.to_expire.push(account);
                self.release(account);
                // Expired for one, it lives on for the others.
                if self.armed.contains_key(&account) {
                    self.to_lease.insert(account);
                } else {
                    self.to_lease.remove(&account);
                }
            }
        }
        metrics::gauge!("fanout_armed_accounts").set(self.armed.len() as f64);
    }

    /// One armed socket less.
    fn release(&mut self, account: AccountId) {
        let left = self.armed.remove(&account).unwrap_or(0).saturating_sub(1);
        if left != 0 {
            self.armed.insert(account, left);
        }
    }

    /// Every socket is about to close.
    fn end(&mut self) {
        self.to_expire.extend(self.armed.drain().map(|(account, _)| account));
        self.to_lease.clear();
    }

    fn look_at(&mut self, engine: EngineState) {
        if engine.doubts != self.doubts {
            self.doubts = engine.doubts;
            self.epoch = None;
        }
    }

    fn has_work(&self) -> bool {
        let is_done =
            self.to_lease.is_empty() && self.to_expire.is_empty() && self.named.is_empty();
        !(self.has_recalled && is_done)
    }

    fn name(&mut self, asker: GatewayId, epoch: u32) -> Batch {
        let State { armed, sequence, named, to_expire, to_lease, .. } = self;
        let mut record = |action| {
            *sequence += 1;
            let origin = Origin { gateway: asker, epoch, sequence: *sequence };
            Command { origin, time_us: 0, action }.encode()
        };
        let expired = to_expire.drain(..);
        named.extend(expired.map(|account| (account, record(expiry(account, asker)))));
        let mut records: Vec<Record> = named.iter().map(|(_, record)| *record).collect();
        let leases: Vec<AccountId> = to_lease.drain().collect();
        records.extend(leases.iter().map(|account| {
            let timeout_ms = if armed.contains_key(account) { LEASE_MS } else { 0 };
            record(lease(*account, asker, timeout_ms))
        }));
        let spoken_of = named.iter().map(|(account, _)| *account).chain(leases.iter().copied());
        let (remembered, forgotten): (Vec<_>, Vec<_>) =
            spoken_of.partition(|account| armed.contains_key(account));
        let ids = |accounts: Vec<AccountId>| accounts.into_iter().map(AccountId::get).collect();
        Batch { remembered: ids(remembered), records, forgotten: ids(forgotten), leases }
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Epoch { doubts, epoch: Some(epoch) } if doubts == self.doubts => {
                tracing::info!(epoch, "epoch taken");
                (self.epoch, self.sequence) = (Some(epoch), 0);
            }
            // Doubted meanwhile: taken anew at once.
            Done::Epoch { epoch: Some(_), .. } => (),
            Done::Epoch { epoch: None, .. } => self.retry_at = Some(Instant::now() + RETRY_AFTER),
            Done::Recalled(Ok(found)) => {
                self.has_recalled = true;
                self.to_expire.extend(found.into_iter().filter_map(AccountId::new));
            }
            Done::Recalled(Err(error)) => {
                tracing::warn!(%error, "who was armed before cannot be found out yet");
                self.retry_at = Some(Instant::now() + RETRY_AFTER);
            }
            Done::Sent { outcome: Ok(()), .. } => {
                let fired = metrics::counter!("fanout_cancelled_on_disconnect_total");
                fired.increment(self.named.len() as u64);
                self.named.clear();
            }
            Done::Sent { leases, outcome: Err(error) } => {
                tracing::warn!(%error, "commands for disconnects could not be sent");
                self.to_lease.extend(leases);
                self.retry_at = Some(Instant::now() + RETRY_AFTER);
            }
        }
    }
}

fn lease(account: AccountId, holder: GatewayId, timeout_ms: u32) -> Action {
    Action::SetCancelAfter { account, holder, timeout_ms }
}

/// At once, whatever the lease says.
fn expiry(account: AccountId, holder: GatewayId) -> Action {
    Action::ExpireCancelAfter { account, holder, deadline_us: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKER: GatewayId = GatewayId(950);

    fn account(id: u32) -> AccountId {
        AccountId::new(id).unwrap()
    }

    fn actions(records: &[Record]) -> Vec<(Action, u64)> {
        let command = |record| Command::decode(record).unwrap();
        records.iter().map(command).map(|it| (it.action, it.origin.sequence)).collect()
    }

    #[test]
    fn a_closed_socket_expires_and_those_that_live_are_leased_again() {
        let mut state = State { has_recalled: true, ..State::default() };
        [1, 1, 2].into_iter().for_each(|id| state.note(ToDisconnects::Armed(account(id))));
        let Batch { mut remembered, records, forgotten, .. } = state.name(ASKER, 5);
        remembered.sort();
        assert_eq!((remembered, records.len(), forgotten), (vec![1, 2], 2, vec![]));
        [1, 2].into_iter().for_each(|id| state.note(ToDisconnects::Closed(account(id))));
        let Batch { remembered, records, forgotten, .. } = state.name(ASKER, 5);
        assert_eq!((remembered, forgotten), (vec![1, 1], vec![2]));
        let expected = [
            (expiry(account(1), ASKER), 3),
            (expiry(account(2), ASKER), 4),
            (lease(account(1), ASKER, LEASE_MS), 5),
        ];
        assert_eq!(actions(&records), expected);
        state.done(Done::Sent { leases: vec![account(1)], outcome: Ok(()) });
        assert!(!state.has_work());
    }

    #[test]
    fn who_thinks_better_of_it_gives_the_lease_back() {
        let mut state = State { has_recalled: true, ..State::default() };
        state.note(ToDisconnects::Armed(account(1)));
        state.name(ASKER, 5);
        state.note(ToDisconnects::Disarmed(account(1)));
        let Batch { records, forgotten, .. } = state.name(ASKER, 5);
        assert_eq!(forgotten, [1]);
        assert_eq!(actions(&records), [(lease(account(1), ASKER, 0), 2)]);
    }

    #[test]
    fn what_could_not_be_sent_is_sent_again_under_its_name() {
        let mut state = State { has_recalled: true, ..State::default() };
        [1, 2].into_iter().for_each(|id| state.note(ToDisconnects::Armed(account(id))));
        state.note(ToDisconnects::Closed(account(1)));
        let Batch { records: first, leases, .. } = state.name(ASKER, 5);
        let error = redis::RedisError::from((redis::ErrorKind::Io, "away"));
        state.done(Done::Sent { leases, outcome: Err(error) });
        assert!(state.has_work() && state.retry_at.is_some());
        let Batch { records: second, .. } = state.name(ASKER, 6);
        assert_eq!(first[0], second[0], "the expiry");
        assert_eq!(Command::decode(&second[1]).unwrap().origin.epoch, 6, "the lease");
    }

    #[test]
    fn at_the_end_every_armed_account_expires() {
        let mut state = State { has_recalled: true, ..State::default() };
        [1, 1].into_iter().for_each(|id| state.note(ToDisconnects::Armed(account(id))));
        state.end();
        let Batch { records, leases, forgotten, .. } = state.name(ASKER, 5);
        assert_eq!(actions(&records), [(expiry(account(1), ASKER), 1)]);
        assert_eq!((leases, forgotten), (vec![], vec![1]));
    }

    #[test]
    fn an_epoch_that_was_doubted_while_it_was_taken_does_not_count() {
        let mut state = State { has_recalled: true, ..State::default() };
        state.look_at(EngineState { doubts: 1, ..EngineState::default() });
        state.done(Done::Epoch { doubts: 0, epoch: Some(5) });
        assert_eq!(state.epoch, None);
        state.done(Done::Epoch { doubts: 1, epoch: Some(6) });
        assert_eq!(state.epoch, Some(6));
        state.look_at(EngineState { doubts: 2, ..EngineState::default() });
        assert_eq!(state.epoch, None);
    }
}
