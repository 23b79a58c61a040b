//! Plain tables: deletes in batches, a transaction each, found by the unique key alone.
//!
//! No index serves `ts` by itself, and none is worth having for this: the key's first row of an
//! owner is its oldest, so one step down the index an owner tells whose rows are old. A BRIN index
//! on `ts` costs writing nothing that shows, but the summary of a range never rises again: once
//! freed pages hold new rows, every run reads them all. After two of ten days were replaced, it
//! read a fifth of the table to find nothing.

use std::collections::BTreeMap;
use std::time::Instant;

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::sleep;

use super::{Aging, DEADLINE, ORDER_EVENTS, Run, Step};
use crate::database::within;
use crate::error::SinkError;

/// Owners looked after at a time: one batch takes from all of them.
const OWNERS_MAX: i64 = 500;

/// Below every owner: market and account ids are not negative.
const BEFORE_ALL: i32 = -1;

/// Owner, the time up to which its rows are gone, how many went, how many rows of all were kept.
type Gone = (i32, DateTime<Utc>, i64, i64);

impl Run<'_> {
    /// Between two batches it rests for as long as one took, so that at most half of what the
    /// server can do goes into this.
    pub(super) async fn delete_batches(
        &mut self,
        connection: &mut PgConnection,
        mut done: impl FnMut(Step),
    ) -> Result<(), SinkError> {
        let (find, delete) = (find_sql(self.aging), delete_sql(self.aging));
        let mut last = BEFORE_ALL;
        loop {
            let owners = sqlx::query_scalar(AssertSqlSafe(find.as_str()));
            let owners = owners.bind(last).bind(self.cutoff).bind(OWNERS_MAX);
            let owners = owners.fetch_all(&mut *connection);
            let owners: Vec<i32> = within(DEADLINE, "look for old rows", owners).await?;
            let Some(greatest) = owners.last().copied() else { return Ok(()) };
            last = greatest;
            // Where the last batch ended, the next one begins: not at rows that are dead.
            let mut since: BTreeMap<i32, DateTime<Utc>> =
                owners.into_iter().map(|owner| (owner, DateTime::UNIX_EPOCH)).collect();
            loop {
                if self.stop.is_cancelled() {
                    return Ok(());
                }
                let start = Instant::now();
                let (owners, times): (Vec<i32>, Vec<DateTime<Utc>>) =
                    since.iter().map(|(owner, time)| (*owner, *time)).unzip();
                let gone = sqlx::query_as(AssertSqlSafe(delete.as_str()))
                    .bind(owners)
                    .bind(times)
                    .bind(self.cutoff)
                    .bind(i64::from(self.batch_rows))
                    .fetch_all(&mut *connection);
                let gone: Vec<Gone> = within(DEADLINE, "remove old rows", gone).await?;
                let rows = gone.iter().map(|row| row.2.unsigned_abs()).sum();
                let kept = gone.first().map_or(0, |row| row.3.unsigned_abs());
                done(Step { rows, kept });
                if rows < u64::from(self.batch_rows) {
                    break;
                }
                since.extend(gone.into_iter().map(|(owner, until, ..)| (owner, until)));
                self.stop.run_until_cancelled(sleep(start.elapsed())).await;
            }
        }
    }
}

/// The next owners in order with rows below the cutoff: an index lookup for each owner there is.
fn find_sql(aging: &Aging) -> String {
    let Aging { table, owner, .. } = *aging;
    format!(
        "WITH RECURSIVE walk AS (
            (SELECT {owner} AS owner, ts FROM {table}
             WHERE $1 < {owner} ORDER BY {owner}, ts LIMIT 1)
            UNION ALL
            SELECT next.owner, next.ts FROM walk, LATERAL (
                SELECT {owner} AS owner, ts FROM {table}
                WHERE walk.owner < {owner} ORDER BY {owner}, ts LIMIT 1) AS next
        )
        SELECT owner::integer FROM walk WHERE ts < $2 LIMIT $3"
    )
}

/// Removes the oldest rows of the given owners: one statement, so one transaction. Of each owner in
/// the order of time, so that no order's end goes before its placement.
fn delete_sql(aging: &Aging) -> String {
    let Aging { table, owner, rest } = *aging;
    let (keep, kept) = match table {
        ORDER_EVENTS => (KEEP, "(SELECT count(*) FROM moved)"),
        _ => ("", "0::bigint"),
    };
    format!(
        "WITH gone AS (
            DELETE FROM {table} WHERE ts < $3 AND ctid = ANY (ARRAY(
                SELECT old.ctid FROM unnest($1::integer[], $2::timestamptz[]) AS of (id, since),
                LATERAL (
                    SELECT ctid FROM {table}
                    WHERE {owner} = of.id AND of.since <= ts AND ts < $3
                    ORDER BY ts, {rest} LIMIT $4) AS old
                LIMIT $4))
            RETURNING *
        ){keep}
        SELECT {owner}::integer, max(ts), count(*), {kept} FROM gone GROUP BY 1 ORDER BY 1"
    )
}

/// What is looked up sees the rows as they were before the statement: an end that goes with the
/// placement counts, and so does a later placement.
const KEEP: &str = ", moved AS (
        INSERT INTO kept_order_events SELECT gone.* FROM gone
        WHERE kind IN (1, 5)
            AND NOT EXISTS (
                SELECT FROM order_events AS its_end
                WHERE its_end.order_id = gone.order_id AND its_end.ts < $3
                    AND its_end.kind NOT IN (1, 5))
            AND (triggered_at IS NOT NULL OR NOT EXISTS (
                SELECT FROM order_events AS later
                WHERE later.order_id = gone.order_id AND later.ts < $3 AND later.kind IN (1, 5)
                    AND (gone.ts, gone.sequence) < (later.ts, later.sequence)))
        ON CONFLICT DO NOTHING
        RETURNING 1
    ), outlived AS (
        DELETE FROM kept_order_events AS kept USING gone
        WHERE kept.order_id = gone.order_id AND (
            gone.kind NOT IN (1, 5)
            OR kept.triggered_at IS NULL
                AND (kept.ts, kept.sequence) < (gone.ts, gone.sequence))
    )";
