//! The queries thread: pops questions from Redis and hands them to the replica's loop.
//!
//! What cannot be read or is past its deadline is dropped and counted: its asker has gone, or will
//! find no answer in time. While the replica's channel is full, questions wait in Redis.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam::channel::{SendTimeoutError, Sender};
use protocol::keys;
use protocol::query::Query;
use redis::{Client, Connection, RedisError};

/// Questions taken from Redis at once.
const BATCH_MAX: usize = 64;
/// How long Redis holds a pop of an empty list, in its own notation of seconds.
const POP_WAIT: &str = "0.4";
/// More than `POP_WAIT`: without an answer for this long the connection is given up.
const READ_TIMEOUT: Duration = Duration::from_millis(2000);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(1000);
/// How long a step may take before `stop` is looked at again.
const STEP: Duration = Duration::from_millis(250);
const BACK_OFF_MIN: Duration = Duration::from_millis(50);

#[derive(Clone, Debug)]
pub struct QueriesSettings {
    pub redis_url: String,
    /// Microseconds since the epoch.
    pub now_us: fn() -> u64,
}

/// Why a turn of the loop ended.
#[derive(Debug)]
enum Interruption {
    Redis(RedisError),
    /// The replica's loop takes no more questions, or the process drains.
    Stopped,
}

impl From<RedisError> for Interruption {
    fn from(error: RedisError) -> Self {
        Interruption::Redis(error)
    }
}

/// Runs until `stop` is set (seen within half a second of a Redis that answers) or the replica's
/// loop is gone. Redis being away is waited out.
pub fn run(settings: &QueriesSettings, queries: &Sender<Query>, stop: &AtomicBool) {
    let mut back_off = BACK_OFF_MIN;
    while !stop.load(Ordering::Relaxed) {
        let mut popped = false;
        match serve(settings, queries, stop, &mut popped) {
            Interruption::Stopped => return,
            Interruption::Redis(error) => {
                tracing::warn!(%error, "questions cannot be read from Redis; trying again");
                metrics::counter!("engine_queries_reconnects_total").increment(1);
            }
        }
        back_off = if popped { BACK_OFF_MIN } else { (back_off * 2).min(STEP) };
        thread::sleep(back_off);
    }
}

/// Serves one connection as long as it lasts; `popped` tells whether it ever answered.
fn serve(
    settings: &QueriesSettings,
    queries: &Sender<Query>,
    stop: &AtomicBool,
    popped: &mut bool,
) -> Interruption {
    let mut connection = match connect(&settings.redis_url) {
        Ok(connection) => connection,
        Err(error) => return Interruption::Redis(error),
    };
    loop {
        let turn = pop(&mut connection).map_err(Interruption::from).and_then(|batch| {
            *popped = true;
            batch.iter().try_for_each(|json| hand_on(json, settings.now_us, queries, stop))
        });
        match turn {
            Ok(()) if stop.load(Ordering::Relaxed) => return Interruption::Stopped,
            Ok(()) => {}
            Err(interruption) => return interruption,
        }
    }
}

fn connect(url: &str) -> Result<Connection, RedisError> {
    let connection = Client::open(url)?.get_connection_with_timeout(CONNECT_TIMEOUT)?;
    connection.set_read_timeout(Some(READ_TIMEOUT))?;
    connection.set_write_timeout(Some(READ_TIMEOUT))?;
    Ok(connection)
}

/// The oldest questions waiting; none when there was none for a while.
fn pop(connection: &mut Connection) -> Result<Vec<Vec<u8>>, RedisError> {
    let mut command = redis::cmd("BLMPOP");
    command.arg(POP_WAIT).arg(1).arg(keys::QUERIES).arg("RIGHT").arg("COUNT").arg(BATCH_MAX);
    let popped: Option<(String, Vec<Vec<u8>>)> = command.query(connection)?;
    Ok(popped.map(|(_, batch)| batch).unwrap_or_default())
}

fn hand_on(
    json: &[u8],
    now_us: fn() -> u64,
    queries: &Sender<Query>,
    stop: &AtomicBool,
) -> Result<(), Interruption> {
    let mut query: Query = match serde_json::from_slice(json) {
        Ok(query) => query,
        Err(error) => {
            tracing::debug!(%error, "a question cannot be read");
            count_dropped("malformed");
            return Ok(());
        }
    };
    loop {
        if query.deadline_us < now_us() {
            count_dropped("expired");
            return Ok(());
        }
        query = match queries.send_timeout(query, STEP) {
            Ok(()) => return Ok(()),
            Err(SendTimeoutError::Disconnected(_)) => return Err(Interruption::Stopped),
            Err(SendTimeoutError::Timeout(_)) if stop.load(Ordering::Relaxed) => {
                return Err(Interruption::Stopped);
            }
            Err(SendTimeoutError::Timeout(query)) => query,
        };
    }
}

fn count_dropped(reason: &'static str) {
    metrics::counter!("engine_queries_dropped_total", "reason" => reason).increment(1);
}

#[cfg(test)]
mod tests {
    use crossbeam::channel::bounded;
    use protocol::query::Ask;
    use protocol::{AccountId, GatewayId, Sequence};
    use xtask::private_servers::Server;

    use super::*;

    const NOW_US: u64 = 1_000;
    const PATIENCE: Duration = Duration::from_secs(20);

    fn push(redis: &Server, json: &[u8]) {
        let mut push = redis::cmd("LPUSH");
        push.arg(keys::QUERIES).arg(json);
        push.exec(&mut connect(&redis.url).unwrap()).unwrap();
    }

    fn query(id: u64, deadline_us: u64) -> Query {
        Query {
            id,
            gateway: GatewayId(1),
            life: 1,
            min_sequence: Sequence(0),
            deadline_us,
            ask: Ask::Account { account: AccountId::new(1).unwrap() },
        }
    }

    #[test]
    fn questions_arrive_in_order_without_the_unreadable_and_the_late() {
        let mut redis = Server::redis("engine-queries").unwrap();
        redis.kill().unwrap();
        let settings = QueriesSettings { redis_url: redis.url.clone(), now_us: || NOW_US };
        let stop = AtomicBool::new(false);
        let (sender, queries) = bounded(4);
        thread::scope(|scope| {
            // Redis is not there yet, and later goes away for a moment.
            let thread = scope.spawn(|| run(&settings, &sender, &stop));
            for round in [1, 2] {
                redis.restart().unwrap();
                push(&redis, b"no json");
                push(&redis, &serde_json::to_vec(&query(round * 10, NOW_US - 1)).unwrap());
                push(&redis, &serde_json::to_vec(&query(round * 10 + 1, NOW_US)).unwrap());
                push(&redis, &serde_json::to_vec(&query(round * 10 + 2, NOW_US)).unwrap());
                for expected in [1, 2] {
                    let found = queries.recv_timeout(PATIENCE).unwrap();
                    assert_eq!(found.id, round * 10 + expected);
                }
                redis.kill().unwrap();
            }
            stop.store(true, Ordering::Relaxed);
            thread.join().unwrap();
        });
        assert!(queries.is_empty());
    }

    #[test]
    fn a_full_channel_leaves_the_question_until_the_end_is_wished() {
        let (sender, queries) = bounded(1);
        let stop = AtomicBool::new(false);
        let json = serde_json::to_vec(&query(1, NOW_US)).unwrap();
        let hand_on = || hand_on(&json, || NOW_US, &sender, &stop);
        assert!(hand_on().is_ok());
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(hand_on(), Err(Interruption::Stopped)));
        assert_eq!(queries.len(), 1);
        drop(queries);
        stop.store(false, Ordering::Relaxed);
        assert!(matches!(hand_on(), Err(Interruption::Stopped)));
    }
}
