//! The last durable sequence of each stream: rows of `sink_position`.
//!
//! Invariant: a position moves only in the transaction that writes the rows up to it, and only
//! while the row carries the epoch of the sink that moves it. Reading the row is therefore also the
//! answer to whether a commit whose reply was lost has happened.

use std::collections::HashMap;

use protocol::StreamCursor;
use sqlx::PgConnection;

use crate::error::SinkError;
use crate::streams::Streams;

/// Where a stream stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    pub sequence: u64,
    /// Of that frame's entry in Redis.
    pub cursor: StreamCursor,
}

impl Position {
    /// The later of the two.
    pub fn max_of(self, other: Position) -> Position {
        if self.sequence < other.sequence { other } else { self }
    }
}

/// The streams of one sink, claimed: no other sink can move them any more.
#[derive(Debug)]
pub struct Claim {
    pub epoch: i64,
    /// By place in [`Streams`].
    pub positions: Vec<Position>,
}

type PositionRow = (String, i64, String);

fn position(row: &PositionRow) -> Result<Position, SinkError> {
    let (stream, sequence, cursor) = row;
    let invalid =
        || SinkError::Position { stream: stream.clone(), text: format!("{sequence}, {cursor}") };
    Ok(Position {
        sequence: u64::try_from(*sequence).map_err(|_| invalid())?,
        cursor: StreamCursor::parse(cursor).ok_or_else(invalid)?,
    })
}

/// All that stand in the database, by stream, claimed by nobody.
pub async fn positions(
    connection: &mut PgConnection,
) -> Result<Result<HashMap<String, Position>, SinkError>, sqlx::Error> {
    let select = "SELECT stream, last_sequence, last_id FROM sink_position";
    let rows: Vec<PositionRow> = sqlx::query_as(select).fetch_all(connection).await?;
    let positions = rows.iter().map(|row| Ok((row.0.clone(), position(row)?)));
    Ok(positions.collect())
}

const CLAIM: &str = "
    INSERT INTO sink_position AS here (stream, last_sequence, last_id, epoch, updated_at)
    SELECT stream, 0, '0-0', $2, now() FROM unnest($1::text[]) AS stream ORDER BY stream
    ON CONFLICT (stream) DO UPDATE SET epoch = excluded.epoch, updated_at = now()
        WHERE here.epoch < excluded.epoch
    RETURNING stream, last_sequence, last_id";

/// Takes all streams over from whichever sink had them, waiting for a transaction it has open. Of
/// two that claim at once the later epoch wins; the other is told at its first batch.
pub async fn claim(
    connection: &mut PgConnection,
    streams: &Streams,
) -> Result<Result<Claim, SinkError>, sqlx::Error> {
    let epoch: i64 =
        sqlx::query_scalar("SELECT nextval('sink_epoch')").fetch_one(&mut *connection).await?;
    let rows: Vec<PositionRow> =
        sqlx::query_as(CLAIM).bind(streams.names()).bind(epoch).fetch_all(connection).await?;
    let rows: HashMap<_, _> = rows.into_iter().map(|row| (row.0.clone(), row)).collect();
    let positions = streams.all().iter().map(|stream| match rows.get(&stream.name) {
        Some(row) => position(row),
        None => Err(SinkError::TakenOver { stream: stream.name.clone(), epoch }),
    });
    Ok(positions.collect::<Result<_, _>>().map(|positions| Claim { epoch, positions }))
}

const LOCK: &str = "
    SELECT stream, last_sequence, last_id FROM sink_position
    WHERE stream = ANY($1) AND epoch = $2 ORDER BY stream FOR UPDATE";

/// Locks and reads the positions of `names`; those that are not ours any more are missing.
pub async fn lock(
    connection: &mut PgConnection,
    names: &[&str],
    epoch: i64,
) -> Result<HashMap<String, u64>, sqlx::Error> {
    let rows: Vec<PositionRow> =
        sqlx::query_as(LOCK).bind(names).bind(epoch).fetch_all(connection).await?;
    let positions = rows.into_iter().map(|(name, sequence, _)| (name, sequence.unsigned_abs()));
    Ok(positions.collect())
}

/// One stream's step in a batch.
#[derive(Clone, Debug)]
pub struct Step {
    pub stream: String,
    pub from: i64,
    pub to: i64,
    pub last_id: String,
}

const ADVANCE: &str = "
    UPDATE sink_position AS here
    SET last_sequence = step.next, last_id = step.last_id, updated_at = now()
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[])
        AS step (stream, previous, next, last_id)
    WHERE here.stream = step.stream AND here.last_sequence = step.previous AND here.epoch = $5";

/// Moves positions that still have their old value and our epoch; returns how many moved.
pub async fn advance(
    connection: &mut PgConnection,
    steps: &[Step],
    epoch: i64,
) -> Result<u64, sqlx::Error> {
    let column = |of: fn(&Step) -> i64| steps.iter().map(of).collect::<Vec<_>>();
    let names: Vec<_> = steps.iter().map(|step| step.stream.as_str()).collect();
    let ids: Vec<_> = steps.iter().map(|step| step.last_id.as_str()).collect();
    let moved = sqlx::query(ADVANCE)
        .bind(names)
        .bind(column(|step| step.from))
        .bind(column(|step| step.to))
        .bind(ids)
        .bind(epoch)
        .execute(connection)
        .await?;
    Ok(moved.rows_affected())
}

const LOST: &str =
    "SELECT stream FROM sink_position WHERE stream = ANY($1) AND epoch <> $2 LIMIT 1";

/// A stream that another sink has taken over, if there is one.
pub async fn lost_stream(
    connection: &mut PgConnection,
    streams: &Streams,
    epoch: i64,
) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(LOST).bind(streams.names()).bind(epoch).fetch_optional(connection).await
}
