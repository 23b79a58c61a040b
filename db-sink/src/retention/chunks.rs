//! Hypertables: whole chunks are dropped, oldest first, a transaction each. A chunk is a day, and
//! so is the cutoff; where a chunk is longer it goes when all of it is old.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres, Transaction};

use super::{Aging, DEADLINE, ORDER_EVENTS, Run, Step};
use crate::database::within;
use crate::error::SinkError;

/// Also where the extension is not there at all.
pub(super) async fn is_hypertable(
    connection: &mut PgConnection,
    table: &str,
) -> Result<bool, sqlx::Error> {
    let has_extension: bool =
        sqlx::query_scalar("SELECT to_regclass('timescaledb_information.hypertables') IS NOT NULL")
            .fetch_one(&mut *connection)
            .await?;
    if !has_extension {
        return Ok(false);
    }
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM timescaledb_information.hypertables
            WHERE hypertable_schema = current_schema() AND hypertable_name = $1)",
    )
    .bind(table)
    .fetch_one(connection)
    .await
}

/// Name and end of each chunk that ends at or before the cutoff.
const OLD_CHUNKS: &str = "
    SELECT format('%I.%I', chunk_schema, chunk_name), range_end
    FROM timescaledb_information.chunks
    WHERE hypertable_schema = current_schema() AND hypertable_name = $1 AND range_end <= $2
    ORDER BY range_end";

impl Run<'_> {
    pub(super) async fn drop_chunks(
        &mut self,
        connection: &mut PgConnection,
        mut done: impl FnMut(Step),
    ) -> Result<(), SinkError> {
        let chunks = sqlx::query_as(OLD_CHUNKS).bind(self.aging.table).bind(self.cutoff);
        let chunks = within(DEADLINE, "tell its chunks", chunks.fetch_all(&mut *connection));
        let chunks: Vec<(String, DateTime<Utc>)> = chunks.await?;
        for (chunk, end) in chunks {
            if self.stop.is_cancelled() {
                return Ok(());
            }
            let dropped = drop_chunk(connection, self.aging, &chunk, end);
            done(within(DEADLINE, "drop a chunk", dropped).await?);
        }
        Ok(())
    }
}

/// Chunks before it are gone already, so `end` bounds this chunk's rows.
async fn drop_chunk(
    connection: &mut PgConnection,
    aging: &Aging,
    chunk: &str,
    end: DateTime<Utc>,
) -> Result<Step, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    // A late row that is written meanwhile must not go uncounted, and least of all a placement.
    let lock = AssertSqlSafe(format!("LOCK TABLE {chunk} IN SHARE ROW EXCLUSIVE MODE"));
    sqlx::raw_sql(lock).execute(&mut *transaction).await?;
    let kept = match aging.table {
        ORDER_EVENTS => keep(&mut transaction, end).await?,
        _ => 0,
    };
    let count = AssertSqlSafe(format!("SELECT count(*) FROM {} WHERE ts < $1", aging.table));
    let rows: i64 = sqlx::query_scalar(count).bind(end).fetch_one(&mut *transaction).await?;
    sqlx::query("SELECT drop_chunks($1::text::regclass, older_than => $2)")
        .bind(aging.table)
        .bind(end)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(Step { rows: rows.unsigned_abs(), kept })
}

/// The orders that are open at `end`, as they stand then. See `batches.rs` for what each part is.
async fn keep(
    transaction: &mut Transaction<'_, Postgres>,
    end: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let moved = sqlx::query(MOVE).bind(end).execute(&mut **transaction).await?;
    sqlx::query(FORGET).bind(end).execute(&mut **transaction).await?;
    Ok(moved.rows_affected())
}

const MOVE: &str = "
    INSERT INTO kept_order_events SELECT placed.* FROM order_events AS placed
    WHERE placed.ts < $1 AND placed.kind IN (1, 5)
        AND NOT EXISTS (
            SELECT FROM order_events AS its_end
            WHERE its_end.order_id = placed.order_id AND its_end.ts < $1
                AND its_end.kind NOT IN (1, 5))
        AND (placed.triggered_at IS NOT NULL OR NOT EXISTS (
            SELECT FROM order_events AS later
            WHERE later.order_id = placed.order_id AND later.ts < $1 AND later.kind IN (1, 5)
                AND (placed.ts, placed.sequence) < (later.ts, later.sequence)))
    ON CONFLICT DO NOTHING";

const FORGET: &str = "
    DELETE FROM kept_order_events AS kept USING order_events AS gone
    WHERE gone.ts < $1 AND kept.order_id = gone.order_id AND (
        gone.kind NOT IN (1, 5)
        OR kept.triggered_at IS NULL
            AND gone.kind IN (1, 5) AND (kept.ts, kept.sequence) < (gone.ts, gone.sequence))";
