//! A page of an account's rows, of its fills or its ended orders: both tables have the same key.
//!
//! The keys of a page are found first, in windows of time: what does not belong to the page is
//! passed over in the index alone, which bears what is chosen by (migration 0008). Then the rows
//! of the page are read by their keys.

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, FromRow, PgConnection};

use crate::past_orders::SortDirection;
use crate::windows::Window;

/// Which rows, in the terms of the tables.
#[derive(Clone, Copy, Debug)]
pub struct Chosen {
    pub account: i32,
    pub market: Option<i16>,
    pub order: Option<i64>,
    pub within: Window,
    pub limit: i64,
    pub offset: i64,
    pub direction: SortDirection,
}

/// A table, what is read of a row of it, and which rows there are at all.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    pub table: &'static str,
    pub columns: &'static str,
    pub condition: &'static str,
}

/// What stands for KEYS.
const KEYS: &str = "\
    FROM TABLE WHERE account_id = $1 AND $2 <= ts AND ts < $3 AND CONDITION \
    AND ($4::smallint IS NULL OR market_id = $4) AND ($5::bigint IS NULL OR order_id = $5)";

/// `LIMIT 1` has each row looked up by its key: a planner that is wrong about how many rows a
/// window has, as of the latest ones it often is, would read all of them to join them.
const ROWS: &str = "\
    SELECT COLUMNS FROM (SELECT ts, sequence, sub KEYS \
      ORDER BY ts DIRECTION, sequence DIRECTION, sub DIRECTION LIMIT $6 OFFSET $7) AS page \
    CROSS JOIN LATERAL (SELECT * FROM TABLE AS one \
      WHERE one.account_id = $1 AND $2 <= one.ts AND one.ts < $3 \
       AND one.ts = page.ts AND one.sequence = page.sequence AND one.sub = page.sub LIMIT 1) AS r \
    ORDER BY r.ts DIRECTION, r.sequence DIRECTION, r.sub DIRECTION";

const PASSED_OVER: &str = "SELECT count(*) FROM (SELECT KEYS LIMIT $6) AS passed_over";

impl Source {
    /// `now` is about when the latest rows were made.
    pub async fn page<R>(
        &self,
        connection: &mut PgConnection,
        chosen: &Chosen,
        now: DateTime<Utc>,
    ) -> Result<Vec<R>, sqlx::Error>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let mut page = Vec::new();
        let (mut limit, mut offset) = (chosen.limit, chosen.offset);
        for window in chosen.within.cut(now, chosen.direction) {
            if limit <= 0 {
                break;
            }
            let rows = self.rows(connection, chosen, window, (limit, offset)).await?;
            if !rows.is_empty() {
                (limit, offset) = (limit - rows.len() as i64, 0);
                page.extend(rows);
            } else if 0 < offset {
                offset -= self.passed_over(connection, chosen, window, offset).await?;
            }
        }
        Ok(page)
    }

    async fn rows<R>(
        &self,
        connection: &mut PgConnection,
        chosen: &Chosen,
        window: Window,
        (limit, offset): (i64, i64),
    ) -> Result<Vec<R>, sqlx::Error>
    where
        R: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        sqlx::query_as(AssertSqlSafe(self.statement(ROWS, chosen.direction)))
            .bind(chosen.account)
            .bind(window.from)
            .bind(window.until)
            .bind(chosen.market)
            .bind(chosen.order)
            .bind(limit)
            .bind(offset)
            .fetch_all(connection)
            .await
    }

    /// How many rows a window has that has not more than `offset`.
    async fn passed_over(
        &self,
        connection: &mut PgConnection,
        chosen: &Chosen,
        window: Window,
        offset: i64,
    ) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar(AssertSqlSafe(self.statement(PASSED_OVER, chosen.direction)))
            .bind(chosen.account)
            .bind(window.from)
            .bind(window.until)
            .bind(chosen.market)
            .bind(chosen.order)
            .bind(offset)
            .fetch_one(connection)
            .await
    }

    fn statement(&self, form: &str, direction: SortDirection) -> String {
        form.replace("KEYS", KEYS)
            .replace("CONDITION", self.condition)
            .replace("COLUMNS", self.columns)
            .replace("TABLE", self.table)
            .replace("DIRECTION", direction.sql())
    }
}
