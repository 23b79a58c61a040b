//! Writes batches: one transaction each, with the positions moved in it.
//!
//! Exactly once rests on four steps in one transaction: lock the positions; drop what is at or
//! below them; insert; move the positions where they still have their old value and our epoch. A
//! batch is tried until it is committed, and nothing is read meanwhile but what the queues hold. A
//! commit whose answer was lost shows in the positions that the next attempt reads.
//!
//! What the position says is not there goes in by `COPY`, which fails by a row that is there all
//! the same; then the transaction is rolled back and the batch inserted with care.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::backoff::Backoff;
use crate::batcher::{Batch, Slice};
use crate::checkpoint::{self, Claim, Position, Step};
use crate::config::WriteBy;
use crate::copy;
use crate::database::{Database, within};
use crate::error::SinkError;
use crate::insert::{self, Known};
use crate::klines;
use crate::layout::TableRow;
use crate::progress::Tally;
use crate::sink::Readiness;
use crate::streams::Streams;
use crate::tables::{Rows, TradeRow};

/// How often an idle sink looks whether the database is there and the streams are still its own.
const IDLE_CHECK_EVERY: Duration = Duration::from_secs(1);

/// What a batch put into the database.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// Rows that were not there before, klines not counted.
    pub rows: u64,
    /// Rows that were there although their position was not.
    pub already_there: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Care {
    /// All rows are new, as they always are; else the transaction is rolled back.
    Trusting(WriteBy),
    /// Rows may be there already; only trades that were not go into the klines.
    Careful,
}

/// How one attempt at a transaction ended.
enum Attempt {
    Committed(Written),
    /// Some rows were there already; rolled back.
    RowsThere,
}

#[derive(Debug)]
pub struct Writer {
    database: Database,
    streams: Arc<Streams>,
    write_by: WriteBy,
    epoch: i64,
    committed: watch::Sender<Vec<Position>>,
    retry_max: Duration,
    readiness: Readiness,
    tally: Arc<Tally>,
}

impl Writer {
    /// Also gives the receiver of the committed positions, by place in `streams`.
    pub fn new(
        database: Database,
        streams: Arc<Streams>,
        claim: Claim,
        write_by: WriteBy,
        retry_max: Duration,
        readiness: Readiness,
    ) -> (Self, watch::Receiver<Vec<Position>>) {
        let (committed, positions) = watch::channel(claim.positions);
        let epoch = claim.epoch;
        let tally = Arc::new(Tally::of(&streams));
        let writer =
            Writer { database, streams, write_by, epoch, committed, retry_max, readiness, tally };
        (writer, positions)
    }

    /// Another one of the same sink, for other streams, with a connection of its own.
    pub fn beside(&self, database: Database) -> Writer {
        Writer {
            database,
            streams: Arc::clone(&self.streams),
            write_by: self.write_by,
            epoch: self.epoch,
            committed: self.committed.clone(),
            retry_max: self.retry_max,
            readiness: self.readiness.clone(),
            tally: Arc::clone(&self.tally),
        }
    }

    /// Kept up to date while the writer runs.
    pub fn tally(&self) -> Arc<Tally> {
        Arc::clone(&self.tally)
    }

    /// Writes batches until the queue is closed and drained. An error is one that trying again does
    /// not mend: another sink has taken over, or the positions moved without us.
    pub async fn run(mut self, mut inbound: mpsc::Receiver<Batch>) -> Result<(), SinkError> {
        loop {
            match timeout(IDLE_CHECK_EVERY, inbound.recv()).await {
                Ok(Some(batch)) => self.write_until_committed(&batch).await?,
                Ok(None) => break,
                Err(_) => self.check().await?,
            }
            self.readiness.streams(self.streams.all_run());
        }
        self.database.close().await;
        Ok(())
    }

    async fn write_until_committed(&mut self, batch: &Batch) -> Result<(), SinkError> {
        let mut backoff = Backoff::new(self.retry_max);
        loop {
            let error = match self.write(batch).await {
                Ok(_) => return Ok(()),
                Err(error @ (SinkError::TakenOver { .. } | SinkError::PositionMoved { .. })) => {
                    return Err(error);
                }
                Err(error) => error,
            };
            metrics::counter!("sink_retries_total").increment(1);
            let pause = backoff.pause();
            self.lose(&error, batch.rows(), pause);
            tokio::time::sleep(pause).await;
        }
    }

    fn lose(&mut self, error: &SinkError, rows: usize, pause: Duration) {
        self.database.reset();
        self.readiness.database(false);
        let cause = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        let retry_ms = pause.as_millis();
        if error.is_transient() {
            tracing::warn!(%error, cause, rows, retry_ms, "batch not committed, trying again");
        } else {
            tracing::error!(%error, cause, rows, retry_ms, "batch not committed, trying again");
        }
    }

    /// With nothing to write: is the database there, and is every stream still ours?
    async fn check(&mut self) -> Result<(), SinkError> {
        let deadline = self.database.deadline();
        let (streams, epoch) = (Arc::clone(&self.streams), self.epoch);
        let lost = async {
            let connection = self.database.connection().await?;
            within(deadline, "answer", checkpoint::lost_stream(connection, &streams, epoch)).await
        };
        match lost.await {
            Ok(None) => self.readiness.database(true),
            Ok(Some(stream)) => return Err(SinkError::TakenOver { stream, epoch }),
            Err(error) => self.lose(&error, 0, IDLE_CHECK_EVERY),
        }
        Ok(())
    }

    /// One try, or two when rows turn out to be there already.
    pub async fn write(&mut self, batch: &Batch) -> Result<Written, SinkError> {
        let start = Instant::now();
        let write_by = if self.database.sends_at_once() { self.write_by } else { WriteBy::Insert };
        let mut attempt = self.attempt(batch, Care::Trusting(write_by)).await?;
        if matches!(attempt, Attempt::RowsThere) {
            attempt = self.attempt(batch, Care::Careful).await?;
        }
        let Attempt::Committed(written) = attempt else {
            unreachable!("Invariant: the careful path does not mind rows that are there")
        };
        self.readiness.database(true);
        if written.already_there != 0 {
            let rows = written.already_there;
            tracing::warn!(rows, "rows stood in the database although their position did not");
        }
        self.committed.send_modify(|positions| {
            for slice in &batch.slices {
                positions[slice.stream] = positions[slice.stream].max_of(slice.to);
            }
        });
        metrics::histogram!("sink_commit_seconds").record(start.elapsed().as_secs_f64());
        self.count(batch, written);
        Ok(written)
    }

    async fn attempt(&mut self, batch: &Batch, care: Care) -> Result<Attempt, SinkError> {
        let deadline = self.database.deadline();
        let (streams, epoch) = (Arc::clone(&self.streams), self.epoch);
        let connection = self.database.connection().await?;
        let done = timeout(deadline, transact(connection, batch, &streams, epoch, care)).await;
        let result = done.unwrap_or_else(|_| {
            let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
            Err(SinkError::DatabaseDeadline { doing: "write a batch", deadline_ms })
        });
        if result.is_err() {
            self.database.reset();
        }
        result
    }

    fn count(&self, batch: &Batch, written: Written) {
        self.tally.committed(batch);
        metrics::counter!("sink_batches_total").increment(1);
        metrics::counter!("sink_frames_total").increment(batch.frames() as u64);
        let mut newest = None;
        let mut tables = [0; 5];
        for slice in &batch.slices {
            for (sum, length) in tables.iter_mut().zip(slice.rows.lengths()) {
                *sum += length as u64;
            }
            newest = newest.max(slice.rows.order_events.last().map(|row| row.ts));
        }
        for (table, rows) in Rows::TABLES.into_iter().zip(tables) {
            metrics::counter!("sink_rows_total", "table" => table).increment(rows);
        }
        let age = newest.and_then(|newest| (chrono::Utc::now() - newest).to_std().ok());
        if let Some(age) = age {
            metrics::histogram!("sink_event_to_row_seconds").record(age.as_secs_f64());
        }
        tracing::debug!(frames = batch.frames(), rows = written.rows, "batch committed");
    }
}

/// The whole transaction; dropped half-way it is rolled back.
async fn transact(
    connection: &mut PgConnection,
    batch: &Batch,
    streams: &Streams,
    epoch: i64,
    care: Care,
) -> Result<Attempt, SinkError> {
    let failed = |doing| move |cause| SinkError::Database { doing, cause };
    let mut transaction = connection.begin().await.map_err(failed("begin"))?;
    let name = |slice: &Slice| streams.at(slice.stream).name.as_str();
    let names: Vec<&str> = batch.slices.iter().map(name).collect();
    let locked = checkpoint::lock(&mut transaction, &names, epoch).await;
    let locked = locked.map_err(failed("lock the positions"))?;
    let mut rows = Rows::default();
    let mut steps = Vec::with_capacity(batch.slices.len());
    for slice in &batch.slices {
        let stream = name(slice);
        let Some(&position) = locked.get(stream) else {
            return Err(SinkError::TakenOver { stream: stream.to_owned(), epoch });
        };
        steps.extend(step(slice, stream, position, &mut rows)?);
    }
    rows.sort();
    let Some(written) = insert_all(&mut transaction, &rows, care).await? else {
        transaction.rollback().await.map_err(failed("roll back"))?;
        return Ok(Attempt::RowsThere);
    };
    let moved = checkpoint::advance(&mut transaction, &steps, epoch).await;
    if moved.map_err(failed("move the positions"))? != steps.len() as u64 {
        // The rows are locked and their values known, so this is a row that was taken away.
        let stream = names.join(", ");
        return Err(SinkError::TakenOver { stream, epoch });
    }
    transaction.commit().await.map_err(failed("commit"))?;
    Ok(Attempt::Committed(written))
}

/// Adds what of `slice` is above `position` to `rows`; `None` when there is nothing.
fn step(
    slice: &Slice,
    stream: &str,
    position: u64,
    rows: &mut Rows,
) -> Result<Option<Step>, SinkError> {
    if slice.to.sequence <= position {
        return Ok(None);
    }
    let moved = || SinkError::PositionMoved {
        stream: stream.to_owned(),
        expected: slice.from,
        found: position,
    };
    if position < slice.from {
        return Err(moved());
    }
    let from = i64::try_from(position).map_err(|_| moved())?;
    rows.extend_after(&slice.rows, from);
    Ok(Some(Step {
        stream: stream.to_owned(),
        from,
        to: i64::try_from(slice.to.sequence).map_err(|_| moved())?,
        last_id: slice.to.cursor.to_string(),
    }))
}

/// `None` when rows were there already and `care` does not allow for it.
async fn insert_all(
    connection: &mut PgConnection,
    rows: &Rows,
    care: Care,
) -> Result<Option<Written>, SinkError> {
    let mut inserted = 0;
    let mut fresh_trades = None;
    match care {
        Care::Trusting(write_by) => match put_all(connection, rows, write_by).await {
            Ok(count) => inserted += count,
            Err(error) if error.says_that_a_row_is_there() => return Ok(None),
            Err(error) => return Err(error),
        },
        Care::Careful => {
            let new = put_trades_with_care(connection, &rows.trades).await?;
            inserted += new.len() as u64;
            fresh_trades = Some(new);
            inserted += put_the_rest(connection, rows, WriteBy::Insert, Known::Stays).await?;
        }
    }
    let already_there = rows.len() as u64 - inserted;
    let candles = klines::candles(fresh_trades.as_deref().unwrap_or(&rows.trades));
    if !candles.is_empty() {
        insert::klines(connection, &candles).await?;
    }
    Ok(Some(Written { rows: inserted, already_there }))
}

async fn put_all(
    connection: &mut PgConnection,
    rows: &Rows,
    write_by: WriteBy,
) -> Result<u64, SinkError> {
    let trades = put(connection, &rows.trades, write_by, Known::Fails).await?;
    Ok(trades + put_the_rest(connection, rows, write_by, Known::Fails).await?)
}

async fn put_the_rest(
    connection: &mut PgConnection,
    rows: &Rows,
    write_by: WriteBy,
    known: Known,
) -> Result<u64, SinkError> {
    Ok(put(connection, &rows.fills, write_by, known).await?
        + put(connection, &rows.order_events, write_by, known).await?
        + put(connection, &rows.balance_changes, write_by, known).await?
        + put(connection, &rows.transfers, write_by, known).await?)
}

/// Returns how many went in.
async fn put<R: TableRow>(
    connection: &mut PgConnection,
    rows: &[R],
    write_by: WriteBy,
    known: Known,
) -> Result<u64, SinkError> {
    if rows.is_empty() {
        return Ok(0);
    }
    let done = match write_by {
        WriteBy::Copy => copy::rows(connection, rows).await,
        WriteBy::Insert => insert::rows(connection, rows, known).await,
    };
    done.map_err(|cause| SinkError::Database { doing: R::WRITING, cause })
}

/// Returns those that were not there.
async fn put_trades_with_care(
    connection: &mut PgConnection,
    trades: &[TradeRow],
) -> Result<Vec<TradeRow>, SinkError> {
    if trades.is_empty() {
        return Ok(Vec::new());
    }
    let fresh = insert::trades_telling(connection, trades).await;
    let doing = TradeRow::WRITING;
    let fresh: HashSet<_> =
        fresh.map_err(|cause| SinkError::Database { doing, cause })?.into_iter().collect();
    let is_new = |trade: &&TradeRow| fresh.contains(&(trade.market_id, trade.trade_id));
    Ok(trades.iter().filter(is_new).copied().collect())
}
