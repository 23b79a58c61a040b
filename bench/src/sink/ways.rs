//! The same events into a database in several ways, one run each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use db_sink::Sink;
use db_sink::batcher::Batcher;
use db_sink::checkpoint;
use db_sink::config::{Config, WriteBy};
use db_sink::database::Database;
use db_sink::feed::Entry;
use db_sink::insert::{self, Known};
use db_sink::layout::TableRow;
use db_sink::sink::Readiness;
use db_sink::streams::Streams;
use db_sink::tables::Rows;
use db_sink::writer::Writer;
use protocol::{StreamCursor, keys};
use serde::Serialize;
use sqlx::{Connection, PgConnection};
use tokio::sync::mpsc;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::events::{Event, Events};
use super::servers::{Queues, Servers, connect};
use crate::error::BenchError;

/// Between two looks at how far the database is.
const LOOK_EVERY: Duration = Duration::from_millis(10);
pub const POSITIONS: &str = "SELECT stream, last_sequence FROM sink_position";
/// About: so that a batch of trades alone is as long as any other.
const ROWS_PER_TRADE: usize = 8;
/// Events put on a queue at once while it is filled.
const PIPELINE: usize = 1000;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// `INSERT … SELECT unnest(…)` of the trades alone, nothing else: no other table, no candles,
    /// no position.
    TradesAlone,
    /// The sink's own writer on the trades alone, with candles and position.
    WriterOnTrades,
    /// Plain inserts of every table's rows.
    AllRows,
    /// The whole sink from a queue that is full, by inserts and with one writer.
    SinkByInsert,
    /// With one writer.
    SinkOneWriter,
    /// As it is by default.
    Sink,
}

impl Way {
    pub const ALL: [Way; 6] = [
        Way::TradesAlone,
        Way::WriterOnTrades,
        Way::AllRows,
        Way::SinkByInsert,
        Way::SinkOneWriter,
        Way::Sink,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Way::TradesAlone => "unnest, trades alone",
            Way::AllRows => "unnest, all rows",
            Way::WriterOnTrades => "writer, trades alone",
            Way::SinkByInsert => "sink, one writer by insert",
            Way::SinkOneWriter => "sink, one writer by copy",
            Way::Sink => "sink, two writers by copy",
        }
    }
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    pub took: Duration,
    pub rows: u64,
    /// What all processes of the server worked meanwhile.
    pub server: Duration,
    /// On disk, indexes and all.
    pub bytes: u64,
}

pub async fn run(way: Way, servers: &mut Servers, events: &Events) -> Result<Run, BenchError> {
    let mut config = servers.fresh().await?;
    if way == Way::SinkByInsert {
        config.write_by = WriteBy::Insert;
    }
    config.writers = if way == Way::Sink { 2 } else { 1 };
    let rows_max = config.rows_max;
    let before = servers.cpu_time()?;
    let (took, rows) = match way {
        Way::TradesAlone => {
            let mut batches = events.batches(rows_max)?;
            let trades: Vec<_> =
                batches.iter_mut().flat_map(|rows| rows.trades.drain(..)).collect();
            let batch = |trades: &[_]| Rows { trades: trades.to_vec(), ..Rows::default() };
            plainly(&config, &trades.chunks(rows_max).map(batch).collect::<Vec<_>>()).await?
        }
        Way::AllRows => plainly(&config, &events.batches(rows_max)?).await?,
        Way::WriterOnTrades => by_writer(&config, events).await?,
        Way::SinkByInsert | Way::SinkOneWriter | Way::Sink => {
            fill(&mut servers.redis()?, events)?;
            catch_up(&config, events).await?
        }
    };
    let server = servers.cpu_time()?.saturating_sub(before);
    let bytes = size(&config).await?;
    servers.discard(&config).await?;
    let of_trades = matches!(way, Way::TradesAlone | Way::WriterOnTrades);
    let expected = if of_trades { events.trades } else { events.rows };
    if rows != expected {
        return Err(BenchError::Rows { expected, found: rows });
    }
    Ok(Run { took, rows, server, bytes })
}

/// A transaction a batch.
async fn plainly(config: &Config, batches: &[Rows]) -> Result<(Duration, u64), BenchError> {
    let mut connection = connect(&config.database_url).await?;
    let started = Instant::now();
    let mut rows = 0;
    for batch in batches {
        let mut transaction = connection.begin().await.map_err(BenchError::Database)?;
        rows += put(&mut transaction, &batch.trades).await?;
        rows += put(&mut transaction, &batch.fills).await?;
        rows += put(&mut transaction, &batch.order_events).await?;
        rows += put(&mut transaction, &batch.balance_changes).await?;
        rows += put(&mut transaction, &batch.transfers).await?;
        transaction.commit().await.map_err(BenchError::Database)?;
    }
    Ok((started.elapsed(), rows))
}

/// The batches are made before the clock starts.
async fn by_writer(config: &Config, events: &Events) -> Result<(Duration, u64), BenchError> {
    let streams = Arc::new(Streams::of(&events.catalog));
    let database = Database::new(&config.database_url, config.database_deadline);
    let mut database = database.map_err(BenchError::Sink)?;
    let connection = database.connection().await.map_err(BenchError::Sink)?;
    let claim = checkpoint::claim(connection, &streams).await.map_err(BenchError::Database)?;
    let claim = claim.map_err(BenchError::Sink)?;
    let (outbound, inbound) = mpsc::channel(events.all.len());
    for event in &events.all {
        let id = StreamCursor { milliseconds: event.sequence, counter: 0 };
        let entry = Entry { stream: event.stream, id, frame: event.frame.clone() };
        outbound.try_send(entry).map_err(|_| BenchError::TooLarge)?;
    }
    drop(outbound);
    let (positions, rows_max) = (claim.positions.clone(), config.rows_max * ROWS_PER_TRADE);
    let age_max = Duration::from_secs(3600);
    let mut batcher = Batcher::new(Arc::clone(&streams), positions, inbound, rows_max, age_max);
    let mut batches = Vec::new();
    while let Some(mut batch) = batcher.next().await {
        for slice in &mut batch.slices {
            let trades = std::mem::take(&mut slice.rows.trades);
            slice.rows = Rows { trades, ..Rows::default() };
        }
        batches.push(batch);
    }
    let (write_by, retry_max) = (config.write_by, config.retry_max);
    let readiness = Readiness::default();
    let (mut writer, _committed) =
        Writer::new(database, streams, claim, write_by, retry_max, readiness);
    let started = Instant::now();
    let mut rows = 0;
    for batch in &batches {
        rows += writer.write(batch).await.map_err(BenchError::Sink)?.rows;
    }
    Ok((started.elapsed(), rows))
}

async fn put<R: TableRow>(connection: &mut PgConnection, rows: &[R]) -> Result<u64, BenchError> {
    if rows.is_empty() {
        return Ok(0);
    }
    insert::rows(connection, rows, Known::Stays).await.map_err(BenchError::Database)
}

/// All events on their queues, as the engine puts them there.
pub fn fill(queues: &mut Queues, events: &Events) -> Result<(), BenchError> {
    let streams = Streams::of(&events.catalog);
    for some in events.all.chunks(PIPELINE) {
        let mut pipeline = redis::pipe();
        some.iter().for_each(|event| append(&mut pipeline, &streams, event));
        queues.append(&pipeline)?;
    }
    Ok(())
}

pub fn append(pipeline: &mut redis::Pipeline, streams: &Streams, event: &Event) {
    let id = format!("{}-0", event.sequence);
    let mut entry = redis::cmd("XADD");
    entry.arg(&streams.at(event.stream).key).arg(id).arg(keys::FRAME_FIELD).arg(&event.frame);
    pipeline.add_command(entry).ignore();
}

/// From a sink's start until it has committed all.
async fn catch_up(config: &Config, events: &Events) -> Result<(Duration, u64), BenchError> {
    let mut connection = connect(&config.database_url).await?;
    let stop = CancellationToken::new();
    let (catalog, readiness) = (events.catalog.clone(), Readiness::default());
    let streams = Streams::of(&catalog);
    let started = Instant::now();
    let sink = Sink { config: config.clone(), catalog, readiness };
    let sink = tokio::spawn(sink.run(stop.clone()));
    let ends = events.ends();
    while !is_all(&mut connection, &streams, &ends).await? {
        if sink.is_finished() {
            return Err(BenchError::Ended("the sink".to_owned()));
        }
        sleep(LOOK_EVERY).await;
    }
    let took = started.elapsed();
    stop.cancel();
    sink.await.map_err(|_| BenchError::Thread)?.map_err(BenchError::Sink)?;
    Ok((took, count(&mut connection).await?))
}

/// Whether the database has every stream up to its end.
async fn is_all(
    connection: &mut PgConnection,
    streams: &Streams,
    ends: &[u64],
) -> Result<bool, BenchError> {
    let positions: Vec<(String, i64)> =
        sqlx::query_as(POSITIONS).fetch_all(connection).await.map_err(BenchError::Database)?;
    let positions: HashMap<_, _> = positions.into_iter().collect();
    let last = |name: &String| positions.get(name).map_or(0, |last| last.unsigned_abs());
    Ok(streams.names().iter().zip(ends).all(|(name, end)| *end <= last(name)))
}

async fn count(connection: &mut PgConnection) -> Result<u64, BenchError> {
    let all = "SELECT (SELECT count(*) FROM trades) + (SELECT count(*) FROM fills)
         + (SELECT count(*) FROM order_events) + (SELECT count(*) FROM balance_changes)
         + (SELECT count(*) FROM transfers)";
    let rows: i64 =
        sqlx::query_scalar(all).fetch_one(connection).await.map_err(BenchError::Database)?;
    Ok(rows.unsigned_abs())
}

/// Of the tables that the sink writes.
async fn size(config: &Config) -> Result<u64, BenchError> {
    let all = "SELECT sum(pg_total_relation_size(name::regclass))::bigint FROM unnest(ARRAY[
         'trades', 'fills', 'order_events', 'balance_changes', 'transfers', 'klines']) AS name";
    let mut connection = connect(&config.database_url).await?;
    let bytes: i64 =
        sqlx::query_scalar(all).fetch_one(&mut connection).await.map_err(BenchError::Database)?;
    connection.close().await.map_err(BenchError::Database)?;
    Ok(bytes.unsigned_abs())
}
