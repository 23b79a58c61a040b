//! Brings the database to the shape this version needs: the server's age, the tables, hypertables.
//! Everything here can be repeated, and several processes may do it at once.

use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};

use crate::config::Timescale;
use crate::database::{Database, within};
use crate::error::SinkError;
use crate::timescale;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// PostgreSQL 14, as `server_version_num` says it.
const SERVER_VERSION_LEAST: i32 = 140_000;

pub async fn prepare(database: &mut Database, timescale: Timescale) -> Result<(), SinkError> {
    let deadline = database.deadline();
    let connection = database.connection().await?;
    within(deadline, "tell its version", check_version(connection)).await??;
    // Statements of a migration may rewrite tables: they end when they end.
    sqlx::query("SET statement_timeout = 0")
        .execute(&mut *connection)
        .await
        .map_err(|cause| SinkError::Database { doing: "prepare", cause })?;
    MIGRATIONS.run_direct(None, &mut *connection, false).await?;
    timescale::turn_on(connection, timescale).await?;
    // The settings of this session are not what the writer needs.
    database.close().await;
    Ok(())
}

async fn check_version(
    connection: &mut PgConnection,
) -> Result<Result<(), SinkError>, sqlx::Error> {
    connection.ping().await?;
    let number: String =
        sqlx::query_scalar("SHOW server_version_num").fetch_one(&mut *connection).await?;
    if number.parse::<i32>().is_ok_and(|number| SERVER_VERSION_LEAST <= number) {
        return Ok(Ok(()));
    }
    let found = sqlx::query_scalar("SHOW server_version").fetch_one(connection).await?;
    Ok(Err(SinkError::ServerTooOld { found }))
}
