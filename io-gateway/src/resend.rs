//! Sends again what has no answer while its client waits: after an interval, and at once when the
//! command or its reply may have been lost. The engine recognises what it decided before.

use std::time::Duration;

use protocol::{Command, MarketId, StreamCursor, keys};
use redis::{ErrorKind, RedisError, RedisResult};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::link::EngineLink;

/// Commands in one round trip to Redis.
const BATCH_MAX: usize = 256;
/// A queue this long is worked off; in a shorter one nothing waits for long.
const QUEUE_LONG: u64 = 1_000;
const LOOK_EVERY_MIN: Duration = Duration::from_millis(10);

/// What Redis said to one command.
#[derive(Debug)]
pub(crate) enum Sent {
    Queued,
    /// It did not take the command.
    Refused(RedisError),
    /// It may have taken it and be gone before it said so: a reply would tell.
    Unknown,
}

impl EngineLink {
    /// Until the process ends.
    pub(crate) async fn resend(&self) {
        let every = (self.limits().resend_after / 5).max(LOOK_EVERY_MIN);
        let mut looks = interval(every);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = looks.tick() => (),
                () = self.suspected.notified() => (),
            }
            self.resend_due().await;
        }
    }

    /// One pass over those that wait. While Redis or the engine is away they go on waiting.
    async fn resend_due(&self) {
        let (mut after, every) = (0, self.limits().resend_after);
        while self.connection().is_ok() {
            let is_coming = |market, entry| self.is_coming(market, entry);
            let now = Instant::now();
            let due = self.outstanding.take_due(after, BATCH_MAX, now, every, is_coming);
            let Some(last) = due.last() else { return };
            after = last.origin.sequence;
            metrics::counter!("gateway_commands_resent_total").increment(due.len() as u64);
            tracing::debug!(commands = due.len(), up_to = after, "sending again");
            if self.send(&due).await.iter().any(|sent| matches!(sent, Sent::Unknown)) {
                return;
            }
        }
    }

    /// Whether the engine, which is there, has merely not come to this place of a long queue yet.
    fn is_coming(&self, market: MarketId, entry: Option<StreamCursor>) -> bool {
        let (Some(queue), Some(entry)) = (self.queue_of(market), entry) else { return false };
        QUEUE_LONG <= queue.length() && queue.reached() < entry
    }

    /// Puts commands into their markets' queues, in order, in one round trip. What is not known to
    /// have arrived is sent again by [`EngineLink::resend`].
    pub(crate) async fn send(&self, commands: &[Command]) -> Vec<Sent> {
        let mut pipe = redis::pipe();
        for command in commands {
            let queue = self.queue_of(command.market());
            let key = queue.as_ref().map_or("", |queue| &queue.key);
            let record = command.encode();
            pipe.cmd("XADD").arg(key).arg("*").arg(keys::COMMAND_FIELD).arg(&record[..]);
        }
        pipe.ignore_errors();
        let sent: RedisResult<Vec<RedisResult<String>>> = match self.connection() {
            Ok(mut connection) => pipe.query_async(&mut connection).await,
            Err(_) => Err((ErrorKind::Io, "the connection is gone").into()),
        };
        let answers = match sent {
            Ok(answers) if answers.len() == commands.len() => answers,
            Ok(_) => return self.unknown(commands),
            Err(error) => {
                self.note_failure(&error);
                let number = commands.len();
                tracing::warn!(%error, number, "commands may not have been queued");
                return self.unknown(commands);
            }
        };
        let told = |(command, answer): (&Command, RedisResult<String>)| match answer {
            Ok(id) => {
                if let Some(entry) = StreamCursor::parse(&id) {
                    self.outstanding.queued(command.origin.sequence, entry);
                }
                Sent::Queued
            }
            Err(error) => {
                self.note_failure(&error);
                Sent::Refused(error)
            }
        };
        commands.iter().zip(answers).map(told).collect()
    }

    fn unknown(&self, commands: &[Command]) -> Vec<Sent> {
        let suspect = |command: &Command| {
            self.outstanding.suspect(command.origin.sequence);
            Sent::Unknown
        };
        commands.iter().map(suspect).collect()
    }
}
