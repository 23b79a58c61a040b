//! Removes raw rows that are older than they are to be kept: trades, fills, order events, balance
//! changes. Klines and transfers stay for ever.
//!
//! A task of the sink's with a connection of its own: nothing here holds the writer up, and the
//! worst a failure does is that old rows go later. Sinks beside each other take turns.
//!
//! Invariant: what an order was placed as outlives the order's end. Where rows go, the placements
//! of orders that were open at the cutoff move to `kept_order_events` in the same transaction: the
//! latest of each, and the one by which it fired, which later ones do not tell. They go when the
//! end goes. A sink that is set back may write old rows again; they go again at the next run.

pub mod batches;
pub mod chunks;

use std::time::{Duration, Instant};

use chrono::{DateTime, Days, NaiveTime, Utc};
use sqlx::PgConnection;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::backoff::Backoff;
use crate::config::RetentionTerms;
use crate::database::{Database, within};
use crate::error::SinkError;

/// Any number no other advisory lock of this database uses.
const LOCK: i64 = 0x53_49_4e_4b_4f_4c_44;

/// For one statement; the longest reads all order events of a chunk.
const DEADLINE: Duration = Duration::from_secs(600);

/// Dropping a chunk waits for its readers, and later readers wait behind that.
const LOCK_WAIT_MAX: Duration = Duration::from_secs(3);

/// A table whose old rows go, and its unique key: owner, `ts`, and the rest.
#[derive(Clone, Copy, Debug)]
pub struct Aging {
    pub table: &'static str,
    pub owner: &'static str,
    pub rest: &'static str,
}

/// Order events last: while fills and trades of an order are there, so is the order.
pub const AGING: [Aging; 4] = [
    Aging { table: "trades", owner: "market_id", rest: "trade_id" },
    Aging { table: "fills", owner: "account_id", rest: "sequence, sub" },
    Aging { table: "balance_changes", owner: "account_id", rest: "sequence, sub" },
    Aging { table: ORDER_EVENTS, owner: "account_id", rest: "sequence, sub" },
];

pub const ORDER_EVENTS: &str = "order_events";

/// What one run removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Removed {
    /// Rows by place in [`AGING`].
    pub rows: [u64; 4],
    /// Placements that moved to `kept_order_events`.
    pub kept: u64,
}

impl Removed {
    fn add(&mut self, place: usize, step: Step) {
        self.rows[place] += step.rows;
        self.kept += step.kept;
        metrics::counter!("sink_retention_removed_total", "table" => AGING[place].table)
            .increment(step.rows);
        metrics::counter!("sink_retention_kept_total").increment(step.kept);
    }
}

/// What one transaction removed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    pub rows: u64,
    pub kept: u64,
}

/// How a run ended that did not fail.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ran {
    /// Nothing older than the cutoff is left.
    Through(Removed),
    /// Told to stop.
    Stopped(Removed),
    /// Another sink is at it.
    Elsewhere,
}

#[derive(Debug)]
pub struct Retention {
    database: Database,
    terms: RetentionTerms,
    retry_max: Duration,
}

impl Retention {
    pub fn new(
        database_url: &str,
        terms: RetentionTerms,
        retry_max: Duration,
    ) -> Result<Retention, SinkError> {
        let database = Database::new(database_url, DEADLINE)?.with_lock_wait(LOCK_WAIT_MAX);
        Ok(Retention { database, terms, retry_max })
    }

    /// Runs now and then until `stop`; ends behind the transaction it is in.
    pub async fn run(mut self, stop: CancellationToken) {
        let Some(days) = self.terms.keep_days else { return };
        let mut backoff = Backoff::new(self.retry_max);
        while !stop.is_cancelled() {
            let start = Instant::now();
            let pause = match self.remove_before(cutoff(Utc::now(), days), &stop).await {
                Ok(ran) => {
                    report(ran, start.elapsed());
                    backoff.reset();
                    self.terms.every
                }
                Err(error) => {
                    metrics::counter!("sink_retention_failures_total").increment(1);
                    let pause = match error.is_transient() {
                        true => backoff.pause(),
                        false => self.terms.every,
                    };
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    let (cause, retry_ms) = (cause.unwrap_or_default(), pause.as_millis());
                    tracing::warn!(%error, cause, retry_ms, "old rows are not removed");
                    pause
                }
            };
            stop.run_until_cancelled(sleep(pause)).await;
        }
        self.database.close().await;
    }

    /// One run. On an error what was committed so far stays removed.
    pub async fn remove_before(
        &mut self,
        cutoff: DateTime<Utc>,
        stop: &CancellationToken,
    ) -> Result<Ran, SinkError> {
        let ran = self.locked(cutoff, stop).await;
        if ran.is_err() {
            // Unlocks as well.
            self.database.reset();
        }
        ran
    }

    async fn locked(
        &mut self,
        cutoff: DateTime<Utc>,
        stop: &CancellationToken,
    ) -> Result<Ran, SinkError> {
        let deadline = self.database.deadline();
        let connection = self.database.connection().await?;
        let lock = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(LOCK);
        let lock = within(deadline, "lock retention", lock.fetch_one(&mut *connection));
        let is_ours: bool = lock.await?;
        if !is_ours {
            return Ok(Ran::Elsewhere);
        }
        let mut removed = Removed::default();
        for (place, aging) in AGING.iter().enumerate() {
            let mut run = Run { aging, cutoff, stop, batch_rows: self.terms.batch_rows };
            run.table(connection, |step| removed.add(place, step)).await?;
        }
        let unlock = sqlx::query("SELECT pg_advisory_unlock($1)").bind(LOCK);
        within(deadline, "unlock retention", unlock.execute(connection)).await?;
        Ok(match stop.is_cancelled() {
            true => Ran::Stopped(removed),
            false => Ran::Through(removed),
        })
    }
}

/// One table's part of a run.
#[derive(Debug)]
pub struct Run<'a> {
    pub aging: &'a Aging,
    pub cutoff: DateTime<Utc>,
    pub stop: &'a CancellationToken,
    pub batch_rows: u32,
}

impl Run<'_> {
    async fn table(
        &mut self,
        connection: &mut PgConnection,
        done: impl FnMut(Step),
    ) -> Result<(), SinkError> {
        let is_chunked = chunks::is_hypertable(connection, self.aging.table);
        match within(DEADLINE, "tell its hypertables", is_chunked).await? {
            true => self.drop_chunks(connection, done).await,
            false => self.delete_batches(connection, done).await,
        }
    }
}

/// Whole days before `now`, from midnight (UTC): the rows of a day go together.
pub fn cutoff(now: DateTime<Utc>, days: u32) -> DateTime<Utc> {
    let day = now.date_naive().checked_sub_days(Days::new(days.into()));
    let midnight = day.map(|day| day.and_time(NaiveTime::MIN).and_utc());
    midnight.unwrap_or(DateTime::<Utc>::MIN_UTC)
}

fn report(ran: Ran, took: Duration) {
    let removed = match ran {
        Ran::Elsewhere => {
            tracing::debug!("another sink removes old rows");
            return;
        }
        Ran::Through(removed) | Ran::Stopped(removed) => removed,
    };
    let now_s = Utc::now().timestamp();
    metrics::gauge!("sink_retention_last_run_seconds").set(now_s as f64);
    metrics::histogram!("sink_retention_seconds").record(took.as_secs_f64());
    if removed == Removed::default() {
        return;
    }
    let [trades, fills, balance_changes, order_events] = removed.rows;
    let (kept, took_ms) = (removed.kept, took.as_millis());
    tracing::info!(
        trades,
        fills,
        balance_changes,
        order_events,
        kept,
        took_ms,
        "old rows are removed"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_cutoff_is_the_midnight_so_many_days_ago() {
        for (now, days, expected) in [
            ("2026-03-01T00:00:00Z", 1, "2026-02-28T00:00:00Z"),
            ("2026-03-01T23:59:59.999999Z", 1, "2026-02-28T00:00:00Z"),
            ("2026-03-31T12:00:00Z", 30, "2026-03-01T00:00:00Z"),
            ("2024-03-01T00:00:00Z", 366, "2023-03-01T00:00:00Z"),
        ] {
            assert_eq!(cutoff(utc(now), days), utc(expected), "{days} days before {now}");
        }
    }
}
