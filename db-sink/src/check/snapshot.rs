//! The database as it is at one moment: a transaction that only reads, and cursors in it, which are
//! read bit by bit while pages of the journal come.

use std::collections::{HashMap, VecDeque};

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgRow;

use crate::checkpoint::{self, Position};
use crate::database::Database;
use crate::error::SinkError;

const ROWS_AT_ONCE: usize = 1000;

/// How the server reads for cursors that are opened from here on: what takes least for all rows.
const READ_TO_THE_END: &str = "SET cursor_tuple_fraction = 1";
/// ... or in the order of the key, without sorting what is long.
const READ_ALONG_THE_KEY: &str = "SET cursor_tuple_fraction = 0.001";

/// Neither the sink nor anybody else waits for it, but for who would drop or alter a table.
const BEGIN: [&str; 4] = [
    // The transaction takes as long as the journal is long, and idles while a page comes.
    "SET statement_timeout = 0",
    "SET idle_in_transaction_session_timeout = 0",
    READ_TO_THE_END,
    "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY",
];

#[derive(Debug)]
pub struct Snapshot {
    database: Database,
    cursors: u64,
}

/// Rows of a SELECT, in its order.
#[derive(Debug)]
pub struct Cursor<T> {
    name: String,
    decode: fn(&PgRow) -> Result<T, sqlx::Error>,
    rows: VecDeque<T>,
    is_drained: bool,
}

fn failed(cause: sqlx::Error) -> SinkError {
    SinkError::Database { doing: "be compared", cause }
}

impl Snapshot {
    pub async fn open(mut database: Database) -> Result<Snapshot, SinkError> {
        let connection = database.connection().await?;
        for statement in BEGIN {
            sqlx::query(statement).execute(&mut *connection).await.map_err(failed)?;
        }
        Ok(Snapshot { database, cursors: 0 })
    }

    pub async fn positions(&mut self) -> Result<HashMap<String, Position>, SinkError> {
        let connection = self.database.connection().await?;
        checkpoint::positions(connection).await.map_err(failed)?
    }

    /// The one number that a SELECT answers, if it answers.
    pub async fn number(&mut self, select: String) -> Result<Option<i64>, SinkError> {
        let connection = self.database.connection().await?;
        let number = sqlx::query_scalar(AssertSqlSafe(select)).fetch_optional(connection).await;
        number.map_err(failed)
    }

    /// Nothing is read before the first row is wanted.
    pub async fn cursor<T>(
        &mut self,
        select: &str,
        decode: fn(&PgRow) -> Result<T, sqlx::Error>,
    ) -> Result<Cursor<T>, SinkError> {
        self.cursors += 1;
        let name = format!("check_{}", self.cursors);
        let declare = format!("DECLARE {name} NO SCROLL CURSOR FOR {select}");
        self.execute(declare).await?;
        Ok(Cursor { name, decode, rows: VecDeque::new(), is_drained: false })
    }

    pub async fn close<T>(&mut self, cursor: Cursor<T>) -> Result<(), SinkError> {
        self.execute(format!("CLOSE {}", cursor.name)).await
    }

    /// From here on cursors are for rows in the order of a key.
    pub async fn read_along_keys(&mut self) -> Result<(), SinkError> {
        self.execute(READ_ALONG_THE_KEY.to_owned()).await
    }

    async fn execute(&mut self, statement: String) -> Result<(), SinkError> {
        let connection = self.database.connection().await?;
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection).await.map_err(failed)?;
        Ok(())
    }

    /// The row that [`Cursor::take`] takes next.
    pub async fn peek<'c, T>(
        &mut self,
        cursor: &'c mut Cursor<T>,
    ) -> Result<Option<&'c T>, SinkError> {
        if cursor.rows.is_empty() && !cursor.is_drained {
            let fetch = format!("FETCH {ROWS_AT_ONCE} FROM {}", cursor.name);
            let query = sqlx::query(AssertSqlSafe(fetch)).persistent(false);
            let connection = self.database.connection().await?;
            let rows = query.fetch_all(connection).await.map_err(failed)?;
            cursor.is_drained = rows.len() < ROWS_AT_ONCE;
            let decoded = rows.iter().map(cursor.decode).collect::<Result<VecDeque<T>, _>>();
            cursor.rows = decoded.map_err(failed)?;
        }
        Ok(cursor.rows.front())
    }

    pub async fn end(mut self) {
        self.database.close().await;
    }
}

impl<T> Cursor<T> {
    /// The row that was peeked at.
    pub fn take(&mut self) -> Option<T> {
        self.rows.pop_front()
    }
}
